package account

import (
	"context"
	"crypto/subtle"
	"database/sql"
	"encoding/base64"
	"errors"
	"fmt"
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
	// maxHashing bounds the memory that guessing can take: 2 × 19 MiB.
	maxHashing = 2

	minPassword = 12   // bytes
	maxPassword = 1024 // bytes
)

// CheckPassword reports, as an error, that password is not user's: code credential-invalid,
// or too-many-attempts when user or address failed too often in the last minute. It takes as long
// for a user that does not exist.
func (s *Service) CheckPassword(ctx context.Context, user, password, remoteAddr string) error {
	if !accountName.MatchString(user) {
		return errCredential()
	}
	now, keys := s.clk.Now(), attemptKeys(user, parseAddress(remoteAddr))
	if !s.attempts.take(now, keys) {
		return errTooMany()
	}
	var stored string
	err := s.db.Query().QueryRowContext(ctx, `SELECT password FROM account_user WHERE name = $1`, user).Scan(&stored)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return fmt.Errorf("read password: %w", err)
	}
	ok, err := s.verifyPassword(ctx, stored, password)
	if err != nil {
		return err
	}
	if !ok {
		return errCredential()
	}
	s.attempts.giveBack(keys)
	return nil
}

// errTooMany is a refusal, not "unavailable": clients repeat a 503 by themselves, and each
// repetition would count again.
func errTooMany() error {
	return fault.New(fault.Denied, "too-many-attempts", "too many failed attempts; wait a minute, then try again")
}

// hashPassword returns the PHC string of a password, or fails with code password-unfit.
func (s *Service) hashPassword(ctx context.Context, password string) (string, error) {
	if len(password) < minPassword || len(password) > maxPassword || strings.HasPrefix(password, tokenPrefix) {
		return "", fault.New(fault.Invalid, "password-unfit",
			"the password must have %d to %d bytes and not begin with %s; a few random words do", minPassword, maxPassword, tokenPrefix)
	}
	salt := make([]byte, saltBytes)
	if err := s.random(salt); err != nil {
		return "", err
	}
	key, err := s.argon(ctx, password, salt)
	if err != nil {
		return "", err
	}
	return phcPrefix + encode64(salt) + "$" + encode64(key), nil
}

// phcPrefix names the function and its parameters. Stored hashes carry it so that the parameters
// can be raised later without losing those made before.
var phcPrefix = fmt.Sprintf("$argon2id$v=%d$m=%d,t=%d,p=%d$", argon2.Version, argonMemory, argonTime, argonThreads)

// verifyPassword computes a hash in any case: an account that has no password must not answer
// sooner than one that has.
func (s *Service) verifyPassword(ctx context.Context, stored, password string) (bool, error) {
	salt, want, known := parsePHC(stored)
	if !known {
		salt = make([]byte, saltBytes)
	}
	got, err := s.argon(ctx, password[:min(len(password), maxPassword+1)], salt)
	if err != nil {
		return false, err
	}
	return subtle.ConstantTimeCompare(got, want) == 1 && known, nil
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

func (s *Service) argon(ctx context.Context, password string, salt []byte) ([]byte, error) {
	select {
	case s.hashing <- struct{}{}:
	case <-ctx.Done():
		return nil, fmt.Errorf("wait to hash a password: %w", ctx.Err())
	}
	defer func() { <-s.hashing }()
	return argon2.IDKey([]byte(password), salt, argonTime, argonMemory, argonThreads, keyBytes), nil
}

func encode64(b []byte) string { return base64.RawStdEncoding.EncodeToString(b) }
