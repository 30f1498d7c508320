package signing_test

import (
	"bytes"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/signing"
	"github.com/hullmark/hullmark/internal/signing/signingtest"
)

const release = "pkg:npm/%40acme/ui@1.0.0"

func must[T any](t testing.TB) func(T, error) T {
	return func(v T, err error) T {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return v
	}
}

func wantCode(t testing.TB, err error, code string) {
	t.Helper()
	if err == nil || fault.As(err).Code != code {
		t.Fatalf("got %v, want code %s", err, code)
	}
}

// artifact is some bytes' SHA-512.
func artifact(content string) digest.Digest {
	sum := sha512.Sum512([]byte(content))
	return digest.Digest("sha512:" + hex.EncodeToString(sum[:]))
}

func newAuthority(t testing.TB) *signingtest.Authority {
	return must[*signingtest.Authority](t)(signingtest.New(time.Now()))
}

func verifierOf(t testing.TB, a *signingtest.Authority) *signing.Verifier {
	root := signing.Root{Name: "test", JSON: must[[]byte](t)(a.TrustedRoot())}
	return must[*signing.Verifier](t)(signing.New(signing.Config{Roots: []signing.Root{root}}))
}

func attest(t testing.TB, a *signingtest.Authority, id signingtest.Identity, subject string, d digest.Digest, predicate string) []byte {
	t.Helper()
	s := must[[]byte](t)(signingtest.Statement(subject, map[string]string{d.Algorithm(): d.Hex()}, predicate))
	return must[[]byte](t)(a.Attest(id, s))
}

func run() signingtest.Identity {
	return signingtest.GitHubRun("acme/ui", "release.yml", "refs/heads/main", "1001")
}

func expectation(d digest.Digest) signing.Expectation {
	return signing.Expectation{
		Subject: release, Digests: []digest.Digest{d}, Predicates: []string{signingtest.Provenance},
		Identities: []signing.Identity{{Issuer: run().Issuer, SAN: signing.Exactly(run().SAN)}},
	}
}

func TestABundleProvesWhoSignedWhatWhereAndWhen(t *testing.T) {
	t.Parallel()
	a, d := newAuthority(t), artifact("ui")
	got := must[signing.Verified](t)(verifierOf(t, a).Verify(attest(t, a, run(), release, d, signingtest.Provenance), expectation(d)))
	got.Time = time.Time{}
	want := signing.Verified{
		Root: "test", Issuer: "https://token.actions.githubusercontent.com", SAN: run().SAN, Repository: "https://github.com/acme/ui", RepositoryID: "42",
		Ref: "refs/heads/main", Commit: "0123456789abcdef0123456789abcdef01234567", Workflow: run().SAN,
		Run: "https://github.com/acme/ui/actions/runs/1001/attempts/1", Trigger: "push", Runner: "github-hosted",
		PredicateType: signingtest.Provenance, LogIndex: 7,
	}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

var _ = bytes.Equal
var _ = json.Marshal
var _ = os.ReadFile
var _ = strings.Contains
