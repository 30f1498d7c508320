package account

import (
	"context"
	"crypto/subtle"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
	"net/netip"
	"strings"

	"golang.org/x/crypto/argon2"

	"github.com/hullmark/hullmark/internal/fault"
)

// Argon2id with 19 MiB, two passes and one lane.
// Source: OWASP Password Storage Cheat Sheet; RFC 9106 for the function itself.
const (
	argonMemory  = 19 * 1024 // KiB
	argonTime    = 2
	argonThreads = 1
	saltBytes    = 16
	keyBytes     = 32
	// maxCommon bounds what is looked for in the list, in bytes.
	maxCommon = 64

	minPassword = 12   // bytes
	maxPassword = 1024 // bytes
)

// CheckPassword reports, as an error, that password is not user's: code credential-invalid,
// too-many-attempts when user or address failed too often in the last minute, or password-breached
// when it is right and on the list of common ones. It takes as long
// for a user that does not exist.
func (s *Service) CheckPassword(ctx context.Context, user, password, remoteAddr string) error {
	if !accountName.MatchString(user) {
		return errCredential()
	}
	from, now := parseAddress(remoteAddr), s.clk.Now()
	keys := attemptKeys(user, from)
	known, network, err := s.knownNetwork(ctx, user, from)
	if err != nil {
		return err
	}
	if known {
		keys = knownKeys(user, from)
	}
	// Cheap limits first: what they refuse costs neither memory nor a place in the queue.
	if !s.attempts.peek(now, keys) {
		return errTooMany()
	}
	leave, err := s.hashing.enter(ctx, known)
	if err != nil {
		return err
	}
	defer leave()
	if !s.attempts.take(now, keys) {
		return errTooMany()
	}
	var stored string
	err = s.db.Query().QueryRowContext(ctx, `SELECT password FROM account_user WHERE name = $1`, user).Scan(&stored)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("read password: %w", err)
	}
	if !verifyPassword(stored, password) {
		return errCredential()
	}
	s.attempts.giveBack(keys)
	if isCommon(password[:min(len(password), maxCommon)], user) {
		// Set before the list knew it. Whoever signs in with it may as well be somebody who tried the list.
		return fault.New(fault.Denied, "password-breached",
			"the password is on the lists that attackers try first, so it opens nothing any more; sign in with a passkey, or recover the account and set another")
	}
	if known {
		return nil
	}
	return s.rememberNetwork(ctx, user, network)
}

// knownNetwork reports whether somebody gave the right password of the account from this network
// before. Guesses from elsewhere do not lock such a person out.
func (s *Service) knownNetwork(ctx context.Context, user string, from netip.Addr) (known bool, network string, err error) {
	if network, err = s.hashDevice(ctx, from, "net:", ""); err != nil || !from.IsValid() {
		return false, network, err
	}
	const query = `SELECT EXISTS (SELECT 1 FROM account_device WHERE account = $1 AND device = $2)`
	if err := s.db.Query().QueryRowContext(ctx, query, user, network).Scan(&known); err != nil {
		return false, network, fmt.Errorf("look for network: %w", err)
	}
	return known, network, nil
}

func (s *Service) rememberNetwork(ctx context.Context, user, network string) error {
	return s.db.Write(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `INSERT INTO account_device (account, device, seen) VALUES ($1, $2, $3) ON CONFLICT (account, device) DO NOTHING`,
			user, network, s.clk.Now().UnixMilli())
		return err
	})
}

// errTooMany is a refusal, not "unavailable": clients repeat a 503 by themselves, and each
// repetition would count again.
func errTooMany() error {
	return fault.New(fault.Denied, "too-many-attempts", "too many failed attempts; wait a minute, then try again")
}

// hashPassword returns the PHC string of a password for an account, or fails with code password-unfit
// or password-breached.
func (s *Service) hashPassword(ctx context.Context, account, password string) (string, error) {
	if len(password) < minPassword || len(password) > maxPassword || strings.HasPrefix(password, tokenPrefix) {
		return "", fault.New(fault.Invalid, "password-unfit",
			"the password must have %d to %d bytes and not begin with %s; a few random words do", minPassword, maxPassword, tokenPrefix)
	}
	if isCommon(password[:min(len(password), maxCommon)], account) {
		return "", fault.New(fault.Invalid, "password-breached",
			"the password is on the lists that attackers try first, or made of what is; take four random words, or let a password manager make one")
	}
	salt := make([]byte, saltBytes)
	if err := s.random(salt); err != nil {
		return "", err
	}
	leave, err := s.hashing.enter(ctx, true)
	if err != nil {
		return "", err
	}
	defer leave()
	key := argon(password, salt)
	return phcPrefix + encode64(salt) + "$" + encode64(key), nil
}

// phcPrefix names the function and its parameters. Stored hashes carry it so that the parameters
// can be raised later without losing those made before.
var phcPrefix = fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$", argon2.Version, argonMemory, argonTime, argonThreads)

// verifyPassword computes a hash in any case: an account that has no password must not answer
// sooner than one that has.
func verifyPassword(stored, password string) bool {
	salt, want, known := parsePHC(stored)
	if !known {
		salt = make([]byte, saltBytes)
	}
	got := argon(password[:min(len(password), maxPassword+1)], salt)
	return subtle.ConstantTimeCompare(got, want) == 1 && known
}

// parsePHC splits a PHC string that hashPassword made.
func parsePHC(stored string) (salt, key []byte, ok bool) {
	rest, ok := strings.CutPrefix(stored, phcPrefix)
	if !ok {
		return nil, nil, false
	}
	first, second, _ := strings.Cut(rest, "$")
	salt, errSalt := base64.RawStdEncoding.DecodeString(first)
	key, errKey := base64.RawStdEncoding.DecodeString(second)
	return salt, key, errSalt == nil && errKey == nil && len(key) == keyBytes
}

func argon(password string, salt []byte) []byte {
	return argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonThreads, keyBytes)
}

func encode64(b []byte) string { return base64.RawStdEncoding.EncodeToString(b) }
