package account

import (
	"context"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

// maxCooldown bounds a cooldown. Longer ones would keep fixes of security holes away for good.
const maxCooldown = 90 * 24 * time.Hour

// cooldownSQL adds the cooldown of a namespace, in seconds. (SQLite keeps a comment behind the column as
// part of the table's text, and then cannot read it.)
const cooldownSQL = `ALTER TABLE namespace ADD COLUMN cooldown BIGINT NOT NULL DEFAULT 0`

// Cooldown returns how old a version of the name must be before consumers get it; 0 is off.
func (s *Service) Cooldown(ctx context.Context, ecosystem, name string) (time.Duration, error) {
	g, err := s.grant(ctx, "", ecosystem, name, evidence.Read)
	return g.age(), err
}

func (g grant) age() time.Duration { return time.Duration(g.cooldown) * time.Second }

// SetCooldown changes how old versions in a namespace must be before consumers get them, in whole
// seconds up to 90 days; 0 turns it off. Owners of its organisation and site administrators may.
// Codes: cooldown-invalid and those of [Service.SetVisibility].
func (s *Service) SetCooldown(ctx context.Context, actor evidence.Actor, ecosystem, pattern string, d time.Duration) error {
	pattern, err := checkClaim(ecosystem, pattern, Private)
	if err != nil {
		return err
	}
	if d < 0 || d > maxCooldown || d%time.Second != 0 {
		return fault.New(fault.Invalid, "cooldown-invalid", "a cooldown is 0 (off) to 90 days in whole seconds, like 24h; not %s", d)
	}
	return s.changeNamespace(ctx, actor, ecosystem, pattern, `UPDATE namespace SET cooldown = $1 WHERE ecosystem = $2 AND pattern = $3`,
		int64(d/time.Second))
}
