package account

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"io"
	"strings"
)

// A token is "hm_", 30 random base62 characters (178 bits) and the CRC-32 (IEEE) of all that
// before it as 6 base62 characters. The prefix lets a secret scanner find it, the checksum lets it
// tell a token from an accident of text, and lets us refuse garbage without a look-up.
//
// What a fleet member has is made the same way under a prefix of its own: neither is taken for the other.
const (
	tokenPrefix   = "hm_"
	memberPrefix  = "hmf_"
	tokenRandom   = 30
	tokenChecksum = 6
)

const base62 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"

// ValidToken reports whether s has the form of a token and its checksum holds. It says nothing
// about whether such a token exists.
func ValidToken(s string) bool { return validSecret(tokenPrefix, s) }

// validSecret reports whether s has the form of a secret with that prefix.
func validSecret(prefix, s string) bool {
	if len(s) != len(prefix)+tokenRandom+tokenChecksum || !strings.HasPrefix(s, prefix) {
		return false
	}
	for _, c := range []byte(s[len(prefix):]) {
		if strings.IndexByte(base62, c) < 0 {
			return false
		}
	}
	body, sum := s[:len(s)-tokenChecksum], s[len(s)-tokenChecksum:]
	return checksum(body) == sum
}

func checksum(body string) string {
	var out [tokenChecksum]byte
	n := crc32.ChecksumIEEE([]byte(body))
	for i := range out {
		out[len(out)-1-i] = base62[n%62]
		n /= 62
	}
	return string(out[:])
}

// newSecret makes a token, or what a fleet member has.
func (s *Service) newSecret(prefix string) (string, error) {
	r, err := s.randomText(tokenRandom)
	if err != nil {
		return "", err
	}
	return prefix + r + checksum(prefix+r), nil
}

// randomText returns n uniformly random base62 characters.
func (s *Service) randomText(n int) (string, error) {
	out := make([]byte, 0, n)
	buf := make([]byte, n)
	for {
		if err := s.random(buf); err != nil {
			return "", err
		}
		for _, b := range buf {
			if b >= 248 { // 4 × 62: the rest would make some characters likelier than others
				continue
			}
			if out = append(out, base62[b%62]); len(out) == n {
				return string(out), nil
			}
		}
	}
}

func (s *Service) random(p []byte) error {
	s.randMu.Lock()
	defer s.randMu.Unlock()
	if _, err := io.ReadFull(s.rand, p); err != nil {
		return fmt.Errorf("read random bytes: %w", err)
	}
	return nil
}

// hashSecret is the form in which a random secret is kept. A plain hash is enough: nobody guesses
// 178 random bits.
func hashSecret(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}
