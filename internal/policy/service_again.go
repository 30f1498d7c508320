package policy

import (
	"context"
	"database/sql"
	"slices"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
)

// recomputation makes one decision again, at any head.
type recomputation struct {
	*Service
	request    Request
	program    *Program
	exceptions int // in force at the head of the last time
}

// at decides as of a head, and says for which reasons the record may not be what was read then.
func (r *recomputation) at(ctx context.Context, head int64) (Verdict, []string, error) {
	exceptions, err := r.reader.Exceptions(ctx, head)
	if err != nil {
		return Verdict{}, nil, err
	}
	r.exceptions = len(exceptions)
	records := map[string]Record{"": Unknown("", head)}
	var inexact []string
	for _, image := range r.request.Images {
		if _, known := records[image.Digest]; known {
			continue
		}
		one, why, err := r.reader.recordAt(ctx, image.Digest, head)
		if err != nil {
			return Verdict{}, nil, err
		}
		records[image.Digest] = one
		inexact = append(inexact, why...)
	}
	verdict := r.program.Decide(r.request, func(digest string) Record { return records[digest] }, exceptions)
	verdict.Head, verdict.Revision = head, r.program.Revision()
	return verdict, inexact, nil
}

// The statements that a gate may have had more or fewer of than the head says that its decision names.
const (
	takingIn    = 10 * time.Second // within this of the head, either way
	maxTakingIn = 2000             // statements looked at, either way
	maxNearby   = 64               // heads tried
)

// nearby tries the heads around the one that the decision names. A gate takes the record in statement by
// statement: its head is the newest that it has heard of, while what it knows of one image may be a moment
// older, or newer. A decision that comes out the same at such a head is what its gate knew.
func (r *recomputation) nearby(ctx context.Context, e *Explanation) error {
	heads, err := r.headsAround(ctx, e.Decision.Head)
	if err != nil {
		return err
	}
	for _, head := range heads {
		then := Explanation{Decision: e.Decision}
		if err := r.inForceThen(ctx, &then, head); err != nil {
			return err
		}
		verdict, _, err := r.at(ctx, head)
		if err != nil {
			return err
		}
		if then.compare(verdict); then.Outcome != Equal {
			continue
		}
		e.note("at the head that it names it comes out otherwise (%s); at head %d, within %d seconds of it, it comes out the same. A gate that was "+
			"just taking the statements between in decides so, and so does one that lies about its head by as much",
			joined(e.Differences), head, int(takingIn.Seconds()))
		e.Outcome, e.Differences, e.Recomputed = Nearby, nil, &verdict
		return nil
	}
	return nil
}

// deciding are the predicates that an admission is decided from.
var deciding = slices.Concat(touching, []any{evidence.ExceptionType})

// headsAround returns heads at which something relevant differs from head, the nearest first.
func (r *recomputation) headsAround(ctx context.Context, head int64) (heads []int64, err error) {
	err = r.reader.read(ctx, head, func(s *session) error {
		var at string
		err := s.Each(`SELECT at FROM statement WHERE seq = $1`, []any{head - 1}, func(rows *sql.Rows) error { return rows.Scan(&at) })
		if err != nil || at == "" {
			return err
		}
		middle := parseTime(at)
		for _, query := range []string{
			`SELECT seq, at, predicate_type FROM statement WHERE seq < $1 ORDER BY seq DESC LIMIT $2`,
			`SELECT seq + 1, at, predicate_type FROM statement WHERE seq >= $1 ORDER BY seq LIMIT $2`,
		} {
			err := s.Each(query, []any{head, maxTakingIn}, func(rows *sql.Rows) error {
				var other int64
				var at, kind string
				err := rows.Scan(&other, &at, &kind)
				if slices.Contains(deciding, any(kind)) && parseTime(at).Sub(middle).Abs() <= takingIn {
					heads = append(heads, other)
				}
				return err
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	slices.SortStableFunc(heads, func(a, b int64) int { return int(max(a-head, head-a) - max(b-head, head-b)) })
	return heads[:min(len(heads), maxNearby)], err
}
