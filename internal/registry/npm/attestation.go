package npm

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strings"

	"github.com/hullmark/hullmark/internal/blob"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
)

// Attestations checks the provenance that comes with a version.
type Attestations interface {
	// Provenance checks a Sigstore bundle against what the publication says about itself. Errors are
	// faults that refuse the version.
	Provenance(bundle []byte, c Claim) (Proof, error)
}

// Claim is what a publication says about itself.
type Claim struct {
	Subject    string          // the version's purl, as npm's client writes it
	Digests    []digest.Digest // of the tarball
	Repository string          // that package.json names: "https://github.com/acme/ui"; empty for none
	// Workload is the run that publishes, when a trusted publisher does; else nil.
	Workload *evidence.WorkloadIdentity
}

// Proof is a provenance that holds.
type Proof struct {
	PredicateType string
	// Statement is what the record says about it; bundle is the blob that keeps it.
	Statement func(p purl.PURL, artifact, bundle digest.Digest) evidence.Draft
}

// maxBundle is the longest provenance bundle that is taken, in bytes. npm's have about 10,000.
const maxBundle = 1 << 20

// attachmentSuffix ends the name of the attachment that carries a provenance bundle.
// Source: libnpmpublish, publish.js, provenanceBundleName.
const attachmentSuffix = ".sigstore"

// provenance is a bundle on its way in.
type provenance struct {
	name   string // of the attachment
	bundle []byte
	proof  Proof // once it was checked
}

func (p *provenance) digest() digest.Digest { return digest.FromBytes(p.bundle) }

// receiveBundle takes the bundle, which stands in the request as a JSON string.
func (p *publication) receiveBundle(name string, data io.Reader) error {
	if p.r.attestations == nil {
		return fault.New(fault.Unsupported, "provenance-unconfigured",
			"this registry trusts no Sigstore and takes no provenance unverified; start it with --trusted-root NAME=trusted_root.json, or publish without --provenance")
	}
	if p.provenance != nil {
		return malformed("it holds more than one provenance bundle")
	}
	bundle, err := io.ReadAll(io.LimitReader(data, maxBundle+1))
	if err != nil {
		return err
	}
	if len(bundle) > maxBundle {
		return fault.New(fault.TooLarge, "attestation-too-large", "the attestation is larger than %d KiB", maxBundle>>10)
	}
	p.provenance = &provenance{name: name, bundle: bundle}
	return nil
}

// prove checks the bundle, if one came, against the tarball and its own package.json.
func (p *publication) prove(in *inside) error {
	if p.provenance == nil {
		return nil
	}
	proof, err := p.r.attestations.Provenance(p.provenance.bundle, Claim{
		Subject:    clientPURL(p.name, p.version),
		Digests:    []digest.Digest{digest.Digest(digest.SHA512 + ":" + hex.EncodeToString(p.tarball.sha512.Sum(nil)))},
		Repository: repository(in.manifest["repository"]),
		Workload:   p.actor.Workload,
	})
	p.provenance.proof = proof
	return err
}

// clientPURL is how npm's client names a version in a statement. Source: npm-package-arg, toPurl.
func clientPURL(name, version string) string {
	return "pkg:npm/" + strings.Replace(name, "@", "%40", 1) + "@" + version
}

// plainRepository is an address that has one reading: a lower-case host and a path of plain elements.
var plainRepository = regexp.MustCompile(`^https://[a-z0-9](?:[a-z0-9.-]*[a-z0-9])?(?::[0-9]{1,5})?(?:/[A-Za-z0-9._~-]+)+$`)

// repository returns the address that a manifest's "repository" stands for, in one spelling, or "" for none and
// for one that could be read in two ways: a provenance is compared with it.
func repository(raw json.RawMessage) string {
	var address string
	if json.Unmarshal(raw, &address) != nil {
		var full struct{ URL string }
		if json.Unmarshal(raw, &full) != nil {
			return ""
		}
		address = full.URL
	}
	address, _, _ = strings.Cut(address, "#")
	plain := repositoryAt(address)
	_, path, _ := strings.Cut(plain, "://")
	dots := slices.ContainsFunc(strings.Split(path, "/"), func(part string) bool { return part == "." || part == ".." })
	if dots || strings.HasSuffix(plain, ".git") || !plainRepository.MatchString(plain) {
		return ""
	}
	return plain
}

func repositoryAt(address string) string {
	forge, path, _ := strings.Cut(gitReference(address), ":")
	for host, name := range gitHosts {
		if name == forge {
			return "https://" + host + "/" + path
		}
	}
	u, err := url.Parse(strings.TrimPrefix(address, "git+"))
	if err != nil || u.Scheme == "" {
		return ""
	}
	return "https://" + strings.ToLower(u.Host) + "/" + strings.TrimSuffix(strings.Trim(u.EscapedPath(), "/"), ".git")
}

// attested is how a version's manifest tells of its attestations. It is stored with Bundle and served
// with URL. Source: npm docs, "package-metadata"; pacote, registry.js.
type attested struct {
	URL        string         `json:"url,omitempty"`
	Provenance predicated     `json:"provenance"`
	Bundle     *digest.Digest `json:"bundle,omitempty"`
}

type predicated struct {
	PredicateType string `json:"predicateType"`
}

// told is what clients are told of an attestation. A client whose root the bundle does not hold under
// calls that tampering (pacote, EATTESTATIONVERIFY), so it is told only where the operator says that
// clients have the root; the bundle can be fetched in any case.
func (r *Registry) told(name, version string, a *attested) *attested {
	if a == nil || !r.advertise {
		return nil
	}
	return &attested{URL: r.attestationsURL(name, version), Provenance: a.Provenance}
}

func (r *Registry) attestationsURL(name, version string) string {
	return r.base + attestationsPath + escapedName(name) + "@" + version
}

const attestationsPath = "-/npm/v1/attestations/"

// attestation is an entry of /-/npm/v1/attestations.
type attestation struct {
	PredicateType string          `json:"predicateType"`
	Bundle        json.RawMessage `json:"bundle"`
}

// serveAttestations answers GET /-/npm/v1/attestations/{name}@{version}; the list is empty for a
// version that came without.
func (r *Registry) serveAttestations(w http.ResponseWriter, req *http.Request, _ evidence.Actor) error {
	name, version := splitRelease(req.PathValue("release"))
	o, err := r.offer(req.Context(), name)
	if err != nil {
		return err
	}
	rel, err := o.uncooled().release(version)
	if err != nil {
		return err
	}
	if o.source != "" {
		return r.passOn(w, req, name, attestationsPath+escapedName(name)+"@"+rel.Version)
	}
	d, err := r.storedDist(req.Context(), rel.Metadata)
	if err != nil {
		return err
	}
	list := []attestation{}
	if d.Attestations != nil && d.Attestations.Bundle != nil {
		bundle, err := blob.Get(req.Context(), r.core.Blobs(), *d.Attestations.Bundle)
		if err != nil {
			return err
		}
		list = append(list, attestation{PredicateType: d.Attestations.Provenance.PredicateType, Bundle: bundle})
	}
	w.Header().Set("Cache-Control", "no-cache")
	r.respond(w, http.StatusOK, map[string]any{"attestations": list})
	return nil
}

// splitRelease takes "@acme/ui@1.0.0" apart. Without a version, that is empty.
func splitRelease(release string) (name, version string) {
	if i := strings.LastIndexByte(release, '@'); i > 0 {
		return release[:i], release[i+1:]
	}
	return release, ""
}

// storedDist reads the dist of a stored manifest.
func (r *Registry) storedDist(ctx context.Context, metadata digest.Digest) (dist, error) {
	data, err := blob.Get(ctx, r.core.Blobs(), metadata)
	if err != nil {
		return dist{}, err
	}
	var m struct {
		Dist dist `json:"dist"`
	}
	if err := json.Unmarshal(data, &m); err != nil {
		return dist{}, fmt.Errorf("stored manifest %s: %w", metadata, err)
	}
	return m.Dist, nil
}
