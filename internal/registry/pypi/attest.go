package pypi

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/registry/pypi/dist"
)

// Attestations checks the attestations that come with a file.
type Attestations interface {
	// Attestation checks that a Sigstore bundle holds, is about the file, and was made by the very run that
	// publishes it. Errors are faults that refuse the file.
	Attestation(bundle []byte, file string, artifact digest.Digest, run *evidence.WorkloadIdentity) (Proof, error)
}

// Proof is an attestation that holds.
type Proof struct {
	PredicateType string
	// Statement is what the record says about it; bundle is the blob that keeps it.
	Statement func(p purl.PURL, artifact, bundle digest.Digest) evidence.Draft
}

const (
	maxAttestation  = 1 << 20 // bytes of all of a file's
	maxAttestations = 2       // one of each type
	typeIntegrity   = "application/vnd.pypi.integrity.v1+json"
)

// attestation is one as clients send it. Source: PEP 740, "Attestation objects".
type attestation struct {
	Version  int `json:"version"`
	Material struct {
		Certificate string            `json:"certificate"`
		Entries     []json.RawMessage `json:"transparency_entries"`
	} `json:"verification_material"`
	Envelope struct {
		Statement string `json:"statement"`
		Signature string `json:"signature"`
	} `json:"envelope"`
}

// bundle is the attestation in the form that Sigstore has for it.
func (a attestation) bundle() ([]byte, error) {
	return json.Marshal(map[string]any{
		"mediaType": "application/vnd.dev.sigstore.bundle.v0.3+json",
		"verificationMaterial": map[string]any{
			"certificate": map[string]string{"rawBytes": a.Material.Certificate}, "tlogEntries": a.Material.Entries,
		},
		"dsseEnvelope": map[string]any{
			"payload": a.Envelope.Statement, "payloadType": "application/vnd.in-toto+json",
			"signatures": []map[string]string{{"sig": a.Envelope.Signature}},
		},
	})
}

// proven are the attestations of a file that hold.
type proven struct {
	bundles [][]byte
	proofs  []Proof
	served  []byte // the provenance object
}

// prove checks what came in the form's field. Source: PEP 740, "Upload endpoint changes".
func (r *Registry) prove(field []string, file string, artifact digest.Digest, actor evidence.Actor) (*proven, error) {
	if len(field) == 0 {
		return nil, nil
	}
	switch {
	case r.config.Attestations == nil:
		return nil, fault.New(fault.Unsupported, "provenance-unconfigured",
			"this registry trusts no Sigstore and takes no attestation unverified; start it with --trusted-root NAME=trusted_root.json, or publish without attestations")
	case actor.Workload == nil:
		return nil, fault.New(fault.Policy, "attestation-publisher",
			"attestations are taken from trusted publishers only: their run is what an attestation is compared with; publish from CI by an identity token, or without attestations")
	case len(field) > 1 || len(field[0]) > maxAttestation:
		return nil, fault.New(fault.TooLarge, "attestation-too-large", "the attestations are larger than %d KiB", maxAttestation>>10)
	}
	var raw []json.RawMessage
	if err := json.Unmarshal([]byte(field[0]), &raw); err != nil || len(raw) == 0 || len(raw) > maxAttestations {
		return nil, malformedAttestation("expected a list of one or two")
	}
	p := &proven{}
	for _, one := range raw {
		var a attestation
		if err := json.Unmarshal(one, &a); err != nil || a.Version != 1 {
			return nil, malformedAttestation("it is not of version 1")
		}
		bundle, err := a.bundle()
		if err != nil {
			return nil, malformedAttestation("it is not the JSON of one")
		}
		proof, err := r.config.Attestations.Attestation(bundle, file, artifact, actor.Workload)
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(p.proofs, func(q Proof) bool { return q.PredicateType == proof.PredicateType }) {
			return nil, malformedAttestation("there are two of the type %s", fault.Clip(proof.PredicateType))
		}
		p.bundles, p.proofs = append(p.bundles, bundle), append(p.proofs, proof)
	}
	served, err := json.Marshal(map[string]any{
		"version": 1, "attestation_bundles": []map[string]any{{"publisher": publisher(actor.Workload), "attestations": raw}},
	})
	p.served = served
	return p, err
}

func malformedAttestation(format string, args ...any) *fault.Error {
	return fault.New(fault.Invalid, "attestation-malformed", "the field attestations is not as PEP 740 has it: "+format, args...)
}

// publisher is a trusted publisher as clients know it. Source: PEP 740, "Provenance objects"; PyPI docs,
// "Integrity API".
func publisher(run *evidence.WorkloadIdentity) map[string]any {
	said := run.Claims
	_, workflow, _ := strings.Cut(said["workflow_ref"], "/.github/workflows/")
	workflow, _, _ = strings.Cut(workflow, "@")
	out := map[string]any{"claims": nil, "environment": said["environment"]}
	switch run.Provider {
	case "github":
		out["kind"], out["repository"], out["workflow"] = "GitHub", said["repository"], workflow
	case "gitlab":
		file, _, _ := strings.Cut(said["ci_config_ref_uri"], "@")
		_, file, _ = strings.Cut(file, "//")
		out["kind"], out["repository"], out["workflow_filepath"] = "GitLab", said["project_path"], file
	case "google":
		out["kind"], out["email"] = "Google", said["email"]
	default:
		out["kind"], out["issuer"], out["subject"] = run.Provider, run.Issuer, run.Subject
	}
	return out
}

// statements are what the record says of the attestations.
func (p *proven) statements(release purl.PURL, artifact digest.Digest) []evidence.Draft {
	var out []evidence.Draft
	for i, proof := range p.proofs {
		out = append(out, proof.Statement(release, artifact, digest.FromBytes(p.bundles[i])))
	}
	return out
}

// provenancePath is where a file's provenance object is, below the registry's address.
func provenancePath(name, version, file string) string {
	return "integrity/" + url.PathEscape(name) + "/" + url.PathEscape(version) + "/" + url.PathEscape(file) + "/provenance"
}

// serveProvenance answers GET /integrity/{name}/{version}/{file}/provenance. Source: PyPI docs, "Integrity API".
func (r *Registry) serveProvenance(w http.ResponseWriter, req *http.Request, actor evidence.Actor) error {
	name, file := pathName(req), req.PathValue("file")
	rel, err := r.core.File(req.Context(), purl.PyPI, name, file)
	if err == nil {
		err = r.core.MayDownload(req.Context(), actor, purl.PyPI, name, rel)
	}
	known := &facts{}
	if err == nil {
		known, err = r.stored.Get(req.Context(), rel.Metadata)
	}
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return err
	}
	if accept := req.Header.Get("Accept"); err == nil && accept != "" && !strings.Contains(accept, typeIntegrity) &&
		!strings.Contains(accept, "application/json") && !strings.Contains(accept, "*/*") {
		return registry.AnswerJSON(w, http.StatusNotAcceptable, "application/json", map[string]string{"message": "Request not acceptable"})
	}
	if known.Provenance == "" || !dist.SameVersion(req.PathValue("version"), rel.Version) {
		return registry.AnswerJSON(w, http.StatusNotFound, "application/json", map[string]string{"message": "No provenance available for " + fault.Clip(file)})
	}
	return r.core.ServeBlob(w, req, known.Provenance, rel.Published, typeIntegrity)
}
