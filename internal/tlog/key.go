package tlog

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/hullmark/hullmark/internal/durable"
	"github.com/hullmark/hullmark/internal/fault"
)

const algEd25519 = 1 // C2SP signed-note, "Signatures"

// LoadOrCreateSigner reads the Ed25519 note key of the log origin from file, or makes one with
// randomness from rand and stores it durably, readable by its owner only. vkey is the verifier
// key, to be published. It fails with code key-exposed when others could read the file, and
// key-invalid when it holds no key of this log; it never replaces a file that is there.
func LoadOrCreateSigner(file, origin string, rand io.Reader) (signer note.Signer, vkey string, err error) {
	raw, err := durable.Secret(file, func() ([]byte, error) { return generateKey(origin, rand) })
	if err != nil {
		return nil, "", err
	}
	skey := strings.TrimSpace(string(raw))
	signer, err = note.NewSigner(skey)
	if err != nil {
		return nil, "", keyInvalid(file, origin, err)
	}
	if signer.Name() != origin {
		return nil, "", keyInvalid(file, origin, fmt.Errorf("it is the key of %q", signer.Name()))
	}
	vkey, err = verifierKey(skey, origin)
	if err != nil {
		return nil, "", keyInvalid(file, origin, err)
	}
	return signer, vkey, nil
}

func keyInvalid(file, origin string, cause error) error {
	return fault.New(fault.Invalid, "key-invalid",
		"%s does not hold the signing key of the log %s; restore it from a backup", file, origin).Because(cause)
}

func generateKey(origin string, rand io.Reader) ([]byte, error) {
	skey, _, err := note.GenerateKey(rand, origin)
	if err != nil {
		return nil, err
	}
	if _, err := note.NewSigner(skey); err != nil {
		return nil, fmt.Errorf("%q can not name a log (no spaces, no plus sign): %w", origin, err)
	}
	return []byte(skey + "\n"), nil
}

// verifierKey derives the public half. skey is "PRIVATE+KEY+<name>+<hash>+<base64 of algorithm
// and seed>" and has been accepted by note.NewSigner.
func verifierKey(skey, origin string) (string, error) {
	fields := strings.SplitN(skey, "+", 5) // the base64 at the end may have plus signs of its own
	if len(fields) != 5 {
		return "", errors.New("it is not a note key")
	}
	key, err := base64.StdEncoding.DecodeString(fields[4])
	if err != nil || len(key) != 1+ed25519.SeedSize || key[0] != algEd25519 {
		return "", errors.New("it is not an Ed25519 key")
	}
	public := ed25519.NewKeyFromSeed(key[1:]).Public().(ed25519.PublicKey)
	return note.NewEd25519VerifierKey(origin, public)
}
