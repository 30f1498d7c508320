package upstream_test

import (
	"crypto/rand"
	"crypto/sha512"
	"encoding/hex"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/blob/dir"
	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/registry/upstream"
	"github.com/hullmark/hullmark/internal/store/sqlite"
)

// origin is an upstream that a test can change, and its log.
type origin struct {
	*httptest.Server
	mu    sync.Mutex
	paths []string
	seen  []http.Header
	serve http.HandlerFunc
}

func newOrigin(t *testing.T, serve http.HandlerFunc) *origin {
	t.Helper()
	o := &origin{serve: serve}
	o.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		o.mu.Lock()
		o.paths = append(o.paths, r.URL.EscapedPath())
		o.seen = append(o.seen, r.Header.Clone())
		serve := o.serve
		o.mu.Unlock()
		serve(w, r)
	}))
	t.Cleanup(o.Close)
	return o
}

func (o *origin) set(serve http.HandlerFunc) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.serve = serve
}

func (o *origin) asked() int {
	o.mu.Lock()
	defer o.mu.Unlock()
	return len(o.paths)
}

// world is a client over real stores whose time stands still until a test moves it.
type world struct {
	*upstream.Client
	t     *testing.T
	core  *registry.Core
	admin evidence.Actor
	mu    sync.Mutex
	now   time.Time
	again func() *upstream.Client
}

func newWorld(t *testing.T, s upstream.Settings) *world {
	t.Helper()
	folder := t.TempDir()
	db, err := sqlite.Open(filepath.Join(folder, "db"))
	check(t, err)
	t.Cleanup(func() { db.Close() })
	check(t, db.Migrate(t.Context(), evidence.Schema(), registry.Schema(), account.Schema(), upstream.Schema()))
	blobs, err := dir.Open(folder)
	check(t, err)
	w := &world{t: t, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	clk := clock.Func(func() time.Time {
		w.mu.Lock()
		defer w.mu.Unlock()
		return w.now
	})
	record, err := evidence.Open(t.Context(), db, blobs, clk)
	check(t, err)
	accounts := account.New(db, clk, rand.Reader)
	token, _, err := accounts.Bootstrap(t.Context())
	check(t, err)
	w.admin, err = accounts.AuthenticateSecret(t.Context(), "admin", token, "127.0.0.1:1")
	check(t, err)
	check(t, accounts.CreateOrganisation(t.Context(), w.admin, "acme"))
	check(t, accounts.ClaimNamespace(t.Context(), w.admin, "acme", purl.NPM, "@acme", account.Private))
	w.core = registry.New(record, blobs, accounts).WithCooldowns(accounts, clk).WithOwners(accounts)
	w.again = func() *upstream.Client {
		c, err := upstream.New(w.core, s, clk, slog.New(slog.NewTextHandler(t.Output(), nil)))
		check(t, err)
		t.Cleanup(func() { c.Close() })
		return c
	}
	w.Client = w.again()
	return w
}

func (w *world) pass(d time.Duration) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.now = w.now.Add(d)
}

func (w *world) ask(name string) (*registry.Document, error) {
	return w.Document(w.t.Context(), registry.Question{Ecosystem: purl.NPM, Name: name, Path: name, Accept: "application/json", Limit: 1 << 20})
}

// get is a file request, through a real server.
func (w *world) get(wanted registry.Wanted, header ...string) (*http.Response, []byte, error) {
	server := httptest.NewServer(w.handler(wanted))
	defer server.Close()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, server.URL, nil)
	check(w.t, err)
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultClient.Do(r)
	if err != nil {
		return nil, nil, err
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	return resp, data, err
}

func (w *world) handler(wanted registry.Wanted) http.Handler {
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		_, name, _ := wanted.PURL.Split()
		if err := w.Serve(rw, r, evidence.Actor{}, name, wanted); err != nil {
			http.Error(rw, fault.As(err).Code, fault.HTTPStatus(err))
		}
	})
}

func sourceOf(o *origin) upstream.Settings {
	return upstream.Settings{Sources: []upstream.Source{{Ecosystem: purl.NPM, URL: o.URL}}}
}

// wanted is version 1.0.0 of a name, listed with the SHA-512 of content.
func wanted(o *origin, name string, content []byte) registry.Wanted {
	sum := sha512.Sum512(content)
	w := registry.Wanted{ContentType: "application/octet-stream"}
	w.Version, w.PURL, w.URL = "1.0.0", purl.New(purl.NPM, name, "1.0.0"), o.URL+"/"+name+"/-/"+name+"-1.0.0.tgz"
	w.Digests = []string{"sha512:" + hex.EncodeToString(sum[:])}
	w.State = registry.Active
	return w
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func wantCode(t *testing.T, err error, code string) {
	t.Helper()
	if err == nil || fault.As(err).Code != code {
		t.Errorf("err = %v, want code %s", err, code)
	}
}

func text(body string) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, body) }
}

func status(code int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
}
