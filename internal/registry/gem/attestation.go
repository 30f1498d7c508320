package gem

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"mime"
	"mime/multipart"
	"net/http"

	"github.com/hullmark/hullmark/internal/blob"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry/gem/gemspec"
)

// Attestations checks the Sigstore bundles that come with a gem.
type Attestations interface {
	// Gem checks that a bundle signs exactly the gem's bytes, by the very pipeline that publishes. It returns
	// what the record says about it. Errors are faults that refuse the version.
	Gem(bundle []byte, c Claim) (Proof, error)
}

// Claim is what a publication says about itself.
type Claim struct {
	File     string        // the gem's file name
	Artifact digest.Digest // SHA-256 of the gem
	Workload *evidence.WorkloadIdentity
}

// Proof makes the statement about an attestation that holds; bundle is the blob that keeps it.
type Proof func(p purl.PURL, artifact, bundle digest.Digest) evidence.Draft

const (
	maxBundles     = 10
	maxBundleBytes = 4 << 20 // of all of a gem's
)

// body returns the gem in the request, which may be the body itself or one of two parts of it.
// Source: RubyGems 3.6, push_command.rb, "send_push_request_with_attestation".
func (p *pushed) body(req *http.Request) (io.Reader, error) {
	kind, params, _ := mime.ParseMediaType(req.Header.Get("Content-Type"))
	if kind != "multipart/form-data" {
		return req.Body, nil
	}
	p.parts = multipart.NewReader(req.Body, params["boundary"])
	part, err := p.parts.NextPart()
	if err != nil {
		return nil, malformed("it has no parts").Because(err)
	}
	if part.FormName() != "gem" {
		return nil, malformed("its first part is not the gem")
	}
	return part, nil
}

// receiveBundles reads the part behind the gem.
func (p *pushed) receiveBundles() error {
	if p.parts == nil {
		return nil
	}
	part, err := p.parts.NextPart()
	if errors.Is(err, io.EOF) {
		return nil
	}
	if err != nil || part.FormName() != "attestations" {
		return malformed("behind the gem there may be attestations, and nothing else").Because(err)
	}
	data, err := io.ReadAll(io.LimitReader(part, maxBundleBytes+1))
	if err != nil {
		return malformed("it broke off").Because(err)
	}
	if len(data) > maxBundleBytes {
		return fault.New(fault.TooLarge, "attestation-too-large", "the attestations are larger than %d KiB", maxBundleBytes>>10)
	}
	if err := json.Unmarshal(data, &p.bundles); err != nil || len(p.bundles) > maxBundles {
		return malformed("its attestations are no list of up to %d bundles", maxBundles).Because(err)
	}
	if _, err := p.parts.NextPart(); !errors.Is(err, io.EOF) {
		return malformed("there is something behind the attestations")
	}
	return nil
}

// prove checks the bundles. Only a pipeline's word about what it built is worth keeping, and it must be the
// pipeline that publishes: what else was signed proves nothing about this gem.
func (p *pushed) prove(artifact digest.Digest) error {
	if len(p.bundles) == 0 {
		return nil
	}
	if p.actor.Workload == nil {
		return fault.New(fault.Invalid, "attestation-publisher", "Pushing with an attestation requires trusted publishing: exchange the pipeline's identity token for a key, or push without attestations")
	}
	if p.r.attestations == nil {
		return fault.New(fault.Unsupported, "provenance-unconfigured",
			"this registry trusts no Sigstore and takes no attestation unverified; start it with --trusted-root NAME=trusted_root.json, or push without --attestation")
	}
	p.proofs = nil
	for _, b := range p.bundles {
		proof, err := p.r.attestations.Gem(b, Claim{File: p.spec.FullName() + ".gem", Artifact: artifact, Workload: p.actor.Workload})
		if err != nil {
			return err
		}
		p.proofs = append(p.proofs, proof(gemspec.PURLOf(normal(p.spec.Name), p.spec.Version, p.spec.Platform), artifact, digest.FromBytes(b)))
	}
	return nil
}

func (r *Registry) readBundles(ctx context.Context, all []digest.Digest) ([]json.RawMessage, error) {
	out := []json.RawMessage{}
	for _, d := range all {
		data, err := blob.Get(ctx, r.core.Blobs(), d)
		if err != nil {
			return nil, err
		}
		out = append(out, data)
	}
	return out, nil
}
