package recall

import (
	"context"
	"fmt"
)

// List returns up to limit recalls in force, oldest first, that were made after the statement
// with that sequence number; -1 is from the start. The caller decides which of them to show.
func (s *Service) List(ctx context.Context, after int64, limit int) ([]Recall, error) {
	rows, err := s.record.DB().Query().QueryContext(ctx, `SELECT DISTINCT seq FROM recall WHERE seq > $1 ORDER BY seq LIMIT $2`, after, limit)
	if err != nil {
		return nil, fmt.Errorf("list recalls: %w", err)
	}
	defer rows.Close()
	var seqs []int64
	for rows.Next() {
		var seq int64
		if err := rows.Scan(&seq); err != nil {
			return nil, fmt.Errorf("list recalls: %w", err)
		}
		seqs = append(seqs, seq)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list recalls: %w", err)
	}
	out := make([]Recall, len(seqs))
	for i, seq := range seqs {
		if out[i], err = s.at(ctx, seq); err != nil {
			return nil, err
		}
		if out[i].Known, err = s.known(ctx, out[i].Subjects); err != nil {
			return nil, err
		}
		if out[i].Undo, err = s.undoOf(ctx, seq); err != nil {
			return nil, err
		}
	}
	return out, nil
}

// InForce returns every recall in force, oldest first.
func (s *Service) InForce(ctx context.Context) ([]Recall, error) {
	var all []Recall
	for after := int64(-1); ; {
		some, err := s.List(ctx, after, 500)
		if err != nil || len(some) == 0 {
			return all, err
		}
		all, after = append(all, some...), some[len(some)-1].Seq
	}
}
