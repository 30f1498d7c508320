package account

import (
	"context"
	"crypto/rand"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/store"
	"github.com/hullmark/hullmark/internal/store/sqlite"
)

const here = "192.0.2.7:4711"

// testClock stands still until it is moved.
type testClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *testClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *testClock) advance(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// world is a service on a database of its own, with the first administrator.
type world struct {
	*Service
	t     testing.TB
	ctx   context.Context
	clk   *testClock
	file  string
	db    *store.DB
	first string // the administrator's token
	admin evidence.Actor
}

func newWorld(t testing.TB) *world {
	t.Helper()
	w := &world{
		t: t, ctx: context.Background(), file: filepath.Join(t.TempDir(), "test.db"),
		clk: &testClock{now: time.Date(2026, 6, 1, 12, 0, 0, 0, time.UTC)},
	}
	db, err := sqlite.Open(w.file)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { db.Close() })
	if err := db.Migrate(w.ctx, Schema()); err != nil {
		t.Fatal(err)
	}
	w.db, w.Service = db, New(db, w.clk, rand.Reader)
	w.first, _, err = w.Bootstrap(w.ctx)
	w.must(err)
	w.admin = w.login("admin", w.first)
	return w
}

func (w *world) must(err error) {
	w.t.Helper()
	if err != nil {
		w.t.Fatal(err)
	}
}

// refused fails the test unless err carries the code.
func (w *world) refused(err error, code string) {
	w.t.Helper()
	if err == nil || fault.As(err).Code != code {
		w.t.Fatalf("got %v, want code %s", err, code)
	}
}

func (w *world) login(user, secret string) evidence.Actor {
	w.t.Helper()
	a, err := w.AuthenticateSecret(w.ctx, user, secret, here)
	w.must(err)
	return a
}

// user creates a user without password and returns them with an unrestricted token.
func (w *world) user(name string) (evidence.Actor, string) {
	w.t.Helper()
	w.must(w.CreateUser(w.ctx, w.admin, name, ""))
	secret := w.token(w.admin, Token{Account: name, Scope: Scope{Permission: evidence.Own}})
	return w.login(name, secret), secret
}

func (w *world) token(by evidence.Actor, t Token) string {
	w.t.Helper()
	secret, _, err := w.CreateToken(w.ctx, by, t)
	w.must(err)
	return secret
}

// organisation creates an organisation owned by owner that holds a namespace.
func (w *world) organisation(owner evidence.Actor, name, ecosystem, pattern string, v Visibility) {
	w.t.Helper()
	w.must(w.CreateOrganisation(w.ctx, owner, name))
	w.must(w.ClaimNamespace(w.ctx, owner, name, ecosystem, pattern, v))
}

// ask sends a request with an Authorization header through Authenticate.
func (w *world) ask(header string) (evidence.Actor, error) {
	r := httptest.NewRequestWithContext(w.ctx, http.MethodGet, "/", nil)
	r.RemoteAddr = here
	if header != "" {
		r.Header.Set("Authorization", header)
	}
	return w.Authenticate(r)
}

func TestTheFirstStartCreatesOneAdministratorAndShowsTheTokenOnce(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	if !ValidToken(w.first) {
		t.Errorf("%q is not a token", w.first)
	}
	again, created, err := w.Bootstrap(w.ctx)
	w.must(err)
	if created || again != "" {
		t.Errorf("second start: created %v, token %q", created, again)
	}
	w.must(w.CreateUser(w.ctx, w.admin, "alice", ""))
}

func TestTheAddressHashSurvivesARestartAndTellsAddressesApart(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	restarted := New(w.db, w.clk, rand.Reader)
	same, err := restarted.AuthenticateSecret(w.ctx, "admin", w.first, "192.0.2.7:9")
	w.must(err)
	other, err := restarted.AuthenticateSecret(w.ctx, "admin", w.first, "192.0.2.8:9")
	w.must(err)
	mapped, err := restarted.AuthenticateSecret(w.ctx, "admin", w.first, "[::ffff:192.0.2.7]:9")
	w.must(err)
	if same.AddressHash == "" || same.AddressHash != w.admin.AddressHash || mapped.AddressHash != same.AddressHash {
		t.Errorf("the same address hashes to %q, %q and %q", w.admin.AddressHash, same.AddressHash, mapped.AddressHash)
	}
	if other.AddressHash == same.AddressHash {
		t.Error("two addresses have one hash")
	}
}
