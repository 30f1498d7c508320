package publish

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/google/uuid"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
)

// maxStaged is how many waiting releases a list looks at.
const maxStaged = 5000

// Waiting returns, oldest first, the releases of an ecosystem that wait, of names that the actor may
// stage versions of; a name, when not empty, selects. total counts those that the offset and limit leave
// out, too.
func (s *Service) Waiting(ctx context.Context, actor evidence.Actor, ecosystem, name string, offset, limit int) (found []Hold, total int, err error) {
	all, err := s.releases(ctx, `r.state = 'held' AND p.ecosystem = $1 AND ($2 = '' OR p.name = $2)`+firstFile+` ORDER BY r.seq LIMIT $3`, ecosystem, name, maxStaged)
	if err != nil {
		return nil, 0, err
	}
	may := map[string]bool{}
	for _, r := range all {
		ok, asked := may[r.name]
		if !asked {
			err := s.access.Authorize(ctx, actor, evidence.Stage, ecosystem, r.name)
			if fault.KindOf(err) == fault.Internal && err != nil {
				return nil, 0, err
			}
			ok = err == nil
			may[r.name] = ok
		}
		if !ok {
			continue
		}
		if total++; total <= offset || len(found) >= limit {
			continue
		}
		h, _, err := s.hold(ctx, r)
		if err != nil {
			return nil, 0, err
		}
		found = append(found, h)
	}
	return found, total, nil
}

// IsID reports whether the text has the form of a hold's id.
func IsID(text string) bool { return len(text) == 36 && uuid.Validate(text) == nil }

// ByID returns what waits under an id, to who may do perm with its name. To who may not even read the
// name it does not exist: code stage-unknown.
func (s *Service) ByID(ctx context.Context, actor evidence.Actor, perm evidence.Permission, id string) (Hold, error) {
	unknown := fault.New(fault.NotFound, "stage-unknown", "nothing waits under this id, or you may not see it; list what does with: hullmark hold list")
	var p purl.PURL
	err := s.record.DB().Query().QueryRowContext(ctx, `SELECT d.subject FROM decision_id i JOIN decision d ON d.seq = i.seq
		WHERE i.id = $1 AND d.gate = 'publish' AND d.verdict = 'hold'`, id).Scan(&p)
	if errors.Is(err, sql.ErrNoRows) {
		return Hold{}, unknown
	}
	if err != nil {
		return Hold{}, fmt.Errorf("find %s: %w", id, err)
	}
	found, err := s.releases(ctx, `r.purl = $1 AND r.state = 'held'`+firstFile, p)
	if err != nil {
		return Hold{}, err
	}
	if len(found) == 0 {
		return Hold{}, unknown
	}
	if err := s.access.Authorize(ctx, actor, perm, found[0].ecosystem, found[0].name); err != nil {
		if fault.KindOf(err) != fault.Internal && s.access.Authorize(ctx, actor, evidence.Read, found[0].ecosystem, found[0].name) != nil {
			err = unknown
		}
		return Hold{}, err
	}
	h, _, err := s.hold(ctx, found[0])
	return h, err
}

// ExpireStages withdraws what was staged and that nobody has decided on within its name's StageLife, and
// returns how many that were. What a rule holds does not expire: somebody has to look at it.
func (s *Service) ExpireStages(ctx context.Context) (int, error) {
	all, err := s.releases(ctx, `r.state = 'held'`+firstFile+` ORDER BY r.seq LIMIT $1`, maxStaged)
	if err != nil {
		return 0, err
	}
	n := 0
	for _, r := range all {
		h, _, err := s.hold(ctx, r)
		if err != nil {
			return n, err
		}
		if h.Expires.IsZero() || s.record.Now().Before(h.Expires) {
			continue
		}
		if err := s.expire(ctx, r, h); err != nil {
			return n, err
		}
		n++
	}
	return n, nil
}

func (s *Service) expire(ctx context.Context, r release, h Hold) error {
	reason := fmt.Sprintf("staged on %s and not approved until %s", h.At.Format(time.DateOnly), h.Expires.Format(time.DateOnly))
	event := s.event(evidence.Actor{}, r, evidence.Publication{Event: evidence.Withdrawn, Message: reason})
	event.Issuer, event.Assurance = evidence.Issuer{Kind: evidence.Gate, ID: "publish"}, evidence.Observed
	guard := func(tx *sql.Tx) error {
		state, _, err := stateOf(ctx, tx, r)
		if err == nil && state != stateHeld {
			err = errMoved
		}
		return err
	}
	_, err := s.record.Append(ctx, guard, event, s.decision(evidence.Actor{}, r, "expire", "deny", "stage-expired", []string{reason}))
	if errors.Is(err, errMoved) {
		return nil
	}
	return err
}
