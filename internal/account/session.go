package account

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

const (
	sessionPrefix = "hms_"
	// freshFor is how long a factor that was proven in a session counts.
	freshFor    = 10 * time.Minute
	maxSessions = 50  // of one account; the oldest goes
	maxAgent    = 200 // bytes
	maxDevices  = 100 // of one account that are remembered
)

// Device is where a person signs in from.
type Device struct {
	RemoteAddr string // "ip:port" or "ip"
	Agent      string // User-Agent; shown in lists, proves nothing
}

// Session is a sign-in in a browser.
type Session struct {
	ID       string // "ses_…"
	Method   string // "password", "webauthn", "sso"
	Factor   evidence.Factor
	Agent    string
	Created  time.Time
	LastUsed time.Time // to the minute
	Current  bool      // the actor's own
}

// sessionState is what the credential of a session has beside that of a token.
type sessionState struct {
	factor evidence.Factor
	proven time.Time
}

// fresh returns the factor while its proof counts.
func (st *sessionState) fresh(now time.Time) evidence.Factor {
	if st.factor == "" || now.Sub(st.proven) >= freshFor {
		return ""
	}
	return st.factor
}

// SignInPassword opens a session for who knows the password. When the account has a second factor the
// session is good for nothing until ProveSession or FinishPasskeyProof. The secret goes into a cookie;
// it is kept as SHA-256 only. Codes: credential-invalid, too-many-attempts.
func (s *Service) SignInPassword(ctx context.Context, user, password string, from Device) (secret string, err error) {
	if err := s.CheckPassword(ctx, user, password, from.RemoteAddr); err != nil {
		return "", err
	}
	return s.openSession(ctx, user, "password", "", from)
}

// SignInSSO opens a session for an account that an identity provider vouched for: the caller has
// verified that. Codes: user-unknown.
func (s *Service) SignInSSO(ctx context.Context, account string, from Device) (secret string, err error) {
	if err := requireUser(ctx, s.db.Query(), account); err != nil {
		return "", err
	}
	return s.openSession(ctx, account, "sso", "", from)
}

// openSession writes a new session, and a notice when the account was never used from there.
func (s *Service) openSession(ctx context.Context, account, method string, f evidence.Factor, from Device) (secret string, err error) {
	if secret, err = s.newSecret(sessionPrefix); err != nil {
		return "", err
	}
	id, err := s.randomText(tokenIDRandom)
	if err != nil {
		return "", err
	}
	addr := parseAddress(from.RemoteAddr)
	address, err := s.hashAddress(ctx, addr)
	if err != nil {
		return "", err
	}
	agent := strings.ToValidUTF8(from.Agent[:min(len(from.Agent), maxAgent)], "")
	device, err := s.hashDevice(ctx, addr, "ses:", agent)
	if err != nil {
		return "", err
	}
	now := s.clk.Now()
	err = s.change(ctx, func(tx *sql.Tx) error {
		if err := s.sweepSessions(ctx, tx, account, now); err != nil {
			return err
		}
		var proven int64
		if f != "" {
			proven = now.UnixMilli()
		}
		const insert = `INSERT INTO account_session (id, hash, account, method, factor, proven, agent, address, created, last_used)
			VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $9)`
		if _, err := tx.ExecContext(ctx, insert, "ses_"+id, hashSecret(secret), account, method, string(f), proven, agent, address, now.UnixMilli()); err != nil {
			return fmt.Errorf("write session: %w", err)
		}
		return s.noteDevice(ctx, tx, account, device, method, agent)
	})
	return secret, err
}

// sweepSessions forgets the account's sessions that have ended, and the oldest when there are many.
func (s *Service) sweepSessions(ctx context.Context, tx *sql.Tx, account string, now time.Time) error {
	const sweep = `DELETE FROM account_session WHERE account = $1 AND (created <= $2 OR last_used <= $3 OR id NOT IN (
		SELECT id FROM account_session WHERE account = $1 ORDER BY created DESC LIMIT $4))`
	_, err := tx.ExecContext(ctx, sweep, account, now.Add(-s.settings.SessionLife).UnixMilli(),
		now.Add(-s.settings.SessionIdle-useInterval).UnixMilli(), maxSessions-1)
	if err != nil {
		return fmt.Errorf("sweep sessions: %w", err)
	}
	return nil
}

// hashDevice tells networks and browsers apart without keeping either in clear.
func (s *Service) hashDevice(ctx context.Context, addr netip.Addr, kind, agent string) (string, error) {
	key, err := s.addressSecret(ctx)
	if err != nil {
		return "", err
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte("device\x00" + networkOf(addr) + "\x00" + agent))
	return kind + hex.EncodeToString(mac.Sum(nil)[:addressHashBytes]), nil
}

// noteDevice remembers where the account was used from. The first device of all is no news.
func (s *Service) noteDevice(ctx context.Context, tx *sql.Tx, account, device, method, agent string) error {
	var known, all int
	const query = `SELECT COALESCE(SUM(CASE WHEN device = $2 THEN 1 ELSE 0 END), 0), count(*) FROM account_device
		WHERE account = $1 AND substr(device, 1, 4) = 'ses:'`
	if err := tx.QueryRowContext(ctx, query, account, device).Scan(&known, &all); err != nil {
		return fmt.Errorf("look for device: %w", err)
	}
	const put = `INSERT INTO account_device (account, device, seen) VALUES ($1, $2, $3)
		ON CONFLICT (account, device) DO UPDATE SET seen = excluded.seen`
	if _, err := tx.ExecContext(ctx, put, account, device, s.clk.Now().UnixMilli()); err != nil {
		return fmt.Errorf("note device: %w", err)
	}
	if known > 0 || all == 0 {
		return nil
	}
	const trim = `DELETE FROM account_device WHERE account = $1 AND device NOT IN (
		SELECT device FROM account_device WHERE account = $1 ORDER BY seen DESC LIMIT $2)`
	if _, err := tx.ExecContext(ctx, trim, account, maxDevices); err != nil {
		return fmt.Errorf("forget devices: %w", err)
	}
	return s.notify(ctx, tx, account, "new-device", map[string]any{"method": method, "agent": agent})
}

// SessionActor returns who holds the session; Factor is set while its proof is fresh (10 minutes).
// Codes: credential-invalid when it has ended.
func (s *Service) SessionActor(ctx context.Context, secret, remoteAddr string) (evidence.Actor, error) {
	if !validSecret(sessionPrefix, secret) {
		return evidence.Actor{}, errCredential()
	}
	hash := hashSecret(secret)
	cache := s.cache.Load() // before the read: a change in between must not be missed
	c, ok := cache.byHash.get(hash)
	if !ok {
		var err error
		if c, err = s.loadSession(ctx, `s.hash = $1`, hash); err != nil {
			return evidence.Actor{}, err
		}
		if subtle.ConstantTimeCompare([]byte(c.hash), []byte(hash)) != 1 {
			return evidence.Actor{}, errCredential()
		}
		cache.remember(c)
	}
	actor, err := s.admit(ctx, c, remoteAddr)
	if err != nil {
		return evidence.Actor{}, err
	}
	actor.Factor = c.session.fresh(s.clk.Now())
	return actor, nil
}

// loadSession reads the session that where finds.
func (s *Service) loadSession(ctx context.Context, where, arg string) (*credential, error) {
	query := `SELECT s.id, s.hash, s.account, u.admin, s.method, s.factor, s.proven, s.created, s.last_used
		FROM account_session s JOIN account_user u ON u.name = s.account WHERE ` + where
	c := &credential{scope: Scope{Permission: evidence.Own}, idle: s.settings.SessionIdle, session: &sessionState{}}
	var id string
	var proven, created, lastUsed int64
	err := s.db.Query().QueryRowContext(ctx, query, arg).Scan(&id, &c.hash, &c.account, &c.admin, &c.method,
		&c.session.factor, &proven, &created, &lastUsed)
	if err != nil {
		return nil, credentialError(err)
	}
	c.name, c.session.proven = sessionCredential+id, fromMillis(proven)
	c.expires = fromMillis(created).Add(s.settings.SessionLife)
	c.half = c.session.factor == "" // also where an identity provider vouches: it says nothing about the account's own factor
	c.lastUsed.Store(lastUsed)
	return c, nil
}

// ProveSession proves a factor for the session of the actor, by a TOTP or recovery code, and keeps it
// fresh for 10 minutes. Codes: otp-invalid, too-many-attempts.
func (s *Service) ProveSession(ctx context.Context, actor evidence.Actor, otp, remoteAddr string) (evidence.Actor, error) {
	proven, err := s.Prove(ctx, actor, otp, remoteAddr)
	if err != nil {
		return evidence.Actor{}, err
	}
	return s.strengthen(ctx, proven, proven.Factor)
}

// strengthen writes down that a factor was proven in the actor's session, unless a stronger one still
// is fresh there. For another credential it only returns the actor with the factor.
func (s *Service) strengthen(ctx context.Context, actor evidence.Actor, f evidence.Factor) (evidence.Actor, error) {
	actor.Factor = f
	c, err := s.known(ctx, actor)
	if err != nil || c.session == nil {
		return actor, err
	}
	now := s.clk.Now()
	if strengths[proves[c.session.fresh(now)]] > strengths[proves[f]] {
		actor.Factor = c.session.factor
		return actor, nil
	}
	return actor, s.change(ctx, func(tx *sql.Tx) error {
		const prove = `UPDATE account_session SET factor = $1, proven = $2 WHERE id = $3`
		_, err := tx.ExecContext(ctx, prove, string(f), now.UnixMilli(), strings.TrimPrefix(c.name, sessionCredential))
		return err
	})
}

// Sessions returns the actor's open sessions, newest first.
func (s *Service) Sessions(ctx context.Context, actor evidence.Actor) ([]Session, error) {
	c, err := s.live(ctx, actor)
	if err != nil {
		return nil, err
	}
	now := s.clk.Now()
	const query = `SELECT id, method, factor, agent, created, last_used FROM account_session
		WHERE account = $1 AND created > $2 AND last_used > $3 ORDER BY created DESC, id`
	rows, err := s.db.Query().QueryContext(ctx, query, c.account,
		now.Add(-s.settings.SessionLife).UnixMilli(), now.Add(-s.settings.SessionIdle).UnixMilli())
	return collect(rows, err, func(rows *sql.Rows) (Session, error) {
		var one Session
		var created, lastUsed int64
		err := rows.Scan(&one.ID, &one.Method, &one.Factor, &one.Agent, &created, &lastUsed)
		one.Created, one.LastUsed = fromMillis(created), fromMillis(lastUsed)
		one.Current = sessionCredential+one.ID == c.name
		return one, err
	})
}

// EndSession ends one of the actor's sessions at once; "" is the actor's own, which also who has given
// only a password may end. Code: session-unknown.
func (s *Service) EndSession(ctx context.Context, actor evidence.Actor, id string) error {
	find := s.live
	if id == "" {
		find, id = s.known, strings.TrimPrefix(actor.Credential, sessionCredential)
	}
	c, err := find(ctx, actor)
	if err != nil {
		return err
	}
	return s.change(ctx, func(tx *sql.Tx) error {
		n, err := affected(tx.ExecContext(ctx, `DELETE FROM account_session WHERE id = $1 AND account = $2`, id, c.account))
		if err == nil && n == 0 {
			return fault.New(fault.NotFound, "session-unknown", "you have no such session; it may have ended already")
		}
		return err
	})
}

// EndSessions ends all of the actor's sessions, but for one that the actor is in, and the logins of their
// clients.
func (s *Service) EndSessions(ctx context.Context, actor evidence.Actor) error {
	c, err := s.live(ctx, actor)
	if err != nil {
		return err
	}
	return s.change(ctx, func(tx *sql.Tx) error {
		if _, err := endLogins(ctx, tx, c.account, s.clk.Now()); err != nil {
			return err
		}
		return endSessions(ctx, tx, c.account, c.name)
	})
}

// endSessions ends all sessions of an account but one.
func endSessions(ctx context.Context, tx *sql.Tx, account, but string) error {
	const end = `DELETE FROM account_session WHERE account = $1 AND id <> $2`
	if _, err := tx.ExecContext(ctx, end, account, strings.TrimPrefix(but, sessionCredential)); err != nil {
		return fmt.Errorf("end sessions: %w", err)
	}
	return nil
}
