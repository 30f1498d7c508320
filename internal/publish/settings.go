package publish

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"sync"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

// actionSettings is the action of the decisions that put settings in force. They are statements like
// everything else: an old decision can be read beside the settings that it followed.
const actionSettings = "hold-settings"

// Scope is what settings are for: the site, a namespace or one name.
type Scope struct {
	Ecosystem string // "" for the site
	Namespace string // "" for the site and for a name
	Name      string // "" for the site and for a namespace
}

func (sc Scope) String() string {
	switch {
	case sc.Namespace != "":
		return sc.Ecosystem + " " + sc.Namespace
	case sc.Name != "":
		return sc.Ecosystem + " " + sc.Name
	}
	return "the site"
}

// subject is what statements about the scope's settings are about.
func (sc Scope) subject() string {
	switch {
	case sc.Namespace != "":
		return "holds:namespace:" + sc.Ecosystem + ":" + sc.Namespace
	case sc.Name != "":
		return "holds:name:" + sc.Ecosystem + ":" + sc.Name
	}
	return "holds:site"
}

// mayGovern fails unless the actor may change the scope's settings.
func (s *Service) mayGovern(ctx context.Context, actor evidence.Actor, sc Scope) error {
	switch {
	case actor.Workload != nil:
		return fault.New(fault.Denied, "person-required", "how the publish gate works is for people to change, not for a pipeline; log in and do it")
	case sc.Namespace != "":
		return s.access.Govern(ctx, actor, sc.Ecosystem, sc.Namespace)
	case sc.Name != "":
		return s.access.Authorize(ctx, actor, evidence.Own, sc.Ecosystem, sc.Name)
	}
	return s.access.RequireAdmin(ctx, actor)
}

// SetSettings puts settings in force, in place of the scope's former ones; the zero value takes them all
// from around. The site's are for site administrators, the others for owners. Codes:
// hold-settings-invalid, person-required and those of Authorize and Govern.
func (s *Service) SetSettings(ctx context.Context, actor evidence.Actor, sc Scope, to Settings) error {
	if err := s.mayGovern(ctx, actor, sc); err != nil {
		return err
	}
	if err := to.check(); err != nil {
		return err
	}
	input, err := json.Marshal(to)
	if err != nil {
		return err
	}
	_, err = s.record.Append(ctx, nil, s.rule(actor, sc.subject(), actionSettings, "holds of "+sc.String()+" changed", input))
	return err
}

// rule is a statement about how the gate works from here on.
func (s *Service) rule(actor evidence.Actor, subject, action, reason string, input json.RawMessage) evidence.Draft {
	return evidence.Draft{
		Subjects: []evidence.Subject{{Name: subject}},
		Predicate: evidence.Decision{
			Gate: "publish", Action: action, Verdict: "allow", Reasons: []string{reason},
			Policy: Revision, Head: s.record.Head(), Actor: actor, Input: input,
		},
		Issuer: actor.Issuer(), Assurance: evidence.Authenticated,
	}
}

// Settings returns the settings of exactly this scope, and those in force there, with what comes from
// around. Who may publish the name, or govern the scope, may see them.
func (s *Service) Settings(ctx context.Context, actor evidence.Actor, sc Scope) (own, inForce Settings, err error) {
	if err := s.maySee(ctx, actor, sc); err != nil {
		return own, inForce, err
	}
	chain := []Scope{{}}
	switch {
	case sc.Namespace != "":
		chain = append(chain, sc)
	case sc.Name != "":
		if chain, err = s.chain(ctx, sc.Ecosystem, sc.Name); err != nil {
			return own, inForce, err
		}
	}
	if own, err = s.latest(ctx, sc); err != nil {
		return own, inForce, err
	}
	inForce, err = s.resolve(ctx, chain)
	return own, inForce, err
}

func (s *Service) maySee(ctx context.Context, actor evidence.Actor, sc Scope) error {
	if sc.Name == "" {
		return s.mayGovern(ctx, actor, sc)
	}
	err := s.access.Authorize(ctx, actor, evidence.Stage, sc.Ecosystem, sc.Name)
	if err != nil && s.access.RequireAdmin(ctx, actor) == nil {
		return nil
	}
	return err
}

// chain is the scopes of a name, the widest first.
func (s *Service) chain(ctx context.Context, ecosystem, name string) ([]Scope, error) {
	chain := []Scope{{}}
	if s.people != nil {
		namespace, err := s.people.NamespaceOf(ctx, ecosystem, name)
		if err != nil {
			return nil, fmt.Errorf("namespace of %s: %w", name, err)
		}
		if namespace != "" {
			chain = append(chain, Scope{Ecosystem: ecosystem, Namespace: namespace})
		}
	}
	return append(chain, Scope{Ecosystem: ecosystem, Name: name}), nil
}

// of returns the settings in force for a name.
func (s *Service) of(ctx context.Context, ecosystem, name string) (Settings, error) {
	chain, err := s.chain(ctx, ecosystem, name)
	if err != nil {
		return Settings{}, err
	}
	return s.resolve(ctx, chain)
}

func (s *Service) resolve(ctx context.Context, chain []Scope) (Settings, error) {
	own, err := s.newest(ctx, chain)
	out := Defaults()
	for _, one := range own {
		out = one.over(out)
	}
	return out, err
}

// latest returns the scope's own settings.
func (s *Service) latest(ctx context.Context, sc Scope) (Settings, error) {
	own, err := s.newest(ctx, []Scope{sc})
	if err != nil {
		return Settings{}, err
	}
	return own[0], nil
}

// newest returns the own settings of each scope. Every publication asks, so it is one query.
func (s *Service) newest(ctx context.Context, chain []Scope) ([]Settings, error) {
	own := make([]Settings, len(chain))
	subjects := [3]string{}
	for i, sc := range chain {
		subjects[i] = sc.subject()
	}
	rows, err := s.record.DB().Query().QueryContext(ctx, `SELECT subject, max(seq) FROM decision WHERE subject IN ($1, $2, $3)
		AND gate = 'publish' AND verdict = 'allow' AND action = $4 GROUP BY subject`, subjects[0], subjects[1], subjects[2], actionSettings)
	if err != nil {
		return own, fmt.Errorf("read settings of holds: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var subject string
		var seq int64
		if err := rows.Scan(&subject, &seq); err != nil {
			return own, fmt.Errorf("read settings of holds: %w", err)
		}
		if own[slices.Index(subjects[:], subject)], err = s.settingsAt(ctx, seq); err != nil {
			return own, err
		}
	}
	return own, rows.Err()
}

// settingsAt returns the settings that a statement puts in force.
func (s *Service) settingsAt(ctx context.Context, seq int64) (to Settings, err error) {
	if known, ok := s.parsed.get(seq); ok {
		return known, nil
	}
	entries, err := s.record.Entries(ctx, seq, seq+1)
	if err != nil {
		return to, err
	}
	st, err := evidence.DecodeStatement(entries[0])
	if err != nil {
		return to, err
	}
	d, err := evidence.Decode[evidence.Decision](st)
	if err != nil {
		return to, err
	}
	if err := json.Unmarshal(d.Input, &to); err != nil {
		return to, fmt.Errorf("settings in decision %d: %w", seq, err)
	}
	s.parsed.put(seq, to)
	return to, nil
}

// latestRule returns number and action of the newest statement about the subject that has one of two
// actions; the number is -1 when there is none.
func (s *Service) latestRule(ctx context.Context, subject, action, other string) (seq int64, which string, err error) {
	err = s.record.DB().Query().QueryRowContext(ctx, `SELECT seq, action FROM decision WHERE subject = $1 AND gate = 'publish'
		AND verdict = 'allow' AND action IN ($2, $3) ORDER BY seq DESC LIMIT 1`, subject, action, other).Scan(&seq, &which)
	if errors.Is(err, sql.ErrNoRows) {
		return -1, "", nil
	}
	if err != nil {
		return -1, "", fmt.Errorf("read %s: %w", subject, err)
	}
	return seq, which, nil
}

// settingsCache keeps settings by the number of the statement that they are in, which never changes.
type settingsCache struct {
	mu  sync.Mutex
	all map[int64]Settings // guarded by mu; at most maxCached
}

const maxCached = 1000

func (c *settingsCache) get(seq int64) (Settings, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	to, ok := c.all[seq]
	return to, ok
}

func (c *settingsCache) put(seq int64, to Settings) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.all == nil || len(c.all) >= maxCached {
		c.all = map[int64]Settings{}
	}
	c.all[seq] = to
}
