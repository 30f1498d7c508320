package account

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

const (
	recoveryCodeLifetime = time.Hour          // until the mailed code must have been shown
	recoveryOpenLifetime = 7 * 24 * time.Hour // after the hold
	maxRecoveries        = 3                  // mailed to one account in an hour
	maxRecoveryStarts    = 10                 // from one network in a minute
)

// A recovery by mail waits in the open: between the mailed code and the new password lies a hold,
// during which the account's mail, and whoever is signed in, are told and can cancel it.

// Recovery is a recovery under way.
type Recovery struct {
	Account string
	Factors bool      // the second factors go, too
	Opens   time.Time // from when FinishRecovery works: the cooling-off hold
}

// StartRecovery writes a notice with a code to the account's verified address, if it has one. It
// answers the same for any user. factors asks to remove the second factors, too, which takes longer.
// Codes: too-many-attempts.
func (s *Service) StartRecovery(ctx context.Context, user string, factors bool, remoteAddr string) error {
	now := s.clk.Now()
	if !s.attempts.take(now, []attempt{{"recover\x00" + networkOf(parseAddress(remoteAddr)), maxRecoveryStarts, attemptWindow}}) {
		return errTooMany()
	}
	code, err := s.randomText(tokenRandom)
	if err != nil {
		return err
	}
	var address string
	err = s.db.Query().QueryRowContext(ctx, `SELECT address FROM account_email WHERE account = $1 AND address <> ''`, user).Scan(&address)
	if errors.Is(err, sql.ErrNoRows) || err == nil && !s.factors.take(now, []attempt{{"recover\x00" + user, maxRecoveries, time.Hour}}) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("read address: %w", err)
	}
	return s.db.Write(ctx, func(tx *sql.Tx) error {
		// A hold that has begun goes on: to start another must not shorten or lengthen it.
		const put = `INSERT INTO account_recovery (account, code_hash, factors, created, opens) VALUES ($1, $2, $3, $4, 0)
			ON CONFLICT (account) DO UPDATE SET code_hash = excluded.code_hash, factors = excluded.factors, created = excluded.created, opens = 0
			WHERE account_recovery.opens = 0 OR account_recovery.opens <= $5`
		n, err := affected(tx.ExecContext(ctx, put, user, hashSecret(code), bit(factors), now.UnixMilli(), now.Add(-recoveryOpenLifetime).UnixMilli()))
		if err != nil || n == 0 {
			return err
		}
		return s.notifyAt(ctx, tx, user, address, "recovery-code", map[string]any{"code": code, "factors": factors})
	})
}

// readRecovery finds the recovery behind a code, in whatever state. Code: recovery-unknown.
func (s *Service) readRecovery(ctx context.Context, q querier, code string) (r Recovery, err error) {
	var created, opens int64
	const query = `SELECT account, factors, created, opens FROM account_recovery WHERE code_hash = $1`
	err = q.QueryRowContext(ctx, query, hashSecret(code)).Scan(&r.Account, &r.Factors, &created, &opens)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return r, fmt.Errorf("read recovery: %w", err)
	}
	r.Opens = fromMillis(opens)
	now := s.clk.Now()
	tooLate := opens == 0 && now.Sub(fromMillis(created)) >= recoveryCodeLifetime || opens > 0 && now.Sub(r.Opens) >= recoveryOpenLifetime
	if err != nil || tooLate {
		return Recovery{}, fault.New(fault.NotFound, "recovery-unknown", "this recovery has run out, was cancelled or is done; start it again")
	}
	return r, nil
}

// ConfirmRecovery begins the cooling-off hold for who has the code of the mail, and tells the account
// by mail. Called again it returns the same. Codes: recovery-unknown.
func (s *Service) ConfirmRecovery(ctx context.Context, code string) (r Recovery, err error) {
	err = s.db.Write(ctx, func(tx *sql.Tx) error {
		if r, err = s.readRecovery(ctx, tx, code); err != nil || !r.Opens.IsZero() {
			return err
		}
		hold := s.settings.RecoveryHold
		if r.Factors {
			hold = s.settings.FactorHold
		}
		r.Opens = fromMillis(s.clk.Now().Add(max(hold, 0)).UnixMilli())
		if _, err := tx.ExecContext(ctx, `UPDATE account_recovery SET opens = $1 WHERE account = $2`, millis(r.Opens), r.Account); err != nil {
			return fmt.Errorf("begin recovery: %w", err)
		}
		return s.notify(ctx, tx, r.Account, "recovery-began", map[string]any{"opens": r.Opens, "factors": r.Factors})
	})
	return r, err
}

// FinishRecovery sets a new password after the hold, ends every session and token and freezes
// publishing for a while. Codes: recovery-unknown, recovery-held, password-unfit, password-breached.
func (s *Service) FinishRecovery(ctx context.Context, code, password, remoteAddr string) error {
	r, err := s.readRecovery(ctx, s.db.Query(), code)
	if err != nil {
		return err
	}
	if r.Opens.IsZero() || s.clk.Now().Before(r.Opens) {
		return fault.New(fault.Denied, "recovery-held",
			"the account can be recovered from %s on; until then its owner can cancel this", r.Opens.Format(time.RFC3339))
	}
	hash, err := s.hashPassword(ctx, r.Account, password)
	if err != nil {
		return err
	}
	return s.change(ctx, func(tx *sql.Tx) error {
		if _, err := s.readRecovery(ctx, tx, code); err != nil { // cancelled in between
			return err
		}
		if err := s.setPassword(ctx, tx, r.Account, hash); err != nil {
			return err
		}
		if err := s.reset(ctx, tx, r); err != nil {
			return err
		}
		if err := s.credentialsChanged(ctx, tx, r.Account, "the account was recovered"); err != nil {
			return err
		}
		return s.notify(ctx, tx, r.Account, "recovered", map[string]any{"factors": r.Factors})
	})
}

// reset takes away all that somebody else may hold of a recovered account.
func (s *Service) reset(ctx context.Context, tx *sql.Tx, r Recovery) error {
	s.proofs.forget()
	if err := endSessions(ctx, tx, r.Account, ""); err != nil {
		return err
	}
	const revoke = `UPDATE access_token SET revoked = $1 WHERE account = $2 AND revoked = 0`
	if _, err := tx.ExecContext(ctx, revoke, s.clk.Now().UnixMilli(), r.Account); err != nil {
		return fmt.Errorf("revoke tokens: %w", err)
	}
	tables := []string{"account_recovery", "account_device"}
	if r.Factors {
		tables = append(tables, "account_totp", "account_passkey", "account_recovery_code")
	}
	for _, table := range tables {
		if _, err := tx.ExecContext(ctx, `DELETE FROM `+table+` WHERE account = $1`, r.Account); err != nil {
			return fmt.Errorf("reset account: %w", err)
		}
	}
	return nil
}

// CancelRecovery ends the recovery under way: anyone who is signed in to the account may.
func (s *Service) CancelRecovery(ctx context.Context, actor evidence.Actor) error {
	c, err := s.live(ctx, actor)
	if err != nil {
		return err
	}
	return s.db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `DELETE FROM account_recovery WHERE account = $1`, c.account)
		return err
	})
}

// RecoveryUnderWay returns the actor's recovery whose hold has begun; ok is false for none.
func (s *Service) RecoveryUnderWay(ctx context.Context, actor evidence.Actor) (r Recovery, ok bool, err error) {
	c, err := s.live(ctx, actor)
	if err != nil {
		return r, false, err
	}
	var opens int64
	const query = `SELECT account, factors, opens FROM account_recovery WHERE account = $1 AND opens > $2`
	err = s.db.Query().QueryRowContext(ctx, query, c.account, s.clk.Now().Add(-recoveryOpenLifetime).UnixMilli()).Scan(&r.Account, &r.Factors, &opens)
	if errors.Is(err, sql.ErrNoRows) {
		return r, false, nil
	}
	if err != nil {
		return r, false, fmt.Errorf("read recovery: %w", err)
	}
	r.Opens = fromMillis(opens)
	return r, true, nil
}
