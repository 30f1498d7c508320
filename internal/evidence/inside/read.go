package inside

import (
	"context"
	"database/sql"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

// Newest is the head of a reader that knows everything that its snapshot has.
const Newest = int64(math.MaxInt64)

// chunk is how many values one IN list takes: few statements to prepare, far below SQLite's limit
// of parameters.
const chunk = 200

// Reader reads one snapshot. It is used by one goroutine.
type Reader struct {
	// Head is the size of the record as which the snapshot is read: of releases, only those are known
	// whose statement is before it.
	Head int64

	ctx   context.Context
	tx    *sql.Tx
	stmts map[string]*sql.Stmt
	// whiteouts remembers what layers delete, by layer; nil for one that deletes nothing.
	whiteouts map[int64]*whiteouts
}

// NewReader returns a reader of tx as of head. It must be closed before the transaction ends.
func NewReader(ctx context.Context, tx *sql.Tx, head int64) *Reader {
	return &Reader{Head: head, ctx: ctx, tx: tx, stmts: map[string]*sql.Stmt{}, whiteouts: map[int64]*whiteouts{}}
}

// Context returns the context that the reader reads under.
func (r *Reader) Context() context.Context { return r.ctx }

// Close frees the statements that were prepared.
func (r *Reader) Close() {
	for _, s := range r.stmts {
		s.Close()
	}
}

// Queries returns the text of every query so far, so that a test can ask the engine how it would run
// them on a large store.
func (r *Reader) Queries() []string { return slices.Collect(maps.Keys(r.stmts)) }

func (r *Reader) prepare(query string) (*sql.Stmt, error) {
	if s := r.stmts[query]; s != nil {
		return s, nil
	}
	s, err := r.tx.PrepareContext(r.ctx, query)
	if err != nil {
		return nil, fmt.Errorf("prepare %.60q: %w", query, err)
	}
	r.stmts[query] = s
	return s, nil
}

// Each runs query and calls scan for every row. scan must not query: the rows are still open.
func (r *Reader) Each(query string, args []any, scan func(*sql.Rows) error) error {
	s, err := r.prepare(query)
	if err != nil {
		return err
	}
	rows, err := s.QueryContext(r.ctx, args...)
	if err != nil {
		return fmt.Errorf("%.60q: %w", query, err)
	}
	defer rows.Close()
	for rows.Next() {
		if err := scan(rows); err != nil {
			return fmt.Errorf("%.60q: %w", query, err)
		}
	}
	return rows.Err()
}

// In runs query, whose %s becomes a list of parameters, for values in chunks. The parameters of
// first come before those of the list.
func (r *Reader) In(query string, values []any, scan func(*sql.Rows) error, first ...any) error {
	for len(values) > 0 {
		n := min(len(values), chunk)
		args := slices.Concat(first, values[:n])
		if err := r.Each(fmt.Sprintf(query, places(len(first)+1, n)), args, scan); err != nil {
			return err
		}
		values = values[n:]
	}
	return nil
}

// places returns n parameters from "$first" on.
func places(first, n int) string {
	var b strings.Builder
	for i := range n {
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "$%d", first+i)
	}
	return b.String()
}

// One returns the single value that query yields, or the zero value when it yields no row.
func One[T any](r *Reader, query string, args ...any) (T, error) {
	var v T
	err := r.Each(query, args, func(rows *sql.Rows) error { return rows.Scan(&v) })
	return v, err
}

// List returns the first column of every row.
func List[T any](r *Reader, query string, args ...any) ([]T, error) {
	var out []T
	err := r.Each(query, args, func(rows *sql.Rows) error {
		var v T
		if err := rows.Scan(&v); err != nil {
			return err
		}
		out = append(out, v)
		return nil
	})
	return out, err
}
