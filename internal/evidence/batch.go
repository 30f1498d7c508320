package evidence

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"golang.org/x/mod/sumdb/tlog"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/purl"
)

// batch runs the statements of one transaction, preparing each SQL text once.
type batch struct {
	ctx   context.Context
	tx    *sql.Tx
	stmts map[string]*sql.Stmt
}

func newBatch(ctx context.Context, tx *sql.Tx) *batch {
	return &batch{ctx: ctx, tx: tx, stmts: map[string]*sql.Stmt{}}
}

func (b *batch) close() {
	for _, s := range b.stmts {
		s.Close()
	}
}

func (b *batch) prepare(query string) (*sql.Stmt, error) {
	if s := b.stmts[query]; s != nil {
		return s, nil
	}
	s, err := b.tx.PrepareContext(b.ctx, query)
	if err != nil {
		return nil, fmt.Errorf("prepare %.60q: %w", query, err)
	}
	b.stmts[query] = s
	return s, nil
}

func (b *batch) exec(query string, args ...any) error {
	s, err := b.prepare(query)
	if err != nil {
		return err
	}
	if _, err := s.ExecContext(b.ctx, args...); err != nil {
		return fmt.Errorf("%.60q: %w", query, err)
	}
	return nil
}

// id returns the single integer that query yields, or 0 when it yields no row.
func (b *batch) id(query string, args ...any) (int64, error) {
	s, err := b.prepare(query)
	if err != nil {
		return 0, err
	}
	var id int64
	err = s.QueryRowContext(b.ctx, args...).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("%.60q: %w", query, err)
	}
	return id, nil
}

func (b *batch) insertStatement(s Statement, body []byte) error {
	leaf := tlog.RecordHash(body)
	err := b.exec(`INSERT INTO statement (seq, at, predicate_type, body, leaf) VALUES ($1, $2, $3, $4, $5)`,
		s.Seq, stamp(s.Time), s.PredicateType, body, leaf[:])
	if err != nil {
		return err
	}
	for _, subject := range s.Subject {
		for _, key := range subject.keys() {
			err := b.exec(`INSERT INTO statement_subject (subject, seq) VALUES ($1, $2) ON CONFLICT DO NOTHING`, key, s.Seq)
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// keys are the strings by which a subject is found.
func (s Subject) keys() []string {
	var keys []string
	if s.Name != "" {
		keys = append(keys, s.Name)
	}
	for _, alg := range []string{digest.SHA256, digest.SHA512} {
		if hex := s.Digest[alg]; hex != "" {
			keys = append(keys, alg+":"+hex)
		}
	}
	return keys
}

// digestOf returns the subject's sha256 digest, or its sha512 one.
func (s Subject) digestOf() digest.Digest {
	for _, key := range s.keys() {
		if d, err := digest.Parse(key); err == nil {
			return d
		}
	}
	return ""
}

// artifact returns the id of the artifact d, creating it when new.
func (b *batch) artifact(d digest.Digest, kind, mediaType string, size int64) (int64, error) {
	id, err := b.id(`SELECT id FROM artifact WHERE digest = $1`, d)
	if err != nil || id != 0 {
		return id, err
	}
	return b.id(`INSERT INTO artifact (digest, kind, media_type, size, incomplete) VALUES ($1, $2, $3, $4, '') RETURNING id`,
		d, kind, mediaType, size)
}

func (b *batch) component(p purl.PURL) (int64, error) {
	id, err := b.id(`SELECT id FROM component WHERE purl = $1`, p)
	if err != nil || id != 0 {
		return id, err
	}
	return b.id(`INSERT INTO component (purl) VALUES ($1) RETURNING id`, p)
}

// touch returns the id of the package, creating it when new, and marks it changed by s.
func (b *batch) touch(s Statement, ecosystem, name string) (int64, error) {
	return b.id(`INSERT INTO package (ecosystem, name, created, modified, revision) VALUES ($1, $2, $3, $3, $4)
		ON CONFLICT (ecosystem, name) DO UPDATE SET modified = excluded.modified, revision = excluded.revision RETURNING id`,
		ecosystem, name, stamp(s.Time), s.Seq)
}

func stamp(t time.Time) string { return t.UTC().Format(timeFormat) }
