package signing

import (
	"encoding/hex"

	"github.com/sigstore/sigstore-go/pkg/verify"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

// SignatureProof is the kind of proof that the record calls a signature over a file that holds. It says which
// workload signed the bytes, and not how they were built.
const SignatureProof = "signature"

// File checks a bundle that signs a whole file, as it is or in an in-toto statement about its digest: it
// holds, and the very run of w signed it. artifact is the file's SHA-256. Codes: those of Verify but for
// attestation-predicate; provenance-publisher.
func (v *Verifier) File(raw []byte, artifact digest.Digest, w *evidence.WorkloadIdentity) (Verified, error) {
	if w == nil {
		return Verified{}, fault.New(fault.Integrity, "attestation-identity", "nobody is known who should have signed; publish by a trusted publisher")
	}
	b, err := parse(raw, true)
	if err != nil {
		return Verified{}, err
	}
	sum, err := hex.DecodeString(artifact.Hex())
	if err != nil || artifact.Algorithm() != digest.SHA256 {
		return Verified{}, fault.New(fault.Internal, "internal", "a file is named by its SHA-256").Because(err)
	}
	result, r, err := v.holds(b, verify.WithArtifactDigest(digest.SHA256, sum))
	if err != nil {
		return Verified{}, err
	}
	id, err := anyOf(w.Issuer)
	if err != nil {
		return Verified{}, err
	}
	if err := (Expectation{Identities: []Identity{id}}).checkIdentity(result.Signature.Certificate); err != nil {
		return Verified{}, err
	}
	got, err := describe(b, result, r)
	if err != nil {
		return Verified{}, err
	}
	got.proof = SignatureProof
	return got, Claim{Workload: w}.checkRun(got)
}
