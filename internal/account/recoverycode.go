package account

import (
	"context"
	"database/sql"
	"encoding/base32"
	"fmt"
	"strings"

	"github.com/hullmark/hullmark/internal/evidence"
)

const (
	recoveryCodes     = 10
	recoveryCodeBytes = 10 // 80 random bits: a plain hash is enough
)

// codeText is Crockford's alphabet: nothing in it is mistaken for something else when read from paper.
var codeText = base32.NewEncoding("0123456789abcdefghjkmnpqrstvwxyz").WithPadding(base32.NoPadding)

// RenewRecoveryCodes replaces the recovery codes and returns the new ones, once. Codes: otp-required,
// totp-unknown.
func (s *Service) RenewRecoveryCodes(ctx context.Context, actor evidence.Actor) (codes []string, err error) {
	c, err := s.person(ctx, actor)
	if err != nil {
		return nil, err
	}
	err = s.change(ctx, func(tx *sql.Tx) error {
		st, err := readStanding(ctx, tx, c.account)
		if err != nil {
			return err
		}
		if !st.hasFactor() {
			return errTOTPUnknown()
		}
		if codes, err = s.newRecoveryCodes(ctx, tx, c.account); err != nil {
			return err
		}
		return s.notify(ctx, tx, c.account, "recovery-codes-renewed", nil)
	})
	return codes, err
}

// newRecoveryCodes replaces what an account has.
func (s *Service) newRecoveryCodes(ctx context.Context, tx *sql.Tx, account string) ([]string, error) {
	if _, err := tx.ExecContext(ctx, `DELETE FROM account_recovery_code WHERE account = $1`, account); err != nil {
		return nil, fmt.Errorf("replace recovery codes: %w", err)
	}
	codes := make([]string, recoveryCodes)
	raw := make([]byte, recoveryCodeBytes)
	for i := range codes {
		if err := s.random(raw); err != nil {
			return nil, err
		}
		plain := codeText.EncodeToString(raw)
		codes[i] = plain[:4] + "-" + plain[4:8] + "-" + plain[8:12] + "-" + plain[12:]
		const insert = `INSERT INTO account_recovery_code (hash, account, created, used) VALUES ($1, $2, $3, 0)`
		if _, err := tx.ExecContext(ctx, insert, hashSecret(plain), account, s.clk.Now().UnixMilli()); err != nil {
			return nil, fmt.Errorf("write recovery codes: %w", err)
		}
	}
	return codes, nil
}

// useRecoveryCode uses one up; ok is false when it is none, or was used.
func (s *Service) useRecoveryCode(ctx context.Context, tx *sql.Tx, account, code string) (ok bool, err error) {
	plain := strings.ToLower(code)
	const use = `UPDATE account_recovery_code SET used = $1 WHERE hash = $2 AND account = $3 AND used = 0`
	n, err := affected(tx.ExecContext(ctx, use, s.clk.Now().UnixMilli(), hashSecret(plain), account))
	if err != nil || n == 0 {
		return false, err
	}
	var left int
	const count = `SELECT count(*) FROM account_recovery_code WHERE account = $1 AND used = 0`
	if err := tx.QueryRowContext(ctx, count, account).Scan(&left); err != nil {
		return false, fmt.Errorf("count recovery codes: %w", err)
	}
	return true, s.notify(ctx, tx, account, "recovery-code-used", map[string]any{"left": left})
}
