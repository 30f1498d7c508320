package account

import (
	"context"
	"database/sql"
	_ "embed"
	"fmt"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

//go:embed signingkey.sql
var signingKeySQL string

// SigningKey is a public key that is pinned for a namespace: signatures of its files are checked with it. This package
// does not look into it.
type SigningKey struct {
	Fingerprint string
	Identity    string // as the key itself says; nobody has checked it
	Public      string // armored
	AddedBy     string
	Added       time.Time
}

// maxSigningKeys is how many keys a namespace may have.
const maxSigningKeys = 50

// AddSigningKey pins a key for a namespace. Who may govern it may, see [Service.Govern]. The same key again changes
// nothing. Codes: those of Govern, signing-key-limit.
func (s *Service) AddSigningKey(ctx context.Context, actor evidence.Actor, ecosystem, pattern string, k SigningKey) error {
	if err := s.Govern(ctx, actor, ecosystem, pattern); err != nil {
		return err
	}
	pattern = rules[ecosystem].spelt(pattern)
	return s.change(ctx, func(tx *sql.Tx) error {
		var n int
		err := tx.QueryRowContext(ctx, `SELECT count(*) FROM namespace_key WHERE ecosystem = $1 AND pattern = $2`, ecosystem, pattern).Scan(&n)
		if err != nil {
			return fmt.Errorf("count keys: %w", err)
		}
		if n >= maxSigningKeys {
			return fault.New(fault.Conflict, "signing-key-limit", "%q has %d keys already; remove those that nobody signs with any more", pattern, n)
		}
		_, err = tx.ExecContext(ctx, `INSERT INTO namespace_key (ecosystem, pattern, fingerprint, identity, public, added_by, added)
			VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (ecosystem, pattern, fingerprint) DO UPDATE SET public = excluded.public, identity = excluded.identity`,
			ecosystem, pattern, k.Fingerprint, k.Identity, k.Public, actor.Account, s.clk.Now().UnixMilli())
		if err != nil {
			return fmt.Errorf("pin a key: %w", err)
		}
		return nil
	})
}

// RemoveSigningKey takes a key away: what it signed before stays, and is signed by it; new signatures of it are refused.
// Codes: those of Govern, signing-key-unknown.
func (s *Service) RemoveSigningKey(ctx context.Context, actor evidence.Actor, ecosystem, pattern, fingerprint string) error {
	if err := s.Govern(ctx, actor, ecosystem, pattern); err != nil {
		return err
	}
	return s.change(ctx, func(tx *sql.Tx) error {
		n, err := affected(tx.ExecContext(ctx, `DELETE FROM namespace_key WHERE ecosystem = $1 AND pattern = $2 AND fingerprint = $3`,
			ecosystem, rules[ecosystem].spelt(pattern), fingerprint))
		if err == nil && n == 0 {
			err = fault.New(fault.NotFound, "signing-key-unknown", "%q has no key %s", pattern, clip(fingerprint))
		}
		return err
	})
}

// SigningKeys returns the keys of a namespace to who may read what is in it: they are public, and whoever installs may
// want to check for themselves. Codes: namespace-unowned, organisation-unknown.
func (s *Service) SigningKeys(ctx context.Context, actor evidence.Actor, ecosystem, pattern string) ([]SigningKey, error) {
	pattern, err := checkClaim(ecosystem, pattern, Private)
	if err != nil {
		return nil, err
	}
	g, err := readGrant(ctx, s.db.Query(), grantKey{actor.Account, ecosystem, pattern})
	if err != nil {
		return nil, fmt.Errorf("read namespace: %w", err)
	}
	if g.namespace != pattern {
		return nil, errUnowned(ecosystem, pattern)
	}
	if g.visibility != Public {
		c, err := s.live(ctx, actor)
		if err != nil {
			return nil, err
		}
		if err := requireRole(ctx, s.db.Query(), c, g.owner, Reader); err != nil {
			return nil, err
		}
	}
	return s.signingKeys(ctx, ecosystem, pattern)
}

// SigningKeysOf returns the keys of the namespace that a name is in.
func (s *Service) SigningKeysOf(ctx context.Context, ecosystem, name string) ([]SigningKey, error) {
	n, err := s.Namespace(ctx, ecosystem, name)
	if err != nil || n.Pattern == "" {
		return nil, err
	}
	return s.signingKeys(ctx, ecosystem, n.Pattern)
}

func (s *Service) signingKeys(ctx context.Context, ecosystem, pattern string) ([]SigningKey, error) {
	rows, err := s.db.Query().QueryContext(ctx, `SELECT fingerprint, identity, public, added_by, added FROM namespace_key
		WHERE ecosystem = $1 AND pattern = $2 ORDER BY added, fingerprint`, ecosystem, pattern)
	if err != nil {
		return nil, fmt.Errorf("list keys: %w", err)
	}
	defer rows.Close()
	out := []SigningKey{}
	for rows.Next() {
		var k SigningKey
		var added int64
		if err := rows.Scan(&k.Fingerprint, &k.Identity, &k.Public, &k.AddedBy, &added); err != nil {
			return nil, fmt.Errorf("list keys: %w", err)
		}
		k.Added = fromMillis(added)
		out = append(out, k)
	}
	return out, rows.Err()
}
