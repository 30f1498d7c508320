package account

import (
	"context"
	"fmt"

	"github.com/hullmark/hullmark/internal/evidence"
)

// HasRole reports whether an account holds, by its roles alone, perm on a name: whatever credential it
// used, and whether it still has one.
func (s *Service) HasRole(ctx context.Context, account string, perm evidence.Permission, ecosystem, name string) (bool, error) {
	g, err := s.grant(ctx, account, ecosystem, name, perm)
	return err == nil && g.role.Allows(perm), err
}

// Govern fails unless the actor may change the settings of a namespace: an owner of its organisation or
// a site administrator, with an unrestricted credential. Codes: namespace-invalid, namespace-unowned,
// organisation-not-yours, organisation-unknown, token-scope and those of Authenticate.
func (s *Service) Govern(ctx context.Context, actor evidence.Actor, ecosystem, pattern string) error {
	pattern, err := checkClaim(ecosystem, pattern, Private)
	if err != nil {
		return err
	}
	c, err := s.unrestricted(ctx, actor)
	if err != nil {
		return err
	}
	g, err := readGrant(ctx, s.db.Query(), grantKey{c.account, ecosystem, pattern})
	if err != nil {
		return fmt.Errorf("read namespace: %w", err)
	}
	if g.namespace != pattern {
		return errUnowned(ecosystem, pattern)
	}
	return requireRole(ctx, s.db.Query(), c, g.owner, Owner)
}
