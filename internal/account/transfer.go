package account

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

// transferLife is how long an offer stands.
const transferLife = 7 * 24 * time.Hour

// OnTransfer registers what ends the grants that others keep about the names of a namespace, in the
// transaction in which it changes hands. It is called before the service is used.
func (s *Service) OnTransfer(end func(ctx context.Context, tx *sql.Tx, ecosystem, pattern string) error) {
	s.onTransfer = append(s.onTransfer, end)
}

// OfferNamespace offers a namespace of the actor's to another organisation. Nothing changes until an
// owner of that one accepts it, within 7 days; a new offer replaces one before. Codes:
// namespace-unowned, organisation-not-yours, organisation-unknown.
func (s *Service) OfferNamespace(ctx context.Context, actor evidence.Actor, ecosystem, pattern, to string) error {
	pattern, err := checkClaim(ecosystem, pattern, Private)
	if err != nil {
		return err
	}
	owner, err := s.ownerOf(ctx, ecosystem, pattern)
	if err != nil {
		return err
	}
	return s.manage(ctx, actor, owner, func(tx *sql.Tx, c *credential) error {
		var exists int
		if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM organisation WHERE name = $1`, to).Scan(&exists); err != nil {
			return fmt.Errorf("read organisation: %w", err)
		}
		if exists == 0 || to == owner {
			return fault.New(fault.NotFound, "organisation-unknown", "there is no other organisation %q to give it to", clip(to))
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO namespace_transfer (ecosystem, pattern, organisation, asked_by, asked) VALUES ($1, $2, $3, $4, $5)
			ON CONFLICT (ecosystem, pattern) DO UPDATE SET organisation = $3, asked_by = $4, asked = $5`,
			ecosystem, pattern, to, c.account, s.clk.Now().UnixMilli())
		if err != nil {
			return fmt.Errorf("offer namespace: %w", err)
		}
		return nil
	})
}

// AcceptNamespace takes over, for an organisation of the actor's, a namespace that was offered to it.
// Every role that was given on single names in it, and every trusted publisher of theirs, ends with the
// old owner. Codes: organisation-unknown, organisation-not-yours, transfer-unknown.
func (s *Service) AcceptNamespace(ctx context.Context, actor evidence.Actor, organisation, ecosystem, pattern string) error {
	pattern, err := checkClaim(ecosystem, pattern, Private)
	if err != nil {
		return err
	}
	return s.manage(ctx, actor, organisation, func(tx *sql.Tx, _ *credential) error {
		return s.handOver(ctx, tx, ecosystem, pattern, organisation)
	})
}

func errTransferUnknown(pattern string) error {
	return fault.New(fault.NotFound, "transfer-unknown", "%q was not offered to this organisation in the last 7 days; ask its owner to offer it", pattern)
}

func (s *Service) handOver(ctx context.Context, tx *sql.Tx, ecosystem, pattern, to string) error {
	n, err := affected(tx.ExecContext(ctx, `DELETE FROM namespace_transfer WHERE ecosystem = $1 AND pattern = $2
		AND organisation = $3 AND asked > $4`, ecosystem, pattern, to, s.clk.Now().Add(-transferLife).UnixMilli()))
	if err != nil {
		return fmt.Errorf("close offer: %w", err)
	}
	if n == 0 {
		return errTransferUnknown(pattern)
	}
	if _, err := tx.ExecContext(ctx, `UPDATE namespace SET organisation = $1 WHERE ecosystem = $2 AND pattern = $3`, to, ecosystem, pattern); err != nil {
		return fmt.Errorf("hand namespace over: %w", err)
	}
	// Whoever owned the domain proved it for the old owner.
	if _, err := tx.ExecContext(ctx, `UPDATE namespace_proof SET valid = 0, vouched = '', proven = 0 WHERE ecosystem = $1 AND pattern = $2`, ecosystem, pattern); err != nil {
		return fmt.Errorf("end proof: %w", err)
	}
	if _, err := tx.ExecContext(ctx, `DELETE FROM namespace_key WHERE ecosystem = $1 AND pattern = $2`, ecosystem, pattern); err != nil {
		return fmt.Errorf("end keys: %w", err)
	}
	if err := endPackageRoles(ctx, tx, ecosystem, pattern); err != nil {
		return err
	}
	for _, end := range s.onTransfer {
		if err := end(ctx, tx, ecosystem, pattern); err != nil {
			return fmt.Errorf("end grants: %w", err)
		}
	}
	return nil
}

// ownerOf returns the organisation that has exactly this namespace.
func (s *Service) ownerOf(ctx context.Context, ecosystem, pattern string) (string, error) {
	g, err := readGrant(ctx, s.db.Query(), grantKey{"", ecosystem, pattern})
	if err != nil {
		return "", fmt.Errorf("read namespace: %w", err)
	}
	if g.namespace != pattern {
		return "", errUnowned(ecosystem, pattern)
	}
	return g.owner, nil
}
