package registry

import (
	"context"
	"time"

	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
)

// Cooldowns says how old a version must be before consumers get it. The account package implements it.
type Cooldowns interface {
	// Cooldown returns 0 for a name that has none.
	Cooldown(ctx context.Context, ecosystem, name string) (time.Duration, error)
}

// WithCooldowns makes the pull gate keep versions back that are too young. It is called before the
// core is used.
func (c *Core) WithCooldowns(by Cooldowns, clk clock.Clock) *Core {
	c.cooldowns, c.clock = by, clk
	return c
}

// Cooldown returns how old a version of the name must be before consumers get it; 0 is off. What is hosted
// or owned here has its namespace's, and what comes from an upstream the server's, unless the name is exempt.
func (c *Core) Cooldown(ctx context.Context, ecosystem, name string) (time.Duration, error) {
	if c.cooldowns == nil {
		return 0, nil
	}
	if c.upstreamCooldown > 0 {
		hosted, err := c.Hosted(ctx, ecosystem, name)
		if err != nil {
			return 0, err
		}
		if !hosted {
			return c.cooldownUpstream(ctx, ecosystem, name)
		}
	}
	return c.cooldowns.Cooldown(ctx, ecosystem, name)
}

func (c *Core) cooldownUpstream(ctx context.Context, ecosystem, name string) (time.Duration, error) {
	exempt, err := c.exempted(ctx)
	if err != nil || exempt.of(c.now(), purl.New(ecosystem, name, "")) != none {
		return 0, err
	}
	return c.upstreamCooldown, nil
}

// Ripe returns from when on consumers get the release under a cooldown: the zero time when it does
// not have to wait. One that a second person has approved does not.
func (r Release) Ripe(cooldown time.Duration) time.Time {
	if cooldown <= 0 || r.Approved {
		return time.Time{}
	}
	return r.Published.Add(cooldown)
}

// checkRipe refuses a release that is too young, with code release-too-young. Nobody is exempt by
// their role: the machines of those who publish are the ones that a worm wants. Only the account that
// published the very release may have it, as it has it anyway: to sign it, say.
func (c *Core) checkRipe(ctx context.Context, actor evidence.Actor, ecosystem, name string, r Release) error {
	cooldown, err := c.Cooldown(ctx, ecosystem, name)
	if err != nil || cooldown == 0 {
		return err
	}
	ripe := r.Ripe(cooldown)
	if !c.clock.Now().Before(ripe) || !actor.Anonymous() && actor.Account == r.Publisher {
		return nil
	}
	return TooYoung(r, cooldown)
}

// TooYoung is the refusal of a release that is younger than the cooldown.
func TooYoung(r Release, cooldown time.Duration) error {
	otherwise := "when a second person approves it: hullmark approve"
	if r.Origin != "" {
		otherwise = "when an administrator exempts it: hullmark cooldown exempt"
	}
	return fault.New(fault.Policy, "release-too-young", "%s was published less than %s ago; it is available from %s, or at once %s '%s'",
		r.PURL, short(cooldown), r.Ripe(cooldown).UTC().Format("2006-01-02 15:04:05 UTC"), otherwise, r.PURL)
}

// short is a duration without parts that are zero.
func short(d time.Duration) string {
	switch {
	case d%time.Hour == 0:
		return d.Truncate(time.Hour).String()[:len(d.String())-len("0m0s")]
	case d%time.Minute == 0:
		return d.String()[:len(d.String())-len("0s")]
	}
	return d.String()
}
