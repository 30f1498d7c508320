package app

import (
	"context"
	"io"
	"time"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry/maven"
	"github.com/hullmark/hullmark/internal/signing"
	"github.com/hullmark/hullmark/internal/signing/openpgp"
)

// mavenMount is where the Maven repository is.
const mavenMount = "/maven/"

// buildMaven builds the Maven repository.
func (s *Server) buildMaven() error {
	c := s.app.Config
	verifier, err := c.verifier()
	if err != nil {
		return err
	}
	s.Maven = maven.New(s.app.Core, maven.Config{
		Signatures: mavenSignatures{s.app.Accounts, verifier, c.Clock}, Upstream: s.app.Upstream, Trust: exchanger{s},
		Clock: c.Clock, Random: c.Random, Log: c.Logger,
	})
	return nil
}

// mavenSignatures are the pinned keys and the verifier of bundles in the words of the Maven protocol.
type mavenSignatures struct {
	accounts *account.Service
	verifier *signing.Verifier // nil: no Sigstore is trusted
	clock    clock.Clock
}

// OpenPGP implements maven.Signatures.
func (m mavenSignatures) OpenPGP(ctx context.Context, name string, signature []byte, content io.Reader) (evidence.Verification, error) {
	pinned, err := m.accounts.SigningKeysOf(ctx, purl.Maven, name)
	if err != nil {
		return evidence.Verification{}, err
	}
	if len(pinned) == 0 {
		return evidence.Verification{}, fault.New(fault.Invalid, "signature-unverifiable",
			"no key is pinned that the signature could be checked with; an owner pins it: gpg --armor --export KEY | hullmark namespace key add maven GROUP -")
	}
	keys := make([]string, len(pinned))
	for i, k := range pinned {
		keys[i] = k.Public
	}
	sig, err := openpgp.Verify(keys, signature, content, m.clock.Now())
	if err != nil {
		return evidence.Verification{}, err
	}
	return evidence.Verification{
		Proof: openpgp.Proof, Identity: sig.Fingerprint, Verdict: "holds",
		Claims: map[string]string{"userID": sig.Identity, "hash": sig.Hash, "time": sig.Time.Format(time.RFC3339)},
	}, nil
}

// Sigstore implements maven.Signatures.
func (m mavenSignatures) Sigstore(bundle []byte, sha256 string, workload *evidence.WorkloadIdentity) (evidence.Verification, error) {
	if m.verifier == nil {
		return evidence.Verification{}, fault.New(fault.Unsupported, "provenance-unconfigured",
			"this registry trusts no Sigstore and takes no bundle unverified; start it with --trusted-root NAME=trusted_root.json, or deploy without")
	}
	v, err := m.verifier.File(bundle, digest.Digest(digest.SHA256+":"+sha256), workload)
	if err != nil {
		return evidence.Verification{}, err
	}
	return v.Verification(), nil
}
