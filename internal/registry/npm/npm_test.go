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
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/blob/dir"
	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/registry/npm"
	"github.com/hullmark/hullmark/internal/store/sqlite"
)

// instance is a registry with everything real below it: database, blob folder and accounts.
// The organisation acme owns @acme, wbdemo and server-x; alice owns it, bob maintains and carol
// reads; the scope @hush is acme's too, and private.
type instance struct {
	url      string // of the registry, with a final slash
	core     *registry.Core
	accounts *account.Service
	front    accounts          // what the registry is given of them
	tokens   map[string]string // by user
	offset   *atomic.Int64     // nanoseconds by which the clock runs ahead
	settings []func(*npm.Config)
}

func start(t testing.TB, settings ...func(*npm.Config)) *instance {
	t.Helper()
	in := &instance{tokens: map[string]string{}, offset: new(atomic.Int64), settings: settings}
	clk := clock.Func(func() time.Time { return time.Now().UTC().Add(time.Duration(in.offset.Load())) })
	folder := t.TempDir()
	db, err := sqlite.Open(filepath.Join(folder, "db"))
	check(t, err)
	t.Cleanup(func() { db.Close() })
	check(t, db.Migrate(t.Context(), evidence.Schema(), registry.Schema(), account.Schema(), account.WorkloadSchema()))
	blobs, err := dir.Open(filepath.Join(folder, "blobs"))
	check(t, err)
	record, err := evidence.Open(t.Context(), db, blobs, clk)
	check(t, err)
	in.accounts = account.New(db, clk, rand.Reader)
	in.front = accounts{in.accounts, new(sync.Mutex), &npm.Profile{Email: "alice@acme.example", EmailVerified: true}, map[string][2]bool{}}
	in.core = registry.New(record, blobs, in.accounts)
	in.people(t)

	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
	in.url = "http://" + listener.Addr().String() + "/npm/"
	server := &httptest.Server{Listener: listener, Config: &http.Server{Handler: in.handler(t, clk)}}
	server.Start()
	t.Cleanup(server.Close)
	return in
}

// again serves the same core by another registry, as after a restart with other settings, and returns it.
func (in *instance) again(t testing.TB, settings ...func(*npm.Config)) *instance {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	check(t, err)
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
	check(t, err)
	return http.StripPrefix("/npm", reg.Handler())
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	return key
}

func (in *instance) people(t testing.TB) {
	t.Helper()
	ctx := t.Context()
	adminToken, _, err := in.accounts.Bootstrap(ctx)
	check(t, err)
	admin, err := in.accounts.AuthenticateSecret(ctx, "token", adminToken, "127.0.0.1:1")
	check(t, err)
	check(t, in.accounts.CreateOrganisation(ctx, admin, "acme"))
	for user, role := range map[string]account.Role{"alice": account.Owner, "bob": account.Maintainer, "carol": account.Reader, "mallory": ""} {
		check(t, in.accounts.CreateUser(ctx, admin, user, "correct horse "+user))
		if role != "" {
			check(t, in.accounts.SetMember(ctx, admin, "acme", user, role))
		}
		secret, _, err := in.accounts.CreateToken(ctx, admin, account.Token{Account: user, Scope: account.Scope{Permission: evidence.Own}})
		check(t, err)
		in.tokens[user] = secret
	}
	for pattern, visibility := range map[string]account.Visibility{
		"@acme": account.Public, "wbdemo": account.Public, "@hush": account.Private,
	} {
		check(t, in.accounts.ClaimNamespace(ctx, admin, "acme", purl.NPM, pattern, visibility))
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
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
	check(t, err)
	if user != "" {
		req.Header.Set("Authorization", "Bearer "+in.tokens[user])
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Set(header[i], header[i+1])
	}
	resp, err := http.DefaultTransport.RoundTrip(req)
	check(t, err)
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	check(t, err)
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

// recall appends a recall of a purl.
func (in *instance) recall(t testing.TB, subject, reason string) {
	t.Helper()
	_, err := in.core.Record().Append(t.Context(), nil, evidence.Draft{
		Subjects:  []evidence.Subject{{Name: subject}},
		Predicate: evidence.Recall{Reason: reason},
		Issuer:    evidence.Issuer{Kind: evidence.Account, ID: "admin"}, Assurance: evidence.Authenticated,
	})
	check(t, err)
}
