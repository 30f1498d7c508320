package app

import (
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/registry/npm"
	"github.com/hullmark/hullmark/internal/signing"
)

// TrustedRoot names a file that says which Sigstore is trusted.
type TrustedRoot struct {
	Name string
	File string // a trusted_root.json
}

// verifier returns the verifier of attestations, or nil when no root is trusted.
func (c *Config) verifier() (*signing.Verifier, error) {
	if len(c.TrustedRoots) == 0 {
		if c.AdvertiseAttestations || len(c.ProvenanceIssuers) > 0 {
			return nil, fault.New(fault.Invalid, "trust-root-invalid",
				"attestations are configured and no trust root is named; add --trusted-root NAME=trusted_root.json")
		}
		return nil, nil
	}
	var roots []signing.Root
	for _, r := range c.TrustedRoots {
		root, err := signing.ReadRoot(r.Name, r.File)
		if err != nil {
			return nil, err
		}
		roots = append(roots, root)
	}
	return signing.New(signing.Config{Roots: roots, Issuers: c.ProvenanceIssuers})
}

// npmAttestations is the verifier in the words of the npm protocol.
type npmAttestations struct{ *signing.Verifier }

// Provenance implements npm.Attestations.
func (a npmAttestations) Provenance(bundle []byte, c npm.Claim) (npm.Proof, error) {
	v, err := a.Verifier.Provenance(bundle, signing.Claim(c))
	return npm.Proof{PredicateType: v.PredicateType, Statement: v.Statement}, err
}
