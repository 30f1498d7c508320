package npm_test

import (
	"bytes"
	"crypto/sha512"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/account/accounttest"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/signing/signingtest"
)

const uiPURL = "pkg:npm/%40acme/ui@1.0.0"

// releaseRun is the workflow run that publishes @acme/ui.
func releaseRun() signingtest.Identity {
	return signingtest.GitHubRun("acme/ui", "release.yml", "refs/heads/main", "1001")
}

// bundle attests a tarball as subject.
func (s *sigstore) bundle(t testing.TB, id signingtest.Identity, subject string, tarball []byte) []byte {
	t.Helper()
	sum := sha512.Sum512(tarball)
	statement, err := signingtest.Statement(subject, map[string]string{"sha512": hex.EncodeToString(sum[:])}, signingtest.Provenance)
	accounttest.Check(t, err)
	b, err := s.Attest(id, statement)
	accounttest.Check(t, err)
	return b
}

// uiManifest is the package.json of @acme/ui with a repository.
func uiManifest(repository string) string {
	return `{"name":"@acme/ui","version":"1.0.0","repository":` + repository + `}`
}

// provenanceBody is what npm sends to publish @acme/ui with a bundle.
func provenanceBody(t testing.TB, manifest string, tarball, bundle []byte) []byte {
	t.Helper()
	var m map[string]any
	accounttest.Check(t, json.Unmarshal([]byte(manifest), &m))
	body, err := json.Marshal(map[string]any{
		"_id": "@acme/ui", "name": "@acme/ui", "dist-tags": map[string]string{"latest": "1.0.0"}, "versions": map[string]any{"1.0.0": m},
		"_attachments": map[string]any{
			"@acme/ui-1.0.0.sigstore": map[string]any{"content_type": "application/vnd.dev.sigstore.bundle.v0.3+json", "data": string(bundle), "length": len(bundle)},
			"@acme/ui-1.0.0.tgz":      map[string]any{"content_type": "application/octet-stream", "data": base64.StdEncoding.EncodeToString(tarball), "length": len(tarball)},
		},
	})
	accounttest.Check(t, err)
	return body
}

func TestNpmPublishesWithProvenanceAndAuditsIt(t *testing.T) {
	t.Parallel()
	s := newSigstore(t)
	in := start(t, s.trusted(t))
	alice := npmClient(t, in, "alice")
	s.trust(alice)
	alice.pkg("ui", `{"name":"@acme/ui","version":"1.0.0","repository":{"type":"git","url":"git+https://github.com/acme/ui.git"}}`, "index.js", "1")
	alice.run("ui", "pack", "--pack-destination", alice.home)
	tarball, err := os.ReadFile(filepath.Join(alice.home, "acme-ui-1.0.0.tgz"))
	accounttest.Check(t, err)
	write(t, filepath.Join(alice.home, "bundle.json"), string(s.bundle(t, releaseRun(), uiPURL, tarball)))

	contains(t, alice.run("ui", "publish", "--provenance-file", filepath.Join(alice.home, "bundle.json")), "+ @acme/ui@1.0.0")
	alice.pkg("app", `{"name":"app","version":"1.0.0","private":true}`)
	alice.run("app", "install", "@acme/ui")
	contains(t, alice.run("app", "audit", "signatures"), "1 package has a verified registry signature", "1 package has a verified attestation")
	contains(t, alice.run("app", "view", "@acme/ui", "dist.attestations.provenance.predicateType"), signingtest.Provenance)
}

func TestAVerifiedProvenanceIsRecordedAndServed(t *testing.T) {
	t.Parallel()
	s := newSigstore(t)
	in := start(t, s.trusted(t))
	manifest := uiManifest(`"github:acme/ui"`)
	tarball := tgz(t, map[string]string{"package/package.json": manifest})
	bundle := s.bundle(t, releaseRun(), uiPURL, tarball)
	in.do(t, "alice", "PUT", "@acme%2fui", bytes.NewReader(provenanceBody(t, manifest, tarball, bundle))).want(t, 201)

	statements, err := in.core.Record().About(t.Context(), uiPURL, -1, 10)
	accounttest.Check(t, err)
	last := statements[len(statements)-1]
	proof, err := evidence.Decode[evidence.Verification](last)
	accounttest.Check(t, err)
	if last.Assurance != evidence.Verified || proof.Verdict != "holds" || proof.Identity != releaseRun().SAN || proof.Evidence != digest.FromBytes(bundle) ||
		proof.Claims["repository"] != "https://github.com/acme/ui" || proof.Claims["run"] != "https://github.com/acme/ui/actions/runs/1001/attempts/1" {
		t.Errorf("the record says %+v (%s)", proof, last.Assurance)
	}

	told := `"attestations":{"url":"` + in.url + `-/npm/v1/attestations/@acme%2fui@1.0.0","provenance":{"predicateType":"https://slsa.dev/provenance/v1"}}`
	in.do(t, "", "GET", "@acme%2fui", nil).want(t, 200, told)
	in.do(t, "", "GET", "@acme%2fui", nil, "Accept", corgi).want(t, 200, told)
	in.do(t, "", "GET", "@acme%2fui/1.0.0", nil).want(t, 200, told)
	for _, path := range []string{"-/npm/v1/attestations/@acme%2fui@1.0.0", "-/npm/v1/attestations/@acme/ui@1.0.0"} {
		in.do(t, "", "GET", path, nil).want(t, 200, `{"attestations":[{"predicateType":"https://slsa.dev/provenance/v1","bundle":{"dsseEnvelope"`)
	}
	in.do(t, "", "GET", "-/npm/v1/attestations/@acme%2fui@1.0.1", nil).want(t, 404, "version-unknown")
	in.do(t, "mallory", "GET", "-/npm/v1/attestations/@hush%2fx@1.0.0", nil).want(t, 404, "name-unknown")

	// who cannot have the root is not told, and may fetch it all the same
	quiet := in.again(t, s.trusted(t), unadvertised)
	if doc := quiet.do(t, "", "GET", "@acme%2fui", nil).want(t, 200); strings.Contains(string(doc.body), "attestations") {
		t.Errorf("clients are told of attestations: %s", doc.body)
	}
	quiet.do(t, "", "GET", "-/npm/v1/attestations/@acme%2fui@1.0.0", nil).want(t, 200, `"bundle":{`)
}

func TestProvenanceThatDoesNotHoldRefusesTheVersion(t *testing.T) {
	t.Parallel()
	s, other := newSigstore(t), newSigstore(t)
	in := start(t, s.trusted(t))
	manifest := uiManifest(`"acme/ui"`)
	tarball := tgz(t, map[string]string{"package/package.json": manifest})
	good := s.bundle(t, releaseRun(), uiPURL, tarball)
	person := signingtest.Identity{Issuer: "https://accounts.example", SAN: "https://github.com/acme/ui"}
	elsewhere := signingtest.GitHubRun("acme/ui", "release.yml", "refs/heads/main", "1")
	elsewhere.SAN = "https://gitlab.com/acme/ui"
	for _, c := range []struct {
		name, manifest string
		bundle         []byte
		code           string
	}{
		{"no JSON", manifest, []byte("hello"), "attestation-malformed"},
		{"an empty object", manifest, []byte("{}"), "attestation-malformed"},
		{"half of it", manifest, good[:len(good)/2], "attestation-malformed"},
		{"more than a megabyte", manifest, bytes.Repeat([]byte(" "), 1<<20+1), "attestation-too-large"},
		{"of a Sigstore that is not trusted", manifest, other.bundle(t, releaseRun(), uiPURL, tarball), "attestation-untrusted"},
		{"of another version", manifest, s.bundle(t, releaseRun(), "pkg:npm/%40acme/ui@1.0.1", tarball), "attestation-subject"},
		{"of other bytes", manifest, s.bundle(t, releaseRun(), uiPURL, []byte("other")), "attestation-subject"},
		{"of an issuer that is not configured", manifest, s.bundle(t, person, uiPURL, tarball), "attestation-identity"},
		{"of a name that is another issuer's", manifest, s.bundle(t, elsewhere, uiPURL, tarball), "attestation-identity"},
		{"of a fork", manifest, s.bundle(t, signingtest.GitHubRun("mallory/ui", "release.yml", "refs/heads/main", "1"), uiPURL, tarball), "provenance-repository"},
	} {
		r := in.do(t, "alice", "PUT", "@acme%2fui", bytes.NewReader(provenanceBody(t, c.manifest, tarball, c.bundle)))
		if r.StatusCode < 400 || r.StatusCode >= 500 || !strings.Contains(string(r.body), `"code":"`+c.code+`"`) {
			t.Errorf("%s: answered %d %s, want code %s", c.name, r.StatusCode, r.body, c.code)
		}
		if in.decisions(t, c.code) == 0 {
			t.Errorf("%s: the refusal is not in the record", c.name)
		}
	}
	in.do(t, "", "GET", "@acme%2fui", nil).want(t, 404)
	in.do(t, "alice", "PUT", "@acme%2fui", bytes.NewReader(provenanceBody(t, manifest, tarball, good))).want(t, 201)
}

func TestProvenanceOfAManifestThatNamesNoSourceIsRefused(t *testing.T) {
	t.Parallel()
	s := newSigstore(t)
	in := start(t, s.trusted(t))
	manifest := `{"name":"@acme/ui","version":"1.0.0"}`
	tarball := tgz(t, map[string]string{"package/package.json": manifest})
	// what the request says beside the tarball does not count
	body := provenanceBody(t, uiManifest(`"github:acme/ui"`), tarball, s.bundle(t, releaseRun(), uiPURL, tarball))
	in.do(t, "alice", "PUT", "@acme%2fui", bytes.NewReader(body)).want(t, 422, "provenance-repository", "names no repository")
}

func TestARegistryThatTrustsNoSigstoreSaysHowToConfigureOne(t *testing.T) {
	t.Parallel()
	s := newSigstore(t)
	in := start(t)
	manifest := uiManifest(`"github:acme/ui"`)
	tarball := tgz(t, map[string]string{"package/package.json": manifest})
	body := provenanceBody(t, manifest, tarball, s.bundle(t, releaseRun(), uiPURL, tarball))
	in.do(t, "alice", "PUT", "@acme%2fui", bytes.NewReader(body)).want(t, 405, "provenance-unconfigured", "--trusted-root NAME=trusted_root.json")
}

// workload makes a token for a run of a trusted publisher of @acme/ui; in.do knows it by the user's name.
func (in *instance) workload(t testing.TB, user string, claims map[string]string) {
	t.Helper()
	secret, _, insert, err := in.Accounts.MintWorkload(account.WorkloadToken{
		Ecosystem: purl.NPM, Expires: time.Now().Add(time.Minute),
		Rights: []evidence.WorkloadRight{{
			Name: "@acme/ui", Permission: evidence.Publish,
			Identity: evidence.WorkloadIdentity{Publisher: "tp_ui", Provider: "github", Issuer: releaseRun().Issuer, Subject: "repo:acme/ui", Claims: claims},
		}},
	})
	accounttest.Check(t, err)
	accounttest.Check(t, in.core.Record().DB().Write(t.Context(), func(tx *sql.Tx) error { return insert(t.Context(), tx) }))
	in.Tokens[user] = secret
}

func TestATrustedPublishersProvenanceIsOfItsOwnRun(t *testing.T) {
	t.Parallel()
	s := newSigstore(t)
	in := start(t, s.trusted(t))
	manifest := uiManifest(`"github:acme/ui"`)
	tarball := tgz(t, map[string]string{"package/package.json": manifest})
	body := provenanceBody(t, manifest, tarball, s.bundle(t, releaseRun(), uiPURL, tarball))
	in.workload(t, "another run", map[string]string{"repository": "acme/ui", "run_id": "1002"})
	in.workload(t, "the run", map[string]string{
		"repository": "acme/ui", "repository_id": "42", "run_id": "1001", "workflow_ref": "acme/ui/.github/workflows/release.yml@refs/heads/main",
	})
	in.do(t, "another run", "PUT", "@acme%2fui", bytes.NewReader(body)).want(t, 422, "provenance-publisher", `its run_id is \"1001\"`)
	in.do(t, "the run", "PUT", "@acme%2fui", bytes.NewReader(body)).want(t, 201)
}
