package evidence

import (
	"context"
	"database/sql"
	"fmt"
)

// Rebuild drops every projection and derives it again from the statements, in one transaction:
// readers see the old tables until it commits. progress, when not nil, is told how many of how
// many statements are done. Appends wait until it ends.
func (r *Record) Rebuild(ctx context.Context, progress func(done, total int64)) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	total := r.head.Load()
	return r.db.Write(ctx, func(tx *sql.Tx) error {
		for _, table := range projections {
			if _, err := tx.ExecContext(ctx, `DELETE FROM `+table); err != nil {
				return fmt.Errorf("rebuild: empty %s: %w", table, err)
			}
		}
		b := newBatch(ctx, tx)
		defer b.close()
		for seq := range total {
			if err := r.replay(ctx, b, seq); err != nil {
				return fmt.Errorf("rebuild: statement %d: %w", seq, err)
			}
			if progress != nil {
				progress(seq+1, total)
			}
		}
		return nil
	})
}

func (r *Record) replay(ctx context.Context, b *batch, seq int64) error {
	entries, err := r.Entries(ctx, seq, seq+1)
	if err != nil {
		return err
	}
	s, err := DecodeStatement(entries[0])
	if err != nil {
		return err
	}
	var inv *Inventory
	if s.PredicateType == ContentsType {
		c, err := Decode[Contents](s)
		if err != nil {
			return err
		}
		if c.Inventory != "" {
			if inv, err = r.Inventory(ctx, c.Inventory); err != nil {
				return err
			}
		}
	}
	return b.project(s, inv)
}
