package gem_test

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/account/accounttest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/registry/gem"
	"github.com/hullmark/hullmark/internal/registry/gem/gemtest"
	"github.com/hullmark/hullmark/internal/registry/upstream"
)

// world is a registry with everything real below it. The organisation acme owns acme-* and redcloth, which
// anyone may read, and hush-*, which only members may; alice owns it and mallory is not in it.
type world struct {
	*accounttest.World
	t        *testing.T
	core     *registry.Core
	handler  http.Handler
	cooldown time.Duration // of names that nobody owns
}

func start(t *testing.T, sources ...upstream.Source) *world {
	t.Helper()
	below := accounttest.New(t, time.Date(2026, 3, 10, 12, 0, 0, 0, time.UTC), registry.Schema(), account.WorkloadSchema(), upstream.Schema(), gem.Schema())
	w := &world{World: below, t: t}
	w.core = registry.New(w.Record, w.Blobs, w.Accounts).WithCooldowns(w, w.Clock()).WithOwners(w.Accounts)
	w.Users(map[string]account.Role{"alice": account.Owner, "mallory": ""})
	w.Claim(purl.Gem, account.Public, "acme-*", "redcloth")
	w.Claim(purl.Gem, account.Private, "hush-*")
	client, err := upstream.New(w.core, upstream.Settings{Sources: sources, Fresh: upstream.Duration(time.Second), Missing: upstream.Duration(time.Second)}, w.Clock(), slog.New(slog.DiscardHandler))
	accounttest.Check(t, err)
	t.Cleanup(func() { client.Close() })
	w.serve(client.For(purl.Gem))
	return w
}

// serve makes a new registry over the same core, as after a restart.
func (w *world) serve(up registry.Upstream) {
	r := gem.New(w.core, gem.Config{
		PublicURL: "http://hullmark.test/gems/", Accounts: accounts{w.Accounts}, Upstream: up, Clock: w.Clock(),
		Log: slog.New(slog.NewTextHandler(w.t.Output(), nil)),
	})
	w.handler = r.Handler()
}

// Cooldown implements registry.Cooldowns: names that nobody owns have one, too.
func (w *world) Cooldown(ctx context.Context, ecosystem, name string) (time.Duration, error) {
	if owned, err := w.Accounts.Owned(ctx, ecosystem, name); err != nil || owned {
		return 0, err
	}
	return w.cooldown, nil
}

// accounts is the part of the account service that these tests use.
type accounts struct{ *account.Service }

func (a accounts) Seen(ctx context.Context, _ evidence.Actor) (func(string) bool, any, error) {
	return a.Everyone(ctx, purl.Gem)
}
func (accounts) CreateKey(context.Context, evidence.Actor, gem.Key) (string, error) { return "", nil }
func (accounts) RaiseKey(context.Context, evidence.Actor, string, evidence.Permission) error {
	return nil
}
func (accounts) HasFactor(context.Context, evidence.Actor) (bool, error)              { return false, nil }
func (accounts) Owners(context.Context, string) ([]string, error)                     { return nil, nil }
func (accounts) SetOwner(context.Context, evidence.Actor, string, string, bool) error { return nil }

// do sends a request as a user; headers are pairs.
func (w *world) do(user, method, path string, body []byte, headers ...string) *httptest.ResponseRecorder {
	w.t.Helper()
	r := httptest.NewRequestWithContext(w.t.Context(), method, path, bytes.NewReader(body))
	if user != "" {
		r.Header.Set("Authorization", w.Tokens[user])
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	got := httptest.NewRecorder()
	w.handler.ServeHTTP(got, r)
	return got
}

func (w *world) get(user, path string, headers ...string) string {
	w.t.Helper()
	got := w.do(user, "GET", path, nil, headers...)
	if got.Code/100 != 2 {
		w.t.Fatalf("GET %s: %d %s", path, got.Code, got.Body)
	}
	return got.Body.String()
}

func (w *world) push(g gemtest.Gem) {
	w.t.Helper()
	if got := w.do("alice", "POST", "/api/v1/gems", g.Bytes()); got.Code != http.StatusOK {
		w.t.Fatalf("push %s: %d %s", g.Name, got.Code, got.Body)
	}
}

func sum(s string) string {
	x := md5.Sum([]byte(s))
	return hex.EncodeToString(x[:])
}

func TestTheListOfNamesIsOnlyAppendedToAndItsTailIsServed(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.push(gemtest.Gem{Name: "acme-ui", Version: "1.0.0"})
	w.push(gemtest.Gem{Name: "acme-ui", Version: "1.1.0", Platform: "java"})
	first := w.get("", "/versions")
	if want := "---\nacme-ui 1.0.0,1.1.0-java " + sum(w.get("", "/info/acme-ui")) + "\n"; !strings.HasSuffix(first, want) {
		t.Fatalf("got %q, want it to end in %q", first, want)
	}
	w.push(gemtest.Gem{Name: "acme-base", Version: "0.1.0"})
	w.push(gemtest.Gem{Name: "acme-ui", Version: "1.2.0"})
	tail := w.do("", "GET", "/versions", nil, "Range", fmt.Sprintf("bytes=%d-", len(first)-1), "If-None-Match", `"`+sum(first)+`"`, "Accept-Encoding", "gzip")
	whole := first + tail.Body.String()[1:]
	if tail.Code != http.StatusPartialContent || tail.Header().Get("Etag") != `"`+sum(whole)+`"` {
		t.Fatalf("the tail: %d, ETag %s, want %s\n%s", tail.Code, tail.Header().Get("Etag"), sum(whole), tail.Body)
	}
	digest := sha256.Sum256([]byte(whole))
	if want := "sha-256=:" + base64.StdEncoding.EncodeToString(digest[:]) + ":"; tail.Header().Get("Repr-Digest") != want {
		t.Errorf("the digest is %s, want %s", tail.Header().Get("Repr-Digest"), want)
	}
	if !strings.Contains(tail.Body.String(), "acme-ui 1.2.0 "+sum(w.get("", "/info/acme-ui"))) {
		t.Errorf("the tail is %s", tail.Body)
	}
	if got := w.do("", "GET", "/versions", nil, "If-None-Match", `"`+sum(whole)+`"`, "Accept-Encoding", "gzip"); got.Code != http.StatusNotModified {
		t.Errorf("who has it all gets %d", got.Code)
	}

	// A yank is a line, too; a restart changes nothing, a new month leaves one line for each name.
	if got := w.do("alice", "DELETE", "/api/v1/gems/yank", []byte("gem_name=acme-ui&version=1.1.0&platform=java")); got.Code != http.StatusOK {
		t.Fatalf("yank: %d %s", got.Code, got.Body)
	}
	whole = w.get("", "/versions")
	if !strings.Contains(whole, "\nacme-ui -1.1.0-java ") {
		t.Errorf("got %s", whole)
	}
	w.serve(nil)
	if again := w.get("", "/versions"); again != whole {
		t.Errorf("after a restart it is %s", again)
	}
	w.Pass(31 * 24 * time.Hour)
	if got, want := w.get("", "/versions"), "created_at: 2026-04-10T12:00:00Z\n---\nacme-base 0.1.0 "+sum(w.get("", "/info/acme-base"))+"\nacme-ui 1.0.0,1.2.0 "+sum(w.get("", "/info/acme-ui"))+"\n"; got != want {
		t.Errorf("in a new month it is %s, want %s", got, want)
	}
}

func TestPrivateNamesAreListedToWhoMayReadThem(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.push(gemtest.Gem{Name: "hush-ui", Version: "1.0.0"})
	w.push(gemtest.Gem{Name: "acme-ui", Version: "1.0.0"})
	sees := func(user string) bool {
		seen := strings.Contains(w.get(user, "/versions"), "hush-ui")
		if named := strings.Contains(w.get(user, "/names"), "hush-ui"); named != seen {
			t.Errorf("%q: /names and /versions differ", user)
		}
		return seen
	}
	if sees("") || sees("mallory") || !sees("alice") {
		t.Errorf("nobody %v, mallory %v, alice %v", sees(""), sees("mallory"), sees("alice"))
	}
	accounttest.Check(t, w.Accounts.SetMember(t.Context(), w.Admin, "acme", "mallory", account.Reader))
	if !sees("mallory") || sees("") {
		t.Error("a right that was given does not show")
	}
	accounttest.Check(t, w.Accounts.RemoveMember(t.Context(), w.Admin, "acme", "mallory"))
	if sees("mallory") {
		t.Error("a right that was taken away still shows")
	}
	if got := w.do("mallory", "GET", "/info/hush-ui", nil); got.Code != http.StatusNotFound {
		t.Errorf("its index is answered with %d", got.Code)
	}
}

func TestANameHasOneSpelling(t *testing.T) {
	t.Parallel()
	w := start(t)
	w.push(gemtest.Gem{Name: "RedCloth", Version: "1.0.0"})
	if got := w.do("alice", "POST", "/api/v1/gems", gemtest.Gem{Name: "redcloth", Version: "2.0.0"}.Bytes()); got.Code != http.StatusConflict {
		t.Errorf("another spelling: %d %s", got.Code, got.Body)
	}
	if got := w.do("", "GET", "/info/redcloth", nil); got.Code != http.StatusNotFound || !strings.Contains(got.Body.String(), `did you mean "RedCloth"`) {
		t.Errorf("asked for in another spelling: %d %s", got.Code, got.Body)
	}
	w.push(gemtest.Gem{Name: "acme-ui-1", Version: "2.0.0", Platform: "java"})
	w.get("", "/gems/RedCloth-1.0.0.gem")
	w.get("", "/gems/acme-ui-1-2.0.0-java.gem")
	w.push(gemtest.Gem{Name: "acme-a", Version: "1", Platform: "b-2"})
	if got := w.do("alice", "POST", "/api/v1/gems", gemtest.Gem{Name: "acme-a-1-b", Version: "2"}.Bytes()); got.Code != http.StatusConflict {
		t.Errorf("a file name that is another gem's: %d %s", got.Code, got.Body)
	}
}

func TestAttestationsNeedATrustedPublisher(t *testing.T) {
	t.Parallel()
	w := start(t)
	var b bytes.Buffer
	fmt.Fprintf(&b, "--x\r\nContent-Disposition: form-data; name=\"gem\"; filename=\"acme-ui-1.0.0.gem\"\r\n\r\n%s\r\n", gemtest.Gem{Name: "acme-ui", Version: "1.0.0"}.Bytes())
	b.WriteString("--x\r\nContent-Disposition: form-data; name=\"attestations\"\r\n\r\n[{}]\r\n--x--\r\n")
	got := w.do("alice", "POST", "/api/v1/gems", b.Bytes(), "Content-Type", "multipart/form-data; boundary=x")
	if got.Code != http.StatusBadRequest || !strings.Contains(got.Body.String(), "requires trusted publishing") {
		t.Errorf("got %d %s", got.Code, got.Body)
	}
	plain := strings.Replace(b.String(), "[{}]", "[]", 1)
	if got := w.do("alice", "POST", "/api/v1/gems", []byte(plain), "Content-Type", "multipart/form-data; boundary=x"); got.Code != http.StatusOK {
		t.Errorf("without one: %d %s", got.Code, got.Body)
	}
	if got := w.get("", "/api/v1/attestations/acme-ui-1.0.0.json"); got != "[]" {
		t.Errorf("they are served as %s", got)
	}
}

// static is an upstream of files.
type static struct {
	mu    sync.Mutex
	files map[string]string
}

func (s *static) set(path, body string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.files[path] = body
}

// ServeHTTP implements http.Handler.
func (s *static) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	defer s.mu.Unlock()
	body, ok := s.files[r.URL.Path]
	if !ok {
		http.NotFound(w, r)
		return
	}
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	io.WriteString(w, body)
}

// add puts a gem into the upstream's folder and returns its line in the index.
func (s *static) add(g gemtest.Gem, facts string) string {
	data := g.Bytes()
	x := sha256.Sum256(data)
	s.set("/gems/"+g.Name+"-"+g.Version+".gem", string(data))
	return g.Version + " |checksum:" + hex.EncodeToString(x[:]) + facts + "\n"
}

func TestACooldownCountsFromTheUpstreamsTimeOrFromWhenItWasFirstSeen(t *testing.T) {
	t.Parallel()
	up := &static{files: map[string]string{}}
	server := httptest.NewServer(up)
	t.Cleanup(server.Close)
	w := start(t, upstream.Source{Ecosystem: purl.Gem, URL: server.URL})
	w.cooldown = 24 * time.Hour
	// "far" has dates in its index, "old" in the API alone, and "dark" none; "liar" has one in the future.
	up.set("/info/far", "---\n"+up.add(gemtest.Gem{Name: "far", Version: "1.0.0"}, ",created_at:2026-01-01T00:00:00Z")+
		up.add(gemtest.Gem{Name: "far", Version: "1.1.0"}, ",created_at:2026-03-10T00:00:00Z"))
	up.set("/info/old", "---\n"+up.add(gemtest.Gem{Name: "old", Version: "1.0.0"}, "")+up.add(gemtest.Gem{Name: "old", Version: "1.1.0"}, ""))
	up.set("/api/v1/versions/old.json", `[{"number":"1.0.0","platform":"ruby","created_at":"2026-01-01T00:00:00.000Z"},{"number":"1.1.0","platform":"ruby","created_at":"2026-03-10T11:00:00.000Z"}]`)
	up.set("/info/dark", "---\n"+up.add(gemtest.Gem{Name: "dark", Version: "1.0.0"}, ""))
	up.set("/info/liar", "---\n"+up.add(gemtest.Gem{Name: "liar", Version: "1.0.0"}, ",created_at:2030-01-01T00:00:00Z"))
	up.set("/versions", "created_at: 2026-01-01T00:00:00Z\n---\nfar 1.0.0,1.1.0 00\nold 1.0.0 00\ndark 1.0.0 00\nacme-evil 9.9.9 00\n")

	offers := func(name string) string {
		var out []string
		for line := range strings.Lines(w.get("", "/info/"+name)) {
			if version, _, found := strings.Cut(line, " "); found {
				out = append(out, version)
			}
		}
		return strings.Join(out, " ")
	}
	for name, want := range map[string]string{"far": "1.0.0", "old": "1.0.0", "dark": "", "liar": ""} {
		if got := offers(name); got != want {
			t.Errorf("%s offers %q, want %q", name, got, want)
		}
	}
	got := w.do("", "GET", "/gems/far-1.1.0.gem", nil)
	if got.Code != http.StatusForbidden || !strings.Contains(got.Body.String(), "was published less than 24h ago") {
		t.Errorf("a direct address: %d %s", got.Code, got.Body)
	}
	if got := w.do("", "GET", "/quick/Marshal.4.8/far-1.1.0.gemspec.rz", nil); got.Code != http.StatusForbidden {
		t.Errorf("its gemspec: %d", got.Code)
	}
	w.get("", "/gems/far-1.0.0.gem")
	w.Pass(25 * time.Hour)
	for name, want := range map[string]string{"far": "1.0.0 1.1.0", "old": "1.0.0 1.1.0", "dark": "1.0.0", "liar": "1.0.0"} {
		if got := offers(name); got != want {
			t.Errorf("a day later %s offers %q, want %q", name, got, want)
		}
	}
	// Bundler asks only for what the list has, and for that each time.
	if list := w.get("", "/versions"); !strings.Contains(list, "\nfar 1.0.0,1.1.0 00000000000000000000000000000000\n") || !strings.Contains(list, "\ndark ") {
		t.Errorf("the list is %s", list)
	}
	if got := w.do("", "GET", "/info/acme-evil", nil); got.Code != http.StatusNotFound {
		t.Errorf("a name that is owned here was asked for: %d %s", got.Code, got.Body)
	}
}

func TestAnUpstreamsGemMustBeWhatItsNameSays(t *testing.T) {
	t.Parallel()
	up := &static{files: map[string]string{}}
	server := httptest.NewServer(up)
	t.Cleanup(server.Close)
	w := start(t, upstream.Source{Ecosystem: purl.Gem, URL: server.URL})
	line := up.add(gemtest.Gem{Name: "other", Version: "1.0.0"}, ",created_at:2026-01-01T00:00:00Z")
	up.set("/info/far", "---\n"+line)
	up.set("/gems/far-1.0.0.gem", up.files["/gems/other-1.0.0.gem"])
	if got := w.do("", "GET", "/gems/far-1.0.0.gem", nil); got.Code/100 == 2 {
		t.Errorf("another gem was served: %d", got.Code)
	}
}
