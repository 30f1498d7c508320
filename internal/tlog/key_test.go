package tlog

import (
	"bytes"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/mod/sumdb/note"
)

func TestKeyIsMadeOnceAndReadAfterwards(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "keys", "log")
	signer, vkey, err := LoadOrCreateSigner(file, origin, rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("key file: %v, %v; want mode 0600", info.Mode(), err)
	}
	again, vkeyAgain, err := LoadOrCreateSigner(file, origin, failing{})
	if err != nil || vkeyAgain != vkey || again.KeyHash() != signer.KeyHash() {
		t.Errorf("read again as %q, %v; was %q", vkeyAgain, err, vkey)
	}
	verifier, err := note.NewVerifier(vkey)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := note.Sign(&note.Note{Text: "text\n"}, again)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := note.Open(signed, note.VerifierList(verifier)); err != nil {
		t.Errorf("the verifier key does not belong to the signer: %v", err)
	}
}

// TestVerifierKeyIsRight makes many keys, since base64 may contain the format's own separator.
func TestVerifierKeyIsRight(t *testing.T) {
	t.Parallel()
	for range 200 {
		skey, want, err := note.GenerateKey(rand.Reader, origin)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := verifierKey(skey, origin); err != nil || got != want {
			t.Fatalf("verifier key %q, %v; want %q", got, err, want)
		}
	}
}

func TestKeyThatOthersCanReadIsRefused(t *testing.T) {
	t.Parallel()
	for _, mode := range []os.FileMode{0o640, 0o604, 0o620, 0o644, 0o601} {
		file := filepath.Join(t.TempDir(), "key")
		if _, _, err := LoadOrCreateSigner(file, origin, rand.Reader); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		_, _, err := LoadOrCreateSigner(file, origin, rand.Reader)
		wantCode(t, mode.String(), err, "key-exposed")
	}
}

func TestFileThatIsNoKeyOfThisLogIsRefusedAndKept(t *testing.T) {
	t.Parallel()
	other, _, err := note.GenerateKey(rand.Reader, "other.example")
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string]string{
		"empty": "", "text": "hello", "another log's": other, "long": strings.Repeat("x", 10_000),
		"cut short": other[:len(other)-5],
	} {
		file := filepath.Join(t.TempDir(), "key")
		if err := os.WriteFile(file, []byte(data), 0o600); err != nil {
			t.Fatal(err)
		}
		_, _, err := LoadOrCreateSigner(file, origin, rand.Reader)
		wantCode(t, name, err, "key-invalid")
		if strings.Contains(err.Error(), "PRIVATE") {
			t.Errorf("%s: the error shows the key: %v", name, err)
		}
		if kept, _ := os.ReadFile(file); !bytes.Equal(kept, []byte(data)) {
			t.Errorf("%s: the file was changed", name)
		}
	}
}

func TestKeyNeedsRandomnessAndAName(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "key")
	if _, _, err := LoadOrCreateSigner(file, origin, failing{}); err == nil {
		t.Error("a key was made of nothing")
	}
	for _, name := range []string{"", "with space", "with+plus"} {
		if _, _, err := LoadOrCreateSigner(file, name, rand.Reader); err == nil {
			t.Errorf("%q names a key", name)
		}
	}
	if _, err := os.Stat(file); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("a key file was left: %v", err)
	}
}

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errBroken }
