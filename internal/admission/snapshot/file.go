package snapshot

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"maps"
	"strconv"
	"time"

	"google.golang.org/protobuf/proto"

	"github.com/hullmark/hullmark/internal/fleet/fleetv1"
)

// load reads the file into memory.
func (s *Snapshot) load(ctx context.Context) error {
	d, state := newData(s.codec), map[string][]byte{}
	err := s.db.Read(ctx, func(tx *sql.Tx) error {
		if err := scan(ctx, tx, `SELECT name, value FROM snapshot_state`, func(name string, value []byte) error {
			state[name] = value
			return nil
		}); err != nil {
			return err
		}
		if err := scan(ctx, tx, `SELECT digest, record FROM snapshot_image`, func(digest string, packed []byte) error {
			d.images[digest] = &image{packed: packed}
			return nil
		}); err != nil {
			return err
		}
		return scanTags(ctx, tx, d.tags)
	})
	if err != nil || state["head"] == nil {
		return err
	}
	if err := d.restore(state, s.compile); err != nil {
		return err
	}
	if s.heard, err = time.Parse(time.RFC3339Nano, string(state["heard"])); err != nil {
		return err
	}
	s.live, s.after, s.latest = d, d.head, d.head
	return nil
}

func (d *data) restore(state map[string][]byte, compile Compile) (err error) {
	if d.head, err = strconv.ParseInt(string(state["head"]), 10, 64); err != nil {
		return err
	}
	if err := json.Unmarshal(state["exceptions"], &d.exceptions); err != nil {
		return fmt.Errorf("exceptions: %w", err)
	}
	var recalls fleetv1.Recalls
	if err := proto.Unmarshal(state["recalls"], &recalls); err != nil {
		return fmt.Errorf("recalls: %w", err)
	}
	d.setRecalls(recalls.GetRecalls())
	if len(state["revision"]) > 0 {
		preparePolicies(&fleetv1.PolicySet{Revision: string(state["revision"]), Document: state["policies"]}, compile)(d)
	}
	return nil
}

func scan(ctx context.Context, tx *sql.Tx, query string, each func(key string, value []byte) error) error {
	rows, err := tx.QueryContext(ctx, query)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var key string
		var value []byte
		if err := rows.Scan(&key, &value); err != nil {
			return err
		}
		if err := each(key, value); err != nil {
			return err
		}
	}
	return rows.Err()
}

func scanTags(ctx context.Context, tx *sql.Tx, into map[tagKey]string) error {
	rows, err := tx.QueryContext(ctx, `SELECT repository, tag, digest FROM snapshot_tag`)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var key tagKey
		var digest string
		if err := rows.Scan(&key.repository, &key.tag, &digest); err != nil {
			return err
		}
		into[key] = digest
	}
	return rows.Err()
}

// Flush writes what the file does not have yet, in one transaction. When it fails, memory goes on
// answering and the next Flush tries the same again.
func (s *Snapshot) Flush(ctx context.Context) error {
	s.apply.Lock()
	defer s.apply.Unlock()
	dirty := s.dirty
	if !dirty.all && !dirty.state {
		return nil
	}
	s.mu.RLock()
	state, err := s.live.stored(s.heard, s.after)
	if dirty.all {
		dirty.images, dirty.tags = maps.Clone(s.live.images), maps.Clone(s.live.tags)
	}
	s.mu.RUnlock()
	if err != nil {
		return err
	}
	if err := s.db.Write(ctx, func(tx *sql.Tx) error { return write(ctx, tx, dirty, state) }); err != nil {
		return fmt.Errorf("write the snapshot: %w", err)
	}
	s.dirty = changes{}
	return nil
}

func write(ctx context.Context, tx *sql.Tx, c changes, state map[string][]byte) error {
	if c.all {
		for _, table := range []string{`DELETE FROM snapshot_image`, `DELETE FROM snapshot_tag`} {
			if _, err := tx.ExecContext(ctx, table); err != nil {
				return err
			}
		}
	}
	for digest, img := range c.images {
		query, args := `INSERT INTO snapshot_image (digest, record) VALUES ($1, $2)
			ON CONFLICT (digest) DO UPDATE SET record = excluded.record`, []any{digest, nil}
		if img == nil {
			query, args = `DELETE FROM snapshot_image WHERE digest = $1`, args[:1]
		} else {
			args[1] = img.packed
		}
		if _, err := tx.ExecContext(ctx, query, args...); err != nil {
			return err
		}
	}
	for key, digest := range c.tags {
		query, args := `INSERT INTO snapshot_tag (repository, tag, digest) VALUES ($1, $2, $3)
			ON CONFLICT (repository, tag) DO UPDATE SET digest = excluded.digest`, []any{key.repository, key.tag, digest}
		if digest == "" {
			query, args = `DELETE FROM snapshot_tag WHERE repository = $1 AND tag = $2`, args[:2]
		}
		if _, err := tx.ExecContext(ctx, query, args...); err != nil {
			return err
		}
	}
	for name, value := range state {
		if value == nil {
			value = []byte{}
		}
		if _, err := tx.ExecContext(ctx, `INSERT INTO snapshot_state (name, value) VALUES ($1, $2)
			ON CONFLICT (name) DO UPDATE SET value = excluded.value`, name, value); err != nil {
			return err
		}
	}
	return nil
}

// Unreceipted returns the recalls in force that concern the admission gate and were not receipted for yet.
func (s *Snapshot) Unreceipted(ctx context.Context) ([]*fleetv1.Recall, error) {
	done := map[int64]bool{}
	rows, err := s.db.Query().QueryContext(ctx, `SELECT recall FROM snapshot_receipt`)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var seq int64
		if err := rows.Scan(&seq); err != nil {
			return nil, err
		}
		done[seq] = true
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.live == nil {
		return nil, nil
	}
	var out []*fleetv1.Recall
	for _, r := range s.live.recalls {
		if !done[r.GetSeq()] && concernsAdmission(r) {
			out = append(out, r)
		}
	}
	return out, nil
}

func concernsAdmission(r *fleetv1.Recall) bool {
	for _, gate := range r.GetGates() {
		if gate == "admit" {
			return true
		}
	}
	return len(r.GetGates()) == 0
}

// Receipted notes that the receipts for these recalls are on their way and will not be lost.
func (s *Snapshot) Receipted(ctx context.Context, seqs ...int64) error {
	return s.db.Write(ctx, func(tx *sql.Tx) error {
		for _, seq := range seqs {
			if _, err := tx.ExecContext(ctx, `INSERT INTO snapshot_receipt (recall) VALUES ($1) ON CONFLICT (recall) DO NOTHING`, seq); err != nil {
				return err
			}
		}
		return nil
	})
}
