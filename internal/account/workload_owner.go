package account

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

// HolderOf returns the organisation that owns a name, or nothing when nobody does. tx may be nil.
// Codes: ecosystem-unknown, name-invalid.
func (s *Service) HolderOf(ctx context.Context, tx *sql.Tx, ecosystem, name string) (string, error) {
	if tx == nil {
		g, err := s.grant(ctx, "", ecosystem, name, evidence.Publish)
		return g.owner, err
	}
	g, err := readGrant(ctx, tx, grantKey{"", ecosystem, name})
	return g.owner, err
}

// MayOwn reports whether an account still may own a name, whatever credentials it has.
func (s *Service) MayOwn(ctx context.Context, account, ecosystem, name string) (bool, error) {
	g, err := s.grant(ctx, account, ecosystem, name, evidence.Own)
	return g.role.Allows(evidence.Own), err
}

// RequireOwner fails unless the actor is an owner of the organisation and not narrowed. A site
// administrator is not, as such: publishing is not theirs to give. Codes: those of SetMember.
func (s *Service) RequireOwner(ctx context.Context, actor evidence.Actor, organisation string) error {
	c, err := s.unrestricted(ctx, actor)
	if err != nil {
		return err
	}
	plain := &credential{account: c.account}
	return requireRole(ctx, s.db.Query(), plain, organisation, Owner)
}

// ClaimFor gives an organisation the namespace that a name needs, in the caller's transaction, on behalf of
// an account that asked for it earlier and still is an owner there. A name that is the organisation's
// already needs nothing. The caller calls [Service.Forget] after the commit. Codes: namespace-taken,
// organisation-unknown, organisation-not-yours, namespace-invalid, namespace-unproven, name-similar, name-known.
func (s *Service) ClaimFor(ctx context.Context, tx *sql.Tx, organisation, account, ecosystem, name string) error {
	if err := requireRole(ctx, tx, &credential{account: account}, organisation, Owner); err != nil {
		return err
	}
	g, err := readGrant(ctx, tx, grantKey{"", ecosystem, name})
	if err != nil {
		return fmt.Errorf("claim for a publisher: %w", err)
	}
	switch {
	case g.owner == organisation:
		return nil
	case g.owner != "":
		return fault.New(fault.Conflict, "namespace-taken", "%q has an owner already; ask it for a role, or choose another name", name)
	}
	pattern, err := s.Outermost(ecosystem, name)
	if err != nil {
		return err
	}
	if rules[ecosystem].proved {
		return errUnproven(ecosystem, pattern) // a domain is proved before anybody publishes to it
	}
	if err := s.mayBeCalled(ctx, tx, organisation, ecosystem, pattern); err != nil {
		return err
	}
	err = s.take(ctx, tx, Namespace{Ecosystem: ecosystem, Pattern: pattern, Organisation: organisation, Visibility: Private, CreatedBy: account})
	if err != nil {
		return err
	}
	return endPackageRoles(ctx, tx, ecosystem, pattern)
}

// Outermost returns the namespace that has to be claimed for a name which nobody owns.
func (s *Service) Outermost(ecosystem, name string) (string, error) {
	r, err := ruleFor(ecosystem)
	if err != nil {
		return "", err
	}
	if !r.validName(name) {
		return "", errName(ecosystem, name, evidence.Publish)
	}
	return checkClaim(ecosystem, r.root(name), Private)
}

// AddressHash returns the keyed hash by which the record knows the address of "ip:port"; empty for none.
func (s *Service) AddressHash(ctx context.Context, remoteAddr string) (string, error) {
	return s.hashAddress(ctx, parseAddress(remoteAddr))
}
