package signing_test

import (
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/signing"
	"github.com/hullmark/hullmark/internal/signing/signingtest"
)

func TestProvenanceIsOfTheRunThatPublishes(t *testing.T) {
	t.Parallel()
	a, d := must(signingtest.New(time.Now())), artifact("ui")
	v := verifierOf(rootOf("test", a))
	bundle := attest(a, run(), release, d, signingtest.Provenance)
	for _, c := range []struct {
		name, claim, value, code string
	}{
		{"the same repository", "repository", "acme/ui", ""},
		{"the same repository in capitals", "repository", "Acme/UI", ""},
		{"another repository", "repository", "acme/other", "provenance-publisher"},
		{"the same number of the repository", "repository_id", "42", ""},
		{"a repository that took the name over", "repository_id", "43", "provenance-publisher"},
		{"the same workflow", "workflow_ref", "acme/ui/.github/workflows/release.yml@refs/heads/main", ""},
		{"another workflow", "workflow_ref", "acme/ui/.github/workflows/test.yml@refs/heads/main", "provenance-publisher"},
		{"another branch", "workflow_ref", "acme/ui/.github/workflows/release.yml@refs/heads/next", "provenance-publisher"},
		{"the same commit", "sha", "0123456789abcdef0123456789abcdef01234567", ""},
		{"another commit", "sha", "ffff456789abcdef0123456789abcdef01234567", "provenance-publisher"},
		{"the same run", "run_id", "1001", ""},
		{"another run", "run_id", "1002", "provenance-publisher"},
		{"a claim that is not compared", "actor", "alice", ""},
	} {
		w := &evidence.WorkloadIdentity{Issuer: run().Issuer, Claims: map[string]string{c.claim: c.value}}
		_, err := v.Provenance(bundle, signing.Claim{Subject: release, Digests: []digest.Digest{d}, Repository: "https://github.com/acme/ui", Workload: w})
		if c.code == "" && err != nil || c.code != "" && (err == nil || fault.As(err).Code != c.code) {
			t.Errorf("%s: got %v, want %q", c.name, err, c.code)
		}
	}
	gitlab := &evidence.WorkloadIdentity{Issuer: "https://gitlab.com"}
	_, err := v.Provenance(bundle, signing.Claim{Subject: release, Digests: []digest.Digest{d}, Repository: "https://github.com/acme/ui", Workload: gitlab})
	wantCode(t, err, "attestation-identity")
}

func TestAnIssuerSpeaksForItsOwnHostOnly(t *testing.T) {
	t.Parallel()
	a, d := must(signingtest.New(time.Now())), artifact("ui")
	v := must(signing.New(signing.Config{
		Roots: []signing.Root{rootOf("test", a)}, Issuers: []string{"https://gitlab.acme.example", "https://token.actions.githubusercontent.com"},
	}))
	job := signingtest.Identity{
		Issuer: "https://gitlab.acme.example", SAN: "https://gitlab.acme.example/acme/ui//.gitlab-ci.yml@refs/heads/main",
		Claims: map[int]string{12: "https://gitlab.acme.example/acme/ui", 21: "https://gitlab.acme.example/acme/ui/-/jobs/5"},
	}
	claim := signing.Claim{Subject: release, Digests: []digest.Digest{d}, Repository: "https://gitlab.acme.example/acme/ui"}
	if _, err := v.Provenance(attest(a, job, release, d, "https://slsa.dev/provenance/v0.2"), claim); err != nil {
		t.Error(err)
	}
	forged := run()
	forged.Issuer = "https://gitlab.acme.example" // says that it is a workflow at GitHub
	claim.Repository = "https://github.com/acme/ui"
	_, err := v.Provenance(attest(a, forged, release, d, signingtest.Provenance), claim)
	wantCode(t, err, "attestation-identity")
}

func TestAProofIsAStatementThatNamesItsEvidence(t *testing.T) {
	t.Parallel()
	a, d := must(signingtest.New(time.Now())), artifact("ui")
	bundle := attest(a, run(), release, d, signingtest.Provenance)
	got := must(verifierOf(rootOf("test", a)).Verify(bundle, expectation(d)))
	draft := got.Statement(purl.PURL(release), d, digest.FromBytes(bundle))
	p := draft.Predicate.(evidence.Verification)
	if draft.Assurance != evidence.Verified || p.Verdict != "holds" || p.Proof != signing.ProvenanceProof || p.Evidence != digest.FromBytes(bundle) ||
		p.Identity != run().SAN || p.Claims["logIndex"] != "7" || p.Claims["issuer"] != run().Issuer || p.Claims["root"] != "test" {
		t.Errorf("the statement is %+v", draft)
	}
	if err := draft.Fits(); err != nil {
		t.Error(err)
	}
}

func TestAnAttestationOfAFileIsOfTheRunThatPublishes(t *testing.T) {
	t.Parallel()
	a, d := must(signingtest.New(time.Now())), artifact("wheel")
	v := verifierOf(rootOf("test", a))
	const file, kind = "acme_ui-1.0-py3-none-any.whl", "https://docs.pypi.org/attestations/publish/v1"
	bundle := attest(a, run(), file, d, kind)
	publisher := func(claim, value string) *evidence.WorkloadIdentity {
		return &evidence.WorkloadIdentity{Issuer: run().Issuer, Claims: map[string]string{claim: value}}
	}
	for name, c := range map[string]struct {
		bundle []byte
		file   string
		digest digest.Digest
		run    *evidence.WorkloadIdentity
		code   string
	}{
		"its own run":        {bundle, file, d, publisher("repository", "acme/ui"), ""},
		"its provenance":     {attest(a, run(), file, d, signingtest.Provenance), file, d, publisher("run_id", "1001"), ""},
		"another repository": {bundle, file, d, publisher("repository", "mallory/ui"), "provenance-publisher"},
		"another run":        {bundle, file, d, publisher("run_id", "7"), "provenance-publisher"},
		"another file":       {bundle, "acme_ui-2.0-py3-none-any.whl", d, publisher("repository", "acme/ui"), "attestation-subject"},
		"other bytes":        {bundle, file, artifact("other"), publisher("repository", "acme/ui"), "attestation-subject"},
		"another type":       {attest(a, run(), file, d, "https://example.org/x"), file, d, publisher("repository", "acme/ui"), "attestation-predicate"},
		"another issuer":     {bundle, file, d, &evidence.WorkloadIdentity{Issuer: "https://gitlab.com"}, "attestation-identity"},
	} {
		got, err := v.Attestation(c.bundle, c.file, c.digest, c.run)
		if c.code == "" && (err != nil || got.Repository != "https://github.com/acme/ui") || c.code != "" && (err == nil || fault.As(err).Code != c.code) {
			t.Errorf("%s: got %v, want %q", name, err, c.code)
		}
	}
}
