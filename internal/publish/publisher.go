package publish

import (
	"fmt"
	"time"
)

// fresh is how long a change of an account's credentials makes what it publishes wait.
const fresh = 24 * time.Hour

// lookAtPublisher asks whether its publisher is a stranger to the name, and whether somebody has got hold
// of the account lately.
func (r *review) lookAtPublisher() error {
	c := r.candidate
	if c.Actor.Account == "" {
		return nil
	}
	var others, own int
	err := r.record.DB().Query().QueryRowContext(r.ctx, `SELECT
			EXISTS (SELECT 1 FROM publication x WHERE x.package_id = p.id AND x.event IN ('published', 'released', 'held')),
			EXISTS (SELECT 1 FROM release r WHERE r.package_id = p.id AND r.publisher = $3 AND r.state = 'active')
		FROM package p WHERE p.ecosystem = $1 AND p.name = $2`, c.Ecosystem, c.Name, c.Actor.Account).Scan(&others, &own)
	if err = ignoreNone(err); err != nil {
		return fmt.Errorf("publishers: %w", err)
	}
	if others == 1 && own == 0 {
		r.found(PrincipalNew, fmt.Sprintf("%s has published no version of %s that is offered", who(c.Actor), c.Name))
	}
	if r.people == nil || c.Actor.Workload != nil {
		return nil
	}
	changed, err := r.people.LastCredentialChange(r.ctx, c.Actor.Account)
	if err != nil {
		return fmt.Errorf("credentials: %w", err)
	}
	if age := r.now.Sub(changed); !changed.IsZero() && age < fresh {
		r.found(CredentialChanged, fmt.Sprintf("the credentials of %s changed %s ago", c.Actor.Account, age.Truncate(time.Minute)))
	}
	return nil
}

// lately is how many of an account's publications are looked at for a burst at least.
const lately = 300

// lookAtBurst counts what its publisher has published lately, over all names and ecosystems. Versions
// that are held count, so that a worm cannot go on by waiting for nothing.
func (r *review) lookAtBurst() error {
	limit := r.settings.Burst
	if r.candidate.Actor.Account == "" || strength[r.settings.Rules[Burst]] == 0 {
		return nil
	}
	since := r.now.Add(-time.Duration(limit.Within)).UTC().Format(timeFormat)
	var publications, names int
	err := r.record.DB().Query().QueryRowContext(r.ctx, `SELECT count(DISTINCT package_id || ' ' || version), count(DISTINCT package_id)
		FROM (SELECT package_id, version, at, event FROM publication WHERE account = $1 ORDER BY seq DESC LIMIT $2)
		WHERE at > $3 AND event IN ('published', 'held')`, r.candidate.Actor.Account, max(lately, 4*limit.Publications), since).Scan(&publications, &names)
	if err != nil {
		return fmt.Errorf("count publications: %w", err)
	}
	if publications >= limit.Publications && names >= limit.Names {
		r.found(Burst, fmt.Sprintf("%s has published %d versions of %d names within %s",
			who(r.candidate.Actor), publications, names, time.Duration(limit.Within)))
	}
	return nil
}
