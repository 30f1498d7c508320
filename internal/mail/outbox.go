package mail

import (
	"context"
	"database/sql"
	_ "embed"
	"fmt"
	"log/slog"
	"time"

	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/store"
)

const (
	// MaxAge is how long a message is tried. After that its reader would act on old news.
	MaxAge = 3 * 24 * time.Hour

	firstWait = 15 * time.Second
	maxWait   = 30 * time.Minute
	batch     = 20
	// maxRefused is how often a server may say that it will never take a message before it is believed:
	// some answer 5xx while they are set up.
	maxRefused = 3
)

//go:embed schema.sql
var schemaSQL string

// Schema returns the package's tables.
func Schema() store.Schema { return store.Schema{Owner: "mail", Steps: []string{schemaSQL}} }

// Transport takes one message; a [Sender] does.
type Transport interface {
	Send(ctx context.Context, m Message) error
}

// Outbox keeps messages until they were sent. One process at a time works on it. It is safe for
// concurrent use.
type Outbox struct {
	db        *store.DB
	transport Transport
	clk       clock.Clock
	log       *slog.Logger
}

// NewOutbox returns the outbox on a database that [Schema] was migrated into.
func NewOutbox(db *store.DB, t Transport, clk clock.Clock, log *slog.Logger) *Outbox {
	return &Outbox{db: db, transport: t, clk: clk, log: log}
}

// Put keeps a message, durably, to be sent by the next [Outbox.Deliver]. id names its cause: what was
// put already stays as it was.
func (o *Outbox) Put(ctx context.Context, id string, m Message) error {
	if err := m.check(); err != nil {
		return err
	}
	now := o.clk.Now().UnixMilli()
	return o.db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO mail_outbox (id, recipient, subject, body, created, attempts, due)
			VALUES ($1, $2, $3, $4, $5, 0, $5) ON CONFLICT (id) DO NOTHING`, id, m.To, m.Subject, m.Text, now)
		if err != nil {
			return fmt.Errorf("put mail: %w", err)
		}
		return nil
	})
}

// waiting is a message with what was tried.
type waiting struct {
	id       string
	attempts int
	created  int64
	Message
}

// Deliver tries every message that is due, once, and returns how many were taken. A message that was
// not is due again later, each time later, and given up after [MaxAge]. A message may be sent twice when
// the process dies between the server's answer and ours to the database.
func (o *Outbox) Deliver(ctx context.Context) (sent int, err error) {
	for {
		due, err := o.due(ctx)
		if err != nil || len(due) == 0 {
			return sent, err
		}
		for _, w := range due {
			err := o.transport.Send(ctx, w.Message)
			if ctx.Err() != nil {
				return sent, ctx.Err() // it is not the server's doing
			}
			if err == nil {
				sent++
			}
			if err := o.settle(ctx, w, err); err != nil {
				return sent, err
			}
		}
	}
}

func (o *Outbox) due(ctx context.Context) ([]waiting, error) {
	const query = `SELECT id, attempts, created, recipient, subject, body FROM mail_outbox WHERE due <= $1 ORDER BY due, id LIMIT $2`
	rows, err := o.db.Query().QueryContext(ctx, query, o.clk.Now().UnixMilli(), batch)
	if err != nil {
		return nil, fmt.Errorf("read outbox: %w", err)
	}
	defer rows.Close()
	var all []waiting
	for rows.Next() {
		var w waiting
		if err := rows.Scan(&w.id, &w.attempts, &w.created, &w.To, &w.Subject, &w.Text); err != nil {
			return nil, fmt.Errorf("read outbox: %w", err)
		}
		all = append(all, w)
	}
	return all, rows.Err()
}

// settle writes down what came of an attempt. Logs name the cause and never the address or the text.
func (o *Outbox) settle(ctx context.Context, w waiting, failed error) error {
	now := o.clk.Now()
	w.attempts++
	givenUp := Permanent(failed) && w.attempts >= maxRefused || now.Sub(time.UnixMilli(w.created)) >= MaxAge
	switch {
	case failed != nil && givenUp:
		o.log.Error("mail was given up", "id", w.id, "attempts", w.attempts, "error", failed)
	case failed != nil:
		o.log.Warn("mail was not taken; it is tried again", "id", w.id, "attempts", w.attempts, "error", failed)
	}
	return o.db.Write(ctx, func(tx *sql.Tx) (err error) {
		if failed == nil || givenUp {
			_, err = tx.ExecContext(ctx, `DELETE FROM mail_outbox WHERE id = $1`, w.id)
		} else {
			_, err = tx.ExecContext(ctx, `UPDATE mail_outbox SET attempts = $1, due = $2 WHERE id = $3`, w.attempts, now.Add(wait(w.attempts)).UnixMilli(), w.id)
		}
		if err != nil {
			return fmt.Errorf("write outbox: %w", err)
		}
		return nil
	})
}

// wait doubles with every attempt.
func wait(attempts int) time.Duration {
	return min(firstWait<<min(attempts-1, 16), maxWait)
}
