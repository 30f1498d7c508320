package console_test

import (
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/blob/dir"
	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/console"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/publish"
	"github.com/hullmark/hullmark/internal/publish/oidc"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/recall"
	"github.com/hullmark/hullmark/internal/recall/report"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/store/sqlite"
)

const site = "https://hullmark.example"

// world is the pages on real stages: the administrator "admin", "alice" who owns @alice, and "mallory".
type world struct {
	t        *testing.T
	accounts *account.Service
	record   *evidence.Record
	admin    evidence.Actor
	handler  http.Handler
	routes   []console.Route
}

func newWorld(t *testing.T) *world {
	t.Helper()
	folder := t.TempDir()
	db, err := sqlite.Open(filepath.Join(folder, "hullmark.db"))
	must(t, err)
	t.Cleanup(func() { db.Close() })
	must(t, db.Migrate(t.Context(), evidence.Schema(), registry.Schema(), account.Schema(), account.WorkloadSchema(), account.PagesSchema(),
		oidc.Schema(), report.Schema()))
	blobs, err := dir.Open(filepath.Join(folder, "blobs"))
	must(t, err)
	w := &world{t: t, accounts: account.New(db, clock.System{}, rand.Reader)}
	w.record, err = evidence.Open(t.Context(), db, blobs, clock.System{})
	must(t, err)
	must(t, w.accounts.Configure(account.Settings{SealKey: make([]byte, 32), Freeze: -1}))
	must(t, w.accounts.ServeAt(site))
	secret, _, err := w.accounts.Bootstrap(t.Context())
	must(t, err)
	w.admin, err = w.accounts.AuthenticateSecret(t.Context(), "token", secret, "192.0.2.1:1")
	must(t, err)
	for _, name := range []string{"alice", "mallory"} {
		must(t, w.accounts.CreateUser(t.Context(), w.admin, name, ""))
	}
	pages, err := console.New(console.Config{
		Accounts: w.accounts, Publish: publish.New(w.record, w.accounts), URL: site, Registry: site + "/npm/", Clock: clock.System{},
		Reports: report.New(report.Config{
			DB: db, Accounts: w.accounts, Recalls: recall.New(w.record, w.accounts, nil), Clock: clock.System{}, Random: rand.Reader,
		}),
	})
	must(t, err)
	w.handler, w.routes = pages.Handler(), pages.Routes()
	return w
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// session signs somebody in and returns the cookie and who they are.
func (w *world) session(name string) (*http.Cookie, evidence.Actor) {
	w.t.Helper()
	secret, err := w.accounts.SignInSSO(w.t.Context(), name, account.Device{RemoteAddr: "192.0.2.1:1", Agent: "test"})
	must(w.t, err)
	actor, err := w.accounts.SessionActor(w.t.Context(), secret, "192.0.2.1:1")
	must(w.t, err)
	return &http.Cookie{Name: "__Host-hullmark", Value: secret}, actor
}

// ask opens a page, or posts a form, as name; "" is nobody. headers are name, value pairs.
func (w *world) ask(name, method, path string, form url.Values, headers ...string) *httptest.ResponseRecorder {
	w.t.Helper()
	r := httptest.NewRequestWithContext(w.t.Context(), method, site+path, strings.NewReader(form.Encode()))
	r.RemoteAddr = "192.0.2.1:1"
	if method == http.MethodPost {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	if name != "" {
		cookie, _ := w.session(name)
		r.AddCookie(cookie)
	}
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	answer := httptest.NewRecorder()
	w.handler.ServeHTTP(answer, r)
	return answer
}

// publish puts a release of name on the record.
func (w *world) publish(by, name, version string) purl.PURL {
	w.t.Helper()
	p, d := purl.New(purl.NPM, name, version), digest.FromBytes([]byte(name+version))
	actor := evidence.Actor{Account: by}
	_, err := w.record.Append(w.t.Context(), nil, evidence.Draft{
		Subjects: []evidence.Subject{evidence.About(p, d)}, Issuer: actor.Issuer(), Assurance: evidence.Authenticated,
		Predicate: evidence.Publication{
			Event: evidence.Published, Ecosystem: purl.NPM, Name: name, Version: version, Artifact: d, Size: 1, Actor: actor,
		},
	})
	must(w.t, err)
	return p
}
