package npm_test

import (
	"bytes"
	"compress/gzip"
	"crypto/ecdsa"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hullmark/hullmark/internal/account/accounttest"
	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/evidence"
)

// publish publishes a version of a package with one file besides package.json.
func (in *instance) publish(t testing.TB, name, version string, more ...string) {
	t.Helper()
	manifest := map[string]any{"name": name, "version": version, "description": "<about> " + name, "readme": "# " + name}
	packed := `{"name":"` + name + `","version":"` + version + `"`
	if len(more) > 0 {
		manifest["scripts"] = map[string]any{"postinstall": more[0]}
		packed += `,"scripts":{"postinstall":"` + more[0] + `"}`
	}
	body := publishBody(t, manifest, map[string]string{"package/package.json": packed + "}", "package/index.js": "module.exports = '" + name + version + "'"})
	in.do(t, "alice", "PUT", strings.Replace(name, "/", "%2f", 1), bytes.NewReader(body)).want(t, http.StatusCreated)
}

const corgi = "application/vnd.npm.install-v1+json; q=1.0, application/json; q=0.8, */*"

func TestPackumentHasBothForms(t *testing.T) {
	t.Parallel()
	in := start(t)
	in.publish(t, "@acme/ui", "1.0.0")
	in.publish(t, "@acme/ui", "1.1.0", "node x")

	full := in.do(t, "", "GET", "@acme%2fui", nil)
	doc := full.want(t, 200, `"readme":"# @acme/ui"`, `"maintainers":[`, `"_rev":`, `"_npmUser":{"name":"alice"`).json(t)
	if doc["description"] != "<about> @acme/ui" {
		t.Errorf("the description is %v", doc["description"])
	}
	version := doc["versions"].(map[string]any)["1.1.0"].(map[string]any)
	if version["hasInstallScript"] != true || version["readme"] != nil {
		t.Errorf("version 1.1.0 is %v", version)
	}
	dist := version["dist"].(map[string]any)
	if got, want := dist["tarball"], in.url+"@acme/ui/-/ui-1.1.0.tgz"; got != want || dist["fileCount"] != 2.0 {
		t.Errorf("dist is %v, want the tarball %s and two files", dist, want)
	}
	if times := doc["time"].(map[string]any); len(times) != 4 || times["1.0.0"] == nil {
		t.Errorf("times are %v", times)
	}

	short := in.do(t, "", "GET", "@acme/ui", nil, "Accept", corgi).want(t, 200, `"hasInstallScript":true`, `"signatures":[`, `"time":{`, `"modified":`)
	for _, absent := range []string{"readme", "_npmUser", "maintainers", "description", `"scripts"`} {
		if strings.Contains(string(short.body), absent) {
			t.Errorf("the abbreviated form has %s: %s", absent, short.body)
		}
	}
	if got := short.Header.Get("Content-Type"); got != "application/vnd.npm.install-v1+json" {
		t.Errorf("its type is %s", got)
	}
	in.do(t, "", "GET", "@acme%2fui/1.0.0", nil).want(t, 200, `"version":"1.0.0"`)
	in.do(t, "", "GET", "@acme/ui/latest", nil).want(t, 200, `"version":"1.1.0"`)
	in.do(t, "", "GET", "@acme/ui/9.9.9", nil).want(t, 404, `"code":"version-unknown"`)
	in.do(t, "", "GET", "@acme/none", nil).want(t, 404, `"code":"name-unknown"`)
	in.do(t, "", "GET", "-/nothing/here/at/all", nil).want(t, 404, `"error":`)
}

func TestPackumentAnswersConditionalRequests(t *testing.T) {
	t.Parallel()
	in := start(t)
	in.publish(t, "wbdemo", "1.0.0")
	plain := in.do(t, "", "GET", "wbdemo", nil, "Accept-Encoding", "identity").want(t, 200)
	packed := in.do(t, "", "GET", "wbdemo", nil, "Accept-Encoding", "br, gzip;q=0.5").want(t, 200)
	z, err := gzip.NewReader(bytes.NewReader(packed.body))
	accounttest.Check(t, err)
	unpacked, err := io.ReadAll(z)
	accounttest.Check(t, err)
	if packed.Header.Get("Content-Encoding") != "gzip" || !bytes.Equal(unpacked, plain.body) {
		t.Error("the gzip form is not the plain one, compressed")
	}
	if plain.Header.Get("Etag") == packed.Header.Get("Etag") || plain.Header.Get("Vary") != "Accept, Accept-Encoding" {
		t.Errorf("headers are %v and %v", plain.Header, packed.Header)
	}
	for _, tag := range []string{packed.Header.Get("Etag"), `"x", W/` + packed.Header.Get("Etag"), "*"} {
		r := in.do(t, "", "GET", "wbdemo", nil, "Accept-Encoding", "gzip", "If-None-Match", tag).want(t, 304)
		if len(r.body) != 0 || r.Header.Get("Etag") != packed.Header.Get("Etag") {
			t.Errorf("304 came with %q and %v", r.body, r.Header)
		}
	}
	in.do(t, "", "GET", "wbdemo", nil, "Accept-Encoding", "identity", "If-None-Match", packed.Header.Get("Etag")).want(t, 200)
	in.do(t, "", "GET", "wbdemo", nil, "Accept-Encoding", "gzip;q=0", "If-None-Match", plain.Header.Get("Etag")).want(t, 304)
	if head := in.do(t, "", "HEAD", "wbdemo", nil, "Accept-Encoding", "identity").want(t, 200); head.ContentLength != int64(len(plain.body)) {
		t.Errorf("HEAD tells %d bytes", head.ContentLength)
	}

	in.publish(t, "wbdemo", "1.0.1")
	in.do(t, "", "GET", "wbdemo", nil, "Accept-Encoding", "identity", "If-None-Match", plain.Header.Get("Etag")).want(t, 200, `"latest":"1.0.1"`)
}

func TestDocumentMadeFromItsFormerOneEqualsAFreshOne(t *testing.T) {
	t.Parallel()
	in := start(t)
	steps := []func(){
		func() { in.publish(t, "wbdemo", "1.0.0") },
		func() { in.publish(t, "wbdemo", "1.0.1", "node x") },
		func() {
			body := `{"name":"wbdemo","versions":{"1.0.0":{"deprecated":"old"},"1.0.1":{}}}`
			in.do(t, "alice", "PUT", "wbdemo", strings.NewReader(body)).want(t, 200)
		},
		func() { in.publish(t, "wbdemo", "1.0.2") },
		func() { in.Recall("pkg:npm/wbdemo@1.0.2", "x") },
		func() {
			in.do(t, "alice", "DELETE", "wbdemo/-/wbdemo-1.0.1.tgz/-rev/"+in.rev(t, "wbdemo"), nil).want(t, 200)
		},
		func() { in.lift(t, "pkg:npm/wbdemo@1.0.2") },
	}
	for i, step := range steps {
		step()
		for _, accept := range []string{"application/json", corgi} {
			got := in.do(t, "", "GET", "wbdemo", nil, "Accept", accept, "Accept-Encoding", "identity").want(t, 200)
			req := httptest.NewRequest("GET", "/npm/wbdemo", nil)
			req.Header.Set("Accept", accept)
			fresh := httptest.NewRecorder()
			in.handler(t, clock.System{}).ServeHTTP(fresh, req)
			if !bytes.Equal(got.body, fresh.Body.Bytes()) || got.Header.Get("Etag") != fresh.Header().Get("Etag") {
				t.Errorf("after step %d, %s is\n%s\nwant\n%s", i+1, accept, got.body, fresh.Body)
			}
		}
	}
}

func TestTarballIsServedWithRangesAndForGood(t *testing.T) {
	t.Parallel()
	in := start(t)
	in.publish(t, "@acme/ui", "1.0.0")
	whole := in.do(t, "", "GET", "@acme/ui/-/ui-1.0.0.tgz", nil).want(t, 200)
	if got := whole.Header.Get("Cache-Control"); got != "private, max-age=31536000, immutable" {
		t.Errorf("Cache-Control is %q", got)
	}
	part := in.do(t, "", "GET", "@acme%2fui/-/ui-1.0.0.tgz", nil, "Range", "bytes=2-5").want(t, 206)
	if !bytes.Equal(part.body, whole.body[2:6]) {
		t.Errorf("the range is %x", part.body)
	}
	in.do(t, "", "GET", "@acme/ui/-/ui-1.0.0.tgz", nil, "If-None-Match", whole.Header.Get("Etag")).want(t, 304)
	if head := in.do(t, "", "HEAD", "@acme/ui/-/ui-1.0.0.tgz", nil).want(t, 200); head.ContentLength != int64(len(whole.body)) {
		t.Errorf("HEAD tells %d bytes", head.ContentLength)
	}
	for _, file := range []string{"ui-1.0.1.tgz", "ui-1.0.0.zip", "other-1.0.0.tgz", "ui-.tgz", ".tgz"} {
		in.do(t, "", "GET", "@acme/ui/-/"+file, nil).want(t, 404, "version-unknown")
	}
}

func TestSignatureHoldsWithTheServedKey(t *testing.T) {
	t.Parallel()
	in := start(t)
	in.publish(t, "@acme/ui", "1.0.0")
	dist := in.do(t, "", "GET", "@acme/ui/1.0.0", nil).json(t)["dist"].(map[string]any)
	signed := dist["signatures"].([]any)[0].(map[string]any)
	key := in.do(t, "", "GET", "-/npm/v1/keys", nil).want(t, 200, `"expires":null`, "ecdsa-sha2-nistp256").json(t)["keys"].([]any)[0].(map[string]any)
	if key["keyid"] != signed["keyid"] {
		t.Fatalf("signed by %v, the key is %v", signed["keyid"], key["keyid"])
	}
	der, err := base64.StdEncoding.DecodeString(key["key"].(string))
	accounttest.Check(t, err)
	public, err := x509.ParsePKIXPublicKey(der)
	accounttest.Check(t, err)
	sig, err := base64.StdEncoding.DecodeString(signed["sig"].(string))
	accounttest.Check(t, err)
	sum := sha256.Sum256([]byte("@acme/ui@1.0.0:" + dist["integrity"].(string)))
	if !ecdsa.VerifyASN1(public.(*ecdsa.PublicKey), sum[:], sig) {
		t.Error("the signature does not hold")
	}
}

func TestPrivateScopesAreHidden(t *testing.T) {
	t.Parallel()
	in := start(t)
	in.publish(t, "@hush/x", "1.0.0")
	for user, status := range map[string]int{"": 401, "mallory": 404, "carol": 200, "alice": 200} {
		in.do(t, user, "GET", "@hush/x", nil).want(t, status)
		in.do(t, user, "GET", "@hush/x/-/x-1.0.0.tgz", nil).want(t, status)
		hits := in.do(t, user, "GET", "-/v1/search?text=scope:hush", nil).want(t, 200).json(t)["total"]
		if (hits == 1.0) != (status == 200) {
			t.Errorf("%q finds %v packages", user, hits)
		}
	}
	in.do(t, "carol", "GET", "-/package/@hush/x/visibility", nil).want(t, 200, `{"public":false}`)
	in.do(t, "", "GET", "@hush/x", nil, "Authorization", "Bearer hm_wrong").want(t, 401, `"error":`)
}

func TestRecalledVersionIsNeitherOfferedNorServed(t *testing.T) {
	t.Parallel()
	in := start(t)
	in.publish(t, "wbdemo", "1.0.0")
	in.publish(t, "wbdemo", "1.0.1")
	in.do(t, "", "GET", "wbdemo", nil).want(t, 200, `"latest":"1.0.1"`)
	in.Recall("pkg:npm/wbdemo@1.0.1", "mines coins")

	doc := in.do(t, "", "GET", "wbdemo", nil).want(t, 200, `"latest":"1.0.0"`).json(t)
	if _, offered := doc["versions"].(map[string]any)["1.0.1"]; offered {
		t.Error("the recalled version is offered")
	}
	r := in.do(t, "", "GET", "wbdemo/-/wbdemo-1.0.1.tgz", nil).want(t, 403, "was recalled: mines coins", "release-recalled")
	if r.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("the refusal may be cached: %v", r.Header)
	}
	in.do(t, "", "GET", "wbdemo/-/wbdemo-1.0.0.tgz", nil).want(t, 200)
	ask := `{"wbdemo":["1.0.0","1.0.1"],"other":["1.0.0"]}`
	in.do(t, "", "POST", "-/npm/v1/security/advisories/bulk", strings.NewReader(ask)).want(t, 200, `"vulnerable_versions":"1.0.1"`, "critical")
	tree := `{"dependencies":{"x":{"version":"1.0.0","dependencies":{"wbdemo":{"version":"1.0.1"}}}}}`
	in.do(t, "", "POST", "-/npm/v1/security/audits/quick", strings.NewReader(tree)).want(t, 200, `"critical":1`, `"totalDependencies":2`)

	in.lift(t, "pkg:npm/wbdemo@1.0.1")
	in.do(t, "", "GET", "wbdemo", nil).want(t, 200, `"latest":"1.0.1"`)
	in.do(t, "", "POST", "-/npm/v1/security/advisories/bulk", strings.NewReader(ask)).want(t, 200, "{}")
}

func TestANameWhoseVersionsAreAllRecalledSaysSo(t *testing.T) {
	t.Parallel()
	in := start(t)
	in.publish(t, "wbdemo", "1.0.0")
	in.publish(t, "wbdemo", "1.0.1")
	in.Recall("pkg:npm/wbdemo@1.0.0", "worm")
	in.Recall("pkg:npm/wbdemo@1.0.1", "mines coins")
	in.do(t, "", "GET", "wbdemo", nil).want(t, 404, "name-unknown", "1.0.1 was recalled: mines coins")
}

func (in *instance) lift(t testing.TB, subject string) {
	t.Helper()
	_, err := in.core.Record().Append(t.Context(), nil, evidence.Draft{
		Subjects: []evidence.Subject{{Name: subject}}, Predicate: evidence.Recall{Lifted: true},
		Issuer: evidence.Issuer{Kind: evidence.Account, ID: "admin"}, Assurance: evidence.Authenticated,
	})
	accounttest.Check(t, err)
}
