// Package accounttest runs what every registry stands on, for tests: a database, a blob folder, the record and
// accounts, all of them real, and a clock that the test moves. It makes people and their tokens; it asks nothing of
// them that a server would not, and it fakes nothing.
package accounttest

import (
	"crypto/rand"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/blob"
	"github.com/hullmark/hullmark/internal/blob/dir"
	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/store"
	"github.com/hullmark/hullmark/internal/store/sqlite"
)

// World is accounts over real stores. Admin administers them and made the organisation acme; Tokens are those of
// the users that were made since, by name.
type World struct {
	Blobs    blob.Store
	Record   *evidence.Record
	Accounts *account.Service
	Admin    evidence.Actor
	Tokens   map[string]string

	t      testing.TB
	start  time.Time    // zero: the machine's time
	offset atomic.Int64 // nanoseconds by which the clock runs ahead
}

// New returns a world whose time stands still at start, or goes on as the machine's where that is zero. schemas are
// what is needed besides those of accounts and of the record.
func New(t testing.TB, start time.Time, schemas ...store.Schema) *World {
	t.Helper()
	w := &World{t: t, start: start, Tokens: map[string]string{}}
	folder := t.TempDir()
	db, err := sqlite.Open(filepath.Join(folder, "db"))
	Check(t, err)
	t.Cleanup(func() { db.Close() })
	Check(t, db.Migrate(t.Context(), append([]store.Schema{evidence.Schema(), account.Schema()}, schemas...)...))
	w.Blobs, err = dir.Open(filepath.Join(folder, "blobs"))
	Check(t, err)
	w.Record, err = evidence.Open(t.Context(), db, w.Blobs, w.Clock())
	Check(t, err)
	w.Accounts = account.New(db, w.Clock(), rand.Reader)
	secret, _, err := w.Accounts.Bootstrap(t.Context())
	Check(t, err)
	w.Admin, err = w.Accounts.AuthenticateSecret(t.Context(), "token", secret, "127.0.0.1:1")
	Check(t, err)
	Check(t, w.Accounts.CreateOrganisation(t.Context(), w.Admin, "acme"))
	return w
}

// Clock tells the time of this world.
func (w *World) Clock() clock.Clock { return clock.Func(w.Now) }

// Now returns it.
func (w *World) Now() time.Time {
	now := w.start
	if now.IsZero() {
		now = time.Now().UTC()
	}
	return now.Add(time.Duration(w.offset.Load()))
}

// Pass lets time pass.
func (w *World) Pass(d time.Duration) { w.offset.Add(int64(d)) }

// Ahead makes the clock run ahead of where it began, or behind, by so much.
func (w *World) Ahead(d time.Duration) { w.offset.Store(int64(d)) }

// Users makes users with a role in acme, or with none, and a token each that may do whatever they may. Their
// passwords are "correct horse " and their name.
func (w *World) Users(roles map[string]account.Role) {
	w.t.Helper()
	ctx := w.t.Context()
	for user, role := range roles {
		Check(w.t, w.Accounts.CreateUser(ctx, w.Admin, user, "correct horse "+user))
		if role != "" {
			Check(w.t, w.Accounts.SetMember(ctx, w.Admin, "acme", user, role))
		}
		secret, _, err := w.Accounts.CreateToken(ctx, w.Admin, account.Token{Account: user, Scope: account.Scope{Permission: evidence.Own}})
		Check(w.t, err)
		w.Tokens[user] = secret
	}
}

// Claim makes namespaces of an ecosystem acme's.
func (w *World) Claim(ecosystem string, visibility account.Visibility, patterns ...string) {
	w.t.Helper()
	for _, pattern := range patterns {
		Check(w.t, w.Accounts.ClaimNamespace(w.t.Context(), w.Admin, "acme", ecosystem, pattern, visibility))
	}
}

// Recall puts the recall of a purl on the record.
func (w *World) Recall(subject, reason string) {
	w.t.Helper()
	_, err := w.Record.Append(w.t.Context(), nil, evidence.Draft{
		Subjects:  []evidence.Subject{{Name: subject}},
		Predicate: evidence.Recall{Reason: reason},
		Issuer:    evidence.Issuer{Kind: evidence.Account, ID: "admin"}, Assurance: evidence.Authenticated,
	})
	Check(w.t, err)
}

// Check ends a test on an error.
func Check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
