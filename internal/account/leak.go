package account

import (
	"context"
	"crypto/ecdsa"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"strings"

	"github.com/hullmark/hullmark/internal/fault"
)

// Leak is a secret that somebody found where it should not be.
type Leak struct {
	Secret string
	URL    string // where
}

const maxURL = 500 // bytes of what a notice repeats

// CheckReporter verifies that body was signed (ECDSA P-256 over SHA-256, ASN.1, base64) with the key
// of a secret scanner that the operator knows, named by its id. Code: reporter-unknown.
//
// Source: GitHub Docs, "Secret scanning partner program": the headers Github-Public-Key-Identifier and
// Github-Public-Key-Signature.
func (s *Service) CheckReporter(keyID, signature string, body []byte) error {
	key, known := s.settings.Scanners[keyID]
	raw, err := base64.StdEncoding.DecodeString(signature)
	if sum := sha256.Sum256(body); err == nil && known && ecdsa.VerifyASN1(key, sum[:], raw) {
		return nil
	}
	return fault.New(fault.Unauthenticated, "reporter-unknown",
		"the report is not signed by a secret scanner that this server knows; the operator adds its key with --secret-scanner")
}

// ReportLeak revokes what the secret is, tells its account where it was found, and reports whether it
// was a live secret of this server. The caller has checked who reports.
func (s *Service) ReportLeak(ctx context.Context, l Leak) (ours bool, err error) {
	switch {
	case ValidToken(l.Secret):
		return s.leakedToken(ctx, l)
	case validSecret(sessionPrefix, l.Secret):
		err = s.change(ctx, func(tx *sql.Tx) error {
			n, err := affected(tx.ExecContext(ctx, `DELETE FROM account_session WHERE hash = $1`, hashSecret(l.Secret)))
			ours = n > 0
			return err
		})
		return ours, err
	case validSecret(workloadPrefix, l.Secret):
		err = s.change(ctx, func(tx *sql.Tx) error {
			const revoke = `UPDATE workload_token SET revoked = $1 WHERE hash = $2 AND revoked = 0 AND expires > $1`
			n, err := affected(tx.ExecContext(ctx, revoke, s.clk.Now().UnixMilli(), hashSecret(l.Secret)))
			ours = n > 0
			return err
		})
		return ours, err
	case validSecret(memberPrefix, l.Secret):
		return s.leakedMember(ctx, l)
	}
	return false, nil
}

func (s *Service) leakedToken(ctx context.Context, l Leak) (ours bool, err error) {
	err = s.change(ctx, func(tx *sql.Tx) error {
		t, err := scanToken(tx.QueryRowContext(ctx, selectToken+`hash = $1`, hashSecret(l.Secret)))
		if errors.Is(err, sql.ErrNoRows) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read token: %w", err)
		}
		ours = true
		if _, err := tx.ExecContext(ctx, `UPDATE access_token SET revoked = $1 WHERE id = $2`, s.clk.Now().UnixMilli(), t.ID); err != nil {
			return fmt.Errorf("revoke token: %w", err)
		}
		return s.notify(ctx, tx, t.Account, "token-revoked", map[string]any{
			"token": t.ID, "description": t.Description, "reason": "it was found in public",
			"url": strings.ToValidUTF8(l.URL[:min(len(l.URL), maxURL)], ""),
		})
	})
	return ours, err
}

func (s *Service) leakedMember(ctx context.Context, l Leak) (ours bool, err error) {
	m, err := s.Member(ctx, l.Secret)
	if fault.KindOf(err) == fault.Unauthenticated {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	err = s.change(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `UPDATE enrolment SET revoked = $1 WHERE id = $2 AND revoked = 0`, s.clk.Now().UnixMilli(), m.ID)
		return err
	})
	if err == nil {
		s.left.tell(m.ID)
	}
	return err == nil, err
}

// Reap revokes the tokens that nobody used for a long time (see Settings.UnusedAfter) and forgets what
// has run out. It returns how many tokens it revoked. Call it now and then.
func (s *Service) Reap(ctx context.Context) (revoked int, err error) {
	now := s.clk.Now()
	err = s.change(ctx, func(tx *sql.Tx) error {
		const sweep = `DELETE FROM account_session WHERE created <= $1 OR last_used <= $2`
		if _, err := tx.ExecContext(ctx, sweep, now.Add(-s.settings.SessionLife).UnixMilli(), now.Add(-s.settings.SessionIdle-useInterval).UnixMilli()); err != nil {
			return fmt.Errorf("sweep sessions: %w", err)
		}
		if _, err := tx.ExecContext(ctx, `DELETE FROM account_freeze WHERE until <= $1`, now.UnixMilli()); err != nil {
			return fmt.Errorf("sweep freezes: %w", err)
		}
		if s.settings.UnusedAfter < 0 {
			return nil
		}
		revoked, err = s.reapTokens(ctx, tx, now.Add(-s.settings.UnusedAfter).UnixMilli())
		return err
	})
	return revoked, err
}

func (s *Service) reapTokens(ctx context.Context, tx *sql.Tx, horizon int64) (int, error) {
	rows, err := tx.QueryContext(ctx, selectToken+`created <= $1 AND last_used <= $1 ORDER BY account, id`, horizon)
	unused, err := collect(rows, err, func(rows *sql.Rows) (Token, error) { return scanToken(rows) })
	if err != nil {
		return 0, fmt.Errorf("find unused tokens: %w", err)
	}
	byAccount := map[string][]string{}
	for _, t := range unused {
		if _, err := tx.ExecContext(ctx, `UPDATE access_token SET revoked = $1 WHERE id = $2`, s.clk.Now().UnixMilli(), t.ID); err != nil {
			return 0, fmt.Errorf("revoke unused token: %w", err)
		}
		byAccount[t.Account] = append(byAccount[t.Account], strings.TrimSpace(t.ID+" "+t.Description))
	}
	for account, tokens := range byAccount {
		if err := s.notify(ctx, tx, account, "token-reaped", map[string]any{"tokens": tokens}); err != nil {
			return 0, err
		}
	}
	return len(unused), nil
}
