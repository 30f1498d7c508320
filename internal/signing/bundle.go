package signing

import (
	"github.com/sigstore/protobuf-specs/gen/pb-go/bundle/v1"
	"github.com/sigstore/sigstore-go/pkg/bundle"
	"google.golang.org/protobuf/encoding/protojson"

	"github.com/hullmark/hullmark/internal/fault"
)

// MaxBundle is the longest bundle that is looked at, in bytes.
const MaxBundle = 1 << 20

// What one bundle may hold. A bundle of the public Sigstore has one entry, about thirty hashes and
// one certificate.
const (
	maxEntries      = 8
	maxHashes       = 64
	maxCertificates = 5
	maxTimestamps   = 4
)

func malformed(format string, args ...any) *fault.Error {
	return fault.New(fault.Invalid, "attestation-malformed", "the attestation is not a Sigstore bundle that can be checked: "+format, args...)
}

// parseBundle decodes a bundle of a signed statement. Its sizes are checked before the parts that
// are expensive to parse are looked at.
// Source: sigstore/architecture-docs, client-spec.md 5; protobuf-specs, sigstore_bundle.proto.
func parseBundle(raw []byte) (*bundle.Bundle, error) { return parse(raw, false) }

// parse is parseBundle that takes the signature of a whole file, too, when files is set.
func parse(raw []byte, files bool) (*bundle.Bundle, error) {
	if len(raw) > MaxBundle {
		return nil, fault.New(fault.TooLarge, "attestation-too-large", "the attestation is larger than %d KiB", MaxBundle>>10)
	}
	pb := new(v1.Bundle)
	if err := protojson.Unmarshal(raw, pb); err != nil {
		return nil, malformed("it is not the JSON of one").Because(err)
	}
	if err := checkSizes(pb, files); err != nil {
		return nil, err
	}
	b, err := bundle.NewBundle(pb)
	if err != nil {
		return nil, malformed("%s", plain(err)).Because(err)
	}
	return b, nil
}

func checkSizes(b *v1.Bundle, files bool) error {
	m, ofFile := b.GetVerificationMaterial(), files && b.GetMessageSignature() != nil
	switch {
	case b.GetDsseEnvelope() == nil && !ofFile:
		return malformed("it holds no signed statement")
	case !ofFile && len(b.GetDsseEnvelope().GetSignatures()) != 1:
		return malformed("it has %d signatures; expected one", len(b.GetDsseEnvelope().GetSignatures()))
	case m.GetCertificate() == nil && m.GetX509CertificateChain() == nil:
		return malformed("it was not signed with a certificate")
	case len(m.GetX509CertificateChain().GetCertificates()) > maxCertificates:
		return malformed("it has more than %d certificates", maxCertificates)
	case len(m.GetTlogEntries()) == 0 || len(m.GetTlogEntries()) > maxEntries:
		return malformed("it has %d log entries; expected one", len(m.GetTlogEntries()))
	case len(m.GetTimestampVerificationData().GetRfc3161Timestamps()) > maxTimestamps:
		return malformed("it has more than %d timestamps", maxTimestamps)
	}
	for _, e := range m.GetTlogEntries() {
		if len(e.GetInclusionProof().GetHashes()) > maxHashes {
			return malformed("its inclusion proof has more than %d hashes", maxHashes)
		}
	}
	return nil
}
