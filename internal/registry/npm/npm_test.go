package npm_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/account/accounttest"
	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/registry/npm"
)

// instance is a registry with everything real below it: database, blob folder and accounts.
// The organisation acme owns @acme, wbdemo and server-x; alice owns it, bob maintains and carol
// reads; the scope @hush is acme's too, and private.
type instance struct {
	*accounttest.World
	url      string // of the registry, with a final slash
	core     *registry.Core
	front    accounts // what the registry is given of the accounts
	settings []func(*npm.Config)
}

func start(t testing.TB, settings ...func(*npm.Config)) *instance {
	t.Helper()
	in := &instance{World: accounttest.New(t, time.Time{}, registry.Schema(), account.WorkloadSchema()), settings: settings}
	in.front = accounts{in.Accounts, new(sync.Mutex), &npm.Profile{Email: "alice@acme.example", EmailVerified: true}, map[string][2]bool{}}
	in.core = registry.New(in.Record, in.Blobs, in.Accounts)
	in.Users(map[string]account.Role{"alice": account.Owner, "bob": account.Maintainer, "carol": account.Reader, "mallory": ""})
	in.Claim(purl.NPM, account.Public, "@acme", "wbdemo")
	in.Claim(purl.NPM, account.Private, "@hush")

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	accounttest.Check(t, err)
	in.url = "http://" + listener.Addr().String() + "/npm/"
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: in.handler(t, in.Clock())}}
	server.Start()
	t.Cleanup(server.Close)
	return in
}

// again serves the same core by another registry, as after a restart with other settings, and returns it.
func (in *instance) again(t testing.TB, settings ...func(*npm.Config)) *instance {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	accounttest.Check(t, err)
	next := *in
	next.url, next.settings = "http://"+listener.Addr().String()+"/npm/", settings
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: next.handler(t, clock.System{})}}
	server.Start()
	t.Cleanup(server.Close)
	return &next
}

// handler returns a new registry over the same core: one that has nothing cached.
func (in *instance) handler(t testing.TB, clk clock.Clock) http.Handler {
	t.Helper()
	cfg := npm.Config{
		PublicURL: in.url, LoginURL: "http://pages.test/login/", Signer: newKey(t), Accounts: in.front, Clock: clk, Log: slog.New(slog.NewTextHandler(t.Output(), nil)),
	}
	for _, set := range in.settings {
		set(&cfg)
	}
	reg, err := npm.New(in.core, cfg)
	accounttest.Check(t, err)
	return http.StripPrefix("/npm", reg.Handler())
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	accounttest.Check(t, err)
	return key
}

// reply is an answer with its body read.
type reply struct {
	*http.Response
	body []byte
}

// do sends a request as user ("" for nobody); header is key, value pairs.
func (in *instance) do(t testing.TB, user, method, path string, body io.Reader, header ...string) reply {
	t.Helper()
	req, err := http.NewRequestWithContext(context.WithoutCancel(t.Context()), method, in.url+path, body)
	accounttest.Check(t, err)
	if user != "" {
		req.Header.Set("Authorization", "Bearer "+in.Tokens[user])
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	accounttest.Check(t, err)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	accounttest.Check(t, err)
	return reply{resp, data}
}

// want fails unless the answer has the status and, in its body, every text.
func (r reply) want(t testing.TB, status int, texts ...string) reply {
	t.Helper()
	if r.StatusCode != status {
		t.Fatalf("%s %s answered %d, want %d: %.400s", r.Request.Method, r.Request.URL.Path, r.StatusCode, status, r.body)
	}
	for _, text := range texts {
		if !strings.Contains(string(r.body), text) {
			t.Fatalf("%s %s answered without %q: %.2000s", r.Request.Method, r.Request.URL.Path, text, r.body)
		}
	}
	return r
}

// json decodes the body.
func (r reply) json(t testing.TB) map[string]any {
	t.Helper()
	var v map[string]any
	if err := json.Unmarshal(r.body, &v); err != nil {
		t.Fatalf("%s: %v: %.400s", r.Request.URL.Path, err, r.body)
	}
	return v
}
