package signing_test

import (
	"os"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/signing"
	"github.com/hullmark/hullmark/internal/signing/signingtest"
)

// FuzzVerify: whatever is attached, it is refused with a code of its own or it is the bundle that was
// signed: it never panics, and nothing that was made up holds.
func FuzzVerify(f *testing.F) {
	a, d := must(signingtest.New(time.Now())), artifact("ui")
	public := must(signing.ReadRoot("public", "testdata/public-trusted-root.json"))
	v := verifierOf(rootOf("test", a), public)
	f.Add(attest(a, run(), release, d, signingtest.Provenance))
	f.Add(must(os.ReadFile("testdata/public-provenance.sigstore.json")))
	f.Add([]byte(`{"mediaType":"application/vnd.dev.sigstore.bundle.v0.3+json","dsseEnvelope":{"signatures":[{}]}}`))
	f.Add([]byte(`{}`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		got, err := v.Provenance(raw, signing.Claim{Subject: release, Digests: []digest.Digest{d}, Repository: "https://github.com/acme/ui"})
		if err != nil {
			if fault.KindOf(err) == fault.Internal {
				t.Fatalf("a failure of ours: %v", err)
			}
			return
		}
		if got.SAN != run().SAN || got.Time.IsZero() {
			t.Fatalf("%+v holds", got)
		}
	})
}

func BenchmarkVerifyPrivate(b *testing.B) {
	a, d := must(signingtest.New(time.Now())), artifact("ui")
	v, bundle, want := verifierOf(rootOf("test", a)), attest(a, run(), release, d, signingtest.Provenance), expectation(d)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(bundle, want); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkVerifyPublic(b *testing.B) {
	bundle := must(os.ReadFile("testdata/public-provenance.sigstore.json"))
	v := verifierOf(must(signing.ReadRoot("public", "testdata/public-trusted-root.json")))
	b.ReportAllocs()
	for b.Loop() {
		if _, err := v.Verify(bundle, signing.Expectation{}); fault.As(err).Code != "attestation-subject" { // after all the mathematics
			b.Fatal(err)
		}
	}
}

func BenchmarkParseRoot(b *testing.B) {
	public := must(signing.ReadRoot("public", "testdata/public-trusted-root.json"))
	for b.Loop() {
		verifierOf(public)
	}
}
