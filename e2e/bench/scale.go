package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/hullmark/hullmark/internal/app"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry/gem/gemspec"
)

const (
	scaleReleases = 100_000
	scaleVersions = 20  // of a name
	scaleBatch    = 500 // releases of an append
	scaleLoad     = 2 * time.Second
	tailBytes     = 40 // of a list: less than a list with one name has
)

// scale measures whether a full store answers as an empty one does. The peer is the same program with the
// same packages to read, and nothing else.
func (b *bench) scale(ctx context.Context) error {
	var servers [2]*server
	for i, name := range []string{"scale-full", "scale-empty"} {
		s, err := b.startOurs(ctx, name)
		if err != nil {
			return err
		}
		if err := b.scaleFixtures(ctx, s); err != nil {
			s.stop()
			return err
		}
		s.stop()
		if i == 0 {
			say("  filling a store with %d releases", scaleReleases)
			if err := fill(ctx, filepath.Join(b.scratch, name)); err != nil {
				return err
			}
		}
		if servers[i], err = b.startAgain(ctx, name); err != nil {
			return err
		}
		defer servers[i].stop()
	}
	full, hollow := servers[0], servers[1]
	if err := full.awaitLog(ctx, scaleReleases); err != nil {
		return err
	}
	b.report.add(judge(fmt.Sprintf("start with %d releases", scaleReleases), "s", target{atMost: 2}, []float64{full.ready.Seconds()}, []float64{hollow.ready.Seconds()}))
	for _, route := range scaleRoutes() {
		p99 := func(s *server) func(context.Context, int) (float64, error) {
			return func(ctx context.Context, _ int) (float64, error) { return s.p99(ctx, route) }
		}
		our, their, err := b.inTurn(ctx, p99(full), p99(hollow))
		if err != nil {
			return err
		}
		r := judge(fmt.Sprintf("p99 of %s among %d releases", route.name, scaleReleases), "ms", target{ratio: 0.5, less: true}, our, their)
		r.Note = "the peer is the same program with what is read and nothing else; wrk -t1 -c8"
		b.report.add(r)
	}
	most, err := full.memory("VmHWM")
	if err != nil {
		return err
	}
	b.report.add(judge("resident memory, most, there", "MB", target{atMost: 200}, []float64{most}, nil))
	return nil
}

// scaleRoute is what is read. Of a list of everything that is its end, as bundler asks for it.
type scaleRoute struct {
	name, path string
	headers    []string
	tail       bool
}

func scaleRoutes() []scaleRoute {
	image := []string{"Accept: application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"}
	return []scaleRoute{
		{name: "npm packument", path: "/npm/" + escape(smallPackage)},
		{name: "npm packument, abbreviated, gzip", path: "/npm/" + escape(smallPackage),
			headers: []string{"Accept: application/vnd.npm.install-v1+json", "Accept-Encoding: gzip"}},
		{name: "npm tarball", path: "/npm/" + smallPackage + "/-/small-1.0.0.tgz"},
		{name: "npm dist-tags", path: "/npm/-/package/" + escape(smallPackage) + "/dist-tags"},
		{name: "npm search", path: "/npm/-/v1/search?text=small"},
		{name: "PyPI index", path: "/pypi/simple/" + smallProject + "/", headers: []string{"Accept: application/vnd.pypi.simple.v1+json"}},
		{name: "gem info", path: "/gems/info/" + smallProject},
		{name: "the end of gem versions", path: "/gems/versions", tail: true},
		{name: "Maven metadata", path: smallArtifact + "maven-metadata.xml"},
		{name: "Maven file", path: smallArtifact + "1.0/small-1.0.bin"},
		{name: "NuGet registration", path: nugetHive + "/index.json"},
		{name: "NuGet versions", path: "/nuget/v3/flat/" + nugetPackage + "/index.json"},
		{name: "OCI manifest by tag", path: "/v2/bench/small/manifests/1", headers: image},
		{name: "OCI tags", path: "/v2/bench/small/tags/list"},
		{name: "trace of a release", path: "/api/v1/trace?q=pkg:npm/%2540bench/small@1.0.0"},
	}
}

// p99 loads a route and returns the 99th percentile in milliseconds.
func (s *server) p99(ctx context.Context, route scaleRoute) (float64, error) {
	headers := slices.Clone(route.headers)
	if strings.HasPrefix(route.path, "/v2/") {
		token, err := s.pullToken(ctx, "bench/small")
		if err != nil {
			return 0, err
		}
		headers = append(headers, "Authorization: Bearer "+token)
	}
	if route.tail {
		size, err := sizeOf(ctx, s.url+route.path)
		if err != nil {
			return 0, err
		}
		headers = append(headers, fmt.Sprintf("Range: bytes=%d-", size-tailBytes))
	}
	got, err := load{8, scaleLoad, headers}.run(ctx, s.url+route.path)
	return float64(got.p99.Microseconds()) / 1000, err
}

// startAgain starts the program on the folder that startOurs made.
func (b *bench) startAgain(ctx context.Context, name string) (*server, error) {
	began := time.Now()
	s, stdout, err := b.spawn(ctx, "hullmark-"+name, nil,
		b.hullmark, "dev", "--data", filepath.Join(b.scratch, name), "--listen", "127.0.0.1:0", "-o", "json")
	if err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		s.stop()
		return nil, fmt.Errorf("hullmark dev: %w", err)
	}
	s.ready = time.Since(began)
	drain(stdout)
	var ready struct{ URL, NPM string }
	if err := json.Unmarshal([]byte(line), &ready); err != nil {
		s.stop()
		return nil, fmt.Errorf("hullmark dev: %w", err)
	}
	s.url, s.npm = ready.URL, ready.NPM
	return s, nil
}

// awaitLog returns when the log covers that many statements: until it does, the server has more to do than to
// answer, which is owed to how the store was filled.
func (s *server) awaitLog(ctx context.Context, size int) error {
	for {
		var checkpoint struct {
			Size int `json:"size"`
		}
		if err := s.getJSON(ctx, "/api/v1/log/checkpoint", &checkpoint); err != nil {
			return err
		}
		if checkpoint.Size >= size {
			return nil
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// pullToken returns what an anonymous client pulls a public repository with.
func (s *server) pullToken(ctx context.Context, repository string) (string, error) {
	var answer struct {
		Token string `json:"token"`
	}
	err := s.getJSON(ctx, "/token?scope=repository:"+repository+":pull", &answer)
	return answer.Token, err
}

func (s *server) getJSON(ctx context.Context, path string, v any) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+path, nil)
	if err != nil {
		return err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: GET %s: %s", s.name, path, resp.Status)
	}
	return json.NewDecoder(resp.Body).Decode(v)
}

// fill writes releases of five ecosystems into the record of a server that is stopped, as publications would, but
// without their bytes: reads of other names must not care. The list of all gems is made from what each of them says
// of itself, so that these have that.
func fill(ctx context.Context, data string) error {
	a, err := app.Open(ctx, app.Config{Data: data})
	if err != nil {
		return err
	}
	defer a.Close()
	actor := evidence.Actor{Account: "admin", Method: "token"}
	ecosystems := []string{purl.NPM, purl.NPM, purl.PyPI, purl.Maven, purl.NuGet, purl.Gem}
	var spec digest.Digest // of the gem whose versions come
	for first := 0; first < scaleReleases; first += scaleBatch {
		var drafts []evidence.Draft
		for i := first; i < first+scaleBatch; i++ {
			name, version := fmt.Sprintf("filler-%d", i/scaleVersions), fmt.Sprintf("1.%d.0", i%scaleVersions)
			ecosystem := ecosystems[i/scaleVersions%len(ecosystems)]
			var metadata digest.Digest
			switch ecosystem {
			case purl.Maven:
				name = "com.bench/" + name
			case purl.Gem:
				if i%scaleVersions == 0 {
					if spec, err = storeSpec(ctx, a, name); err != nil {
						return err
					}
				}
				metadata = spec
			}
			artifact := digest.FromBytes(fmt.Appendf(nil, "%s %d", ecosystem, i))
			drafts = append(drafts, evidence.Draft{
				Subjects: []evidence.Subject{evidence.About(purl.New(ecosystem, name, version), artifact)},
				Predicate: evidence.Publication{
					Event: evidence.Published, Ecosystem: ecosystem, Name: name, Version: version, File: fmt.Sprintf("%d.tgz", i),
					Artifact: artifact, Size: 1000, Metadata: metadata, Tags: []string{"latest"}, Actor: actor,
				},
				Issuer: actor.Issuer(), Assurance: evidence.Authenticated,
			})
		}
		if _, err := a.Record.Append(ctx, nil, drafts...); err != nil {
			return fmt.Errorf("fill from %d: %w", first, err)
		}
	}
	return nil
}

// storeSpec stores what a gem says of itself, once for all its versions.
func storeSpec(ctx context.Context, a *app.App, name string) (digest.Digest, error) {
	raw, err := json.Marshal(gemspec.Spec{Name: name, Version: "1.0.0", Platform: "ruby"})
	if err != nil {
		return "", err
	}
	u, err := a.Blobs.Create(ctx)
	if err != nil {
		return "", err
	}
	if _, err := u.Write(raw); err != nil {
		u.Abort()
		return "", err
	}
	return u.Commit(ctx, "")
}
