package upstream_test

import (
	"crypto/sha512"
	"encoding/hex"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/account/accounttest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/registry/upstream"
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
	*accounttest.World
	t     *testing.T
	core  *registry.Core
	again func() *upstream.Client
}

func newWorld(t *testing.T, s upstream.Settings) *world {
	t.Helper()
	w := &world{World: accounttest.New(t, time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), registry.Schema(), upstream.Schema()), t: t}
	w.Claim(purl.NPM, account.Private, "@acme")
	clk := w.Clock()
	w.core = registry.New(w.Record, w.Blobs, w.Accounts).WithCooldowns(w.Accounts, clk).WithOwners(w.Accounts)
	w.again = func() *upstream.Client {
		c, err := upstream.New(w.core, s, clk, slog.New(slog.NewTextHandler(t.Output(), nil)))
		accounttest.Check(t, err)
		t.Cleanup(func() { c.Close() })
		return c
	}
	w.Client = w.again()
	return w
}

func (w *world) ask(name string) (*registry.Document, error) {
	return w.Document(w.t.Context(), registry.Question{Ecosystem: purl.NPM, Name: name, Path: name, Accept: "application/json", Limit: 1 << 20})
}

// get is a file request, through a real server.
func (w *world) get(wanted registry.Wanted, header ...string) (*http.Response, []byte, error) {
	server := httptest.NewServer(w.handler(wanted))
	defer server.Close()
	r, err := http.NewRequestWithContext(w.t.Context(), http.MethodGet, server.URL, nil)
	accounttest.Check(w.t, err)
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
