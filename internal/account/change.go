package account

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/mail"
	"strings"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

const (
	maxEmail      = 254 // bytes: RFC 5321, 4.5.3.1.3
	emailLifetime = 24 * time.Hour
	maxCodes      = 5 // mailed to one account in an hour
)

// ChangePassword sets a new password, and ends what whoever knew the old one may have got by it: every session
// but the actor's, and the logins of clients. Tokens that somebody made on purpose stay. old is needed unless
// the account has none yet or the actor's factor is fresh. Publishing is frozen for a while.
// Codes: credential-invalid, password-unfit, password-breached, otp-required, too-many-attempts.
func (s *Service) ChangePassword(ctx context.Context, actor evidence.Actor, old, password, remoteAddr string) error {
	c, err := s.person(ctx, actor)
	if err != nil {
		return err
	}
	var stored string
	var created int64
	const query = `SELECT password, created FROM account_user WHERE name = $1`
	if err := s.db.Query().QueryRowContext(ctx, query, c.account).Scan(&stored, &created); err != nil {
		return fmt.Errorf("read password: %w", err)
	}
	if stored != "" && actor.Factor == "" {
		if err := s.CheckPassword(ctx, c.account, old, remoteAddr); err != nil {
			return err
		}
	}
	hash, err := s.hashPassword(ctx, c.account, password)
	if err != nil {
		return err
	}
	newcomer := stored == "" && s.newcomer(fromMillis(created))
	return s.change(ctx, func(tx *sql.Tx) error {
		if err := s.setPassword(ctx, tx, c.account, hash); err != nil {
			return err
		}
		if err := endSessions(ctx, tx, c.account, c.name); err != nil {
			return err
		}
		logins, err := endLogins(ctx, tx, c.account, s.clk.Now())
		if err != nil {
			return err
		}
		if !newcomer {
			if err := s.credentialsChanged(ctx, tx, c.account, "the password was changed"); err != nil {
				return err
			}
		}
		return s.notify(ctx, tx, c.account, "password-changed", map[string]any{"logins": logins})
	})
}

func (s *Service) setPassword(ctx context.Context, tx *sql.Tx, account, hash string) error {
	const set = `UPDATE account_user SET password = $1, password_set = $2 WHERE name = $3`
	if _, err := tx.ExecContext(ctx, set, hash, s.clk.Now().UnixMilli(), account); err != nil {
		return fmt.Errorf("set password: %w", err)
	}
	return nil
}

// Email is an account's address.
type Email struct {
	Address string // verified; "" for none
	Pending string // waits for its code
}

// Email returns the actor's.
func (s *Service) Email(ctx context.Context, actor evidence.Actor) (e Email, err error) {
	c, err := s.live(ctx, actor)
	if err != nil {
		return e, err
	}
	err = s.db.Query().QueryRowContext(ctx, `SELECT address, pending FROM account_email WHERE account = $1`, c.account).Scan(&e.Address, &e.Pending)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return e, fmt.Errorf("read address: %w", err)
	}
	return e, nil
}

// SetEmail writes a notice with a code to a new address, which counts once VerifyEmail has it.
// Codes: email-invalid, otp-required, too-many-attempts.
func (s *Service) SetEmail(ctx context.Context, actor evidence.Actor, address string) error {
	c, err := s.person(ctx, actor)
	if err != nil {
		return err
	}
	if address, err = checkEmail(address); err != nil {
		return err
	}
	if !s.factors.take(s.clk.Now(), []attempt{{"email\x00" + c.account, maxCodes, time.Hour}}) {
		return errTooMany()
	}
	code, err := s.randomText(tokenRandom)
	if err != nil {
		return err
	}
	return s.db.Write(ctx, func(tx *sql.Tx) error {
		const put = `INSERT INTO account_email (account, address, pending, code_hash, sent, verified) VALUES ($1, '', $2, $3, $4, 0)
			ON CONFLICT (account) DO UPDATE SET pending = excluded.pending, code_hash = excluded.code_hash, sent = excluded.sent`
		if _, err := tx.ExecContext(ctx, put, c.account, address, hashSecret(code), s.clk.Now().UnixMilli()); err != nil {
			return fmt.Errorf("write address: %w", err)
		}
		return s.notifyAt(ctx, tx, c.account, address, "email-code", map[string]any{"code": code})
	})
}

// checkEmail takes a bare address and nothing that a mail program would read something else into.
func checkEmail(address string) (string, error) {
	address = strings.TrimSpace(address)
	parsed, err := mail.ParseAddress(address)
	if err != nil || parsed.Address != address || len(address) > maxEmail || strings.ContainsAny(address, "\r\n\t \"<>") {
		return "", fault.New(fault.Invalid, "email-invalid", "%q is not an e-mail address; expected something like ada@example.org", clip(address))
	}
	return address, nil
}

// VerifyEmail makes the pending address the account's. The former address gets a notice; publishing
// is frozen for a while, unless it is the first. Codes: code-invalid, too-many-attempts.
func (s *Service) VerifyEmail(ctx context.Context, actor evidence.Actor, code string) error {
	c, err := s.live(ctx, actor)
	if err != nil {
		return err
	}
	now := s.clk.Now()
	if !s.factors.take(now, []attempt{{"code\x00" + c.account, 10, attemptWindow}}) {
		return errTooMany()
	}
	return s.change(ctx, func(tx *sql.Tx) error {
		var before, pending string
		const query = `SELECT address, pending FROM account_email WHERE account = $1 AND pending <> '' AND code_hash = $2 AND sent > $3`
		err := tx.QueryRowContext(ctx, query, c.account, hashSecret(code), now.Add(-emailLifetime).UnixMilli()).Scan(&before, &pending)
		if errors.Is(err, sql.ErrNoRows) {
			return fault.New(fault.Invalid, "code-invalid", "the code is not the one that was mailed last, or is older than a day; have another sent")
		}
		if err != nil {
			return fmt.Errorf("read address: %w", err)
		}
		const set = `UPDATE account_email SET address = $1, pending = '', code_hash = '', verified = $2 WHERE account = $3`
		if _, err := tx.ExecContext(ctx, set, pending, now.UnixMilli(), c.account); err != nil {
			return fmt.Errorf("set address: %w", err)
		}
		if before == "" || before == pending {
			return nil
		}
		if err := s.notifyAt(ctx, tx, c.account, before, "email-changed", map[string]any{"address": pending}); err != nil {
			return err
		}
		return s.credentialsChanged(ctx, tx, c.account, "the e-mail address was changed")
	})
}
