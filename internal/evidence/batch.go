package evidence

import (
	"context"
	"crypto/sha256"
	"database/sql"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
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

// insertStatements writes the statements with their entries and leaf hashes, and what they are
// about. Rows are inserted many at a time: the calls cost as much as the writing.
func (b *batch) insertStatements(statements []Statement, bodies [][]byte) error {
	var rows, subjects []any
	for i, s := range statements {
		leaf := tlog.RecordHash(bodies[i])
		rows = append(rows, s.Seq, stamp(s.Time), s.PredicateType, bodies[i], leaf[:])
		for _, subject := range s.Subject {
			for _, key := range subject.keys() {
				subjects = append(subjects, SubjectKey(key), s.Seq)
			}
		}
	}
	err := b.insert(`INSERT INTO statement (seq, at, predicate_type, body, leaf) VALUES `, 5, ``, rows)
	if err != nil {
		return err
	}
	return b.insert(`INSERT INTO statement_subject (subject, seq) VALUES `, 2, ` ON CONFLICT DO NOTHING`, subjects)
}

// rowsAtOnce is how many rows one insert takes.
const rowsAtOnce = 16

// insert runs head, as many groups of width parameters as there are rows, and tail.
func (b *batch) insert(head string, width int, tail string, values []any) error {
	for chunk := range slices.Chunk(values, rowsAtOnce*width) {
		var query strings.Builder
		query.WriteString(head)
		for i := range chunk {
			switch {
			case i == 0:
				query.WriteString("(")
			case i%width == 0:
				query.WriteString("), (")
			default:
				query.WriteString(", ")
			}
			query.WriteString("$" + strconv.Itoa(i+1))
		}
		query.WriteString(")" + tail)
		if err := b.exec(query.String(), chunk...); err != nil {
			return err
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

// isAbout reports whether the purl or digest is among the statement's subjects.
func (s Statement) isAbout(subject string) bool {
	return slices.ContainsFunc(s.Subject, func(x Subject) bool { return slices.Contains(x.keys(), subject) })
}

// SubjectKey is what statement_subject holds of a purl or digest: 64 bits of its SHA-256, because the
// index over whole names would be larger than the record. Two names may share a key; who reads by
// it looks at the statement.
func SubjectKey(subject string) int64 {
	sum := sha256.Sum256([]byte(subject))
	return int64(binary.BigEndian.Uint64(sum[:]))
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
