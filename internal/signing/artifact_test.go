package signing_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/signing"
	"github.com/hullmark/hullmark/internal/signing/signingtest"
)

func TestABundleThatSignsAFileHoldsForThatFileAlone(t *testing.T) {
	t.Parallel()
	authority, err := signingtest.New(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	trusted, err := authority.TrustedRoot()
	if err != nil {
		t.Fatal(err)
	}
	v, err := signing.New(signing.Config{Roots: []signing.Root{{Name: "test", JSON: trusted}}})
	if err != nil {
		t.Fatal(err)
	}
	run := signingtest.GitHubRun("acme/ui", "release.yml", "refs/heads/main", "1001")
	jar := []byte("a jar")
	bundle, err := authority.SignFile(run, jar)
	if err != nil {
		t.Fatal(err)
	}
	statement, err := signingtest.Statement("pkg:maven/com.acme/ui@1.0", map[string]string{"sha256": sum(jar)}, signingtest.Provenance)
	if err != nil {
		t.Fatal(err)
	}
	attestation, err := authority.Attest(run, statement)
	if err != nil {
		t.Fatal(err)
	}
	const issuer = "https://token.actions.githubusercontent.com"
	workload := func(issuer, repository string) *evidence.WorkloadIdentity {
		return &evidence.WorkloadIdentity{Issuer: issuer, Claims: map[string]string{"repository": repository}}
	}
	for name, one := range map[string]struct {
		bundle   []byte
		of       []byte
		workload *evidence.WorkloadIdentity
		code     string
	}{
		"by anybody":             {bundle, jar, nil, ""},
		"by the publishing run":  {bundle, jar, workload(issuer, "acme/ui"), ""},
		"by another repository":  {bundle, jar, workload(issuer, "mallory/ui"), "provenance-publisher"},
		"by another provider":    {bundle, jar, workload("https://gitlab.com", "acme/ui"), "attestation-identity"},
		"of other bytes":         {bundle, []byte("another jar"), nil, "attestation-subject"},
		"a statement":            {attestation, jar, nil, "attestation-malformed"},
		"of a changed signature": {bytes.Replace(bundle, []byte(`"signature":"M`), []byte(`"signature":"N`), 1), jar, nil, "attestation-untrusted"},
		"no bundle":              {[]byte("{}"), jar, nil, "attestation-malformed"},
	} {
		got, err := v.Artifact(one.bundle, sum(one.of), one.workload)
		if err == nil && one.code == "" && got.SAN != "" && got.Repository == "https://github.com/acme/ui" {
			continue
		}
		if one.code == "" || fault.As(err).Code != one.code {
			t.Errorf("%s: got %+v, %v; want code %q", name, got, err, one.code)
		}
	}
}

func sum(b []byte) string {
	s := sha256.Sum256(b)
	return hex.EncodeToString(s[:])
}
