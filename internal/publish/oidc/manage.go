package oidc

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
)

const (
	maxPublishers = 20 // of a name
	// maxPending and pendingWindow keep somebody from reserving names by the dozen.
	maxPending    = 10
	pendingWindow = 24 * time.Hour
)

// Add registers a publisher of a name. Who may own the name may; for a name that nobody owns yet, an owner
// of p.Organisation may, and the publisher is pending. An empty p.Issuer is the provider's public service.
// Codes: publisher-invalid, publisher-exists, publisher-limit, issuer-unknown, and those of Authorize.
func (s *Service) Add(ctx context.Context, actor evidence.Actor, p Publisher) (Publisher, error) {
	if err := p.check(); err != nil {
		return Publisher{}, err
	}
	if err := s.setIssuer(ctx, &p); err != nil {
		return Publisher{}, err
	}
	if err := s.mayAdd(ctx, actor, &p); err != nil {
		return Publisher{}, err
	}
	// Whoever stole a token must not turn it into a right that outlives it.
	if err := s.Accounts.RequireFactor(ctx, actor); err != nil {
		return Publisher{}, err
	}
	id, err := s.newID()
	if err != nil {
		return Publisher{}, err
	}
	p.ID, p.Created, p.CreatedBy, p.LastUsed, p.Learnt, p.Flags = id, fromMillis(s.Clock.Now().UnixMilli()), actor.Account, time.Time{}, nil, nil
	guard := func(tx *sql.Tx) error { return s.insert(ctx, tx, p) }
	_, err = s.Record.Append(ctx, guard, s.managed(actor, "trust", p))
	return p, err
}

// setIssuer completes and checks whose tokens the publisher takes.
func (s *Service) setIssuer(ctx context.Context, p *Publisher) error {
	prov, err := providerNamed(p.Provider)
	if err != nil {
		return err
	}
	if p.Issuer == "" {
		if p.Issuer, err = s.defaultIssuer(ctx, prov, p.Claims); err != nil {
			return err
		}
	}
	if prov.family != nil && builtin(p.Issuer) == prov {
		return nil // it becomes one of those that are asked by this publisher
	}
	iss, err := s.issuerOf(ctx, p.Issuer)
	if err != nil {
		return fault.New(fault.Invalid, "issuer-unknown",
			"tokens of %q are not taken here; a site administrator registers an issuer with: hullmark trust issuer add", clip(p.Issuer)).Because(err)
	}
	if iss.provider != prov {
		return unfit("%s is registered as %s, not as %s", p.Issuer, iss.Provider, p.Provider)
	}
	return nil
}

// mayAdd decides whether the actor may, and whether the publisher has to wait for its name.
func (s *Service) mayAdd(ctx context.Context, actor evidence.Actor, p *Publisher) error {
	holder, err := s.Accounts.HolderOf(ctx, nil, p.Ecosystem, p.Name)
	if err != nil {
		return err
	}
	p.Pending = holder == "" && p.Organisation != ""
	if !p.Pending {
		p.Organisation = holder
		return s.Accounts.Authorize(ctx, actor, evidence.Own, p.Ecosystem, p.Name)
	}
	if err := s.Accounts.RequireOwner(ctx, actor, p.Organisation); err != nil {
		return err
	}
	_, err = s.Accounts.Outermost(p.Ecosystem, p.Name)
	return err
}

// insert writes a publisher, within the limits. Everybody who waits for the same name may.
func (s *Service) insert(ctx context.Context, tx *sql.Tx, p Publisher) error {
	claims, policy, err := encode(p)
	if err != nil {
		return err
	}
	var same, all, waiting int
	const count = `SELECT count(CASE WHEN provider = $3 AND issuer = $4 AND claims = $5 AND organisation = $6 THEN 1 END), count(*)
		FROM trusted_publisher WHERE ecosystem = $1 AND name = $2 AND removed = 0 AND organisation = $6`
	if err := tx.QueryRowContext(ctx, count, p.Ecosystem, p.Name, p.Provider, p.Issuer, claims, p.Organisation).Scan(&same, &all); err != nil {
		return fmt.Errorf("count publishers: %w", err)
	}
	const pending = `SELECT count(*) FROM trusted_publisher WHERE created_by = $1 AND pending = 1 AND created > $2`
	if err := tx.QueryRowContext(ctx, pending, p.CreatedBy, p.Created.Add(-pendingWindow).UnixMilli()).Scan(&waiting); err != nil {
		return fmt.Errorf("count pending publishers: %w", err)
	}
	switch {
	case same > 0:
		return fault.New(fault.Conflict, "publisher-exists", "%s trusts this pipeline already; remove the publisher first to change it", p.Name)
	case all >= maxPublishers:
		return fault.New(fault.TooLarge, "publisher-limit", "a name takes %d trusted publishers; remove one that is not used any more", maxPublishers)
	case p.Pending && waiting >= maxPending:
		return fault.New(fault.TooLarge, "publisher-limit",
			"%d pending publishers were registered within a day; wait, or claim the namespaces first", maxPending)
	}
	const query = `INSERT INTO trusted_publisher (id, ecosystem, name, provider, issuer, claims, learnt, policy, permission, organisation,
		pending, created, created_by, last_used, removed, whose) VALUES ($1, $2, $3, $4, $5, $6, '{}', $7, $8, $9, $10, $11, $12, 0, 0, $13)`
	_, err = tx.ExecContext(ctx, query, p.ID, p.Ecosystem, p.Name, p.Provider, p.Issuer, claims, policy, string(p.Permission), p.Organisation,
		bit(p.Pending), millis(p.Created), p.CreatedBy, p.whose())
	if err != nil {
		return fmt.Errorf("register publisher: %w", err)
	}
	return nil
}

// encode is a publisher's claims and policy as the table keeps them; maps are encoded in the order of keys,
// so that equal ones are equal texts.
func encode(p Publisher) (claims, policy string, err error) {
	c, err1 := json.Marshal(p.Claims)
	q, err2 := json.Marshal(p.Policy)
	return string(c), string(q), errors.Join(err1, err2)
}

// List returns the publishers of a name to who may own it, and flags those that need a look.
func (s *Service) List(ctx context.Context, actor evidence.Actor, ecosystem, name string) ([]Publisher, error) {
	if err := s.Accounts.Authorize(ctx, actor, evidence.Own, ecosystem, name); err != nil {
		return nil, err
	}
	found, err := s.publishers(ctx, `ecosystem = $1 AND name = $2 AND pending = 0`, ecosystem, name)
	if err != nil {
		return nil, err
	}
	for i := range found {
		if err := s.flag(ctx, &found[i]); err != nil {
			return nil, err
		}
	}
	return found, nil
}

// ListPending returns what waits for names on behalf of an organisation, to its owners.
func (s *Service) ListPending(ctx context.Context, actor evidence.Actor, organisation string) ([]Publisher, error) {
	if err := s.Accounts.RequireOwner(ctx, actor, organisation); err != nil {
		return nil, err
	}
	return s.publishers(ctx, `organisation = $1 AND pending = 1`, organisation)
}

// flag says why an owner should look at a publisher.
func (s *Service) flag(ctx context.Context, p *Publisher) error {
	may, err := s.Accounts.MayOwn(ctx, p.CreatedBy, p.Ecosystem, p.Name)
	if err != nil {
		return err
	}
	if !may {
		p.Flags = append(p.Flags, "creator-gone")
	}
	holder, err := s.Accounts.HolderOf(ctx, nil, p.Ecosystem, p.Name)
	if err != nil {
		return err
	}
	if holder != p.Organisation {
		p.Flags = append(p.Flags, "former-owner")
	}
	registered, err := s.registered(ctx)
	if err == nil && builtin(p.Issuer) == nil && registered[p.Issuer] == nil {
		p.Flags = append(p.Flags, "issuer-unregistered")
	}
	return err
}

// Remove takes a publisher of a name away, with the tokens that it has. Code publisher-missing.
func (s *Service) Remove(ctx context.Context, actor evidence.Actor, ecosystem, name, id string) error {
	if err := s.Accounts.Authorize(ctx, actor, evidence.Own, ecosystem, name); err != nil {
		return err
	}
	return s.remove(ctx, actor, `id = $1 AND ecosystem = $2 AND name = $3 AND pending = 0`, id, ecosystem, name)
}

// RemovePending takes a publisher away that waits for a name on behalf of an organisation.
func (s *Service) RemovePending(ctx context.Context, actor evidence.Actor, organisation, id string) error {
	if err := s.Accounts.RequireOwner(ctx, actor, organisation); err != nil {
		return err
	}
	return s.remove(ctx, actor, `id = $1 AND organisation = $2 AND pending = 1`, id, organisation)
}

// remove takes the one publisher away that where selects by its id and by what the actor may change.
func (s *Service) remove(ctx context.Context, actor evidence.Actor, where string, args ...any) error {
	if err := s.Accounts.RequireFactor(ctx, actor); err != nil {
		return err
	}
	found, err := s.publishers(ctx, where, args...)
	if err != nil {
		return err
	}
	if len(found) == 0 {
		return fault.New(fault.NotFound, "publisher-missing", "there is no such trusted publisher; list them to see their ids")
	}
	defer s.Accounts.Forget()
	_, err = s.Record.Append(ctx, func(tx *sql.Tx) error { return s.drop(ctx, tx, found[0].ID) }, s.managed(actor, "untrust", found[0]))
	return err
}

// drop marks a publisher removed and ends its tokens.
func (s *Service) drop(ctx context.Context, tx *sql.Tx, id string) error {
	if _, err := tx.ExecContext(ctx, `UPDATE trusted_publisher SET removed = $1 WHERE id = $2`, s.Clock.Now().UnixMilli(), id); err != nil {
		return fmt.Errorf("remove publisher: %w", err)
	}
	return s.Accounts.EndWorkloads(ctx, tx, id)
}

// publishers reads those that where selects, oldest first.
func (s *Service) publishers(ctx context.Context, where string, args ...any) ([]Publisher, error) {
	rows, err := s.db.Query().QueryContext(ctx, `SELECT id, ecosystem, name, provider, issuer, claims, learnt, policy, permission,
		organisation, pending, created, created_by, last_used FROM trusted_publisher WHERE removed = 0 AND `+where+` ORDER BY created, id`, args...)
	if err != nil {
		return nil, fmt.Errorf("read publishers: %w", err)
	}
	defer rows.Close()
	var out []Publisher
	for rows.Next() {
		var p Publisher
		var claims, learnt, policy string
		var created, used int64
		if err := rows.Scan(&p.ID, &p.Ecosystem, &p.Name, &p.Provider, &p.Issuer, &claims, &learnt, &policy, &p.Permission,
			&p.Organisation, &p.Pending, &created, &p.CreatedBy, &used); err != nil {
			return nil, fmt.Errorf("read publishers: %w", err)
		}
		p.Created, p.LastUsed = fromMillis(created), fromMillis(used)
		if err := errors.Join(json.Unmarshal([]byte(claims), &p.Claims), json.Unmarshal([]byte(learnt), &p.Learnt), json.Unmarshal([]byte(policy), &p.Policy)); err != nil {
			return nil, fmt.Errorf("read publisher %s: %w", p.ID, err)
		}
		out = append(out, p)
	}
	return out, rows.Err()
}

// managed is the statement that somebody changed whom a name trusts.
func (s *Service) managed(actor evidence.Actor, action string, p Publisher) evidence.Draft {
	input, err := json.Marshal(map[string]any{
		"publisher": p.ID, "provider": p.Provider, "issuer": p.Issuer, "claims": p.Claims, "policy": p.Policy, "permission": p.Permission,
		"organisation": p.Organisation, "pending": p.Pending,
	})
	if err != nil {
		input = nil // strings and numbers: it cannot
	}
	return s.decision(evidence.Decision{Action: action, Verdict: "allow", Actor: actor, Input: input}, p.Ecosystem, p.Name)
}

// decision is a statement of the publish gate about a name.
func (s *Service) decision(d evidence.Decision, ecosystem, name string) evidence.Draft {
	d.Gate, d.Policy, d.Head = "publish", Revision, s.Record.Head()
	return evidence.Draft{
		Subjects:  []evidence.Subject{evidence.About(purl.New(ecosystem, name, ""), "")},
		Predicate: d, Issuer: evidence.Issuer{Kind: evidence.Gate, ID: "publish"}, Assurance: evidence.Observed,
	}
}
