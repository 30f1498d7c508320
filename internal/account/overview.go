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

// Everyone returns which names of an ecosystem anyone may read, for indexes that list them all: what it is
// not true for, [Service.Authorize] is asked about. state is another value (by ==) whenever anybody's rights
// may be others.
func (s *Service) Everyone(ctx context.Context, ecosystem string) (reads func(name string) bool, state any, err error) {
	r, err := ruleFor(ecosystem)
	if err != nil {
		return nil, nil, err
	}
	cache := s.cache.Load()
	if reads, known := cache.everyone.get(ecosystem); known {
		return reads, cache, nil
	}
	rows, err := s.db.Query().QueryContext(ctx, `SELECT pattern, visibility FROM namespace WHERE ecosystem = $1`, ecosystem)
	type claim struct {
		pattern    string
		visibility Visibility
	}
	claims, err := collect(rows, err, func(rows *sql.Rows) (c claim, err error) { return c, rows.Scan(&c.pattern, &c.visibility) })
	if err != nil {
		return nil, nil, fmt.Errorf("read namespaces: %w", err)
	}
	public := make(map[string]bool, len(claims))
	for _, c := range claims {
		public[c.pattern] = c.visibility == Public
	}
	reads = func(name string) bool {
		if !r.validName(name) {
			return false
		}
		for _, holder := range r.holders(name) { // narrowest first
			if open, claimed := public[holder]; claimed {
				return open
			}
		}
		return true
	}
	cache.everyone.put(ecosystem, reads)
	return reads, cache, nil
}

// RaiseToken lets a token of the actor's own do more; less it never does. As for a new token, the actor
// must hold what it gives, and prove the second factor that they have. Codes: token-unknown, token-scope,
// otp-required, scope-invalid.
func (s *Service) RaiseToken(ctx context.Context, actor evidence.Actor, secret string, to evidence.Permission) error {
	c, err := s.live(ctx, actor)
	if err != nil {
		return err
	}
	if err := s.govern(ctx, c, actor, AnyFactor); err != nil {
		return err
	}
	return s.change(ctx, func(tx *sql.Tx) error {
		t, err := scanToken(tx.QueryRowContext(ctx, selectToken+`hash = $1 AND account = $2`, hashSecret(secret), c.account))
		if errors.Is(err, sql.ErrNoRows) {
			return fault.New(fault.NotFound, "token-unknown", "you have no such token; list your tokens to see their ids")
		}
		if err != nil {
			return fmt.Errorf("read token: %w", err)
		}
		if includes(t.Scope.Permission, to) {
			return nil
		}
		t.Scope.Permission = to
		if err := t.Scope.check(); err != nil {
			return err
		}
		if !c.scope.covers(t.Scope) || !containsNetworks(c.networks, t.Networks) || !c.expires.IsZero() && (t.Expires.IsZero() || t.Expires.After(c.expires)) {
			return fault.New(fault.Denied, "token-scope", "a token cannot give another one more rights than it has; use your password or another token")
		}
		_, err = tx.ExecContext(ctx, `UPDATE access_token SET permission = $1 WHERE id = $2`, string(to), t.ID)
		return err
	})
}

// UserBy returns the user whom a name or a verified address means. Whether the caller may learn that is the
// caller's to decide. Code: user-unknown.
func (s *Service) UserBy(ctx context.Context, nameOrAddress string) (string, error) {
	if !strings.Contains(nameOrAddress, "@") {
		return nameOrAddress, nil
	}
	var name string
	err := s.db.Query().QueryRowContext(ctx, `SELECT account FROM account_email WHERE lower(address) = lower($1) ORDER BY verified LIMIT 1`, nameOrAddress).Scan(&name)
	if errors.Is(err, sql.ErrNoRows) {
		return "", fault.New(fault.NotFound, "user-unknown", "nobody here has the verified address %q; use a user name", clip(nameOrAddress))
	}
	if err != nil {
		return "", fmt.Errorf("look for an address: %w", err)
	}
	return name, nil
}
