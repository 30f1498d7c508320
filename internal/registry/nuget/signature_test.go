package nuget_test

import (
	"bytes"
	"crypto"
	"crypto/sha256"
	"crypto/x509"
	"strings"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/account/accounttest"
	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/registry/nuget"
	"github.com/hullmark/hullmark/internal/signing/cms"
	"github.com/hullmark/hullmark/internal/signing/cms/cmstest"
)

var day = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// signatures is the verifier in the words of the adapter.
type signatures struct{ *cms.Verifier }

func (v signatures) Author(signature []byte, hash func(crypto.Hash) ([]byte, error)) (*nuget.Signature, error) {
	a, err := v.Verifier.Author(signature, hash)
	if a == nil || err != nil {
		return nil, err
	}
	return &nuget.Signature{Subject: a.Subject, Statement: a.Statement}, nil
}

// trusting makes a registry trust the authority.
func trusting(a *cmstest.Authority) func(*nuget.Config) {
	return func(c *nuget.Config) {
		c.Signatures = signatures{cms.NewVerifier(cms.Roots{Authors: a.Pool()}, c.Clock)}
	}
}

func newSigner(t testing.TB, a *cmstest.Authority, name string) *cms.Signer {
	t.Helper()
	return newSignerAt(t, a, name, day)
}

func newSignerAt(t testing.TB, a *cmstest.Authority, name string, now time.Time) *cms.Signer {
	t.Helper()
	c, key := a.Issue(t, name, now.AddDate(0, -1, 0), x509.ExtKeyUsageCodeSigning)
	s, err := cms.NewSigner([]*x509.Certificate{c}, key, "https://registry.example/nuget/v3/index.json", clock.Func(func() time.Time { return now }))
	accounttest.Check(t, err)
	return s
}

// signed returns the package with its author's signature.
func signed(t testing.TB, s *cms.Signer, pkg []byte) []byte {
	t.Helper()
	sum := sha256.Sum256(pkg)
	signature, err := s.Author(sum[:])
	accounttest.Check(t, err)
	out, err := nuget.WithSignature(pkg, signature)
	accounttest.Check(t, err)
	return out
}

func TestASignatureIsOverThePackageWithoutIt(t *testing.T) {
	t.Parallel()
	pkg := pack(t, "Acme.UI", "1.0.0", "", "lib/a.txt", strings.Repeat("a", 5000), "lib/b.txt", "b")
	sum := sha256.Sum256(pkg)
	with, err := nuget.WithSignature(pkg, []byte("signature"))
	accounttest.Check(t, err)
	for _, one := range [][]byte{pkg, with} {
		if got, err := nuget.UnsignedHash(one, crypto.SHA256); err != nil || !bytes.Equal(got, sum[:]) {
			t.Errorf("got %x, %v; want %x", got, err, sum)
		}
	}
	again, err := nuget.WithSignature(with, nil)
	if err != nil || !bytes.Equal(again, pkg) {
		t.Errorf("without its signature the package is another one: %v", err)
	}
	if _, err := nuget.ReadPackage(with); err != nil {
		t.Errorf("a signed package cannot be read: %v", err)
	}
}

func TestAnAuthorsSignatureIsVerifiedAndOnTheRecord(t *testing.T) {
	t.Parallel()
	root, other := cmstest.New(t, "root", day), cmstest.New(t, "other", day)
	in := start(t, nil, trusting(root))
	author := newSigner(t, root, "Ann")
	in.push(t, "alice", "api/v2/package", signed(t, author, pack(t, "Acme.UI", "1.0.0", ""))).want(t, 201)
	statements, err := in.Record.About(t.Context(), "pkg:nuget/acme.ui@1.0.0", -1, 100)
	accounttest.Check(t, err)
	verified := false
	for _, s := range statements {
		if s.PredicateType == evidence.VerificationType {
			verified = s.Assurance == evidence.Verified && strings.Contains(string(s.Predicate), "CN=Ann")
		}
	}
	if !verified {
		t.Error("the record does not know of the signature")
	}
	in.get(t, "packages/acme.ui/1.0.0").want(t, 200, "CN=Ann")

	in.push(t, "alice", "api/v2/package", pack(t, "Acme.UI", "1.1.0", "")).want(t, 201)
	in.push(t, "alice", "api/v2/package", signed(t, newSigner(t, other, "Eve"), pack(t, "Acme.UI", "1.2.0", ""))).want(t, 422, "422 the package's signature does not hold")
	for name, tamper := range map[string]func([]byte) []byte{
		"another file in the package": func(b []byte) []byte {
			return bytes.Replace(b, []byte("lib/net45/a.txt"), []byte("lib/net45/b.txt"), 2)
		},
		"a signature of another package": func([]byte) []byte {
			sum := sha256.Sum256([]byte("other"))
			signature, err := author.Author(sum[:])
			accounttest.Check(t, err)
			out, err := nuget.WithSignature(pack(t, "Acme.UI", "1.3.0", ""), signature)
			accounttest.Check(t, err)
			return out
		},
		"no signature at all in it": func([]byte) []byte {
			out, err := nuget.WithSignature(pack(t, "Acme.UI", "1.3.0", ""), []byte("nothing"))
			accounttest.Check(t, err)
			return out
		},
	} {
		got := in.push(t, "alice", "api/v2/package", tamper(signed(t, author, pack(t, "Acme.UI", "1.3.0", ""))))
		if got.StatusCode != 422 {
			t.Errorf("%s: got %s", name, got.Status)
		}
	}
}

func TestWithoutRootsASignatureThatHoldsProvesNothing(t *testing.T) {
	t.Parallel()
	in := start(t, nil, func(c *nuget.Config) { c.Signatures = signatures{cms.NewVerifier(cms.Roots{}, c.Clock)} })
	author := newSigner(t, cmstest.New(t, "root", day), "Ann")
	in.push(t, "alice", "api/v2/package", signed(t, author, pack(t, "Acme.UI", "1.0.0", ""))).want(t, 201)
	in.get(t, "packages/acme.ui/1.0.0").want(t, 200).lacks(t, "CN=Ann")
}

func TestTheRepositorySignsWhatIsPushedOverHTTPSOnly(t *testing.T) {
	t.Parallel()
	root := cmstest.New(t, "root", day)
	repository, author := newSigner(t, root, "Registry"), newSigner(t, root, "Ann")
	plain := start(t, nil, func(c *nuget.Config) { c.Countersigner = repository })
	pkg := pack(t, "Acme.UI", "1.0.0", "")
	plain.push(t, "alice", "api/v2/package", pkg).want(t, 201)
	if got := plain.get(t, "v3/flat/acme.ui/1.0.0/acme.ui.1.0.0.nupkg"); !bytes.Equal(got.body, pkg) {
		t.Error("over http the package was changed")
	}
	in := start(t, nil, trusting(root), func(c *nuget.Config) {
		c.Countersigner, c.PublicURL = repository, "https://registry.example/nuget/"
	})
	in.push(t, "alice", "api/v2/package", pkg).want(t, 201)
	in.push(t, "alice", "api/v2/package", signed(t, author, pack(t, "Acme.UI", "1.1.0", ""))).want(t, 201)
	for _, v := range []string{"1.0.0", "1.1.0"} {
		got := in.get(t, "v3/flat/acme.ui/"+v+"/acme.ui."+v+".nupkg").want(t, 200, "https://registry.example/nuget/v3/index.json")
		sum, err := nuget.UnsignedHash(got.body, crypto.SHA256)
		accounttest.Check(t, err)
		if want := sha256.Sum256(pack(t, "Acme.UI", v, "")); !bytes.Equal(sum, want[:]) {
			t.Errorf("%s: without its signature it is not what was pushed", v)
		}
		if _, err := nuget.ReadPackage(got.body); err != nil {
			t.Errorf("%s: %v", v, err)
		}
	}
	var signers struct {
		AllRepositorySigned bool
		SigningCertificates []struct{ ContentURL, Subject string }
	}
	in.get(t, "v3/index.json").want(t, 200, "RepositorySignatures/5.0.0")
	in.get(t, "v3/repository-signatures/index.json").want(t, 200).json(t, &signers)
	if signers.AllRepositorySigned || len(signers.SigningCertificates) != 1 || signers.SigningCertificates[0].Subject != "CN=Registry" {
		t.Fatalf("got %+v", signers)
	}
	path := strings.TrimPrefix(signers.SigningCertificates[0].ContentURL, "https://registry.example/nuget/")
	if got := in.get(t, path).want(t, 200); !bytes.Equal(got.body, repository.Certificates()[0]) {
		t.Error("the certificate is another one")
	}
	in.get(t, "v3/catalog/acme.ui/1.0.0.json").want(t, 200)
}
