package oidc_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"log/slog"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/blob/dir"
	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/publish/oidc"
	"github.com/hullmark/hullmark/internal/publish/oidc/oidctest"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/store/sqlite"
)

// audience is what the tokens of the tests are for.
const audience = "npm:registry.test"

// world is the service on a real store and real accounts. The organisation acme owns @acme, and olga owns
// acme; rival is another organisation, of rita.
type world struct {
	*oidc.Service
	t        testing.TB
	accounts *account.Service
	record   *evidence.Record
	core     *registry.Core
	offset   *atomic.Int64 // nanoseconds that the clock is ahead
	admin    evidence.Actor
	olga     evidence.Actor
	rita     evidence.Actor
}

// mint is the account service with the words of the stage.
type mint struct{ *account.Service }

func (m mint) Mint(g oidc.Grant) (string, []evidence.Actor, func(context.Context, *sql.Tx) error, error) {
	return m.MintWorkload(account.WorkloadToken(g))
}

func (m mint) RequireFactor(ctx context.Context, actor evidence.Actor) error {
	return m.Service.RequireFactor(ctx, actor, account.AnyFactor)
}

func newWorld(t testing.TB) *world {
	t.Helper()
	folder := t.TempDir()
	db, err := sqlite.Open(filepath.Join(folder, "hullmark.db"))
	must(t, err)
	t.Cleanup(func() { db.Close() })
	must(t, db.Migrate(t.Context(), evidence.Schema(), registry.Schema(), account.Schema(), account.WorkloadSchema(), oidc.Schema()))
	blobs, err := dir.Open(filepath.Join(folder, "blobs"))
	must(t, err)
	w := &world{t: t, offset: new(atomic.Int64)}
	clk := clock.Func(func() time.Time { return time.Now().UTC().Add(time.Duration(w.offset.Load())) })
	w.record, err = evidence.Open(t.Context(), db, blobs, clk)
	must(t, err)
	w.accounts = account.New(db, clk, rand.Reader)
	must(t, w.accounts.Configure(account.Settings{SealKey: make([]byte, 32), Freeze: -1}))
	w.core = registry.New(w.record, blobs, w.accounts)
	w.Service = oidc.New(oidc.Config{Record: w.record, Accounts: mint{w.accounts}, Clock: clk, Random: rand.Reader, Log: slog.New(slog.DiscardHandler)})
	secret, _, err := w.accounts.Bootstrap(t.Context())
	must(t, err)
	w.admin = w.login(secret)
	w.olga = w.person("olga", "acme", "@acme")
	w.rita = w.person("rita", "rival", "@rival")
	return w
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func (w *world) login(secret string) evidence.Actor {
	w.t.Helper()
	actor, err := w.accounts.AuthenticateSecret(w.t.Context(), "token", secret, "192.0.2.1:1000")
	must(w.t, err)
	return actor
}

// person makes a user who owns an organisation with a namespace.
func (w *world) person(name, organisation, namespace string) evidence.Actor {
	w.t.Helper()
	ctx := w.t.Context()
	must(w.t, w.accounts.CreateUser(ctx, w.admin, name, ""))
	secret, _, err := w.accounts.CreateToken(ctx, w.admin, account.Token{Account: name, Scope: account.Scope{Permission: evidence.Own}})
	must(w.t, err)
	actor := w.login(secret)
	must(w.t, w.accounts.CreateOrganisation(ctx, actor, organisation))
	must(w.t, w.accounts.ClaimNamespace(ctx, actor, organisation, purl.NPM, namespace, account.Private))
	return actor
}

// pass lets time go by.
func (w *world) pass(d time.Duration) { w.offset.Add(int64(d)) }

// issuer starts an issuer of a provider and registers it.
func (w *world) issuer(provider string) *oidctest.Issuer {
	w.t.Helper()
	return w.register(oidctest.New(w.t), provider)
}

func (w *world) register(i *oidctest.Issuer, provider string) *oidctest.Issuer {
	w.t.Helper()
	i.Now = func() time.Time { return time.Now().Add(time.Duration(w.offset.Load())) }
	_, err := w.AddIssuer(w.t.Context(), w.admin, oidc.Issuer{URL: i.URL, Provider: provider, Internal: true})
	must(w.t, err)
	return i
}

// github is a publisher of acme/ui's release workflow.
func github(issuer string) oidc.Publisher {
	return oidc.Publisher{
		Ecosystem: purl.NPM, Name: "@acme/ui", Provider: "github", Issuer: issuer,
		Claims: map[string]string{"repository": "acme/ui", "workflow": "release.yml"},
	}
}

// trust registers a publisher as olga.
func (w *world) trust(p oidc.Publisher) oidc.Publisher {
	w.t.Helper()
	made, err := w.Add(w.t.Context(), w.olga, p)
	must(w.t, err)
	return made
}

// exchange exchanges a token for @acme/ui.
func (w *world) exchange(token string) (oidc.Minted, error) { return w.exchangeFor("@acme/ui", token) }

func (w *world) exchangeFor(name, token string) (oidc.Minted, error) {
	return w.Exchange(w.t.Context(), oidc.Request{
		Ecosystem: purl.NPM, Name: name, Token: token, Audience: audience, RemoteAddr: "192.0.2.7:4000", Single: true,
	})
}

// wantCode fails unless err is a fault with that code.
func wantCode(t testing.TB, err error, code string) {
	t.Helper()
	if got := fault.As(err).Code; err == nil || got != code {
		t.Fatalf("got %q (%v), want %q", got, err, code)
	}
}

// decisions are the statements of the gate about a name, oldest first.
func (w *world) decisions(name string) []evidence.Decision {
	w.t.Helper()
	statements, err := w.record.About(w.t.Context(), string(purl.New(purl.NPM, name, "")), -1, 1000)
	must(w.t, err)
	var out []evidence.Decision
	for _, s := range statements {
		d, err := evidence.Decode[evidence.Decision](s)
		must(w.t, err)
		out = append(out, d)
	}
	return out
}
