package maven

import (
	"context"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/registry/maven/layout"
)

// lookup finds the file that a sidecar is about: among what is published, or beside it in a deployment.
type lookup func(ctx context.Context, c layout.Coordinates) (digest.Digest, error)

// published finds the file among what was published.
func (r *Registry) published(ctx context.Context, c layout.Coordinates) (digest.Digest, error) {
	o, err := r.offer(ctx, c.Name())
	if err != nil {
		return "", err
	}
	if i, ok := o.at[fileKey{c.Build, c.Signed()}]; ok && o.releases[i].State != registry.Withdrawn {
		return o.releases[i].Artifact, nil
	}
	return "", fault.New(fault.NotFound, "version-unknown", "%s was not deployed, so there is nothing that its signature could be of; deploy the file first", fault.Clip(c.Signed()))
}

// inspectSidecar checks a signature against the file that it is about.
func (r *Registry) inspectSidecar(ctx context.Context, actor evidence.Actor, f *incoming, signed lookup) ([]evidence.Draft, error) {
	of, err := signed(ctx, f.Coordinates)
	if err != nil {
		return nil, err
	}
	if r.signatures == nil {
		return nil, fault.New(fault.Invalid, "signature-unverifiable", "this registry checks no signatures, and takes none that nobody checked; deploy without them")
	}
	raw, err := f.content()
	if err != nil {
		return nil, err
	}
	var proof evidence.Verification
	if f.Sidecar == layout.SidecarSigstore {
		proof, err = r.signatures.Sigstore(raw, of.Hex(), actor.Workload)
	} else {
		proof, err = r.verifyPGP(ctx, f, raw, of)
	}
	if err != nil {
		return nil, err
	}
	proof.Evidence = f.Digest()
	f.facts.Proof, f.facts.Signed = &proof, of
	return []evidence.Draft{f.facts.verification(f.PURL())}, nil
}

func (r *Registry) verifyPGP(ctx context.Context, f *incoming, signature []byte, of digest.Digest) (evidence.Verification, error) {
	content, err := r.core.Blobs().Open(ctx, of)
	if err != nil {
		return evidence.Verification{}, err
	}
	defer content.Close()
	return r.signatures.OpenPGP(ctx, f.Name(), signature, content)
}

// verification is the statement that a signature holds, about the file that it signs.
func (f facts) verification(p purl.PURL) evidence.Draft {
	return evidence.Draft{
		Subjects:  []evidence.Subject{evidence.About(p, f.Signed)},
		Predicate: *f.Proof, Issuer: evidence.Issuer{Kind: evidence.Gate, ID: "publish"}, Assurance: evidence.Verified,
	}
}
