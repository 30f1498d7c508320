package policy

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	"github.com/hullmark/hullmark/internal/evidence/inside"
	"github.com/hullmark/hullmark/internal/fault"
)

// ListedException is an exception with its life so far.
type ListedException struct {
	Exception
	Requested time.Time
	LastUse   time.Time // zero when it was never used
}

// Exception returns one exception. It fails with code exception-unknown.
func (s *Service) Exception(ctx context.Context, id int64) (ListedException, error) {
	found, err := s.list(ctx, `WHERE x.id = $1 LIMIT $2`, id, 1)
	if err != nil {
		return ListedException{}, err
	}
	if len(found) == 0 {
		return ListedException{}, fault.New(fault.NotFound, "exception-unknown", "there is no exception #%d; list them to see which there are", id)
	}
	return found[0], nil
}

// ListExceptions returns up to limit exceptions in the order of their numbers, after the one with that
// number; -1 is from the start. Requests, expired and revoked ones are there too.
func (s *Service) ListExceptions(ctx context.Context, after int64, limit int) ([]ListedException, error) {
	return s.list(ctx, `WHERE x.id > $1 ORDER BY x.id LIMIT $2`, after, limit)
}

// State is where an exception is in its life: requested, approved, expired or revoked.
func (s *Service) State(x Exception) string {
	switch {
	case x.RevokedSeq != 0:
		return "revoked"
	case !s.clock.Now().Before(x.Expires):
		return "expired"
	case x.ApprovedSeq != 0:
		return "approved"
	}
	return "requested"
}

const exceptionColumns = `x.id, x.policy, x.scope, x.reason, x.ticket, x.requester, x.expires, x.requested, x.approver, x.approved_seq, x.revoked_seq`

func (s *Service) list(ctx context.Context, where string, args ...any) ([]ListedException, error) {
	rows, err := s.record.DB().Query().QueryContext(ctx, `SELECT `+exceptionColumns+`,
		coalesce((SELECT sum(count) FROM exception_use u WHERE u.exception_id = x.id), 0),
		coalesce((SELECT max(at) FROM exception_use u WHERE u.exception_id = x.id), '') FROM exception x `+where, args...)
	if err != nil {
		return nil, fmt.Errorf("exceptions: %w", err)
	}
	defer rows.Close()
	var out []ListedException
	for rows.Next() {
		var x ListedException
		var last string
		if err := scanException(rows, &x, &x.Count, &last); err != nil {
			return nil, fmt.Errorf("exceptions: %w", err)
		}
		x.LastUse = parseTime(last)
		out = append(out, x)
	}
	return out, rows.Err()
}

func scanException(rows *sql.Rows, x *ListedException, more ...any) error {
	var scope, expires, requested string
	into := []any{&x.ID, &x.Policy, &scope, &x.Reason, &x.Ticket, &x.Requester, &expires, &requested, &x.Approver, &x.ApprovedSeq, &x.RevokedSeq}
	if err := rows.Scan(append(into, more...)...); err != nil {
		return err
	}
	x.Expires, x.Requested = parseTime(expires), parseTime(requested)
	return json.Unmarshal([]byte(scope), &x.Scope)
}

// maxUses is how many admissions of an exception agents are told: the newest, one a workload.
const maxUses = 200

// Exceptions returns those that were in force when the record had head statements, whether or not they
// have expired since: the evaluator holds that against the clock of its request. Uses and counts are
// left out for an older head than now: nothing decides from them.
func (r *Reader) Exceptions(ctx context.Context, head int64) (out []Exception, err error) {
	err = r.read(ctx, head, func(s *session) error {
		out, err = s.exceptions()
		if err != nil || head != inside.Newest {
			return err
		}
		for i := range out {
			if err := s.uses(&out[i]); err != nil {
				return err
			}
		}
		return nil
	})
	return out, err
}

func (s *session) exceptions() ([]Exception, error) {
	out := []Exception{}
	err := s.Each(`SELECT `+exceptionColumns+` FROM exception x
		WHERE x.approved_seq > 0 AND x.approved_seq < $1 AND (x.revoked_seq = 0 OR x.revoked_seq >= $1) ORDER BY x.id`,
		[]any{s.Head}, func(rows *sql.Rows) error {
			var x ListedException
			if err := scanException(rows, &x); err != nil {
				return err
			}
			x.RevokedSeq = 0 // it was not revoked yet
			out = append(out, x.Exception)
			return nil
		})
	return out, err
}

// uses fills in where an exception has let images in.
func (s *session) uses(x *Exception) error {
	err := s.Each(`SELECT coalesce(sum(count), 0) FROM exception_use WHERE exception_id = $1`, []any{x.ID}, func(rows *sql.Rows) error {
		return rows.Scan(&x.Count)
	})
	if err != nil {
		return err
	}
	return s.Each(`SELECT cluster, namespace, kind, name, images FROM exception_use WHERE exception_id = $1
		GROUP BY cluster, namespace, kind, name, images ORDER BY max(seq) DESC LIMIT $2`, []any{x.ID, maxUses}, func(rows *sql.Rows) error {
		var u ExceptionUse
		var images string
		err := rows.Scan(&u.Cluster, &u.Namespace, &u.Kind, &u.Name, &images)
		u.Images = strings.Fields(images)
		x.Uses = append(x.Uses, u)
		return err
	})
}
