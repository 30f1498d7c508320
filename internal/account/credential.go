package account

import (
	"context"
	"crypto/subtle"
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

// The prefixes of evidence.Actor.Credential.
const (
	tokenCredential    = "token:"
	passwordCredential = "password:"
	sessionCredential  = "session:"
)

// credential is a live token, or a user who gave their password, as the cache keeps it.
type credential struct {
	name     string // as in evidence.Actor.Credential
	label    string // a token's description
	hash     string // of a token
	account  string
	admin    bool
	method   string
	scope    Scope
	expires  time.Time // zero: never
	networks []netip.Prefix
	// bypass: a token that gets around second factors where a rule lets automation pass.
	bypass bool
	// since is when the password was set: what was derived from an earlier one is void.
	since time.Time
	// half: a password or a provider's word, which opens nothing alone when the account has a second factor.
	half bool
	idle time.Duration // after which a session ends that is not used; 0: never
	// session is what a browser session has beside the rest; nil for others.
	session  *sessionState
	workload *workload // nil for an account's
	// lastUsed is when a token's use was last written down, in Unix milliseconds.
	lastUsed atomic.Int64
}

// errCredential says the same for everything that can be wrong with a credential, so that nobody
// learns which part was right.
func errCredential() error {
	return fault.New(fault.Unauthenticated, "credential-invalid",
		"the user name, password or token is not valid; log in again or make a new token")
}

// expired fails with code token-expired from the instant of expiry on; a session that has ended is no
// credential any more.
func (c *credential) expired(now time.Time) error {
	if c.session != nil && (!now.Before(c.expires) || now.UnixMilli()-c.lastUsed.Load() > c.idle.Milliseconds()) {
		return errCredential()
	}
	if c.expires.IsZero() || now.Before(c.expires) {
		return nil
	}
	return fault.New(fault.Unauthenticated, "token-expired",
		"the token expired on %s; make a new one", c.expires.Format(time.RFC3339))
}

// usable checks what depends on the moment and the caller's address.
func (c *credential) usable(now time.Time, from netip.Addr) error {
	if err := c.expired(now); err != nil {
		return err
	}
	if len(c.networks) == 0 {
		return nil
	}
	for _, n := range c.networks {
		if n.Contains(from) {
			return nil
		}
	}
	return fault.New(fault.Denied, "token-address",
		"the token may not be used from this network address; use it from where it was made for or make another")
}

const selectCredential = `SELECT t.id, t.description, t.hash, t.account, u.admin, t.ecosystem, t.names, t.permission, t.networks, t.expires, t.last_used, t.bypass
	FROM access_token t JOIN account_user u ON u.name = t.account WHERE t.revoked = 0 AND `

// tokenBySecret returns the token that secret is, from the cache or the table.
func (s *Service) tokenBySecret(ctx context.Context, secret string) (*credential, error) {
	if !ValidToken(secret) {
		return nil, errCredential()
	}
	hash := hashSecret(secret)
	cache := s.cache.Load() // before the read: a change in between must not be missed
	if c, ok := cache.byHash.get(hash); ok {
		return c, nil
	}
	c, err := scanCredential(s.db.Query().QueryRowContext(ctx, selectCredential+`t.hash = $1`, hash))
	if err != nil {
		return nil, err
	}
	if subtle.ConstantTimeCompare([]byte(c.hash), []byte(hash)) != 1 {
		return nil, errCredential()
	}
	cache.remember(c)
	return c, nil
}

// credentialByName returns the credential that an actor names. It is no longer there when its
// token was revoked.
func (s *Service) credentialByName(ctx context.Context, name string) (*credential, error) {
	cache := s.cache.Load()
	if c, ok := cache.byID.get(name); ok {
		return c, nil
	}
	c, err := s.loadCredential(ctx, name)
	if err != nil {
		return nil, err
	}
	cache.remember(c)
	return c, nil
}

func (s *Service) loadCredential(ctx context.Context, name string) (*credential, error) {
	if id, ok := strings.CutPrefix(name, tokenCredential); ok {
		return scanCredential(s.db.Query().QueryRowContext(ctx, selectCredential+`t.id = $1`, id))
	}
	if id, ok := strings.CutPrefix(name, sessionCredential); ok {
		return s.loadSession(ctx, `s.id = $1`, id)
	}
	if id, ok := strings.CutPrefix(name, workloadCredential); ok {
		return s.loadWorkload(ctx, id)
	}
	account, ok := strings.CutPrefix(name, passwordCredential)
	if !ok {
		return nil, errCredential()
	}
	c := &credential{name: name, account: account, method: "password", half: true, scope: Scope{Permission: evidence.Own}}
	const query = `SELECT admin, password_set FROM account_user WHERE name = $1 AND password <> ''`
	var since int64
	err := credentialError(s.db.Query().QueryRowContext(ctx, query, account).Scan(&c.admin, &since))
	c.since = fromMillis(since)
	return c, err
}

// remember keeps one object under both keys, so that last use is throttled once per token.
func (c *cache) remember(cr *credential) {
	c.byID.put(cr.name, cr)
	if cr.hash != "" {
		c.byHash.put(cr.hash, cr)
	}
}

func scanCredential(row *sql.Row) (*credential, error) {
	c := &credential{method: "token"}
	var id, names, networks string
	var expires, lastUsed int64
	err := row.Scan(&id, &c.label, &c.hash, &c.account, &c.admin, &c.scope.Ecosystem, &names, &c.scope.Permission, &networks, &expires, &lastUsed, &c.bypass)
	if err != nil {
		return nil, credentialError(err)
	}
	c.name, c.scope.Names, c.expires = tokenCredential+id, strings.Fields(names), fromMillis(expires)
	c.lastUsed.Store(lastUsed)
	c.networks, err = parseNetworks(networks)
	return c, err
}

// credentialError turns a missing row into a credential that is not valid.
func credentialError(err error) error {
	if errors.Is(err, sql.ErrNoRows) {
		return errCredential()
	}
	if err != nil {
		return fmt.Errorf("read credential: %w", err)
	}
	return nil
}

func parseNetworks(stored string) ([]netip.Prefix, error) {
	var networks []netip.Prefix
	for _, f := range strings.Fields(stored) {
		n, err := netip.ParsePrefix(f)
		if err != nil {
			return nil, fmt.Errorf("read token networks: %w", err)
		}
		networks = append(networks, n)
	}
	return networks, nil
}
