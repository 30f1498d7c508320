package api_test

import (
	"context"
	"crypto/rand"
	"database/sql"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/api"
	"github.com/hullmark/hullmark/internal/api/authztest"
	"github.com/hullmark/hullmark/internal/blob/dir"
	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/policy"
	"github.com/hullmark/hullmark/internal/publish"
	"github.com/hullmark/hullmark/internal/publish/oidc"
	"github.com/hullmark/hullmark/internal/recall"
	"github.com/hullmark/hullmark/internal/recall/report"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/store/sqlite"
	"github.com/hullmark/hullmark/internal/tlog"
	"github.com/hullmark/hullmark/internal/trace"
)

// server is the interface on real stages, with the matrix's people and packages.
type server struct {
	*authztest.API
	t       *testing.T
	handler http.Handler
	log     *tlog.Log
	vkey    string
}

func newServer(t *testing.T) *server {
	t.Helper()
	folder := t.TempDir()
	db, err := sqlite.Open(filepath.Join(folder, "hullmark.db"))
	must(t, err)
	t.Cleanup(func() { db.Close() })
	must(t, db.Migrate(t.Context(), evidence.Schema(), account.Schema(), account.WorkloadSchema(), oidc.Schema(), registry.Schema(), report.Schema()))
	blobs, err := dir.Open(filepath.Join(folder, "blobs"))
	must(t, err)
	record, err := evidence.Open(t.Context(), db, blobs, clock.System{})
	must(t, err)
	accounts := account.New(db, clock.System{}, rand.Reader)
	must(t, accounts.Configure(account.Settings{SealKey: make([]byte, 32), Freeze: -1}))
	people := authztest.Populate(t, accounts)
	s := &server{t: t}
	signer, vkey, err := tlog.LoadOrCreateSigner(filepath.Join(folder, "log.key"), "test/log", rand.Reader)
	must(t, err)
	verifier, err := note.NewVerifier(vkey)
	must(t, err)
	s.vkey = vkey
	trust := oidc.New(oidc.Config{Record: record, Accounts: minting{accounts}, Clock: clock.System{}, Random: rand.Reader, Log: slog.New(slog.DiscardHandler)})
	s.API = authztest.NewAPI(t, people, record, api.Prefix).Trusting(t, trust)
	s.log, err = tlog.Open(t.Context(), tlog.Config{
		Origin: "test/log", Leaves: record, Objects: blobs, Signer: signer, Verifier: verifier, Clock: clock.System{},
	})
	must(t, err)
	_, err = s.log.Sequence(t.Context())
	must(t, err)
	s.handler = http.StripPrefix(api.Prefix, api.New(api.Config{
		Core: registry.New(record, blobs, accounts), Accounts: accounts, Tracer: trace.New(db, accounts),
		Settled: func(context.Context) error { return nil },
		Recalls: recall.New(record, accounts, nil), Reports: s.Reports, URL: "https://hullmark.example", Policies: policy.NewService(record, blobs, accounts, clock.System{}), Publish: publish.New(record, accounts),
		Trust: trust, Audience: func(string) string { return authztest.NPMAudience }, Log: s.log, Version: "test", Logger: slog.New(slog.DiscardHandler),
	}).Handler())
	return s
}

// minting is the account service in the words of trusted publishing.
type minting struct{ *account.Service }

func (m minting) Mint(g oidc.Grant) (string, []evidence.Actor, func(context.Context, *sql.Tx) error, error) {
	return m.MintWorkload(account.WorkloadToken(g))
}

func (m minting) RequireFactor(ctx context.Context, actor evidence.Actor) error {
	return m.Service.RequireFactor(ctx, actor, account.AnyFactor)
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// ask sends a request as role and returns the answer; header is name, value pairs.
func (s *server) ask(role authztest.Role, method, path, body string, header ...string) *http.Response {
	s.t.Helper()
	r := httptest.NewRequestWithContext(s.t.Context(), method, api.Prefix+path, strings.NewReader(body))
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	if h := s.Authorization(role); h != "" {
		r.Header.Set("Authorization", h)
	}
	for i := 0; i+1 < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
	}
	w := httptest.NewRecorder()
	s.handler.ServeHTTP(w, r)
	return w.Result()
}

func text(t testing.TB, r *http.Response) string {
	t.Helper()
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	must(t, err)
	return string(b)
}
