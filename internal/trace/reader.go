package trace

import (
	"context"
	"database/sql"
	"fmt"
	"slices"
	"strings"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

// chunk is how many values one IN list takes: few statements to prepare, far below SQLite's limit
// of parameters.
const chunk = 200

// reader answers one query from one snapshot. It is used by one goroutine.
type reader struct {
	ctx    context.Context
	tx     *sql.Tx
	access Access
	actor  evidence.Actor
	limits Limits

	images int // nodes of kind image so far
	stmts  map[string]*sql.Stmt
	// readable remembers what Access said about each package: a trace asks thousands of times
	// about a few hundred names.
	readable map[nameKey]bool
	// whiteouts remembers what layers delete, by layer; nil for one that deletes nothing.
	whiteouts map[int64]*whiteouts
}

type nameKey struct {
	permission      evidence.Permission
	ecosystem, name string
}

func (t *Tracer) reader(ctx context.Context, tx *sql.Tx, actor evidence.Actor) *reader {
	return &reader{
		ctx: ctx, tx: tx, access: t.access, actor: actor, limits: t.limits,
		stmts: map[string]*sql.Stmt{}, readable: map[nameKey]bool{}, whiteouts: map[int64]*whiteouts{},
	}
}

func (r *reader) close() {
	for _, s := range r.stmts {
		s.Close()
	}
}

// mayRead reports whether the actor may read the name.
func (r *reader) mayRead(ecosystem, name string) (bool, error) {
	return r.may(evidence.Read, ecosystem, name)
}

// may reports whether the actor has a permission on the name.
func (r *reader) may(p evidence.Permission, ecosystem, name string) (bool, error) {
	key := nameKey{p, ecosystem, name}
	if ok, known := r.readable[key]; known {
		return ok, nil
	}
	err := r.access.Authorize(r.ctx, r.actor, p, ecosystem, name)
	if err != nil {
		switch fault.KindOf(err) {
		case fault.NotFound, fault.Denied, fault.Unauthenticated:
		default:
			return false, fmt.Errorf("ask who may see %s: %w", name, err)
		}
	}
	r.readable[key] = err == nil
	return err == nil, nil
}

func (r *reader) head() (int64, error) {
	return one[int64](r, `SELECT coalesce(max(seq) + 1, 0) FROM statement`)
}

func (r *reader) prepare(query string) (*sql.Stmt, error) {
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

// each runs query and calls scan for every row. scan must not query: the rows are still open.
func (r *reader) each(query string, args []any, scan func(*sql.Rows) error) error {
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

// in runs query, whose %s becomes a list of parameters, for values in chunks. The parameters of
// first come before those of the list.
func (r *reader) in(query string, values []any, scan func(*sql.Rows) error, first ...any) error {
	for len(values) > 0 {
		n := min(len(values), chunk)
		args := slices.Concat(first, values[:n])
		if err := r.each(fmt.Sprintf(query, places(len(first)+1, n)), args, scan); err != nil {
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

// one returns the single value that query yields, or the zero value when it yields no row.
func one[T any](r *reader, query string, args ...any) (T, error) {
	var v T
	err := r.each(query, args, func(rows *sql.Rows) error { return rows.Scan(&v) })
	return v, err
}

// list returns the first column of every row.
func list[T any](r *reader, query string, args ...any) ([]T, error) {
	var out []T
	err := r.each(query, args, func(rows *sql.Rows) error {
		var v T
		if err := rows.Scan(&v); err != nil {
			return err
		}
		out = append(out, v)
		return nil
	})
	return out, err
}
