package account

import (
	"context"
	"crypto/subtle"
	"database/sql"
	"encoding/base32"
	"errors"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/pquerna/otp"
	"github.com/pquerna/otp/hotp"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

// TOTP as every authenticator app has it (RFC 6238): SHA-1, 30 s, six digits.
const (
	totpPeriod = 30 // seconds
	totpSecret = 20 // bytes: RFC 4226 recommends the length of the hash
	totpDigits = 6
	totpSkew   = 1 // steps that a clock may be off, either way
)

// NewTOTP is a shared secret that is not in force before ConfirmTOTP.
type NewTOTP struct {
	Secret string // base32, for typing
	URI    string // otpauth://, for a QR code
}

// BeginTOTP makes a secret for an authenticator app; an earlier one that was not confirmed is
// forgotten. Codes: otp-required, totp-exists, seal-key-missing.
func (s *Service) BeginTOTP(ctx context.Context, actor evidence.Actor) (NewTOTP, error) {
	c, err := s.person(ctx, actor)
	if err != nil {
		return NewTOTP{}, err
	}
	raw := make([]byte, totpSecret)
	if err := s.random(raw); err != nil {
		return NewTOTP{}, err
	}
	secret := base32.StdEncoding.WithPadding(base32.NoPadding).EncodeToString(raw)
	sealed, err := s.seal(totpRow(c.account), []byte(secret))
	if err != nil {
		return NewTOTP{}, err
	}
	err = s.db.Write(ctx, func(tx *sql.Tx) error {
		const put = `INSERT INTO account_totp (account, secret, confirmed, last_step, created) VALUES ($1, $2, 0, 0, $3)
			ON CONFLICT (account) DO UPDATE SET secret = excluded.secret, created = excluded.created WHERE account_totp.confirmed = 0`
		n, err := affected(tx.ExecContext(ctx, put, c.account, sealed, s.clk.Now().UnixMilli()))
		if err == nil && n == 0 {
			return fault.New(fault.Conflict, "totp-exists", "your account has an authenticator app already; remove it first, or add a passkey")
		}
		return err
	})
	if err != nil {
		return NewTOTP{}, err
	}
	q := url.Values{"secret": {secret}, "issuer": {"Hullmark"}}
	uri := url.URL{Scheme: "otpauth", Host: "totp", Path: "/Hullmark:" + c.account, RawQuery: q.Encode()}
	return NewTOTP{Secret: secret, URI: uri.String()}, nil
}

func totpRow(account string) string { return "totp\x00" + account }

// ConfirmTOTP puts the secret into force when code shows that the app has it. recovery are the
// account's recovery codes when this is its first factor, shown once; else none.
// Codes: otp-required, otp-invalid, totp-unknown, too-many-attempts.
func (s *Service) ConfirmTOTP(ctx context.Context, actor evidence.Actor, code, remoteAddr string) (recovery []string, err error) {
	c, err := s.person(ctx, actor)
	if err != nil {
		return nil, err
	}
	limits := factorAttempts(c.account)
	if !s.factors.take(s.clk.Now(), limits) {
		return nil, errTooMany()
	}
	err = s.change(ctx, func(tx *sql.Tx) error {
		t, err := s.readTOTP(ctx, tx, c.account)
		if err != nil {
			return err
		}
		step, ok := t.match(digitsOf(code), s.clk.Now())
		if t.confirmed || !ok { // it is about what was sent, not about who sent it
			return fault.New(fault.Invalid, "otp-invalid", "the code is not the one that the app shows now; check its clock, or begin again")
		}
		const confirm = `UPDATE account_totp SET confirmed = $1, last_step = $2 WHERE account = $3`
		if _, err := tx.ExecContext(ctx, confirm, s.clk.Now().UnixMilli(), step, c.account); err != nil {
			return fmt.Errorf("confirm authenticator app: %w", err)
		}
		recovery, err = s.factorAdded(ctx, tx, c.account, evidence.TOTP, "")
		return err
	})
	if err == nil {
		s.factors.giveBack(limits)
		_, err = s.strengthen(ctx, actor, evidence.TOTP) // whoever has just shown a code need not show one again
	}
	return recovery, err
}

// RemoveTOTP removes the authenticator app. Codes: otp-required, totp-unknown.
func (s *Service) RemoveTOTP(ctx context.Context, actor evidence.Actor) error {
	c, err := s.person(ctx, actor)
	if err != nil {
		return err
	}
	return s.change(ctx, func(tx *sql.Tx) error {
		n, err := affected(tx.ExecContext(ctx, `DELETE FROM account_totp WHERE account = $1 AND confirmed > 0`, c.account))
		if err != nil {
			return fmt.Errorf("remove authenticator app: %w", err)
		}
		if n == 0 {
			return errTOTPUnknown()
		}
		return s.factorRemoved(ctx, tx, c.account, evidence.TOTP, "")
	})
}

func errTOTPUnknown() error {
	return fault.New(fault.Conflict, "totp-unknown", "your account has no authenticator app; add one with: hullmark mfa totp add")
}

// errOTP says the same for every way in which a proof can be wrong.
func errOTP() error {
	return fault.New(fault.Unauthenticated, "otp-invalid",
		"the code is not valid, or was used before; wait for the next one that your app shows, then try again")
}

// sharedSecret is an account's row.
type sharedSecret struct {
	secret    string
	confirmed bool
	lastStep  int64
}

func (s *Service) readTOTP(ctx context.Context, q querier, account string) (t sharedSecret, err error) {
	var sealed string
	const query = `SELECT secret, confirmed > 0, last_step FROM account_totp WHERE account = $1`
	err = q.QueryRowContext(ctx, query, account).Scan(&sealed, &t.confirmed, &t.lastStep)
	if errors.Is(err, sql.ErrNoRows) {
		return t, errTOTPUnknown()
	}
	if err != nil {
		return t, fmt.Errorf("read authenticator app: %w", err)
	}
	secret, err := s.unseal(totpRow(account), sealed)
	t.secret = string(secret)
	return t, err
}

// match returns the step whose code it is, if that is near enough and later than the last one used.
func (t sharedSecret) match(code string, now time.Time) (step int64, ok bool) {
	current := now.Unix() / totpPeriod
	for at := current - totpSkew; at <= current+totpSkew; at++ {
		want, err := hotp.GenerateCodeCustom(t.secret, uint64(at), hotp.ValidateOpts{Digits: otp.DigitsSix, Algorithm: otp.AlgorithmSHA1})
		if err == nil && subtle.ConstantTimeCompare([]byte(want), []byte(code)) == 1 && at > t.lastStep {
			step, ok = at, true
		}
	}
	return step, ok
}

// digitsOf takes out what people and apps put between digits. It is done before anything compares:
// "123 456" is no other code than "123456", or each would be a second use of the first.
func digitsOf(code string) string {
	return strings.Map(func(r rune) rune {
		if r == ' ' || r == '-' || r == '\t' || r == '\u00a0' || r == '\u202f' {
			return -1
		}
		return r
	}, strings.TrimSpace(code))
}

// looksTOTP reports whether a cleaned code is six digits.
func looksTOTP(code string) bool {
	return len(code) == totpDigits && strings.Trim(code, "0123456789") == ""
}
