package registry

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/purl"
)

// CooldownPolicy is the policy that an exception names to let a release past the cooldown. Its scope's
// component is a purl: of a version, or without one of every version of the name.
const CooldownPolicy = "cooldown"

// DefaultCooldown is how old a version from an upstream must be before it is served, where nobody has said
// otherwise: malicious versions are found within hours, as a rule.
const DefaultCooldown = 72 * time.Hour

// WithUpstreamCooldown sets how old versions from upstreams must be. It is called before the core is used.
func (c *Core) WithUpstreamCooldown(d time.Duration) *Core {
	c.upstreamCooldown = d
	return c
}

// UpstreamCooldown returns how old versions from upstreams must be.
func (c *Core) UpstreamCooldown() time.Duration { return c.upstreamCooldown }

// exemptions are the exceptions from the cooldown, as of a head of the record.
type exemptions struct {
	head  int64
	last  int64                   // the newest statement about one
	until map[purl.PURL]exemption // by release, or by name
}

// exemption is an exception from the cooldown.
type exemption struct {
	id    int64
	until time.Time
}

// exempted returns the exceptions from the cooldown that were approved and not revoked.
func (c *Core) exempted(ctx context.Context) (*exemptions, error) {
	head := c.record.Head()
	if known := c.exempt.Load(); known != nil && known.head == head {
		return known, nil
	}
	found := &exemptions{head: head, until: map[purl.PURL]exemption{}}
	rows, err := c.record.DB().Query().QueryContext(ctx, `SELECT id, scope, expires, approved_seq, revoked_seq FROM exception
		WHERE policy = $1 AND approved_seq > 0`, CooldownPolicy)
	if err != nil {
		return nil, fmt.Errorf("exceptions from the cooldown: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var raw, expires string
		var id, approved, revoked int64
		var scope evidence.ExceptionScope
		if err := rows.Scan(&id, &raw, &expires, &approved, &revoked); err != nil {
			return nil, fmt.Errorf("exceptions from the cooldown: %w", err)
		}
		found.last = max(found.last, approved, revoked)
		if err := json.Unmarshal([]byte(raw), &scope); err != nil {
			return nil, fmt.Errorf("exceptions from the cooldown: %w", err)
		}
		until, terr := time.Parse(time.RFC3339Nano, expires)
		p, perr := purl.Parse(scope.Component)
		only := evidence.ExceptionScope{Component: scope.Component} // the gate knows no cluster and no workload
		if revoked == 0 && terr == nil && perr == nil && scope == only && until.After(found.until[p].until) {
			found.until[p] = exemption{id, until}
		}
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	c.exempt.Store(found)
	return found, nil
}

// Exempted reports whether a release, or its name, is let past the cooldown now.
func (c *Core) Exempted(ctx context.Context, p purl.PURL) (bool, error) {
	e, err := c.exempted(ctx)
	return err == nil && e.of(c.now(), p) != none, err
}

// none is no exception's number: that is its statement's place in the record, which may be 0.
const none = -1

// of returns the number of the exception by which one of the names is exempt at a time, or none.
func (e *exemptions) of(at time.Time, names ...purl.PURL) int64 {
	for _, p := range names {
		if one := e.until[p]; at.Before(one.until) {
			return one.id
		}
	}
	return none
}

// whyEarly returns why a release of an upstream's that would have to wait need not: by the exception of a number, or
// because of what it repairs. Others have neither.
func (c *Core) whyEarly(ctx context.Context, ecosystem, name string, r Release) (exception int64, reason string) {
	if r.Origin == "" || c.upstreamCooldown <= 0 || !c.now().Before(r.Published.Add(c.upstreamCooldown)) {
		return none, ""
	}
	exempt, err := c.exempted(ctx)
	if err != nil {
		return none, "" // it was asked a moment ago; the decision stands, and is counted without it
	}
	if exception = exempt.of(c.now(), r.PURL, purl.New(ecosystem, name, "")); exception != none {
		return exception, ""
	}
	if id := c.repairs(r.PURL); id != "" {
		return none, "it repairs " + id
	}
	return none, ""
}

// mark is a word that changes with the exceptions that are in force.
func (e *exemptions) mark(at time.Time) string {
	n := 0
	for _, until := range e.until {
		if at.Before(until.until) {
			n++
		}
	}
	return fmt.Sprintf("%d-%d", e.last, n)
}

// listedSchema is where the times of young releases are remembered. Unlike what else an upstream says they cannot be
// asked for again; without the table a version could only be older than it is.
const listedSchema = `CREATE TABLE listed_release (
		ecosystem TEXT NOT NULL,
		name      TEXT NOT NULL,
		version   TEXT NOT NULL,
		file      TEXT NOT NULL,
		published BIGINT NOT NULL,
		PRIMARY KEY (ecosystem, name, version, file)
	) WITHOUT ROWID`

// listedKey is a file of a version of a name.
type listedKey struct{ version, file string }

// now is the core's time; the machine's where no clock was given.
func (c *Core) now() time.Time {
	if c.clock == nil {
		return time.Now().UTC()
	}
	return c.clock.Now()
}

// firstListed returns when the versions that are young, or do not say how old they are, came out: as they said
// when they were listed first. It remembers those that are new.
func (c *Core) firstListed(ctx context.Context, ecosystem, name string, all []Listed) (map[listedKey]time.Time, error) {
	times, err := c.rememberedTimes(ctx, ecosystem, name)
	if err != nil {
		return nil, err
	}
	now, fresh := c.now(), map[listedKey]time.Time{}
	for _, l := range all {
		at, key := l.Published, listedKey{l.Version, l.File}
		if at.IsZero() || at.After(now) {
			at = now
		}
		if _, known := times[key]; !known && now.Sub(at) < max(c.upstreamCooldown, time.Hour) {
			fresh[key], times[key] = at, at
		}
	}
	if len(fresh) == 0 {
		return times, nil
	}
	return times, c.record.DB().Write(ctx, func(tx *sql.Tx) error {
		for key, at := range fresh {
			_, err := tx.ExecContext(ctx, `INSERT INTO listed_release (ecosystem, name, version, file, published) VALUES ($1, $2, $3, $4, $5)
				ON CONFLICT DO NOTHING`, ecosystem, name, key.version, key.file, at.UnixMilli())
			if err != nil {
				return fmt.Errorf("remember what was listed: %w", err)
			}
		}
		return nil
	})
}

func (c *Core) rememberedTimes(ctx context.Context, ecosystem, name string) (map[listedKey]time.Time, error) {
	rows, err := c.record.DB().Query().QueryContext(ctx, `SELECT version, file, published FROM listed_release WHERE ecosystem = $1 AND name = $2`, ecosystem, name)
	if err != nil {
		return nil, fmt.Errorf("what was listed: %w", err)
	}
	defer rows.Close()
	out := map[listedKey]time.Time{}
	for rows.Next() {
		var key listedKey
		var published int64
		if err := rows.Scan(&key.version, &key.file, &published); err != nil {
			return nil, fmt.Errorf("what was listed: %w", err)
		}
		out[key] = time.UnixMilli(published).UTC()
	}
	return out, rows.Err()
}

// Seen is a version that an upstream's tag stood for.
type Seen struct {
	Version string
	At      time.Time
	Exempt  bool // from the cooldown
}

// SeenUnder returns what was seen under a tag of an upstream's name.
func (c *Core) SeenUnder(ctx context.Context, ecosystem, name, tag string) ([]Seen, error) {
	rows, err := c.record.DB().Query().QueryContext(ctx, `SELECT version, published FROM listed_release
		WHERE ecosystem = $1 AND name = $2 AND file = $3`, ecosystem, name, tag)
	if err != nil {
		return nil, fmt.Errorf("seen under %s: %w", tag, err)
	}
	defer rows.Close()
	var out []Seen
	for rows.Next() {
		var s Seen
		var at int64
		if err := rows.Scan(&s.Version, &at); err != nil {
			return nil, fmt.Errorf("seen under %s: %w", tag, err)
		}
		s.At = time.UnixMilli(at).UTC()
		out = append(out, s)
	}
	return out, rows.Err()
}

// SawUnder remembers that an upstream's tag stands for a version. The first time counts.
func (c *Core) SawUnder(ctx context.Context, ecosystem, name, tag string, s Seen) error {
	return c.record.DB().Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO listed_release (ecosystem, name, version, file, published) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT DO NOTHING`, ecosystem, name, s.Version, tag, s.At.UnixMilli())
		return err
	})
}
