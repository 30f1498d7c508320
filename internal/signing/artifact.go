package signing

import (
	"encoding/hex"
	"errors"
	"fmt"
	"strings"

	"github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

// ArtifactProof is the kind of proof that the record calls a bundle that signs an artifact.
const ArtifactProof = "sigstore"

// Artifact checks a bundle that signs an artifact itself and no statement about it, as the plugins of Maven and
// Gradle make one. Anybody may have signed: the proof says who. When a trusted publisher publishes it must have been the very run
// that does. sha256 is the artifact's, in hex. Codes: attestation-too-large, attestation-malformed,
// attestation-untrusted, attestation-subject, attestation-identity, provenance-publisher.
func (v *Verifier) Artifact(raw []byte, sha256 string, workload *evidence.WorkloadIdentity) (Verified, error) {
	b, err := parse(raw, checkMessage)
	if err != nil {
		return Verified{}, err
	}
	sum, err := hex.DecodeString(sha256)
	if err != nil {
		return Verified{}, fmt.Errorf("check a bundle: %w", err)
	}
	if said := b.GetMessageSignature().GetMessageDigest().GetDigest(); len(said) == len(sum) && string(said) != string(sum) {
		return Verified{}, fault.New(fault.Integrity, "attestation-subject", "the bundle signs other bytes; sign the file that you publish")
	}
	policy := verify.NewPolicy(verify.WithArtifactDigest("sha256", sum), verify.WithoutIdentitiesUnsafe())
	var why []error
	names := make([]string, len(v.roots))
	for i, r := range v.roots {
		names[i] = r.name
		result, err := r.verifier.Verify(b, policy)
		if err == nil && (result.Signature == nil || result.Signature.Certificate == nil) {
			err = errors.New("no certificate") // cannot happen with the options of parse
		}
		if err != nil {
			why = append(why, fmt.Errorf("root %s: %w", r.name, err))
			continue
		}
		got, err := describe(b, result, r)
		if err == nil && workload != nil && got.Issuer != workload.Issuer {
			err = fault.New(fault.Integrity, "attestation-identity",
				"the bundle was signed by an identity of %s, and the run that publishes is one of %s; sign in the job that publishes", clip(got.Issuer), workload.Issuer)
		}
		if err == nil {
			err = Claim{Workload: workload}.checkRun(got)
		}
		return got, err
	}
	return Verified{}, untrusted(names, errors.Join(why...))
}

func checkMessage(b *v1.Bundle) error {
	if b.GetMessageSignature() == nil {
		return malformed("it signs no file")
	}
	return nil
}

func untrusted(roots []string, cause error) error {
	return fault.New(fault.Integrity, "attestation-untrusted",
		"the attestation does not hold under the trust root %s: %s; sign it with a Sigstore that this server trusts, or add its root",
		strings.Join(roots, ", "), plain(cause)).Because(cause)
}
