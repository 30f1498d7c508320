package tlog

import (
	"crypto/ed25519"
	"encoding/base64"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/mod/sumdb/note"

	"github.com/hullmark/hullmark/internal/durable"
	"github.com/hullmark/hullmark/internal/fault"
)

const (
	keyBytes   = 4096 // far more than a key file has
	algEd25519 = 1    // C2SP signed-note, "Signatures"
)

// LoadOrCreateSigner reads the Ed25519 note key of the log origin from file, or makes one with
// randomness from rand and stores it durably, readable by its owner only. vkey is the verifier
// key, to be published. It fails with code key-permissions when others could read the file, and
// key-invalid when it holds no key of this log; it never replaces a file that is there.
func LoadOrCreateSigner(file, origin string, rand io.Reader) (signer note.Signer, vkey string, err error) {
	skey, err := readKey(file)
	if errors.Is(err, fs.ErrNotExist) {
		skey, err = createKey(file, origin, rand)
	}
	if err != nil {
		return nil, "", err
	}
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

// readKey looks at the permissions of the file it has open, so that there is no moment between.
func readKey(file string) (string, error) {
	f, err := os.Open(file)
	if err != nil {
		return "", fmt.Errorf("open signing key: %w", err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return "", fmt.Errorf("open signing key: %w", err)
	}
	if mode := info.Mode(); mode.Perm()&0o077 != 0 {
		return "", fault.New(fault.Invalid, "key-permissions",
			"the signing key %s has mode %04o, so others can use it; make it 0600, and replace the key if others had access to it", file, mode.Perm())
	}
	data, err := io.ReadAll(io.LimitReader(f, keyBytes))
	if err != nil {
		return "", fmt.Errorf("read signing key: %w", err)
	}
	return strings.TrimSpace(string(data)), nil
}

func createKey(file, origin string, rand io.Reader) (string, error) {
	skey, _, err := note.GenerateKey(rand, origin)
	if err != nil {
		return "", fmt.Errorf("generate signing key: %w", err)
	}
	if _, err := note.NewSigner(skey); err != nil {
		return "", fmt.Errorf("%q can not name a log (no spaces, no plus sign): %w", origin, err)
	}
	if err := durable.WriteFile(file, []byte(skey+"\n"), 0o600); err != nil {
		return "", fmt.Errorf("store signing key: %w", err)
	}
	return skey, nil
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
