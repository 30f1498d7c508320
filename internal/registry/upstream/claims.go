package upstream

import (
	"context"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"hash"
	"io"
	"strings"
	"sync"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/registry"
)

// algorithms are those that an index's claims are checked under, the strong ones first. MD5 alone is checked,
// too: it catches damage, and does not stop an attack.
var algorithms = []struct {
	name  string
	sized int // hex digits
	make  func() hash.Hash
}{
	{"sha512", 128, sha512.New}, {"sha384", 96, sha512.New384}, {"sha256", 64, sha256.New}, {"sha1", 40, sha1.New}, {"md5", 32, md5.New},
}

// claims are the digests that a file is said to have, by algorithm; those that cannot be checked are left out.
func claims(all []string) map[string]string {
	out := map[string]string{}
	for _, one := range all {
		name, sum, _ := strings.Cut(one, ":")
		for _, a := range algorithms {
			if name == a.name && len(sum) == a.sized {
				out[name] = strings.ToLower(sum)
			}
		}
	}
	return out
}

// sums computes what claims are compared with.
type sums struct {
	claimed map[string]string
	running map[string]hash.Hash
}

func newSums(claimed map[string]string) *sums {
	s := &sums{claimed: claimed, running: map[string]hash.Hash{}}
	for _, a := range algorithms {
		if _, ok := claimed[a.name]; ok {
			s.running[a.name] = a.make()
		}
	}
	return s
}

// Write implements io.Writer; it never fails.
func (s *sums) Write(p []byte) (int, error) {
	for _, h := range s.running {
		h.Write(p)
	}
	return len(p), nil
}

// hold reports whether every claim holds for what was written.
func (s *sums) hold() bool {
	for name, h := range s.running {
		if hex.EncodeToString(h.Sum(nil)) != s.claimed[name] {
			return false
		}
	}
	return true
}

// checkedClaims remembers which listings were found to describe which stored files, so that a file is read for
// it once.
type checkedClaims struct {
	mu   sync.Mutex
	held map[string]bool // by artifact and claims
}

// maxChecked bounds how many are remembered.
const maxChecked = 50_000

// describes reports whether what is listed now is the file that is kept: an upstream that changes a file after
// it was kept changes its digests, too.
func (c *Client) describes(ctx context.Context, listed registry.Listed, kept digest.Digest) (bool, error) {
	claimed := claims(listed.Digests)
	if sum, ok := claimed[kept.Algorithm()]; ok {
		return sum == kept.Hex(), nil
	}
	if len(claimed) == 0 {
		return true, nil
	}
	key := string(kept) + " " + strings.Join(listed.Digests, " ")
	c.checked.mu.Lock()
	held, known := c.checked.held[key]
	c.checked.mu.Unlock()
	if known {
		return held, nil
	}
	r, err := c.core.Blobs().Open(ctx, kept)
	if err != nil {
		return false, err
	}
	defer r.Close()
	sums := newSums(claimed)
	if _, err := io.Copy(sums, r); err != nil {
		return false, err
	}
	held = sums.hold()
	c.checked.mu.Lock()
	defer c.checked.mu.Unlock()
	if c.checked.held == nil || len(c.checked.held) >= maxChecked {
		c.checked.held = map[string]bool{}
	}
	c.checked.held[key] = held
	return held, nil
}
