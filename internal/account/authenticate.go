package account

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"net/http"
	"net/netip"
	"strings"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
)

// useInterval is how often the use of a token is written down at most. The write is part of the
// request that is first in its minute: one commit per token and minute, and no goroutine to own.
const useInterval = time.Minute

// addressHashBytes is how much of the HMAC an actor carries: enough to compare, too little to
// matter in the size of the record.
const addressHashBytes = 12

// tokenUsers are the user names under which clients send a token whose owner they do not know.
var tokenUsers = map[string]bool{"token": true, "__token__": true}

// Authenticate returns who sent the request: nobody (the zero Actor) without an Authorization
// header, else the holder of a Bearer token or of Basic credentials. It fails with codes
// credential-invalid, token-expired, token-address and too-many-attempts.
//
// The address is that of the connection. Behind a reverse proxy that is the proxy's unless the
// caller has set r.RemoteAddr from a header that it trusts.
//
// It may write (see useInterval): call it outside of store transactions.
//
// Whether what was proven is enough is Authorize's to say, by permission: a second factor is asked
// for there and added by Prove.
func (s *Service) Authenticate(r *http.Request) (evidence.Actor, error) {
	header := r.Header.Get("Authorization")
	if header == "" {
		return evidence.Actor{}, nil
	}
	user, secret, ok := parseAuthorization(header)
	if !ok {
		return evidence.Actor{}, errCredential()
	}
	return s.AuthenticateSecret(r.Context(), user, secret, r.RemoteAddr)
}

// AuthenticateSecret returns the actor that user and secret prove: a token (user is its owner,
// "token" or "__token__") or the user's password. remoteAddr is the caller's "ip:port" or "ip".
// It fails as Authenticate does.
func (s *Service) AuthenticateSecret(ctx context.Context, user, secret, remoteAddr string) (evidence.Actor, error) {
	if strings.HasPrefix(secret, workloadPrefix) {
		return s.authenticateWorkload(ctx, user, secret, remoteAddr)
	}
	if !strings.HasPrefix(secret, tokenPrefix) {
		if err := s.CheckPassword(ctx, user, secret, remoteAddr); err != nil {
			return evidence.Actor{}, err
		}
		return s.ActorOf(ctx, passwordCredential+user, remoteAddr)
	}
	c, err := s.tokenBySecret(ctx, secret)
	if err != nil {
		return evidence.Actor{}, err
	}
	if user != c.account && !tokenUsers[user] {
		return evidence.Actor{}, errCredential()
	}
	return s.admit(ctx, c, remoteAddr)
}

// PasswordOf names, as evidence.Actor.Credential does, the password of an account.
func PasswordOf(account string) string { return passwordCredential + account }

// ActorOf returns the actor of a credential that was authenticated before, by its name in
// evidence.Actor.Credential, provided that it still is valid now and from remoteAddr. Whoever hands
// out bearer tokens of their own stores that name in them and asks on every request: a revoked
// token takes everything that was derived from it with it. The name is not a secret: it must come
// from where nobody else can have written it, such as a signed token.
func (s *Service) ActorOf(ctx context.Context, credential, remoteAddr string) (evidence.Actor, error) {
	return s.ActorSince(ctx, credential, s.clk.Now(), remoteAddr)
}

// ActorSince is ActorOf for what was derived from the credential at a certain time: a password that was
// changed since, or in the same second, no longer stands behind it.
func (s *Service) ActorSince(ctx context.Context, credential string, derived time.Time, remoteAddr string) (evidence.Actor, error) {
	c, err := s.credentialByName(ctx, credential)
	if err != nil {
		return evidence.Actor{}, err
	}
	if c.since.After(derived) {
		return evidence.Actor{}, errCredential()
	}
	return s.admit(ctx, c, remoteAddr)
}

// admit makes the actor of a credential, if it may be used now and from there.
func (s *Service) admit(ctx context.Context, c *credential, remoteAddr string) (evidence.Actor, error) {
	now, from := s.clk.Now(), parseAddress(remoteAddr)
	if err := c.usable(now, from); err != nil {
		return evidence.Actor{}, err
	}
	hash, err := s.hashAddress(ctx, from)
	if err != nil {
		return evidence.Actor{}, err
	}
	s.noteUse(ctx, c, now)
	return evidence.Actor{
		Account: c.account, Credential: c.name, Label: c.label, Method: c.method, AddressHash: hash, Workload: c.identity(),
	}, nil
}

// noteUse writes down that a token was used, at most once per useInterval. A failure is not the
// caller's: what only reads must work on a full disk, and the next interval tries again.
func (s *Service) noteUse(ctx context.Context, c *credential, now time.Time) {
	last := c.lastUsed.Load()
	if c.hash == "" || now.UnixMilli()-last < useInterval.Milliseconds() || !c.lastUsed.CompareAndSwap(last, now.UnixMilli()) {
		return
	}
	_ = s.db.Write(ctx, func(tx *sql.Tx) error {
		update, id := `UPDATE access_token SET last_used = $1 WHERE id = $2 AND last_used <= $3`, strings.TrimPrefix(c.name, tokenCredential)
		if c.session != nil {
			update, id = `UPDATE account_session SET last_used = $1 WHERE id = $2 AND last_used <= $3`, strings.TrimPrefix(c.name, sessionCredential)
		}
		_, err := tx.ExecContext(ctx, update, now.UnixMilli(), id, now.Add(-useInterval).UnixMilli())
		return err
	})
}

// parseAuthorization splits an Authorization header (RFC 9110, 11.6.2) into user and secret.
func parseAuthorization(header string) (user, secret string, ok bool) {
	scheme, value, _ := strings.Cut(header, " ")
	switch strings.ToLower(scheme) {
	case "bearer":
		return "token", value, strings.HasPrefix(value, tokenPrefix) || strings.HasPrefix(value, workloadPrefix)
	case "basic":
		raw, err := base64.StdEncoding.DecodeString(value)
		if err != nil {
			return "", "", false
		}
		return strings.Cut(string(raw), ":")
	}
	return "", "", false
}

// parseAddress returns the IP address of "ip:port" or "ip", or the zero Addr for anything else.
func parseAddress(remoteAddr string) netip.Addr {
	if ap, err := netip.ParseAddrPort(remoteAddr); err == nil {
		return ap.Addr().Unmap().WithZone("")
	}
	addr, err := netip.ParseAddr(remoteAddr)
	if err != nil {
		return netip.Addr{}
	}
	return addr.Unmap().WithZone("")
}

// hashAddress returns the keyed hash of an address, or nothing for an unknown one. The key is this
// server's: without it the four billion IPv4 addresses are soon tried.
func (s *Service) hashAddress(ctx context.Context, addr netip.Addr) (string, error) {
	if !addr.IsValid() {
		return "", nil
	}
	if hash, ok := s.addresses.get(addr); ok {
		return hash, nil
	}
	key, err := s.addressSecret(ctx)
	if err != nil {
		return "", err
	}
	mac := hmac.New(sha256.New, key)
	mac.Write(addr.AsSlice())
	hash := hex.EncodeToString(mac.Sum(nil)[:addressHashBytes])
	s.addresses.put(addr, hash)
	return hash, nil
}
