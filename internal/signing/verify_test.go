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

func must[T any](v T, err error) T {
	if err != nil {
		panic(err) // a test that cannot even begin
	}
	return v
}

func wantCode(t testing.TB, err error, code string) {
	t.Helper()
	if err == nil || fault.As(err).Code != code {
		t.Errorf("got %v, want code %s", err, code)
	}
}

// artifact is some bytes' SHA-512.
func artifact(content string) digest.Digest {
	sum := sha512.Sum512([]byte(content))
	return digest.Digest("sha512:" + hex.EncodeToString(sum[:]))
}

func verifierOf(roots ...signing.Root) *signing.Verifier {
	return must(signing.New(signing.Config{Roots: roots}))
}

func rootOf(name string, a *signingtest.Authority) signing.Root {
	return signing.Root{Name: name, JSON: must(a.TrustedRoot())}
}

func attest(a *signingtest.Authority, id signingtest.Identity, subject string, d digest.Digest, predicate string) []byte {
	return must(a.Attest(id, must(signingtest.Statement(subject, map[string]string{d.Algorithm(): d.Hex()}, predicate))))
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
	now := time.Now().UTC().Truncate(time.Second)
	a, d := must(signingtest.New(now)), artifact("ui")
	got, err := verifierOf(rootOf("test", a)).Verify(attest(a, run(), release, d, signingtest.Provenance), expectation(d))
	want := signing.Verified{
		Root: "test", Issuer: "https://token.actions.githubusercontent.com", SAN: run().SAN, Repository: "https://github.com/acme/ui", RepositoryID: "42",
		Ref: "refs/heads/main", Commit: "0123456789abcdef0123456789abcdef01234567", Workflow: run().SAN,
		Run: "https://github.com/acme/ui/actions/runs/1001/attempts/1", Trigger: "push", Runner: "github-hosted",
		PredicateType: signingtest.Provenance, LogIndex: 7, Time: now,
	}
	if err != nil || got != want {
		t.Errorf("got  %+v, %v\nwant %+v", got, err, want)
	}
}

func TestABundleOfThePublicSigstoreHoldsUnderItsRoot(t *testing.T) {
	t.Parallel()
	bundle := must(os.ReadFile("testdata/public-provenance.sigstore.json"))
	public := must(signing.ReadRoot("public", "testdata/public-trusted-root.json"))
	claim := signing.Claim{
		Subject: "pkg:npm/sigstore@2.0.0", Repository: "https://github.com/sigstore/sigstore-js",
		Digests: []digest.Digest{"sha512:" + digest.Digest(publicDigest(t, bundle))},
	}
	got, err := verifierOf(public).Provenance(bundle, claim)
	if err != nil || got.Repository != claim.Repository || got.LogIndex != 31821305 || got.Workflow != "https://github.com/sigstore/sigstore-js/.github/workflows/release.yml@refs/heads/main" {
		t.Errorf("got %+v, %v", got, err)
	}
	// an older root, or a private one, stands beside it; under the private one alone it does not hold
	private := rootOf("private", must(signingtest.New(time.Now())))
	if got, err := verifierOf(private, public).Provenance(bundle, claim); err != nil || got.Root != "public" {
		t.Errorf("with two roots: %+v, %v", got, err)
	}
	_, err = verifierOf(private).Provenance(bundle, claim)
	wantCode(t, err, "attestation-untrusted")
}

// publicDigest reads the SHA-512 that the public bundle is about.
func publicDigest(t *testing.T, bundle []byte) string {
	t.Helper()
	var b struct{ DSSEEnvelope struct{ Payload []byte } }
	var s struct {
		Subject []struct{ Digest map[string]string }
	}
	if err := json.Unmarshal(bundle, &b); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(b.DSSEEnvelope.Payload, &s); err != nil {
		t.Fatal(err)
	}
	return s.Subject[0].Digest["sha512"]
}

func TestWhatWasChangedAfterSigningDoesNotHold(t *testing.T) {
	t.Parallel()
	a, d := must(signingtest.New(time.Now())), artifact("ui")
	v := verifierOf(rootOf("test", a))
	good := attest(a, run(), release, d, signingtest.Provenance)
	other := attest(a, run(), release, artifact("other"), signingtest.Provenance)
	for name, change := range map[string]func(b, o map[string]any){
		"another payload":     func(b, o map[string]any) { at(b, "dsseEnvelope")["payload"] = at(o, "dsseEnvelope")["payload"] },
		"another signature":   func(b, o map[string]any) { at(b, "dsseEnvelope")["signatures"] = at(o, "dsseEnvelope")["signatures"] },
		"another envelope":    func(b, o map[string]any) { b["dsseEnvelope"] = o["dsseEnvelope"] },
		"another certificate": func(b, o map[string]any) { material(b)["certificate"] = material(o)["certificate"] },
		"another log entry":   func(b, o map[string]any) { material(b)["tlogEntries"] = material(o)["tlogEntries"] },
		"another time":        func(b, _ map[string]any) { entry(b)["integratedTime"] = "1700000000" },
		"another index":       func(b, _ map[string]any) { entry(b)["logIndex"] = "8" },
		"another log":         func(b, _ map[string]any) { at(entry(b), "logId")["keyId"] = "AAAA" },
		"no promise and no proof of time": func(b, _ map[string]any) {
			delete(entry(b), "inclusionPromise")
		},
		"another root hash": func(b, _ map[string]any) {
			at(entry(b), "inclusionProof")["rootHash"] = "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA="
		},
	} {
		var b, o map[string]any
		must(0, json.Unmarshal(good, &b))
		must(0, json.Unmarshal(other, &o))
		change(b, o)
		_, err := v.Verify(must(json.Marshal(b)), expectation(d))
		if err == nil || fault.As(err).Code != "attestation-untrusted" {
			t.Errorf("%s: got %v, want attestation-untrusted", name, err)
		}
	}
}

func at(m map[string]any, key string) map[string]any { return m[key].(map[string]any) }

func material(b map[string]any) map[string]any { return at(b, "verificationMaterial") }

func entry(b map[string]any) map[string]any {
	return material(b)["tlogEntries"].([]any)[0].(map[string]any)
}

func TestABundleIsBoundedBeforeItsPartsAreParsed(t *testing.T) {
	t.Parallel()
	a, d := must(signingtest.New(time.Now())), artifact("ui")
	v := verifierOf(rootOf("test", a))
	good := attest(a, run(), release, d, signingtest.Provenance)
	many := func(n int, one any) []any { return slicesRepeat(one, n) }
	for name, change := range map[string]func(b map[string]any){
		"two signatures": func(b map[string]any) {
			e := at(b, "dsseEnvelope")
			e["signatures"] = many(2, e["signatures"].([]any)[0])
		},
		"no signature":     func(b map[string]any) { at(b, "dsseEnvelope")["signatures"] = []any{} },
		"no statement":     func(b map[string]any) { delete(b, "dsseEnvelope") },
		"no log entry":     func(b map[string]any) { delete(material(b), "tlogEntries") },
		"nine log entries": func(b map[string]any) { material(b)["tlogEntries"] = many(9, entry(b)) },
		"a bare key": func(b map[string]any) {
			m := material(b)
			delete(m, "certificate")
			m["publicKey"] = map[string]any{"hint": "x"}
		},
		"65 hashes":           func(b map[string]any) { at(entry(b), "inclusionProof")["hashes"] = many(65, "AAAA") },
		"an unknown field":    func(b map[string]any) { b["more"] = true },
		"an unknown version":  func(b map[string]any) { b["mediaType"] = "application/vnd.dev.sigstore.bundle.v0.9+json" },
		"a log entry of junk": func(b map[string]any) { entry(b)["canonicalizedBody"] = "e30=" },
	} {
		var b map[string]any
		must(0, json.Unmarshal(good, &b))
		change(b)
		_, err := v.Verify(must(json.Marshal(b)), expectation(d))
		if err == nil || fault.As(err).Code != "attestation-malformed" {
			t.Errorf("%s: got %v, want attestation-malformed", name, err)
		}
	}
	_, err := v.Verify(bytes.Repeat([]byte(" "), signing.MaxBundle+1), expectation(d))
	wantCode(t, err, "attestation-too-large")
	_, err = v.Verify([]byte(strings.Replace(string(good), `{`, `{"mediaType":"x",`, 1)), expectation(d))
	wantCode(t, err, "attestation-malformed") // one key twice
}

func slicesRepeat(one any, n int) []any {
	out := make([]any, n)
	for i := range out {
		out[i] = one
	}
	return out
}

func TestAStatementAboutSomethingElseIsToldFromOneThatIsNotTrusted(t *testing.T) {
	t.Parallel()
	a, d := must(signingtest.New(time.Now())), artifact("ui")
	v := verifierOf(rootOf("test", a))
	good := attest(a, run(), release, d, signingtest.Provenance)
	for _, c := range []struct {
		name   string
		bundle []byte
		change func(*signing.Expectation)
		code   string
	}{
		{"another name", good, func(e *signing.Expectation) { e.Subject = "pkg:npm/%40acme/ui@1.0.1" }, "attestation-subject"},
		{"other bytes", good, func(e *signing.Expectation) { e.Digests = []digest.Digest{artifact("x")} }, "attestation-subject"},
		{"a digest of another algorithm", good, func(e *signing.Expectation) { e.Digests = []digest.Digest{digest.FromBytes(nil)} }, "attestation-subject"},
		{"no digest at all", good, func(e *signing.Expectation) { e.Digests = nil }, "attestation-subject"},
		{"another predicate", attest(a, run(), release, d, "https://cyclonedx.org/bom"), func(*signing.Expectation) {}, "attestation-predicate"},
		{"another issuer", good, func(e *signing.Expectation) { e.Identities[0].Issuer = "https://gitlab.com" }, "attestation-identity"},
		{"an issuer that begins the same", good, func(e *signing.Expectation) { e.Identities[0].Issuer += "/acme" }, "attestation-identity"},
		{"another name of the signer", good, func(e *signing.Expectation) { e.Identities[0].SAN = signing.Exactly(run().SAN + "x") }, "attestation-identity"},
		{"no identity", good, func(e *signing.Expectation) { e.Identities = nil }, "attestation-identity"},
		{"the empty pattern", good, func(e *signing.Expectation) { e.Identities[0].SAN = signing.Pattern{} }, "attestation-identity"},
	} {
		want := expectation(d)
		c.change(&want)
		if _, err := v.Verify(c.bundle, want); err == nil || fault.As(err).Code != c.code {
			t.Errorf("%s: got %v, want %s", c.name, err, c.code)
		}
	}
}

func TestAPatternIsAnchoredAndNamesAHost(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{
		"", ".*", "acme", `https://.*`, `https://github\.com`, `https://github.com/.*`, `https://github\.com/a|.*`, `(https://github\.com/a)?`, `https://[a-z]+/acme`, `https://github\.com/(`,
	} {
		if p, err := signing.Matching(bad); err == nil {
			t.Errorf("%q is a pattern: %v", bad, p)
		}
	}
	a, d := must(signingtest.New(time.Now())), artifact("ui")
	v := verifierOf(rootOf("test", a))
	bundle := attest(a, run(), release, d, signingtest.Provenance)
	for expression, holds := range map[string]bool{
		`https://github\.com/acme/ui/\.github/workflows/release\.yml@refs/heads/(main|next)`: true,
		`https://github\.com/acme/.*`: true, `https://github\.com/acm`: false, `https://github\.com/acme/ui/`: false, `https://gitlab\.com/.*`: false,
	} {
		want := expectation(d)
		want.Identities[0].SAN = must(signing.Matching(expression))
		if _, err := v.Verify(bundle, want); (err == nil) != holds {
			t.Errorf("%s: %v", expression, err)
		}
	}
}

func TestARootThatCannotProveEverythingIsRefusedWhenItIsConfigured(t *testing.T) {
	t.Parallel()
	a := must(signingtest.New(time.Now()))
	for _, part := range []string{"tlogs", "ctlogs", "certificateAuthorities", "mediaType"} {
		var r map[string]any
		must(0, json.Unmarshal(must(a.TrustedRoot()), &r))
		delete(r, part)
		_, err := signing.New(signing.Config{Roots: []signing.Root{{Name: "test", JSON: must(json.Marshal(r))}}})
		if err == nil || fault.As(err).Code != "trust-root-invalid" {
			t.Errorf("without %s: %v", part, err)
		}
	}
	_, err := signing.New(signing.Config{})
	wantCode(t, err, "trust-root-invalid")
	_, err = signing.New(signing.Config{Roots: []signing.Root{{JSON: must(a.TrustedRoot())}}})
	wantCode(t, err, "trust-root-invalid")
	_, err = signing.New(signing.Config{Roots: []signing.Root{rootOf("test", a)}, Issuers: []string{"github"}})
	wantCode(t, err, "attestation-identity")
	_, err = signing.ReadRoot("test", "testdata/none.json")
	wantCode(t, err, "trust-root-invalid")
}
