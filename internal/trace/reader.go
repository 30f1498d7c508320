package trace

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/evidence/inside"
	"github.com/hullmark/hullmark/internal/fault"
)

// reader answers one query from one snapshot. It is used by one goroutine.
type reader struct {
	*inside.Reader
	access Access
	actor  evidence.Actor
	limits Limits

	images int // nodes of kind image so far
	// readable remembers what Access said about each package: a trace asks thousands of times
	// about a few hundred names.
	readable map[nameKey]bool
}

type nameKey struct {
	permission      evidence.Permission
	ecosystem, name string
}

func (t *Tracer) reader(ctx context.Context, tx *sql.Tx, actor evidence.Actor) *reader {
	return &reader{
		Reader: inside.NewReader(ctx, tx, inside.Newest), access: t.access, actor: actor, limits: t.limits, readable: map[nameKey]bool{},
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
	err := r.access.Authorize(r.Context(), r.actor, p, ecosystem, name)
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
	return inside.One[int64](r.Reader, `SELECT coalesce(max(seq) + 1, 0) FROM statement`)
}
