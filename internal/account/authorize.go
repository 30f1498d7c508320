package account

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

// grantKey asks what an account, or nobody (""), is to a name.
type grantKey struct{ account, ecosystem, name string }

// grant answers it. An empty namespace means that nobody owns the name.
type grant struct {
	namespace  string
	owner      string // organisation
	visibility Visibility
	cooldown   int64 // seconds
	unproven   bool  // the namespace is a domain, and its proof is missing or gone
	role       Role
	demands    demands // second factors that the rules ask for
}

// Authorize reports, as an error, why actor may not do perm with a name of an ecosystem.
//
// What is public, or owned by nobody and so not published here, anyone may read. Everything else
// needs a live credential, a role that allows it and a token whose scope reaches it. Site
// administrators may read everything; for publishing and owning they need a role like anyone else.
//
// Whoever holds the right may still be frozen after a change of credentials, or lack the second
// factor that a rule asks for; [evidence.NeedsFactor] tells the latter from all other refusals. To own
// is to govern: it takes the factor of an account that has one without any rule, and no bypass does.
//
// Codes: login-required (401), credential-invalid, token-expired; name-unknown for a private name
// that the actor must not learn of; namespace-unowned, namespace-unproven, namespace-not-yours,
// token-scope (403);
// publishing-frozen; otp-required, webauthn-required (401), factor-missing, token-bypass; name-invalid and
// ecosystem-unknown.
func (s *Service) Authorize(ctx context.Context, actor evidence.Actor, perm evidence.Permission, ecosystem, name string) error {
	return s.authorize(ctx, actor, perm, ecosystem, name, s.thawed)
}

// MayStop fails unless the actor may stop a release of the name, as Authorize does for Own but for the
// freeze: whoever has just taken their account back is who wants to stop what a thief published with it.
func (s *Service) MayStop(ctx context.Context, actor evidence.Actor, ecosystem, name string) error {
	return s.authorize(ctx, actor, evidence.Own, ecosystem, name, func(context.Context, *credential) error { return nil })
}

// authorize is Authorize. thawed says whether the account may change what others get at all.
func (s *Service) authorize(ctx context.Context, actor evidence.Actor, perm evidence.Permission, ecosystem, name string,
	thawed func(context.Context, *credential) error) error {
	g, err := s.grant(ctx, actor.Account, ecosystem, name, perm)
	if err != nil {
		return err
	}
	if perm == evidence.Read && (g.namespace == "" || g.visibility == Public) {
		return nil
	}
	if done, err := s.authorizeWorkload(ctx, actor, g, perm, ecosystem, name); done {
		return err
	}
	c, err := s.live(ctx, actor)
	if err != nil {
		return err
	}
	if err := g.decide(c, perm, ecosystem, name); err != nil {
		return err
	}
	if !c.scope.allows(perm, ecosystem, name) {
		return fault.New(fault.Denied, "token-scope",
			"the token does not reach this: it needs %s on %s %s; use another token or make one with that scope", perm, ecosystem, name)
	}
	if perm == evidence.Read {
		return nil
	}
	if perm != evidence.Stage { // what is staged waits for somebody all the same
		if err := thawed(ctx, c); err != nil {
			return err
		}
	}
	if perm == evidence.Own && actor.Workload == nil {
		if err := s.govern(ctx, c, actor, AnyFactor); err != nil {
			return err
		}
	}
	return s.require(ctx, c, actor, g.demands[ranks[perm]])
}

// live returns the credential that the actor authenticated with, if it still is valid and, where the
// account has a second factor, is more than a password.
func (s *Service) live(ctx context.Context, actor evidence.Actor) (*credential, error) {
	c, err := s.known(ctx, actor)
	if err == nil && c.workload != nil {
		return nil, errWorkload()
	}
	if err != nil || !c.half || actor.Factor != "" {
		return c, err
	}
	st, err := s.standing(ctx, c.account)
	if err != nil {
		return nil, err
	}
	if st.hasFactor() {
		return nil, errFactor()
	}
	return c, nil
}

// known returns the credential that the actor authenticated with, if it still is valid.
// The address was checked when the actor authenticated.
func (s *Service) known(ctx context.Context, actor evidence.Actor) (*credential, error) {
	if actor.Anonymous() {
		return nil, fault.New(fault.Unauthenticated, "login-required", "this needs a login; log in or send a token")
	}
	c, err := s.credentialByName(ctx, actor.Credential)
	if err != nil {
		return nil, err
	}
	if !c.heldBy(actor.Account) {
		return nil, errCredential()
	}
	if err := c.expired(s.clk.Now()); err != nil {
		return nil, err
	}
	return c, nil
}

// decide compares a grant with what is wanted.
func (g grant) decide(c *credential, perm evidence.Permission, ecosystem, name string) error {
	switch {
	case g.namespace == "":
		return errUnowned(ecosystem, name)
	case g.unproven && perm != evidence.Read && g.role.Allows(perm):
		return errUnproven(ecosystem, g.namespace)
	case g.role.Allows(perm), perm == evidence.Read && c.admin:
		return nil
	case perm == evidence.Read:
		return errNameUnknown(name)
	case g.role == "":
		return fault.New(fault.Denied, "namespace-not-yours",
			"%q belongs to %s, and %s has no role there; ask one of its owners for one", g.namespace, g.owner, c.account)
	}
	return fault.New(fault.Denied, "namespace-not-yours",
		"%q belongs to %s, where %s is %s; that is not enough to %s, ask one of its owners", g.namespace, g.owner, c.account, g.role, wanted(perm))
}

// wanted is a permission as a verb, for a sentence.
func wanted(perm evidence.Permission) string {
	if perm == evidence.Own {
		return "withdraw a version or change who publishes"
	}
	return string(perm)
}

func errUnowned(ecosystem, name string) error {
	root := rules[ecosystem].root(name)
	return fault.New(fault.Denied, "namespace-unowned",
		"%q is not owned by anyone here; claim it with: hullmark namespace claim %s %s --org <your organisation>", root, ecosystem, root)
}

func errNameUnknown(name string) error {
	return fault.New(fault.NotFound, "name-unknown", "there is no %q here, or you may not see it", clip(name))
}

// grant returns what account is to a name, from the cache or the tables.
func (s *Service) grant(ctx context.Context, account, ecosystem, name string, perm evidence.Permission) (grant, error) {
	key := grantKey{account, ecosystem, name}
	cache := s.cache.Load()
	if g, ok := cache.granted.get(key); ok {
		return g, nil
	}
	r, err := ruleFor(ecosystem)
	if err != nil {
		return grant{}, err
	}
	if !r.validName(name) {
		return grant{}, errName(ecosystem, name, perm)
	}
	g, err := readGrant(ctx, s.db.Query(), key)
	if err != nil {
		return grant{}, fmt.Errorf("read grant: %w", err)
	}
	cache.granted.put(key, g)
	return g, nil
}

// errName: what cannot be published here cannot be found here either.
func errName(ecosystem, name string, perm evidence.Permission) error {
	if perm == evidence.Read {
		return errNameUnknown(name)
	}
	return fault.New(fault.Invalid, "name-invalid", "%q is not a valid %s name; rename the package", clip(name), ecosystem)
}

// readGrant finds the narrowest namespace that covers the name and the account's role in it.
func readGrant(ctx context.Context, q querier, k grantKey) (grant, error) {
	holders := rules[k.ecosystem].holders(k.name)
	args := []any{k.ecosystem, k.account, k.name}
	places := make([]string, len(holders))
	for i, h := range holders {
		args = append(args, h)
		places[i] = fmt.Sprintf("$%d", len(args))
	}
	query := `SELECT n.pattern, n.organisation, n.visibility, n.cooldown,
		EXISTS (SELECT 1 FROM namespace_proof f WHERE f.ecosystem = n.ecosystem AND f.pattern = n.pattern AND f.valid = 0),
		COALESCE((SELECT m.role FROM organisation_member m WHERE m.organisation = n.organisation AND m.account = $2), ''),
		COALESCE((SELECT p.role FROM package_member p WHERE p.ecosystem = n.ecosystem AND p.name = $3 AND p.account = $2), '')
		FROM namespace n WHERE n.ecosystem = $1 AND n.pattern IN (` + strings.Join(places, ", ") + `)
		ORDER BY (n.pattern = $3) DESC, length(n.pattern) DESC LIMIT 1`
	var g grant
	var byOrg, byName Role
	err := q.QueryRowContext(ctx, query, args...).Scan(&g.namespace, &g.owner, &g.visibility, &g.cooldown, &g.unproven, &byOrg, &byName)
	if errors.Is(err, sql.ErrNoRows) {
		return grant{}, nil
	}
	if err != nil {
		return grant{}, err
	}
	byTeam, err := teamRole(ctx, q, g.owner, k)
	if err != nil {
		return grant{}, err
	}
	g.role = higher(higher(byOrg, byName), byTeam)
	g.demands, err = readDemands(ctx, q, k, g)
	return g, err
}
