package account

import (
	"bytes"
	"crypto/rand"
	"errors"
	"io"
	"strings"
	"testing"

	"github.com/hullmark/hullmark/internal/clock"
)

func TestEveryTokenHasThePrefixTheLengthAndAChecksumThatHolds(t *testing.T) {
	t.Parallel()
	s := New(nil, clock.System{}, rand.Reader)
	seen := map[string]bool{}
	for range 2000 {
		token, err := s.newSecret(tokenPrefix)
		if err != nil {
			t.Fatal(err)
		}
		if !ValidToken(token) || len(token) != 39 || !strings.HasPrefix(token, "hm_") || seen[token] {
			t.Fatalf("%q is not a fresh token", token)
		}
		seen[token] = true
	}
}

func TestOneWrongCharacterAnywhereBreaksAToken(t *testing.T) {
	t.Parallel()
	s := New(nil, clock.System{}, rand.Reader)
	token, err := s.newSecret(tokenPrefix)
	if err != nil {
		t.Fatal(err)
	}
	for i := range len(token) {
		for _, c := range []byte(base62 + "_- \n\x00") {
			bad := []byte(token)
			if bad[i] == c {
				continue
			}
			bad[i] = c
			if ValidToken(string(bad)) {
				t.Fatalf("%q with %q at %d passes", token, c, i)
			}
		}
	}
}

// TestTheChecksumIsTheOneThatScannersCompute pins the format: a secret scanner elsewhere knows it.
func TestTheChecksumIsTheOneThatScannersCompute(t *testing.T) {
	t.Parallel()
	// CRC-32 of "hm_" and thirty zeros, by another implementation, in base62.
	const token = "hm_0000000000000000000000000000001MDUlH"
	if !ValidToken(token) {
		t.Errorf("%q is refused; computed %q", token, checksum(token[:33]))
	}
}

func TestRandomTextSkipsTheBytesThatWouldFavourSomeCharacters(t *testing.T) {
	t.Parallel()
	s := New(nil, clock.System{}, bytes.NewReader([]byte{248, 255, 247, 0, 61, 62}))
	got, err := s.randomText(3)
	if err != nil || got != "z0z" {
		t.Errorf("got %q, %v; want z0z", got, err)
	}
}

func TestWithoutRandomnessThereIsNoToken(t *testing.T) {
	t.Parallel()
	s := New(nil, clock.System{}, io.LimitReader(rand.Reader, 10))
	if token, err := s.newSecret(tokenPrefix); !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("got %q, %v", token, err)
	}
}

func FuzzParseToken(f *testing.F) {
	f.Add("Bearer hm_" + strings.Repeat("0", 36))
	f.Add("Basic aG1fOng=")
	f.Add("bearer")
	f.Add("")
	f.Fuzz(func(t *testing.T, header string) {
		user, secret, ok := parseAuthorization(header)
		if !ok {
			return
		}
		if len(user)+len(secret) > len(header) {
			t.Errorf("more came out than went in: %q, %q", user, secret)
		}
		if ValidToken(secret) && checksum(secret[:33]) != secret[33:] {
			t.Errorf("%q passes without its checksum", secret)
		}
	})
}
