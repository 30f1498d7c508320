package registry

import (
	"context"
	"time"
)

// Sieve decides which releases of a name consumers see at a moment, and remembers why not the others.
type Sieve struct {
	Cooldown time.Duration
	Until    time.Time // when the next release ripens; zero for never
	// Kept is why the last release that was kept back was, and Young the same of the last that is too young; nil
	// for none. Nobody is told why a release was withdrawn.
	Kept, Young error

	now time.Time
}

// Sieve returns one for a name.
func (c *Core) Sieve(ctx context.Context, ecosystem, name string) (*Sieve, error) {
	cooldown, err := c.Cooldown(ctx, ecosystem, name)
	return &Sieve{Cooldown: cooldown, now: c.now()}, err
}

// Passes reports whether consumers see the release.
func (s *Sieve) Passes(r Release) bool {
	switch ripe := r.Ripe(s.Cooldown); {
	case r.State == Withdrawn:
	case r.Recalled != "":
		s.Kept = RecalledRelease(r)
	case r.State == Held:
		s.Kept = heldBack(r.PURL)
	case s.now.Before(ripe):
		if s.Until.IsZero() || ripe.Before(s.Until) {
			s.Until = ripe
		}
		s.Young = TooYoung(r, s.Cooldown)
		s.Kept = s.Young
	default:
		return true
	}
	return false
}
