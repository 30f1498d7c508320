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

	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"github.com/hullmark/hullmark/internal/app"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/purl"
)

const (
	scaleReleases = 100_000
	scaleVersions = 20  // of a name
	scaleBatch    = 500 // releases of an append
	scaleLoad     = 2 * time.Second
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
	for _, route := range []struct {
		name, path string
		headers    []string
	}{
		{"npm packument", "/npm/" + escape(smallPackage), nil},
		{"npm packument, abbreviated, gzip", "/npm/" + escape(smallPackage), []string{"Accept: application/vnd.npm.install-v1+json", "Accept-Encoding: gzip"}},
		{"npm tarball", "/npm/" + smallPackage + "/-/small-1.0.0.tgz", nil},
		{"npm dist-tags", "/npm/-/package/" + escape(smallPackage) + "/dist-tags", nil},
		{"npm search", "/npm/-/v1/search?text=small", nil},
		{"OCI manifest by tag", "/v2/bench/small/manifests/1", []string{"Accept: application/vnd.oci.image.manifest.v1+json, application/vnd.docker.distribution.manifest.v2+json"}},
		{"OCI tags", "/v2/bench/small/tags/list", nil},
		{"trace of a release", "/api/v1/trace?q=pkg:npm/%2540bench/small@1.0.0", nil},
	} {
		p99 := func(s *server) func(context.Context, int) (float64, error) {
			return func(ctx context.Context, _ int) (float64, error) {
				headers := route.headers
				if strings.HasPrefix(route.path, "/v2/") {
					token, err := s.pullToken(ctx, "bench/small")
					if err != nil {
						return 0, err
					}
					headers = append(slices.Clone(headers), "Authorization: Bearer "+token)
				}
				got, err := load{8, scaleLoad, headers}.run(ctx, s.url+route.path)
				return float64(got.p99.Microseconds()) / 1000, err
			}
		}
		our, their, err := b.inTurn(ctx, p99(full), p99(hollow))
		if err != nil {
			return err
		}
		r := judge(fmt.Sprintf("p99 of %s among %d releases", route.name, scaleReleases), "ms", target{ratio: 0.5, less: true}, our, their)
		r.Note = "the peer is the same program with 10 releases; wrk -t1 -c8"
		b.report.add(r)
	}
	most, err := full.memory("VmHWM")
	if err != nil {
		return err
	}
	b.report.add(judge("resident memory, most, there", "MB", target{atMost: 200}, []float64{most}, nil))
	return nil
}

// scaleFixtures publishes what is read.
func (b *bench) scaleFixtures(ctx context.Context, s *server) error {
	for i := range smallCount {
		if _, err := s.publish(ctx, release{name: smallPackage, version: fmt.Sprintf("1.%d.0", i), bulk: 380, tarball: 58_600}); err != nil {
			return err
		}
	}
	image, err := mutate.AppendLayers(empty.Image, static.NewLayer(noise("layer", 100_000), types.OCILayer))
	if err != nil {
		return err
	}
	return s.push(ctx, "bench/small:1", image)
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

// fill writes releases of five ecosystems into the record of a server that is stopped, as publications
// would, but without their bytes: reads of other names must not care.
func fill(ctx context.Context, data string) error {
	a, err := app.Open(ctx, app.Config{Data: data})
	if err != nil {
		return err
	}
	defer a.Close()
	actor := evidence.Actor{Account: "admin", Method: "token"}
	ecosystems := []string{purl.NPM, purl.NPM, purl.PyPI, purl.Maven, purl.NuGet, purl.Gem}
	for first := 0; first < scaleReleases; first += scaleBatch {
		var drafts []evidence.Draft
		for i := first; i < first+scaleBatch; i++ {
			name, version := fmt.Sprintf("filler-%d", i/scaleVersions), fmt.Sprintf("1.%d.0", i%scaleVersions)
			ecosystem := ecosystems[i/scaleVersions%len(ecosystems)]
			if ecosystem == purl.Maven {
				name = "com.bench/" + name
			}
			artifact := digest.FromBytes(fmt.Appendf(nil, "%s %d", ecosystem, i))
			drafts = append(drafts, evidence.Draft{
				Subjects: []evidence.Subject{evidence.About(purl.New(ecosystem, name, version), artifact)},
				Predicate: evidence.Publication{
					Event: evidence.Published, Ecosystem: ecosystem, Name: name, Version: version, File: fmt.Sprintf("%d.tgz", i),
					Artifact: artifact, Size: 1000, Tags: []string{"latest"}, Actor: actor,
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
