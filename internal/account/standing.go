package account

import (
	"context"
	"fmt"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
)

// HasRole reports whether an account holds, by its roles alone, perm on a name: whatever credential it
// used, and whether it still has one.
func (s *Service) HasRole(ctx context.Context, account string, perm evidence.Permission, ecosystem, name string) (bool, error) {
	g, err := s.grant(ctx, account, ecosystem, name, perm)
	return err == nil && g.role.Allows(perm), err
}

// Govern fails unless the actor may change the settings of a namespace: an owner of its organisation or
// a site administrator, with an unrestricted credential and the factor that managing the organisation
// takes. Codes: namespace-invalid, namespace-unowned, organisation-not-yours, organisation-unknown,
// token-scope and those of Authenticate and RequireFactor.
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
	if err := requireRole(ctx, s.db.Query(), c, g.owner, Owner); err != nil {
		return err
	}
	level, err := managing(ctx, s.db.Query(), g.owner)
	if err != nil {
		return err
	}
	return s.govern(ctx, c, actor, level)
}

// HasPasskey reports whether an account can prove itself by WebAuthn.
func (s *Service) HasPasskey(ctx context.Context, account string) (bool, error) {
	st, err := s.standing(ctx, account)
	return st.passkey, err
}

// MissingFactor is what somebody is told who has not proven a factor of that level: otp-required or
// webauthn-required when the account has one, else factor-missing.
func (s *Service) MissingFactor(ctx context.Context, account string, level Level) error {
	st, err := s.standing(ctx, account)
	if err != nil {
		return err
	}
	return st.missing(level)
}

// Bypasses reports whether the actor's credential gets around second factors.
func (s *Service) Bypasses(ctx context.Context, actor evidence.Actor) (bool, error) {
	c, err := s.live(ctx, actor)
	return err == nil && c.bypass, err
}

// LastCredentialChange returns when an account's password, address or factors last changed, whether or not that
// froze its publishing; the zero time when they never did. A newcomer's first ones are no change.
func (s *Service) LastCredentialChange(ctx context.Context, account string) (time.Time, error) {
	st, err := s.standing(ctx, account)
	return st.changed, err
}
