package account

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
)

const (
	loginLifetime      = 10 * time.Minute
	loginTokenLifetime = 30 * 24 * time.Hour
	// maxLogins bounds the open sessions: anybody may start one.
	maxLogins = 1000
	// maxLoginStarts is per address and minute, so that one caller does not use them all up.
	maxLoginStarts = 20
)

// The web login (npm's /-/v1/login) joins a client that waits to a browser in which somebody logs
// in. The two hold different secrets: who sees the address in the browser cannot fetch the token,
// and who polls cannot approve.

// StartLogin opens a session. code goes into the address that the user opens, pollSecret stays with
// the client. Codes: login-busy, too-many-attempts.
func (s *Service) StartLogin(ctx context.Context, remoteAddr string) (code, pollSecret string, err error) {
	now := s.clk.Now()
	if !s.attempts.take(now, []attempt{{"login\x00" + networkOf(parseAddress(remoteAddr)), maxLoginStarts, attemptWindow}}) {
		return "", "", errTooMany()
	}
	if code, err = s.randomText(tokenRandom); err != nil {
		return "", "", err
	}
	if pollSecret, err = s.randomText(tokenRandom); err != nil {
		return "", "", err
	}
	err = s.db.Write(ctx, func(tx *sql.Tx) error { return openLogin(ctx, tx, code, pollSecret, now) })
	if err != nil {
		return "", "", fmt.Errorf("start login: %w", err)
	}
	return code, pollSecret, nil
}

func openLogin(ctx context.Context, tx *sql.Tx, code, pollSecret string, now time.Time) error {
	if _, err := tx.ExecContext(ctx, `DELETE FROM login_session WHERE created <= $1`, loginHorizon(now)); err != nil {
		return err
	}
	var open int
	if err := tx.QueryRowContext(ctx, `SELECT count(*) FROM login_session`).Scan(&open); err != nil {
		return err
	}
	if open >= maxLogins {
		return fault.New(fault.Unavailable, "login-busy", "too many logins are open; try again in a few minutes")
	}
	_, err := tx.ExecContext(ctx, `INSERT INTO login_session (code_hash, poll_hash, account, credential, created)
		VALUES ($1, $2, '', '', $3)`, hashSecret(code), hashSecret(pollSecret), now.UnixMilli())
	return err
}

// loginHorizon is the creation time, in Unix milliseconds, up to which sessions have expired.
func loginHorizon(now time.Time) int64 { return now.Add(-loginLifetime).UnixMilli() }

// CompleteLogin lets the client that waits behind code act for the actor. The page that calls it
// must have shown what is about to be approved: who was talked into opening a stranger's address
// would approve the stranger's client. Codes: login-required, login-unknown, token-scope.
func (s *Service) CompleteLogin(ctx context.Context, code string, actor evidence.Actor) error {
	c, err := s.live(ctx, actor)
	if err != nil {
		return err
	}
	if _, err := s.draft(c, s.loginToken(c)); err != nil {
		return err
	}
	if err := s.govern(ctx, c, actor, AnyFactor); err != nil {
		return err
	}
	return s.db.Write(ctx, func(tx *sql.Tx) error {
		const update = `UPDATE login_session SET account = $1, credential = $2 WHERE code_hash = $3 AND account = '' AND created > $4`
		n, err := affected(tx.ExecContext(ctx, update, c.account, c.name, hashSecret(code), loginHorizon(s.clk.Now())))
		if err != nil {
			return fmt.Errorf("complete login: %w", err)
		}
		if n == 0 {
			return errLoginUnknown()
		}
		return nil
	})
}

// loginToken is what a login mints: it acts for its user in npm and manages nothing else. It does
// not outlive the credential that approved it.
func (s *Service) loginToken(c *credential) Token {
	t := Token{
		Account: c.account, Description: "npm login", Login: true, Expires: s.clk.Now().Add(loginTokenLifetime),
		Scope: Scope{Ecosystem: purl.NPM, Permission: evidence.Own},
	}
	if !c.expires.IsZero() && c.expires.Before(t.Expires) {
		t.Expires = c.expires
	}
	return t
}

// PollLogin returns the token once somebody has logged in; done is false until then. The token is
// made by this call and handed out once. Codes: login-unknown after 10 minutes, after the token was
// fetched, and for a wrong secret; credential-invalid when the approving credential was revoked.
func (s *Service) PollLogin(ctx context.Context, pollSecret string) (token string, done bool, err error) {
	hash, horizon := hashSecret(pollSecret), loginHorizon(s.clk.Now())
	const query = `SELECT account, credential FROM login_session WHERE poll_hash = $1 AND created > $2`
	var account, approved string
	err = s.db.Query().QueryRowContext(ctx, query, hash, horizon).Scan(&account, &approved)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return "", false, errLoginUnknown()
	case err != nil:
		return "", false, fmt.Errorf("poll login: %w", err)
	case account == "":
		return "", false, nil
	}
	c, err := s.known(ctx, evidence.Actor{Account: account, Credential: approved}) // its factor was asked for when it approved
	if err != nil {
		return "", false, err
	}
	t, err := s.draft(c, s.loginToken(c))
	if err != nil {
		return "", false, err
	}
	token, err = s.redeemLogin(ctx, hash, t)
	return token, err == nil, err
}

// redeemLogin closes the session and makes its token in one transaction: of two clients that poll
// at once, one gets it.
func (s *Service) redeemLogin(ctx context.Context, pollHash string, t Token) (secret string, err error) {
	err = s.db.Write(ctx, func(tx *sql.Tx) error {
		n, err := affected(tx.ExecContext(ctx, `DELETE FROM login_session WHERE poll_hash = $1 AND account = $2`, pollHash, t.Account))
		if err != nil {
			return fmt.Errorf("close login: %w", err)
		}
		if n == 0 {
			return errLoginUnknown()
		}
		secret, _, err = s.mint(ctx, tx, t)
		return err
	})
	return secret, err
}

func errLoginUnknown() error {
	return fault.New(fault.NotFound, "login-unknown", "this login has expired or was used already; start it again")
}
