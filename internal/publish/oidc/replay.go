package oidc

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

// use writes down that a token was exchanged. The primary key refuses the second of two at once. Rows go
// when no clock that is within the leeway takes the token any more, and a while after that.
func (e *exchange) use(ctx context.Context, tx *sql.Tx, credential string) error {
	if _, err := tx.ExecContext(ctx, `DELETE FROM exchanged_token WHERE until < $1`, e.Clock.Now().UnixMilli()); err != nil {
		return fmt.Errorf("forget used tokens: %w", err)
	}
	const insert = `INSERT INTO exchanged_token (issuer, id, ecosystem, name, credential, address, until)
		VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (issuer, id) DO NOTHING`
	done, err := tx.ExecContext(ctx, insert, e.id.issuer, e.id.id, e.Ecosystem, e.Name, credential, e.address, e.id.until.Add(kept).UnixMilli())
	if err != nil {
		return fmt.Errorf("note a used token: %w", err)
	}
	n, err := done.RowsAffected()
	switch {
	case err != nil:
		return fmt.Errorf("note a used token: %w", err)
	case n == 0 && e.Again:
		return errChanged // the same client asked twice at once: look again
	case n == 0:
		return errUsed()
	}
	return nil
}

// exchanged is the statement about what an exchange gave for one name.
func (e *exchange) exchanged(ctx context.Context, actor evidence.Actor, c chosen) evidence.Draft {
	d := evidence.Decision{Action: "exchange", Verdict: "allow", Actor: actor}
	for name, v := range c.learnt {
		d.Reasons = append(d.Reasons, fmt.Sprintf("learnt %s %s", name, v))
	}
	if c.Pending {
		d.Reasons = append(d.Reasons, fmt.Sprintf("%s belongs to %s from now on", c.Name, c.Organisation))
	} else if may, err := e.Accounts.MayOwn(ctx, c.CreatedBy, c.Ecosystem, c.Name); err == nil && !may {
		d.Reasons = append(d.Reasons, fmt.Sprintf("%s, who added the publisher, may not do so any more", c.CreatedBy))
	}
	return e.decision(d, c.Ecosystem, c.Name)
}

// refuse puts a refusal on the record and returns err. Only for names that are known here, and only so many:
// anybody can have a token that somebody signed.
func (s *Service) refuse(ctx context.Context, ecosystem, name string, actor evidence.Actor, err error) error {
	kind := fault.KindOf(err)
	if kind == fault.Internal || kind == fault.Unavailable {
		return err
	}
	known, kerr := s.known(ctx, ecosystem, name)
	if kerr != nil {
		return kerr
	}
	if !known || !s.refusals.take(ecosystem+" "+name, s.Clock.Now()) {
		return err
	}
	f := fault.As(err)
	d := evidence.Decision{Action: "exchange", Verdict: "deny", Code: f.Code, Reasons: []string{f.Text}, Actor: actor}
	if _, rerr := s.Record.Append(ctx, nil, s.decision(d, ecosystem, name)); rerr != nil {
		return fmt.Errorf("record a refusal: %w", rerr)
	}
	return err
}

// known reports whether anything was published under a name, or somebody trusts a publisher for it.
func (s *Service) known(ctx context.Context, ecosystem, name string) (known bool, err error) {
	const query = `SELECT EXISTS (SELECT 1 FROM trusted_publisher WHERE ecosystem = $1 AND name = $2 AND removed = 0)
		OR EXISTS (SELECT 1 FROM package WHERE ecosystem = $1 AND name = $2)`
	if err := s.db.Query().QueryRowContext(ctx, query, ecosystem, name).Scan(&known); err != nil {
		return false, fmt.Errorf("look for a name: %w", err)
	}
	return known, nil
}

const (
	maxRefusals    = 20 // of a name on the record, in refusalWindow
	refusalWindow  = time.Hour
	maxBudgetNames = 1 << 14
)

// budget bounds how many refusals about a name get on the record.
type budget struct {
	mu   sync.Mutex
	left map[string]*spent // by name
}

type spent struct {
	since time.Time
	n     int
}

func newBudget() *budget { return &budget{left: map[string]*spent{}} }

// take reports whether one more fits.
func (b *budget) take(name string, now time.Time) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.left[name]
	if s == nil || now.Sub(s.since) >= refusalWindow {
		if len(b.left) >= maxBudgetNames {
			clear(b.left)
		}
		s = &spent{since: now}
		b.left[name] = s
	}
	s.n++
	return s.n <= maxRefusals
}
