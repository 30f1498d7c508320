package pypi

import (
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry/pypi/pypitest"
	"github.com/hullmark/hullmark/internal/signing"
	"github.com/hullmark/hullmark/internal/signing/signingtest"
)

// verifier is the signing stage as the wiring passes it.
type verifier struct{ *signing.Verifier }

func (v verifier) Attestation(bundle []byte, file string, artifact digest.Digest, run *evidence.WorkloadIdentity) (Proof, error) {
	got, err := v.Verifier.Attestation(bundle, file, artifact, run)
	return Proof{PredicateType: got.PredicateType, Statement: got.Statement}, err
}

func TestAttestationsAreTakenOfTheRunThatPublishes(t *testing.T) {
	t.Parallel()
	a, err := signingtest.New(time.Now())
	if err != nil {
		t.Fatal(err)
	}
	root, err := a.TrustedRoot()
	if err != nil {
		t.Fatal(err)
	}
	v, err := signing.New(signing.Config{Roots: []signing.Root{{Name: "test", JSON: root}}})
	if err != nil {
		t.Fatal(err)
	}
	const file = "acme_ui-1.0-py3-none-any.whl"
	d := digest.FromBytes([]byte("wheel"))
	sum, _ := hex.DecodeString(d.Hex())
	made := func(kind string) any {
		statement, err := signingtest.Statement(file, map[string]string{"sha256": hex.EncodeToString(sum)}, kind)
		if err != nil {
			t.Fatal(err)
		}
		raw, err := a.Attest(signingtest.GitHubRun("acme/ui", "release.yml", "refs/heads/main", "1001"), statement)
		if err != nil {
			t.Fatal(err)
		}
		one, err := pypitest.Attestation(raw)
		if err != nil {
			t.Fatal(err)
		}
		return one
	}
	publish, slsa := made("https://docs.pypi.org/attestations/publish/v1"), made(signingtest.Provenance)
	run := &evidence.WorkloadIdentity{
		Provider: "github", Issuer: "https://token.actions.githubusercontent.com",
		Claims: map[string]string{"repository": "acme/ui", "workflow_ref": "acme/ui/.github/workflows/release.yml@refs/heads/main", "run_id": "1001"},
	}
	other := *run
	other.Claims = map[string]string{"repository": "mallory/ui"}
	r, without := &Registry{config: Config{Attestations: verifier{v}}}, &Registry{}
	for title, c := range map[string]struct {
		registry *Registry
		field    any
		run      *evidence.WorkloadIdentity
		want     string
	}{
		"one of each type":             {r, []any{publish, slsa}, run, ""},
		"two of one type":              {r, []any{publish, publish}, run, "attestation-malformed"},
		"none":                         {r, []any{}, run, "attestation-malformed"},
		"three":                        {r, []any{publish, slsa, slsa}, run, "attestation-malformed"},
		"what is no list":              {r, "x", run, "attestation-malformed"},
		"what has no version":          {r, []any{map[string]any{}}, run, "attestation-malformed"},
		"what is empty":                {r, []any{map[string]any{"version": 1}}, run, "attestation-malformed"},
		"another run's":                {r, []any{publish}, &other, "provenance-publisher"},
		"a person's":                   {r, []any{publish}, nil, "attestation-publisher"},
		"where no Sigstore is trusted": {without, []any{publish}, run, "provenance-unconfigured"},
	} {
		raw, err := json.Marshal(c.field)
		if err != nil {
			t.Fatal(err)
		}
		p, err := c.registry.prove([]string{string(raw)}, file, d, evidence.Actor{Account: "acme", Workload: c.run})
		code := ""
		if err != nil {
			code = fault.As(err).Code
		}
		if code != c.want {
			t.Errorf("%s: %v, want %q", title, err, c.want)
		}
		if err == nil {
			checkServed(t, p, d)
		}
	}
	if p, err := r.prove(nil, file, d, evidence.Actor{}); p != nil || err != nil {
		t.Errorf("without the field: %v, %v", p, err)
	}
}

func checkServed(t *testing.T, p *proven, d digest.Digest) {
	t.Helper()
	var served struct {
		Bundles []struct {
			Publisher struct{ Kind, Repository, Workflow string }
			All       []attestation `json:"attestations"`
		} `json:"attestation_bundles"`
	}
	if err := json.Unmarshal(p.served, &served); err != nil {
		t.Fatal(err)
	}
	b := served.Bundles[0]
	if b.Publisher.Kind != "GitHub" || b.Publisher.Repository != "acme/ui" || b.Publisher.Workflow != "release.yml" || len(b.All) != 2 {
		t.Errorf("served %s", p.served)
	}
	if _, err := base64.StdEncoding.DecodeString(b.All[0].Envelope.Statement); err != nil {
		t.Error(err)
	}
	drafts := p.statements(purl.New(purl.PyPI, "acme-ui", "1.0"), d)
	if len(drafts) != 2 || drafts[0].Assurance != evidence.Verified {
		t.Errorf("statements %+v", drafts)
	}
}
