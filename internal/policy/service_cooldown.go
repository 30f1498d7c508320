package policy

import (
	"context"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/purl"
)

// CooldownPolicy is the policy that an exception names to let a release past the registry's cooldown.
const CooldownPolicy = "cooldown"

// Exempt lets a version, or by a purl without one every version of a name, past the cooldown until a time. It
// is an exception that one site administrator asks for and approves: nobody is harmed by a version that is as
// old as everybody else's. The caller has made sure that the actor is one. Codes: purl-invalid,
// exception-invalid.
func (s *Service) Exempt(ctx context.Context, actor evidence.Actor, component, reason string, expires time.Time) (ListedException, error) {
	p, err := purl.Parse(component)
	if err != nil {
		return ListedException{}, err
	}
	x := evidence.Exception{
		Event: evidence.Requested, Policy: CooldownPolicy, Scope: evidence.ExceptionScope{Component: string(p)},
		Reason: reason, Ticket: CooldownPolicy, Expires: expires.UTC().Truncate(time.Second), Actor: actor,
	}
	if err := checkException(x, s.clock.Now()); err != nil {
		return ListedException{}, err
	}
	if x.ID, err = s.append(ctx, nil, actor, x); err != nil {
		return ListedException{}, err
	}
	x.Event = evidence.Approved
	if _, err := s.append(ctx, nil, actor, x); err != nil {
		return ListedException{}, err
	}
	return s.Exception(ctx, x.ID)
}
