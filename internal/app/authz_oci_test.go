package app_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"strings"
	"testing"

	"github.com/hullmark/hullmark/internal/api/authztest"
	"github.com/hullmark/hullmark/internal/digest"
)

// ociWorld makes the requests of the OCI registry's table. Every cell has a blob, a manifest, a tag
// and an upload of its own in the target's repository.
type ociWorld struct {
	*authztest.People
	handler http.Handler
	n       int
}

const (
	ociManifestType = "application/vnd.oci.image.manifest.v1+json"
	emptyConfig     = "{}"
)

// newOCIWorld returns the world with a repository for each target that somebody owns.
func newOCIWorld(t *testing.T, people *authztest.People, h http.Handler, more ...authztest.Target) *ociWorld {
	t.Helper()
	w := &ociWorld{People: people, handler: h}
	for _, target := range append(more, authztest.Own, authztest.Other) {
		w.pushBlob(t, target, emptyConfig)
		w.pushManifest(t, target, "first", manifestOf("first"))
	}
	return w
}

func repository(target authztest.Target) string { return string(target) + "/app" }

// do makes something in a target as its holder.
func (w *ociWorld) do(t *testing.T, target authztest.Target, method, rest, body, contentType string) *httptest.ResponseRecorder {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), method, "/v2/"+repository(target)+rest, strings.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	got := send(w.handler, r, w.People.Authorization(holder(target)))
	if got.Code/100 != 2 {
		t.Fatalf("%s %s: %d %s", method, rest, got.Code, got.Body)
	}
	return got
}

func (w *ociWorld) pushBlob(t *testing.T, target authztest.Target, content string) {
	t.Helper()
	w.do(t, target, "POST", "/blobs/uploads/?digest="+string(digestOf(content)), content, "application/octet-stream")
}

func (w *ociWorld) pushManifest(t *testing.T, target authztest.Target, tag, manifest string) {
	t.Helper()
	w.do(t, target, "PUT", "/manifests/"+tag, manifest, ociManifestType)
}

func digestOf(s string) digest.Digest { return digest.FromBytes([]byte(s)) }

// manifestOf returns an artifact that differs from others by its note.
func manifestOf(note string) string {
	return fmt.Sprintf(`{"schemaVersion": 2, "mediaType": %q, "artifactType": "application/vnd.test", "layers": [], "annotations": {"note": %q},
		"config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": %q, "size": 2}}`, ociManifestType, note, digestOf(emptyConfig))
}

// Request implements authztest.World.
func (w *ociWorld) Request(t *testing.T, row authztest.Row, _ authztest.Role, target authztest.Target) *http.Request {
	t.Helper()
	w.n++
	blob, tag := fmt.Sprintf("blob %d", w.n), fmt.Sprintf("cell-%d", w.n)
	values := map[string]string{"name": repository(target), "tag": tag, "digest": string(digestOf(blob)), "upload": "none"}
	if strings.Contains(row.Pattern, "/manifests/{digest}") || strings.Contains(row.Pattern, "/referrers/") {
		values["digest"] = string(digestOf(manifestOf(tag)))
	}
	if target != authztest.None {
		w.prepare(t, row, target, blob, tag, values)
	}
	address := row.Pattern
	for key, value := range values {
		address = strings.ReplaceAll(address, "{"+key+"}", value)
	}
	send, known := w.sends(blob, tag)[row.Method+" "+row.Pattern]
	if !known || strings.Contains(address, "{") {
		return nil
	}
	r := httptest.NewRequestWithContext(t.Context(), row.Method, address+send.query, strings.NewReader(send.body))
	r.Header.Set("Content-Type", send.contentType)
	return r
}

// prepare makes what the row is about.
func (w *ociWorld) prepare(t *testing.T, row authztest.Row, target authztest.Target, blob, tag string, values map[string]string) {
	t.Helper()
	switch {
	case strings.HasSuffix(row.Pattern, "/blobs/{digest}"):
		w.pushBlob(t, target, blob)
	case strings.HasSuffix(row.Pattern, "/uploads/{upload}"):
		started := w.do(t, target, "POST", "/blobs/uploads/", "", "")
		values["upload"] = path.Base(started.Header().Get("Location"))
	case strings.Contains(row.Pattern, "/manifests/") && row.Method != http.MethodPut:
		w.pushManifest(t, target, tag, manifestOf(tag))
	}
}

type ociRequest struct{ query, body, contentType string }

// sends are the rows with what each sends.
func (w *ociWorld) sends(blob, tag string) map[string]ociRequest {
	const v2, octets = "/v2/{name}", "application/octet-stream"
	_, secret, _ := strings.Cut(w.People.Authorization(authztest.Owner), " ")
	login := url.Values{"grant_type": {"password"}, "username": {"owner"}, "password": {secret}}
	return map[string]ociRequest{
		"GET /token":                               {query: "?scope=repository:own/app:pull"},
		"POST /token":                              {body: login.Encode(), contentType: "application/x-www-form-urlencoded"},
		"GET /v2/":                                 {},
		"HEAD /v2/":                                {},
		"GET /v2/_catalog":                         {},
		"GET " + v2 + "/blobs/{digest}":            {},
		"HEAD " + v2 + "/blobs/{digest}":           {},
		"DELETE " + v2 + "/blobs/{digest}":         {},
		"GET " + v2 + "/manifests/{digest}":        {},
		"HEAD " + v2 + "/manifests/{digest}":       {},
		"PUT " + v2 + "/manifests/{digest}":        {body: manifestOf(tag), contentType: ociManifestType},
		"DELETE " + v2 + "/manifests/{digest}":     {},
		"GET " + v2 + "/manifests/{tag}":           {},
		"HEAD " + v2 + "/manifests/{tag}":          {},
		"PUT " + v2 + "/manifests/{tag}":           {body: manifestOf(tag), contentType: ociManifestType},
		"DELETE " + v2 + "/manifests/{tag}":        {},
		"POST " + v2 + "/blobs/uploads/":           {},
		"GET " + v2 + "/blobs/uploads/{upload}":    {},
		"PATCH " + v2 + "/blobs/uploads/{upload}":  {body: blob, contentType: octets},
		"PUT " + v2 + "/blobs/uploads/{upload}":    {query: "?digest=" + string(digestOf(blob)), body: blob, contentType: octets},
		"DELETE " + v2 + "/blobs/uploads/{upload}": {},
		"GET " + v2 + "/tags/list":                 {},
		"GET " + v2 + "/referrers/{digest}":        {},
	}
}

// bearerWorld sends the tokens that /token gives for everything each role asks for.
type bearerWorld struct {
	*ociWorld
	bearers map[authztest.Role]string
}

func withBearers(t *testing.T, w *ociWorld) *bearerWorld {
	t.Helper()
	b := &bearerWorld{ociWorld: w, bearers: map[authztest.Role]string{}}
	scopes := url.Values{"scope": {"registry:catalog:*"}}
	for _, target := range []authztest.Target{authztest.Own, authztest.Other, authztest.None} {
		scopes.Add("scope", "repository:"+repository(target)+":*")
	}
	for _, role := range authztest.Roles() {
		if role == authztest.Anonymous {
			continue
		}
		r := httptest.NewRequestWithContext(t.Context(), "GET", "/token?"+scopes.Encode(), nil)
		var answer struct{ Token string }
		must(t, json.Unmarshal(send(w.handler, r, w.People.Authorization(role)).Body.Bytes(), &answer))
		b.bearers[role] = "Bearer " + answer.Token
	}
	return b
}

// Authorization implements authztest.World.
func (b *bearerWorld) Authorization(role authztest.Role) string { return b.bearers[role] }
