package cms

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha256"
	"crypto/x509"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/signing/cms/cmstest"
)

var now = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

func at(t time.Time) clock.Clock { return clock.Func(func() time.Time { return t }) }

const index = "https://registry.example/nuget/v3/index.json"

// signer returns a signer with a certificate of the authority's.
func signer(t testing.TB, a *cmstest.Authority, usage x509.ExtKeyUsage, when time.Time) *Signer {
	t.Helper()
	c, key := a.Issue(t, "Acme", when, usage)
	s, err := NewSigner([]*x509.Certificate{c}, key, index, at(when))
	check(t, err)
	return s
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

var sum = sha256.Sum256([]byte("a package"))

func hashed(crypto.Hash) ([]byte, error) { return sum[:], nil }

func TestAnAuthorsSignatureThatEndsAtATrustedRootHolds(t *testing.T) {
	t.Parallel()
	root := cmstest.New(t, "root", now)
	signature, err := signer(t, root, x509.ExtKeyUsageCodeSigning, now).Author(sum[:])
	check(t, err)
	author, err := NewVerifier(Roots{Authors: root.Pool()}, at(now)).Author(signature, hashed)
	check(t, err)
	if author == nil || author.Subject != "CN=Acme" || author.Issuer != "CN=root" || !author.At.IsZero() {
		t.Fatalf("got %+v", author)
	}
	without, err := NewVerifier(Roots{}, at(now)).Author(signature, hashed)
	if err != nil || without != nil {
		t.Errorf("without roots: got %v, %v; want nothing said", without, err)
	}
}

func TestASignatureThatDoesNotHoldIsRefused(t *testing.T) {
	t.Parallel()
	root, other := cmstest.New(t, "root", now), cmstest.New(t, "other", now)
	s := signer(t, root, x509.ExtKeyUsageCodeSigning, now)
	good, err := s.Author(sum[:])
	check(t, err)
	sign := func(s *Signer) []byte {
		out, err := s.Author(sum[:])
		check(t, err)
		return out
	}
	changed := func(what, with []byte) []byte {
		if !bytes.Contains(good, what) {
			t.Fatalf("%x is not in the signature", what)
		}
		return bytes.Replace(bytes.Clone(good), what, with, 1)
	}
	oidBytes := marshal(oidSigningCertificate)
	stranger := signer(t, root, x509.ExtKeyUsageCodeSigning, now)
	stranger.chain = s.chain
	for name, c := range map[string]struct {
		signature []byte
		hash      Hash
		when      time.Time
	}{
		"of another package":              {good, func(crypto.Hash) ([]byte, error) { return make([]byte, 32), nil }, now},
		"whose content was changed":       {changed([]byte("Version:1"), []byte("Version:2")), hashed, now},
		"by another key":                  {sign(stranger), hashed, now},
		"under another root":              {sign(signer(t, other, x509.ExtKeyUsageCodeSigning, now)), hashed, now},
		"by a certificate for servers":    {sign(signer(t, root, x509.ExtKeyUsageServerAuth, now)), hashed, now},
		"after the certificate's end":     {good, hashed, now.AddDate(2, 0, 0)},
		"before the certificate's begin":  {good, hashed, now.AddDate(-1, 0, 0)},
		"that names no certificate":       {changed(oidBytes, append(oidBytes[:len(oidBytes)-1:len(oidBytes)-1], 99)), hashed, now},
		"that is cut off":                 {good[:len(good)/2], hashed, now},
		"that is empty":                   {nil, hashed, now},
		"that is something else entirely": {[]byte("-----BEGIN PGP SIGNATURE-----"), hashed, now},
		"that is too large":               {make([]byte, maxSignature+1), hashed, now},
	} {
		author, err := NewVerifier(Roots{Authors: root.Pool()}, at(c.when)).Author(c.signature, c.hash)
		if fault.As(err).Code != "signature-invalid" || author != nil {
			t.Errorf("a signature %s: got %v, %v", name, author, err)
		}
	}
}

func TestAWeakKeySignsNothing(t *testing.T) {
	t.Parallel()
	root := cmstest.New(t, "root", now)
	c, _ := root.Issue(t, "Acme", now, x509.ExtKeyUsageCodeSigning)
	weak, err := rsa.GenerateKey(rand.Reader, 1024)
	check(t, err)
	curve, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	check(t, err)
	for name, key := range map[string]crypto.PrivateKey{"a short key": weak, "no RSA key": curve, "another key": root.Key} {
		if _, err := NewSigner([]*x509.Certificate{c}, key, index, at(now)); err == nil {
			t.Errorf("%s was taken", name)
		}
	}
}

func TestTheHashIsAskedForByTheAlgorithmThatIsNamed(t *testing.T) {
	t.Parallel()
	root := cmstest.New(t, "root", now)
	s := signer(t, root, x509.ExtKeyUsageCodeSigning, now)
	signature, err := s.sign(content(oidSHA512, []byte("sum")), []attribute{attr(oidCommitment, sequence(marshal(oidOrigin)))})
	check(t, err)
	author, err := NewVerifier(Roots{Authors: root.Pool()}, at(now)).Author(signature, func(h crypto.Hash) ([]byte, error) {
		if h != crypto.SHA512 {
			return nil, errors.New("another hash")
		}
		return []byte("sum"), nil
	})
	if err != nil || author == nil {
		t.Errorf("got %v, %v", author, err)
	}
}

func TestTheRepositorysSignatureStandsAloneOrBesideTheAuthors(t *testing.T) {
	t.Parallel()
	root := cmstest.New(t, "root", now)
	author, repository := signer(t, root, x509.ExtKeyUsageCodeSigning, now), signer(t, root, x509.ExtKeyUsageCodeSigning, now)
	verifier := NewVerifier(Roots{Authors: root.Pool()}, at(now))

	alone, err := repository.Countersign(nil, sum[:], []string{"acme"})
	check(t, err)
	if by, err := verifier.Author(alone, hashed); err != nil || by != nil {
		t.Errorf("a repository's signature: got %v, %v; want valid and no author's", by, err)
	}
	if again, err := repository.Countersign(alone, sum[:], nil); err != nil || again != nil {
		t.Errorf("a package of another repository was signed over: %v", err)
	}

	first, err := author.Author(sum[:])
	check(t, err)
	both, err := repository.Countersign(first, sum[:], []string{"acme", "umbrella"})
	check(t, err)
	if by, err := verifier.Author(both, hashed); err != nil || by == nil {
		t.Errorf("with a countersignature the author's does not hold any more: %v, %v", by, err)
	}
	for _, text := range []string{index, "umbrella"} {
		if !bytes.Contains(both, []byte(text)) {
			t.Errorf("the countersignature does not say %q", text)
		}
	}
	if again, err := repository.Countersign(both, sum[:], nil); err != nil || again != nil {
		t.Errorf("a second countersignature: got %d bytes, %v", len(again), err)
	}
	checkCountersignature(t, both, repository)
}

// checkCountersignature verifies the signature over the author's signature by RFC 5652, 11.4: it is over the
// signature's bytes, and has no content type.
func checkCountersignature(t *testing.T, signature []byte, by *Signer) {
	t.Helper()
	p7, _, err := parse(signature)
	check(t, err)
	for _, a := range p7.Signers[0].UnauthenticatedAttributes {
		if !a.Type.Equal(oidCountersignature) {
			continue
		}
		var info signerInfo
		check(t, unmarshal(a.Value.Bytes, &info))
		digest := sha256.Sum256(p7.Signers[0].EncryptedDigest)
		if !bytes.Contains(info.Signed.Bytes, digest[:]) {
			t.Error("it is not over the author's signature")
		}
		if bytes.Contains(info.Signed.Bytes, marshal(oidContentType)) {
			t.Error("it has a content type, which a countersignature must not")
		}
		signed := sha256.Sum256(marshal(set(info.Signed.Bytes)))
		if err := rsa.VerifyPKCS1v15(&by.key.PublicKey, crypto.SHA256, signed[:], info.Signature); err != nil {
			t.Error(err)
		}
		return
	}
	t.Error("there is no countersignature")
}

func TestOpenSSLSaysTheSame(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("openssl"); err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatal("openssl is missing")
		}
		t.Skip("openssl is missing")
	}
	root := cmstest.New(t, "root", now)
	author, repository := signer(t, root, x509.ExtKeyUsageCodeSigning, now), signer(t, root, x509.ExtKeyUsageCodeSigning, now)
	first, err := author.Author(sum[:])
	check(t, err)
	alone, err := repository.Countersign(nil, sum[:], []string{"acme"})
	check(t, err)
	both, err := repository.Countersign(first, sum[:], []string{"acme"})
	check(t, err)
	folder := t.TempDir()
	check(t, os.WriteFile(filepath.Join(folder, "root.pem"), cmstest.PEM(root.Certificate), 0o600))
	for name, signature := range map[string][]byte{"author": first, "repository": alone, "both": both} {
		file := filepath.Join(folder, name)
		check(t, os.WriteFile(file, signature, 0o600))
		out, err := exec.CommandContext(t.Context(), "openssl", "cms", "-verify", "-inform", "DER", "-binary", "-in", file,
			"-CAfile", filepath.Join(folder, "root.pem"), "-purpose", "any", "-attime", "1772366400").CombinedOutput()
		if err != nil || !bytes.Contains(out, content(oidSHA256, sum[:])) {
			t.Errorf("%s: %v\n%s", name, err, out)
		}
	}
	forged := bytes.Replace(both, []byte("Version:1"), []byte("Version:2"), 1)
	check(t, os.WriteFile(filepath.Join(folder, "forged"), forged, 0o600))
	if out, err := exec.CommandContext(t.Context(), "openssl", "cms", "-verify", "-inform", "DER", "-binary", "-noverify", "-in", filepath.Join(folder, "forged")).CombinedOutput(); err == nil {
		t.Errorf("openssl takes a forged one:\n%s", out)
	}
}

func FuzzAuthor(f *testing.F) {
	root := cmstest.New(f, "root", now)
	s := signer(f, root, x509.ExtKeyUsageCodeSigning, now)
	first, err := s.Author(sum[:])
	check(f, err)
	both, err := s.Countersign(first, sum[:], []string{"acme"})
	check(f, err)
	f.Add(first)
	f.Add(both)
	f.Add([]byte{0x30, 0x80})
	v := NewVerifier(Roots{Authors: root.Pool(), Timestamps: root.Pool()}, at(now))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if _, err := v.Author(raw, hashed); err != nil && fault.As(err).Code != "signature-invalid" {
			t.Errorf("failed with %v", err)
		}
		if _, err := s.Countersign(raw, sum[:], nil); err != nil && raw == nil {
			t.Error(err)
		}
	})
}
