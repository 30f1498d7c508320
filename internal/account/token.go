package account

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
	"unicode"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

const (
	maxDescription = 200 // bytes
	maxNetworks    = 50
	tokenIDRandom  = 12
)

// Token describes a token; its secret is known to whoever made it and to nobody else.
type Token struct {
	ID      string // "tok_…"
	Account string
	// Description becomes part of the record with everything that is published with the token.
	Description string
	Scope       Scope
	// Networks are from where it may be used; none means everywhere.
	Networks []netip.Prefix
	Expires  time.Time // zero: never
	Created  time.Time
	LastUsed time.Time // to the minute; zero: never
	// Bypass lets it through where a rule asks for a second factor and permits automation. Such a token
	// manages no accounts, tokens or members.
	Bypass bool
	// MadeBy is the credential that made it; empty for the first start's.
	MadeBy string
	// Login: a client got it by logging in. It ends with the password, as a session does.
	Login bool
}

// CreateToken makes a token as t describes it and returns its secret, once. From t it takes
// Account (empty: the actor's; another one only for site administrators), Description, Scope,
// Networks, Expires and Bypass. A token makes no token with more rights, a longer life or more networks
// than it has. It takes the second factor of an account that has one. Codes: scope-invalid,
// token-scope, token-bypass, otp-required, admin-required, user-unknown, login-required.
func (s *Service) CreateToken(ctx context.Context, actor evidence.Actor, t Token) (secret string, made Token, err error) {
	c, err := s.live(ctx, actor)
	if err != nil {
		return "", Token{}, err
	}
	if t, err = s.draft(c, t); err != nil {
		return "", Token{}, err
	}
	if err := s.govern(ctx, c, actor, AnyFactor); err != nil {
		return "", Token{}, err
	}
	if t.Account != c.account {
		if err := s.requireAdmin(ctx, actor); err != nil {
			return "", Token{}, err
		}
	}
	err = s.db.Write(ctx, func(tx *sql.Tx) error {
		if err := requireUser(ctx, tx, t.Account); err != nil {
			return err
		}
		secret, made, err = s.mint(ctx, tx, t)
		return err
	})
	return secret, made, err
}

// draft completes what is asked for and checks it against the credential that asks.
func (s *Service) draft(c *credential, t Token) (Token, error) {
	t.MadeBy = c.name
	if t.Account == "" {
		t.Account = c.account
	}
	if len(t.Networks) == 0 {
		t.Networks = c.networks
	}
	if t.Expires.IsZero() && s.settings.TokenExpiry > 0 {
		t.Expires = s.clk.Now().Add(s.settings.TokenExpiry)
	}
	if err := t.Scope.check(); err != nil {
		return t, err
	}
	switch {
	case len(t.Description) > maxDescription || len(t.Networks) > maxNetworks:
		return t, fault.New(fault.Invalid, "scope-invalid", "a token takes %d bytes of description and %d networks at most", maxDescription, maxNetworks)
	case strings.ContainsFunc(t.Description, func(r rune) bool { return !unicode.IsPrint(r) }):
		return t, fault.New(fault.Invalid, "scope-invalid", "a token's description is one line of printable text")
	case !t.Expires.IsZero() && !t.Expires.After(s.clk.Now()):
		return t, fault.New(fault.Invalid, "scope-invalid", "the token would have expired already; choose a later time")
	case !c.scope.covers(t.Scope), !containsNetworks(c.networks, t.Networks):
		return t, fault.New(fault.Denied, "token-scope", "a token cannot make one with more rights than it has; ask for less or use another token")
	case !c.expires.IsZero() && (t.Expires.IsZero() || t.Expires.After(c.expires)):
		return t, fault.New(fault.Denied, "token-scope",
			"a token cannot make one that outlives it; ask for %s at the latest", c.expires.Format(time.RFC3339))
	}
	return t, nil
}

// containsNetworks reports whether every inner network lies in an outer one; no outer ones are all.
func containsNetworks(outer, inner []netip.Prefix) bool {
	for _, in := range inner {
		found := len(outer) == 0
		for _, out := range outer {
			found = found || out.Bits() <= in.Bits() && out.Contains(in.Addr())
		}
		if !found {
			return false
		}
	}
	return true
}

// mint writes a new token. Nothing is cached about tokens that do not exist, so the cache stays.
func (s *Service) mint(ctx context.Context, tx *sql.Tx, t Token) (string, Token, error) {
	secret, err := s.newSecret(tokenPrefix)
	if err != nil {
		return "", Token{}, err
	}
	id, err := s.randomText(tokenIDRandom)
	if err != nil {
		return "", Token{}, err
	}
	t.ID, t.Created, t.LastUsed = "tok_"+id, fromMillis(s.clk.Now().UnixMilli()), time.Time{}
	t.Expires = fromMillis(millis(t.Expires))
	const insert = `INSERT INTO access_token (id, hash, account, description, ecosystem, names, permission, networks,
		made_by, created, expires, last_used, revoked, bypass, login) VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 0, 0, $12, $13)`
	_, err = tx.ExecContext(ctx, insert, t.ID, hashSecret(secret), t.Account, t.Description, t.Scope.Ecosystem,
		strings.Join(t.Scope.Names, " "), string(t.Scope.Permission), joinNetworks(t.Networks), t.MadeBy, millis(t.Created), millis(t.Expires), bit(t.Bypass), bit(t.Login))
	if err != nil {
		return "", Token{}, fmt.Errorf("write token: %w", err)
	}
	return secret, t, nil
}

func joinNetworks(networks []netip.Prefix) string {
	var texts []string
	for _, n := range networks {
		texts = append(texts, n.Masked().String())
	}
	return strings.Join(texts, " ")
}

const selectToken = `SELECT id, account, description, ecosystem, names, permission, networks, made_by, created, expires, last_used, bypass, login
	FROM access_token WHERE revoked = 0 AND `

// ListTokens returns the actor's tokens that are not revoked, expired ones included, newest first.
func (s *Service) ListTokens(ctx context.Context, actor evidence.Actor) ([]Token, error) {
	c, err := s.live(ctx, actor)
	if err != nil {
		return nil, err
	}
	rows, err := s.db.Query().QueryContext(ctx, selectToken+`account = $1 ORDER BY created DESC, id`, c.account)
	return collect(rows, err, func(rows *sql.Rows) (Token, error) { return scanToken(rows) })
}

func scanToken(row interface{ Scan(...any) error }) (Token, error) {
	var t Token
	var names, networks string
	var created, expires, lastUsed int64
	if err := row.Scan(&t.ID, &t.Account, &t.Description, &t.Scope.Ecosystem, &names, &t.Scope.Permission,
		&networks, &t.MadeBy, &created, &expires, &lastUsed, &t.Bypass, &t.Login); err != nil {
		return Token{}, err
	}
	t.Scope.Names = strings.Fields(names)
	t.Created, t.Expires, t.LastUsed = fromMillis(created), fromMillis(expires), fromMillis(lastUsed)
	var err error
	t.Networks, err = parseNetworks(networks)
	return t, err
}

// endLogins revokes the tokens that clients of an account got by logging in.
func endLogins(ctx context.Context, tx *sql.Tx, account string, now time.Time) (ended int64, err error) {
	const end = `UPDATE access_token SET revoked = $1 WHERE account = $2 AND login = 1 AND revoked = 0`
	ended, err = affected(tx.ExecContext(ctx, end, now.UnixMilli(), account))
	if err != nil {
		return 0, fmt.Errorf("end logins: %w", err)
	}
	return ended, nil
}

// RevokeToken revokes a token, named by its id or given as the secret itself. When it returns, no
// request is let through with it any more. Users may revoke their own, site administrators all; a
// narrowed token only itself and those that reach no further. Codes: token-unknown, token-scope.
func (s *Service) RevokeToken(ctx context.Context, actor evidence.Actor, idOrSecret string) error {
	c, err := s.live(ctx, actor)
	if err != nil {
		return err
	}
	return s.change(ctx, func(tx *sql.Tx) error {
		const match = `(id = $1 OR hash = $2)`
		t, err := scanToken(tx.QueryRowContext(ctx, selectToken+match, idOrSecret, hashSecret(idOrSecret)))
		if errors.Is(err, sql.ErrNoRows) || err == nil && t.Account != c.account && !c.admin {
			return fault.New(fault.NotFound, "token-unknown", "you have no such token; list your tokens to see their ids")
		}
		if err != nil {
			return fmt.Errorf("read token: %w", err)
		}
		if c.name != tokenCredential+t.ID && !c.scope.covers(t.Scope) {
			return fault.New(fault.Denied, "token-scope", "a token cannot revoke one with more rights than it has; use another token")
		}
		_, err = tx.ExecContext(ctx, `UPDATE access_token SET revoked = $1 WHERE id = $2`, s.clk.Now().UnixMilli(), t.ID)
		return err
	})
}
