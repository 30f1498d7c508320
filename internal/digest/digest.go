// Package digest names content by its hash, in the form the OCI image specification gives it:
// "algorithm:hex". Only sha256 and sha512 exist here; anything else is refused, because a digest
// that we cannot compute is one that we cannot check.
//
// Source: OCI image-spec 1.1, descriptor.md, "Digests".
package digest

import (
	"crypto/sha256"
	"crypto/sha512"
	"database/sql/driver"
	"encoding/hex"
	"hash"
	"io"
	"strings"

	"github.com/hullmark/hullmark/internal/fault"
)

// Digest is a validated "algorithm:hex" string. The zero value means "none".
type Digest string

// The algorithms.
const (
	SHA256 = "sha256"
	SHA512 = "sha512"
)

// Parse checks s and returns it as a Digest. It fails with code digest-invalid when the
// algorithm is unknown, or the hex part has the wrong length or upper-case letters.
func Parse(s string) (Digest, error) {
	alg, hexpart, _ := strings.Cut(s, ":")
	want := map[string]int{SHA256: 64, SHA512: 128}[alg]
	if want == 0 || len(hexpart) != want || strings.Trim(hexpart, "0123456789abcdef") != "" {
		return "", fault.New(fault.Invalid, "digest-invalid",
			"%q is not a digest; expected sha256:<64 hex digits> or sha512:<128 hex digits>", clip(s))
	}
	return Digest(s), nil
}

func clip(s string) string { return s[:min(len(s), 160)] }

// Algorithm returns "sha256" or "sha512".
func (d Digest) Algorithm() string {
	alg, _, _ := strings.Cut(string(d), ":")
	return alg
}

// Hex returns the part after the colon.
func (d Digest) Hex() string {
	_, h, _ := strings.Cut(string(d), ":")
	return h
}

// String returns the digest as written.
func (d Digest) String() string { return string(d) }

// Short returns the first twelve hex digits, for people.
func (d Digest) Short() string { return d.Hex()[:min(12, len(d.Hex()))] }

// Value implements driver.Valuer.
func (d Digest) Value() (driver.Value, error) { return string(d), nil }

// NewHash returns the hash for a known algorithm name.
func NewHash(alg string) hash.Hash {
	if alg == SHA512 {
		return sha512.New()
	}
	return sha256.New()
}

// Sum returns h's current sum as a digest under alg.
func Sum(alg string, h hash.Hash) Digest {
	return Digest(alg + ":" + hex.EncodeToString(h.Sum(nil)))
}

// FromBytes returns the SHA-256 digest of b.
func FromBytes(b []byte) Digest {
	s := sha256.Sum256(b)
	return Digest(SHA256 + ":" + hex.EncodeToString(s[:]))
}

// FromReader returns the SHA-256 digest and the length of what r yields.
func FromReader(r io.Reader) (Digest, int64, error) {
	h := sha256.New()
	n, err := io.Copy(h, r)
	return Sum(SHA256, h), n, err
}
