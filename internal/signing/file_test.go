package signing_test

import (
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/signing"
	"github.com/hullmark/hullmark/internal/signing/signingtest"
)

func TestAFileIsSignedByTheRunThatPublishesIt(t *testing.T) {
	t.Parallel()
	a, content := must(signingtest.New(time.Now())), []byte("a gem")
	d := digest.FromBytes(content)
	v := verifierOf(rootOf("test", a))
	w := &evidence.WorkloadIdentity{Issuer: run().Issuer, Claims: map[string]string{"repository": "acme/ui", "run_id": "1001"}}
	plain := must(a.SignFile(run(), content))
	stated := attest(a, run(), "ui-1.0.0.gem", d, signingtest.Provenance)
	for name, bundle := range map[string][]byte{"as it is": plain, "in a statement": stated} {
		got, err := v.File(bundle, d, w)
		if err != nil || got.SAN != run().SAN {
			t.Errorf("%s: %v, %v", name, got, err)
		}
		_, err = v.File(bundle, digest.FromBytes([]byte("another")), w)
		wantCode(t, err, "attestation-untrusted")
		_, err = v.File(bundle, d, &evidence.WorkloadIdentity{Issuer: run().Issuer, Claims: map[string]string{"repository": "acme/other"}})
		wantCode(t, err, "provenance-publisher")
		_, err = v.File(bundle, d, &evidence.WorkloadIdentity{Issuer: "https://gitlab.com"})
		wantCode(t, err, "attestation-identity")
		_, err = v.File(bundle, d, nil)
		wantCode(t, err, "attestation-identity")
	}
	other := verifierOf(rootOf("other", must(signingtest.New(time.Now()))))
	_, err := other.File(plain, d, w)
	wantCode(t, err, "attestation-untrusted")
	_, err = v.Verify(plain, signing.Expectation{})
	wantCode(t, err, "attestation-malformed")
}
