package report

import (
	"context"
	"crypto/rand"
	"database/sql"
	_ "embed"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"sync/atomic"

	"google.golang.org/protobuf/proto"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fleet/fleetv1"
	"github.com/hullmark/hullmark/internal/store"
)

//go:embed spool.sql
var schema string

// Schema returns the tables of a spool.
func Schema() store.Schema { return store.Schema{Owner: "spool", Steps: []string{schema}} }

const (
	// inMemory is how many statements may wait for the disk: two seconds of 2,000 a second.
	inMemory = 4096
	// DefaultLimit is how many statements may wait on the disk for the server, about 400 MB.
	DefaultLimit = 200_000
	// batchSize is how many statements are sent at once; the server takes 500.
	batchSize = 200
)

// Statement is what a gate says.
type Statement struct {
	Subjects  []evidence.Subject
	Predicate evidence.Predicate
	// Keep marks a statement that is dropped last.
	Keep bool
}

// Spool takes statements. It is safe for concurrent use; [Spool.Run] must be running for them to get anywhere.
type Spool struct {
	db     *store.DB
	limit  int
	random io.Reader
	log    *slog.Logger

	memory  chan Statement
	wake    chan struct{} // something lies in the file
	dropped atomic.Int64  // statements that are lost and that no gap tells of yet
	waiting atomic.Int64  // statements in the file
	lost    atomic.Int64  // all that were ever lost, for metrics
}

// Open opens the spool that db holds. limit is how many statements it keeps for the server; random makes
// the names of batches.
func Open(ctx context.Context, db *store.DB, limit int, random io.Reader, log *slog.Logger) (*Spool, error) {
	if err := db.Migrate(ctx, Schema()); err != nil {
		return nil, err
	}
	if random == nil {
		random = rand.Reader
	}
	s := &Spool{db: db, limit: limit, random: random, log: log, memory: make(chan Statement, inMemory), wake: make(chan struct{}, 1)}
	var n int64
	if err := db.Query().QueryRowContext(ctx, `SELECT count(*) FROM spool`).Scan(&n); err != nil {
		return nil, fmt.Errorf("read the spool: %w", err)
	}
	s.waiting.Store(n)
	return s, nil
}

// Take takes a statement without waiting.
func (s *Spool) Take(st Statement) {
	select {
	case s.memory <- st:
	default:
		s.lose(1)
	}
}

func (s *Spool) lose(n int64) {
	s.dropped.Add(n)
	s.lost.Add(n)
}

// Waiting is how many statements wait for the server, and Lost how many never reached it.
func (s *Spool) Waiting() int64 { return s.waiting.Load() + int64(len(s.memory)) }

// Lost is how many statements were dropped since the start.
func (s *Spool) Lost() int64 { return s.lost.Load() }

// collect returns what waits in memory, first among it.
func (s *Spool) collect(first Statement) []Statement {
	out := []Statement{first}
	for len(out) < batchSize {
		select {
		case st := <-s.memory:
			out = append(out, st)
		default:
			return out
		}
	}
	return out
}

// Store writes statements into the file, durably, and makes room for them when there is none. What was lost
// before is told once there is room to tell it.
func (s *Spool) Store(ctx context.Context, list ...Statement) error {
	gap := s.dropped.Load()
	if s.waiting.Load()+int64(len(list)) >= int64(s.limit) {
		gap = 0
	}
	if gap > 0 {
		list = append(list, gapOf(gap))
	}
	if len(list) == 0 {
		return nil
	}
	err := s.db.Write(ctx, func(tx *sql.Tx) error {
		for _, st := range list {
			draft, err := draftOf(st)
			if err != nil {
				return err
			}
			if _, err := tx.ExecContext(ctx, `INSERT INTO spool (batch, keep, draft) VALUES ('', $1, $2)`, st.Keep, draft); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		s.lose(int64(len(list)))
		if gap > 0 {
			s.lose(-1) // the gap itself, which is still to be told
		}
		return fmt.Errorf("write the spool: %w", err)
	}
	s.dropped.Add(-gap)
	s.waiting.Add(int64(len(list)))
	select {
	case s.wake <- struct{}{}:
	default:
	}
	return s.shrink(ctx)
}

// shrink drops the oldest statements above the limit, those to keep last. One that is in a batch may
// have been taken by the server already: dropping it is no loss then, but it is counted as one.
func (s *Spool) shrink(ctx context.Context) error {
	if s.waiting.Load() <= int64(s.limit) {
		return nil
	}
	var n int64 // counted anew: a batch may have been acknowledged in between
	err := s.db.Write(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `DELETE FROM spool WHERE id IN
			(SELECT id FROM spool ORDER BY keep, id LIMIT max(0, (SELECT count(*) FROM spool) - $1))`, s.limit)
		if err != nil {
			return err
		}
		n, err = res.RowsAffected()
		return err
	})
	if err != nil {
		return fmt.Errorf("shrink the spool: %w", err)
	}
	s.waiting.Add(-n)
	s.lose(n)
	return nil
}

func gapOf(n int64) Statement {
	return Statement{
		Subjects: []evidence.Subject{{Name: "admission:decisions"}}, Keep: true,
		Predicate: evidence.Gap{What: fmt.Sprintf("%d admission decisions", n), Reason: "they were made and could not be kept until the server took them"},
	}
}

func draftOf(st Statement) ([]byte, error) {
	predicate, err := json.Marshal(st.Predicate)
	if err != nil {
		return nil, err
	}
	d := &fleetv1.Draft{PredicateType: st.Predicate.PredicateType(), Predicate: predicate}
	for _, subject := range st.Subjects {
		wire := &fleetv1.Subject{Name: subject.Name}
		for algorithm, hex := range subject.Digest {
			wire.Digest = algorithm + ":" + hex
		}
		d.Subjects = append(d.Subjects, wire)
	}
	return proto.Marshal(d)
}

// Batch is what is sent at once. Its name and content never change once it was made.
type Batch struct {
	Name   string
	Drafts []*fleetv1.Draft
}

// Next returns the oldest batch that the server has not acknowledged, making one of what waits; its
// name is empty when nothing does.
func (s *Spool) Next(ctx context.Context) (Batch, error) {
	b, err := s.oldest(ctx)
	if err != nil || b.Name != "" {
		return b, err
	}
	if s.waiting.Load() == 0 { // nothing else may ever come to bring the news of what was lost
		if err := s.Store(ctx); err != nil {
			return Batch{}, err
		}
	}
	nonce := make([]byte, 16)
	if _, err := io.ReadFull(s.random, nonce); err != nil {
		return Batch{}, err
	}
	err = s.db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE spool SET batch = $1 WHERE id IN (SELECT id FROM spool WHERE batch = '' ORDER BY id LIMIT $2)`,
			fmt.Sprintf("%x", nonce), batchSize)
		return err
	})
	if err != nil {
		return Batch{}, fmt.Errorf("make a batch: %w", err)
	}
	return s.oldest(ctx)
}

func (s *Spool) oldest(ctx context.Context) (b Batch, err error) {
	rows, err := s.db.Query().QueryContext(ctx, `SELECT batch, draft FROM spool
		WHERE batch = (SELECT batch FROM spool WHERE batch <> '' ORDER BY id LIMIT 1) ORDER BY id`)
	if err != nil {
		return b, fmt.Errorf("read a batch: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var raw []byte
		if err := rows.Scan(&b.Name, &raw); err != nil {
			return b, err
		}
		d := new(fleetv1.Draft)
		if err := proto.Unmarshal(raw, d); err != nil {
			return b, fmt.Errorf("read a batch: %w", err)
		}
		b.Drafts = append(b.Drafts, d)
	}
	return b, rows.Err()
}

// Done forgets a batch that the server has.
func (s *Spool) Done(ctx context.Context, name string) error {
	var n int64
	err := s.db.Write(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `DELETE FROM spool WHERE batch = $1`, name)
		if err != nil {
			return err
		}
		n, err = res.RowsAffected()
		return err
	})
	s.waiting.Add(-n)
	return err
}
