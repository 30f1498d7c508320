package openpgp_test

import (
	"bytes"
	"crypto"
	"io"
	"strings"
	"testing"
	"time"

	pgp "github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/armor"
	"github.com/ProtonMail/go-crypto/openpgp/packet"

	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/signing/openpgp"
)

var now = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

func at(t time.Time) *packet.Config {
	return &packet.Config{Time: func() time.Time { return t }, Algorithm: packet.PubKeyAlgoEdDSA, DefaultHash: crypto.SHA512}
}

func entity(t testing.TB, c *packet.Config) *pgp.Entity {
	t.Helper()
	e, err := pgp.NewEntity("Acme Releases", "", "releases@acme.example", c)
	if err != nil {
		t.Fatal(err)
	}
	return e
}

func armored(t testing.TB, e *pgp.Entity, private bool) []byte {
	t.Helper()
	var b bytes.Buffer
	kind, write := pgp.PublicKeyType, e.Serialize
	if private {
		kind = pgp.PrivateKeyType
		write = func(w io.Writer) error { return e.SerializePrivate(w, at(now)) }
	}
	w, err := armor.Encode(&b, kind, nil)
	if err == nil {
		err = write(w)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func sign(t testing.TB, e *pgp.Entity, content string, c *packet.Config) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := pgp.ArmoredDetachSign(&b, e, strings.NewReader(content), c); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestASignatureOfAPinnedKeyHolds(t *testing.T) {
	t.Parallel()
	e := entity(t, at(now.Add(-time.Hour)))
	key, err := openpgp.ParseKey(armored(t, e, false), now)
	if err != nil {
		t.Fatal(err)
	}
	if len(key.Fingerprint) != 40 || !strings.Contains(key.Identity, "releases@acme.example") {
		t.Errorf("parsed %q, %q", key.Fingerprint, key.Identity)
	}
	got, err := openpgp.Verify([]string{key.Armored}, sign(t, e, "the jar", at(now)), strings.NewReader("the jar"), now)
	if err != nil {
		t.Fatal(err)
	}
	if got.Fingerprint != key.Fingerprint || !got.Time.Equal(now) || got.Hash != "SHA-512" {
		t.Errorf("got %+v", got)
	}
}

func TestWhatIsNotASignatureOfAPinnedKeyIsRefused(t *testing.T) {
	t.Parallel()
	e, other := entity(t, at(now.Add(-time.Hour))), entity(t, at(now.Add(-time.Hour)))
	key := string(armored(t, e, false))
	var text bytes.Buffer
	if err := pgp.ArmoredDetachSignText(&text, e, strings.NewReader("the jar"), at(now)); err != nil {
		t.Fatal(err)
	}
	short := at(now.Add(-time.Hour))
	short.SigLifetimeSecs = 60
	for name, one := range map[string]struct {
		signature []byte
		code      string
	}{
		"other bytes":      {sign(t, e, "another jar", at(now)), "signature-invalid"},
		"another key":      {sign(t, other, "the jar", at(now)), "signature-key-unknown"},
		"over text":        {text.Bytes(), "signature-invalid"},
		"from the future":  {sign(t, e, "the jar", at(now.Add(time.Hour))), "signature-invalid"},
		"expired":          {sign(t, e, "the jar", short), "signature-invalid"},
		"no signature":     {[]byte("hello"), "signature-invalid"},
		"empty":            {nil, "signature-key-unknown"},
		"a key":            {[]byte(key), "signature-invalid"},
		"cut off":          {sign(t, e, "the jar", at(now))[:100], "signature-invalid"},
		"larger than that": {bytes.Repeat([]byte("x"), openpgp.MaxSignature+1), "signature-invalid"},
	} {
		_, err := openpgp.Verify([]string{key}, one.signature, strings.NewReader("the jar"), now)
		if fault.As(err).Code != one.code {
			t.Errorf("%s: got %v, want code %s", name, err, one.code)
		}
	}
}

func TestKeysThatCannotBePinned(t *testing.T) {
	t.Parallel()
	e := entity(t, at(now.Add(-time.Hour)))
	expiring := at(now.Add(-time.Hour))
	expiring.KeyLifetimeSecs = 60
	revoked := entity(t, at(now.Add(-time.Hour)))
	if err := revoked.RevokeKey(packet.KeyCompromised, "stolen", at(now)); err != nil {
		t.Fatal(err)
	}
	short := at(now.Add(-time.Hour))
	short.Algorithm, short.RSABits = packet.PubKeyAlgoRSA, 1024
	for name, raw := range map[string][]byte{
		"private":   armored(t, e, true),
		"expired":   armored(t, entity(t, expiring), false),
		"revoked":   armored(t, revoked, false),
		"short":     armored(t, entity(t, short), false),
		"two":       append(armored(t, e, false)[:0:0], bytes.Join([][]byte{binary(t, e), binary(t, e)}, nil)...),
		"text":      []byte("hello"),
		"nothing":   nil,
		"too large": bytes.Repeat([]byte("x"), openpgp.MaxKey+1),
	} {
		if _, err := openpgp.ParseKey(raw, now); fault.As(err).Code != "signing-key-invalid" {
			t.Errorf("%s: got %v", name, err)
		}
	}
	if _, err := openpgp.ParseKey(binary(t, e), now); err != nil {
		t.Errorf("a key without armor: %v", err)
	}
}

func binary(t testing.TB, e *pgp.Entity) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := e.Serialize(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func FuzzVerify(f *testing.F) {
	e := entity(f, at(now.Add(-time.Hour)))
	key := string(armored(f, e, false))
	f.Add(sign(f, e, "the jar", at(now)))
	f.Add([]byte(key))
	f.Fuzz(func(t *testing.T, signature []byte) {
		got, err := openpgp.Verify([]string{key}, signature, strings.NewReader("another jar"), now)
		if err == nil {
			t.Fatalf("holds: %+v", got)
		}
		_, _ = openpgp.ParseKey(signature, now)
	})
}
