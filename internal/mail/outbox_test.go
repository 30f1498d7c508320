package mail_test

import (
	"context"
	"errors"
	"log/slog"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/mail"
	"github.com/hullmark/hullmark/internal/mail/mailtest"
	"github.com/hullmark/hullmark/internal/store"
	"github.com/hullmark/hullmark/internal/store/sqlite"
)

// setClock is a clock that the test moves.
type setClock struct {
	mu  sync.Mutex
	now time.Time
}

func (c *setClock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.now
}

func (c *setClock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.now = c.now.Add(d)
}

// script answers each attempt with the next error; after the last one everything is taken.
type script struct {
	errs []error
	sent []mail.Message
}

func (s *script) Send(_ context.Context, m mail.Message) error {
	if len(s.errs) > 0 {
		err := s.errs[0]
		s.errs = s.errs[1:]
		if err != nil {
			return err
		}
	}
	s.sent = append(s.sent, m)
	return nil
}

func database(t testing.TB) *store.DB {
	t.Helper()
	db, err := sqlite.Open(filepath.Join(t.TempDir(), "db"))
	must(t, err)
	t.Cleanup(func() { db.Close() })
	must(t, db.Migrate(t.Context(), mail.Schema()))
	return db
}

func outbox(t testing.TB, transport mail.Transport) (*mail.Outbox, *setClock, *store.DB) {
	t.Helper()
	db, clk := database(t), &setClock{now: time.Unix(1_800_000_000, 0)}
	return mail.NewOutbox(db, transport, clk, slog.New(slog.DiscardHandler)), clk, db
}

func deliver(t testing.TB, o *mail.Outbox, want int) {
	t.Helper()
	got, err := o.Deliver(t.Context())
	must(t, err)
	if got != want {
		t.Fatalf("%d messages were taken, want %d", got, want)
	}
}

func rows(t testing.TB, db *store.DB) (n int) {
	t.Helper()
	must(t, db.Query().QueryRowContext(t.Context(), `SELECT count(*) FROM mail_outbox`).Scan(&n))
	return n
}

func TestMailIsTriedAgainLaterAndLaterUntilItIsTaken(t *testing.T) {
	t.Parallel()
	down := errors.New("connection refused")
	transport := &script{errs: []error{down, down, down}}
	o, clk, db := outbox(t, transport)
	must(t, o.Put(t.Context(), "notice:1", letter))
	must(t, o.Put(t.Context(), "notice:1", letter)) // the same cause
	deliver(t, o, 0)
	for _, wait := range []time.Duration{15 * time.Second, 30 * time.Second, time.Minute} {
		clk.pass(wait - time.Millisecond)
		before := len(transport.errs)
		deliver(t, o, 0)
		if len(transport.errs) != before {
			t.Fatalf("it was tried before %v had passed", wait)
		}
		clk.pass(time.Millisecond)
		if before > 0 {
			deliver(t, o, 0)
		}
	}
	deliver(t, o, 1)
	if len(transport.sent) != 1 || transport.sent[0] != letter || rows(t, db) != 0 {
		t.Errorf("sent %v, %d rows are left", transport.sent, rows(t, db))
	}
}

func TestMailThatCannotBeDeliveredIsGivenUpAndHoldsUpNothing(t *testing.T) {
	t.Parallel()
	sink := mailtest.Start(t, mailtest.Options{})
	sender, err := mail.New(mail.Config{Server: sink.Address, Security: mail.None, From: "hullmark@example.com"})
	must(t, err)
	o, clk, db := outbox(t, sender)
	for id, to := range map[string]string{"1": "gone@example.com", "2": "later@example.com", "3": "alice@example.com"} {
		must(t, o.Put(t.Context(), id, mail.Message{To: to, Subject: "x", Text: "y"}))
	}
	deliver(t, o, 1)
	for range 2 {
		clk.pass(10 * time.Minute)
		deliver(t, o, 0)
	}
	if rows(t, db) != 1 {
		t.Errorf("%d rows are left: what is refused for good was not given up", rows(t, db))
	}
	clk.pass(mail.MaxAge)
	deliver(t, o, 0)
	if rows(t, db) != 0 {
		t.Errorf("%d rows are left: what is too old was not given up", rows(t, db))
	}
}

func TestMailSurvivesARestart(t *testing.T) {
	t.Parallel()
	first := &script{errs: []error{errors.New("down")}}
	o, clk, db := outbox(t, first)
	must(t, o.Put(t.Context(), "notice:1", letter))
	deliver(t, o, 0)
	clk.pass(time.Hour)
	second := &script{}
	deliver(t, mail.NewOutbox(db, second, clk, slog.New(slog.DiscardHandler)), 1)
}
