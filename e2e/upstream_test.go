package e2e

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"sync"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

type upstreamKey struct{}

// npmUpstream is a small registry that somebody else runs, as honest and as quick as a transcript wants it.
type npmUpstream struct {
	server *httptest.Server

	mu       sync.Mutex
	mode     string // "", "down", "slow", "lying"
	log      []string
	packages map[string]map[string]*upstreamVersion
}

type upstreamVersion struct {
	published time.Time
	tarball   []byte
}

// startUpstream starts the transcript's upstream and sets UPSTREAM.
//
//	upstream
func startUpstream(ts *testscript.TestScript, neg bool, args []string) {
	u := &npmUpstream{packages: map[string]map[string]*upstreamVersion{}}
	u.server = httptest.NewServer(u)
	ts.Defer(u.server.Close)
	ts.Setenv("UPSTREAM", u.server.URL)
	ts.Value(upstreamKey{}).(*upstreams).npm = u
}

// upstreams holds what a transcript starts.
type upstreams struct {
	npm    *npmUpstream
	second *dev
}

func upstreamOf(ts *testscript.TestScript) *npmUpstream {
	u := ts.Value(upstreamKey{}).(*upstreams).npm
	if u == nil {
		ts.Fatalf("there is no upstream yet")
	}
	return u
}

// upstreamPublish puts a version there that exports TEXT and is so old; a version that is there is replaced.
//
//	upstream-publish NAME VERSION AGE TEXT
func upstreamPublish(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 4 {
		ts.Fatalf("usage: upstream-publish NAME VERSION AGE TEXT")
	}
	age, err := time.ParseDuration(args[2])
	ts.Check(err)
	manifest, err := json.Marshal(map[string]string{"name": args[0], "version": args[1], "main": "index.js", "license": "MIT"})
	ts.Check(err)
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	t := tar.NewWriter(z)
	for _, file := range []struct{ name, text string }{
		{"package/package.json", string(manifest)}, {"package/index.js", fmt.Sprintf("module.exports = %q\n", args[3])},
	} {
		ts.Check(t.WriteHeader(&tar.Header{Name: file.name, Mode: 0o644, Size: int64(len(file.text)), Typeflag: tar.TypeReg}))
		_, err := t.Write([]byte(file.text))
		ts.Check(err)
	}
	ts.Check(t.Close())
	ts.Check(z.Close())
	u := upstreamOf(ts)
	u.mu.Lock()
	defer u.mu.Unlock()
	if u.packages[args[0]] == nil {
		u.packages[args[0]] = map[string]*upstreamVersion{}
	}
	u.packages[args[0]][args[1]] = &upstreamVersion{published: time.Now().Add(-age), tarball: b.Bytes()}
}

// upstreamMode makes the upstream honest (ok), silent (down), late (slow) or false (lying).
//
//	upstream-mode ok|down|slow|lying
func upstreamMode(ts *testscript.TestScript, neg bool, args []string) {
	u := upstreamOf(ts)
	u.mu.Lock()
	defer u.mu.Unlock()
	u.mode = strings.Join(args, " ")
}

// upstreamAsked checks that the upstream was asked for a path, or with ! that it never was.
//
//	[!] upstream-asked PATTERN
func upstreamAsked(ts *testscript.TestScript, neg bool, args []string) {
	u := upstreamOf(ts)
	u.mu.Lock()
	defer u.mu.Unlock()
	pattern := regexp.MustCompile(strings.Join(args, " "))
	for _, path := range u.log {
		if pattern.MatchString(path) {
			if neg {
				ts.Fatalf("the upstream was asked for %s", path)
			}
			return
		}
	}
	if !neg {
		ts.Fatalf("the upstream was not asked for %s, but for %q", pattern, u.log)
	}
}

// slowness is how late a slow upstream is.
const slowness = 8 * time.Second

// ServeHTTP implements http.Handler.
func (u *npmUpstream) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	u.mu.Lock()
	u.log = append(u.log, r.URL.EscapedPath())
	mode := u.mode
	name, file, isFile := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/-/")
	versions := u.packages[name]
	answer := []byte(nil)
	if !isFile && versions != nil {
		answer = u.packument(name, versions)
	}
	if isFile {
		version := strings.TrimSuffix(strings.TrimPrefix(file, name[strings.LastIndexByte(name, '/')+1:]+"-"), ".tgz")
		if v := versions[version]; v != nil {
			answer = bytes.Clone(v.tarball)
		}
	}
	u.mu.Unlock()
	switch {
	case mode == "down":
		w.WriteHeader(http.StatusBadGateway)
		return
	case mode == "slow":
		select {
		case <-time.After(slowness):
		case <-r.Context().Done():
		}
	case mode == "lying" && isFile && answer != nil:
		answer[len(answer)-6] ^= 1
	}
	if answer == nil {
		http.NotFound(w, r)
		return
	}
	w.Write(answer)
}

// packument is the full packument. u.mu is held.
func (u *npmUpstream) packument(name string, versions map[string]*upstreamVersion) []byte {
	times, manifests, newest := map[string]string{}, map[string]any{}, ""
	for version, v := range versions {
		times[version] = v.published.UTC().Format(time.RFC3339Nano)
		sum := sha512.Sum512(v.tarball)
		manifests[version] = map[string]any{
			"name": name, "version": version, "main": "index.js", "license": "MIT", "hasInstallScript": true,
			"dist": map[string]any{
				"tarball":    u.server.URL + "/" + name + "/-/" + name[strings.LastIndexByte(name, '/')+1:] + "-" + version + ".tgz",
				"integrity":  "sha512-" + base64.StdEncoding.EncodeToString(sum[:]),
				"signatures": []any{map[string]string{"keyid": "SHA256:theirs", "sig": "theirs"}},
			},
		}
		if newest == "" || v.published.After(versions[newest].published) {
			newest = version
		}
	}
	raw, err := json.Marshal(map[string]any{
		"_id": name, "name": name, "dist-tags": map[string]string{"latest": newest}, "time": times, "versions": manifests,
	})
	if err != nil {
		return nil
	}
	return raw
}
