package signing

import (
	"cmp"
	"fmt"
	"net/url"
	"strings"
	"time"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
)

// ProvenanceProof is the kind of proof that the record calls a provenance that holds.
const ProvenanceProof = "provenance"

// provenanceTypes are the types of provenance that build services make.
// Source: slsa.dev/spec; npm's client makes v1 at GitHub and v0.2 at GitLab.
var provenanceTypes = []string{"https://slsa.dev/provenance/v1", "https://slsa.dev/provenance/v0.2"}

// Claim is what a publication says about itself, for a provenance to bear out.
type Claim struct {
	Subject string          // the release's purl, as its ecosystem's clients write it
	Digests []digest.Digest // of the artifact
	// Repository is the source repository that the release's own manifest names, as an address
	// without user, suffix and final slash: "https://github.com/acme/ui".
	Repository string
	// Workload is the run that publishes, when a trusted publisher does; else nil.
	Workload *evidence.WorkloadIdentity
}

// Provenance checks a bundle that came with a publication: it holds, it is a provenance of this
// artifact, it was signed by a workload of a configured issuer (for a trusted publisher: of exactly
// its own issuer), it was built from the repository that the manifest names, and it was made by the
// very run that publishes. Codes: those of Verify; provenance-repository, provenance-publisher.
func (v *Verifier) Provenance(raw []byte, c Claim) (Verified, error) {
	if c.Repository == "" {
		return Verified{}, fault.New(fault.Integrity, "provenance-repository",
			"the manifest names no repository, so that nobody can tell whether the provenance is of its source; add the repository's address to it")
	}
	want := Expectation{Subject: c.Subject, Digests: c.Digests, Predicates: provenanceTypes}
	issuers := v.issuers
	if c.Workload != nil {
		issuers = []string{c.Workload.Issuer}
	}
	for _, issuer := range issuers {
		id, err := anyOf(issuer)
		if err != nil {
			return Verified{}, err
		}
		want.Identities = append(want.Identities, id)
	}
	got, err := v.Verify(raw, want)
	if err != nil {
		return Verified{}, err
	}
	if !sameRepository(got.Repository, c.Repository) {
		return Verified{}, fault.New(fault.Integrity, "provenance-repository",
			"the provenance is of %s and the manifest names %s; publish from the repository that the manifest names, or correct the manifest",
			clip(got.Repository), clip(c.Repository))
	}
	return got, c.checkRun(got)
}

// attestationTypes are the types of attestation that come with a file of a Python project.
// Source: PEP 740, "Attestation types".
var attestationTypes = append([]string{"https://docs.pypi.org/attestations/publish/v1"}, provenanceTypes...)

// Attestation checks a bundle about a file by its name, which its publisher, a workload, has signed: it holds, it
// is about the file, and it was made by the very run that publishes. Codes: those of Verify; provenance-publisher.
func (v *Verifier) Attestation(raw []byte, file string, artifact digest.Digest, run *evidence.WorkloadIdentity) (Verified, error) {
	id, err := anyOf(run.Issuer)
	if err != nil {
		return Verified{}, err
	}
	got, err := v.Verify(raw, Expectation{
		Subject: file, Digests: []digest.Digest{artifact}, Predicates: attestationTypes, Identities: []Identity{id},
	})
	if err != nil {
		return Verified{}, err
	}
	return got, Claim{Workload: run}.checkRun(got)
}

// sameRepository compares addresses of repositories. Names at the two large forges are the same in
// any case of letters; elsewhere they may not be.
func sameRepository(a, b string) bool {
	if a == "" || a == b {
		return a != ""
	}
	u, err := url.Parse(a)
	return err == nil && (u.Host == "github.com" || u.Host == "gitlab.com") && strings.EqualFold(a, b)
}

// checkRun compares a provenance with the claims of the token that publishes. Claims that the
// provider does not make are not compared.
// Source: GitHub docs, "OIDC reference"; GitLab docs, "ID token payload"; sigstore/fulcio, oid-info.md.
func (c Claim) checkRun(v Verified) error {
	if c.Workload == nil {
		return nil
	}
	said := c.Workload.Claims
	host, _ := sanNamespace(c.Workload.Issuer) // was parsed before
	for _, one := range []struct{ claim, proven, want string }{
		{"repository", v.Repository, host + said["repository"]},
		{"project_path", v.Repository, host + said["project_path"]},
		{"repository_id", v.RepositoryID, said["repository_id"]},
		{"project_id", v.RepositoryID, said["project_id"]},
		{"workflow_ref", v.Workflow, host + said["workflow_ref"]},
		{"ci_config_ref_uri", v.Workflow, "https://" + said["ci_config_ref_uri"]},
		{"sha", v.Commit, said["sha"]},
		{"run_id", runOf(v.Run), said["run_id"]},
		{"job_id", runOf(v.Run), said["job_id"]},
	} {
		folded := (one.claim == "repository" || one.claim == "project_path") && sameRepository(one.proven, one.want)
		if said[one.claim] == "" || one.proven == one.want || folded {
			continue
		}
		if one.claim == "job_id" && said["project_path"] == "" {
			continue // other providers have jobs, too, and do not name the run by them
		}
		return fault.New(fault.Integrity, "provenance-publisher",
			"the provenance was made by another run than the one that publishes: its %s is %q and the publisher's is %q; make it in the job that publishes",
			one.claim, clip(one.proven), clip(one.want))
	}
	return nil
}

// runOf returns the number of a run from its address: ".../actions/runs/1001/attempts/1" at GitHub,
// ".../-/jobs/1001" at GitLab.
func runOf(address string) string {
	for _, mark := range []string{"/actions/runs/", "/-/jobs/"} {
		if _, rest, ok := strings.Cut(address, mark); ok {
			id, _, _ := strings.Cut(rest, "/")
			return id
		}
	}
	return ""
}

// Statement is what the record says about a proof that holds. bundle is the blob that keeps it.
func (v Verified) Statement(p purl.PURL, artifact, bundle digest.Digest) evidence.Draft {
	said := v.Verification()
	said.Evidence = bundle
	return evidence.Draft{
		Subjects: []evidence.Subject{evidence.About(p, artifact)}, Predicate: said,
		Issuer: evidence.Issuer{Kind: evidence.Gate, ID: "publish"}, Assurance: evidence.Verified,
	}
}

// Verification is the predicate of that statement, without the blob that keeps the proof.
func (v Verified) Verification() evidence.Verification {
	claims := map[string]string{
		"root": v.Root, "issuer": v.Issuer, "repository": v.Repository, "repositoryID": v.RepositoryID, "ref": v.Ref, "commit": v.Commit,
		"workflow": v.Workflow, "run": v.Run, "trigger": v.Trigger, "runner": v.Runner, "predicateType": v.PredicateType,
		"logIndex": fmt.Sprint(v.LogIndex), "time": v.Time.Format(time.RFC3339),
	}
	for key, value := range claims {
		if value == "" {
			delete(claims, key)
		}
	}
	return evidence.Verification{Proof: cmp.Or(v.proof, ProvenanceProof), Identity: v.SAN, Verdict: "holds", Claims: claims}
}
