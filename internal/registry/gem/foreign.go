package gem

import (
	"context"
	"time"
)

// foreign is what the list of all names knows of the upstream's.
type foreign struct {
	looked time.Time
	// asked are the versions of the names that clients asked for since the start: the specs indexes list
	// these, and not the million that the upstream has.
	asked map[string][]string
}

func (x *index) syncForeign(ctx context.Context, now time.Time) error { return nil }

func (r *Registry) proxied(ctx context.Context, spelling, state string, old *offer) (*offer, error) {
	return nil, unknownName(spelling)
}
