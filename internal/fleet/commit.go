package fleet

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

// maxTogether bounds the statements of one transaction: everybody else's appends wait for it.
const maxTogether = 2000

// batch is what one caller hands over; it becomes part of the record whole or not at all.
type batch struct {
	member, name string
	drafts       []evidence.Draft

	done chan struct{} // closed when the fields below are set
	head int64
	seqs []int64
	err  error
}

// committer writes the batches of many callers in few transactions. Whoever finds nobody at it
// writes everything that waits, their own batch included; what comes meanwhile waits for the next.
type committer struct {
	record *evidence.Record
	clock  clock.Clock
	turn   chan struct{} // holds one token: whose turn it is to write

	mu      sync.Mutex
	pending []*batch // guarded by mu
}

// commit returns when b is durable. When ctx ends first it may become so all the same: the caller
// sends it again, and the second time changes nothing.
func (c *committer) commit(ctx context.Context, b *batch) error {
	b.done = make(chan struct{})
	c.mu.Lock()
	c.pending = append(c.pending, b)
	c.mu.Unlock()
	for {
		select {
		case <-b.done:
			return b.err
		case <-ctx.Done():
			return ctx.Err()
		case c.turn <- struct{}{}:
			c.writePending(context.WithoutCancel(ctx)) // for others too
			<-c.turn
		}
	}
}

// writePending writes up to maxTogether statements of what waits, oldest first.
func (c *committer) writePending(ctx context.Context) {
	c.mu.Lock()
	n, drafts := 0, 0
	for n < len(c.pending) && (n == 0 || drafts+len(c.pending[n].drafts) <= maxTogether) {
		drafts += len(c.pending[n].drafts)
		n++
	}
	group := c.pending[:n:n]
	c.pending = c.pending[n:]
	c.mu.Unlock()
	c.write(ctx, group)
	for _, b := range group {
		close(b.done)
	}
}

// write writes the batches in one transaction or, when that fails, each alone, so that one that the
// record refuses does not take the others with it.
func (c *committer) write(ctx context.Context, group []*batch) {
	if len(group) == 0 {
		return
	}
	err := c.together(ctx, group)
	if err == nil {
		return
	}
	failing := len(group) == 1
	for _, b := range group {
		if !failing {
			if err = c.together(ctx, []*batch{b}); err == nil {
				continue
			}
			failing = fault.KindOf(err) == fault.Internal // the store itself: the others would fail too
		}
		b.err = err
	}
}

func (c *committer) together(ctx context.Context, group []*batch) error {
	fresh, err := c.fresh(ctx, group)
	if err != nil {
		return err
	}
	var drafts []evidence.Draft
	for _, b := range fresh {
		drafts = append(drafts, b.drafts...)
	}
	if len(drafts) == 0 {
		c.acknowledge(group, nil, nil)
		return nil
	}
	statements, err := c.record.Append(ctx, func(tx *sql.Tx) error { return c.note(ctx, tx, fresh) }, drafts...)
	if err != nil {
		return fmt.Errorf("take a report: %w", err)
	}
	c.acknowledge(group, fresh, statements)
	return nil
}

// fresh are the batches that were not taken before, each once. Nobody else writes the table, so what
// is not there now is not there when they are written.
func (c *committer) fresh(ctx context.Context, group []*batch) ([]*batch, error) {
	type key struct{ member, name string }
	seen := map[key]bool{}
	var out []*batch
	for _, b := range group {
		k := key{b.member, b.name}
		if seen[k] || len(b.drafts) == 0 {
			continue
		}
		seen[k] = true
		var taken bool
		err := c.record.DB().Query().QueryRowContext(ctx, `SELECT EXISTS (SELECT 1 FROM fleet_batch WHERE member = $1 AND batch = $2)`,
			b.member, b.name).Scan(&taken)
		if err != nil {
			return nil, fmt.Errorf("look for batch: %w", err)
		}
		if !taken {
			out = append(out, b)
		}
	}
	return out, nil
}

func (c *committer) note(ctx context.Context, tx *sql.Tx, fresh []*batch) error {
	stmt, err := tx.PrepareContext(ctx, `INSERT INTO fleet_batch (member, batch, at) VALUES ($1, $2, $3)`)
	if err != nil {
		return fmt.Errorf("note batch: %w", err)
	}
	defer stmt.Close()
	now := c.clock.Now().UnixMilli()
	for _, b := range fresh {
		if _, err := stmt.ExecContext(ctx, b.member, b.name, now); err != nil {
			return fmt.Errorf("note batch: %w", err)
		}
	}
	return nil
}

// acknowledge gives every batch its answer; those that are not fresh get no numbers.
func (c *committer) acknowledge(group, fresh []*batch, statements []evidence.Statement) {
	for _, b := range fresh {
		for _, s := range statements[:len(b.drafts)] {
			b.seqs = append(b.seqs, s.Seq)
		}
		statements = statements[len(b.drafts):]
	}
	for _, b := range group {
		b.head = c.record.Head()
	}
}

// forget drops the names of batches that were taken before a time.
func (c *committer) forget(ctx context.Context, before time.Time) error {
	err := c.record.DB().Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM fleet_batch WHERE at < $1`, before.UnixMilli())
		return err
	})
	if err != nil {
		return errors.Join(errors.New("forget old batches"), err)
	}
	return nil
}
