package app_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/api/authztest"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry/pypi"
	"github.com/hullmark/hullmark/internal/registry/pypi/pypitest"
)

func TestThePyPIRegistryDoesWhatItsRouteTableSays(t *testing.T) {
	t.Parallel()
	_, s, people := matrixServer(t)
	claim(t, people, purl.PyPI, "-*")
	must(t, people.Accounts.ClaimNamespace(t.Context(), people.Actor(t, authztest.Owner), "own", purl.PyPI, "openly-*", account.Public))
	routes := slices.Concat(s.PyPI.Routes(), s.PyPI.RootRoutes())
	authztest.Run(t, s.Handler(), authztest.FromRoutes("pypi", routes), &pypiWorld{newCells(people, s.Handler())})
}

// pypiWorld makes the requests of the PyPI registry's table.
type pypiWorld struct{ cells }

// Request implements authztest.World.
func (w *pypiWorld) Request(t *testing.T, row authztest.Row, _ authztest.Role, target authztest.Target) *http.Request {
	t.Helper()
	w.n++
	d := pypitest.Dist{Name: fmt.Sprintf("%s-cell%d", target, w.n), Version: "1.0"}
	if row.Method == http.MethodGet && !strings.Contains(row.Pattern, "{id}") {
		d.Name = string(target) + "-read"
	}
	switch {
	case row.Pattern == pypi.AudiencePath || row.Pattern == pypi.MintPath || row.Pattern == pypi.DiscoveryPath:
		return httptest.NewRequestWithContext(t.Context(), row.Method, row.Pattern+"?discover=/pypi/legacy/", strings.NewReader(`{"token":"x"}`))
	case row.Pattern == "/legacy/{$}":
		return w.upload(t, d)
	case strings.Contains(row.Pattern, "{name}") && !strings.Contains(row.Pattern, "{id}") && target != authztest.None && w.first(d.Name):
		w.do(t, target, w.upload(t, d))
	}
	path := row.Pattern
	for key, value := range w.values(t, row, target, d) {
		path = strings.ReplaceAll(path, "{"+key+"}", url.PathEscape(value))
	}
	body, known := map[string]string{
		"PATCH /pypi/{name}/{version}": `{"yanked":"broken"}`, "POST /legacy": "", "DELETE /upload/{id}": "",
		"POST /upload/{$}": fmt.Sprintf(`{"name":%q,"version":"1.0"}`, d.Name), "POST /upload/{id}/publish": `{}`,
		"POST /upload/{id}/extend": `{"extend-for":60}`, "POST /upload/{id}/files": announcement(d), "DELETE /upload/{id}/files/{file}": "",
		"POST /upload/{id}/files/{file}/complete": `{}`, "POST /upload/{id}/files/{file}/content": string(d.WheelBytes()),
	}[row.Method+" "+row.Pattern]
	if strings.Contains(path, "{name}") || !known && row.Method != http.MethodGet {
		return nil
	}
	r := httptest.NewRequestWithContext(t.Context(), row.Method, "/pypi"+strings.TrimSuffix(path, "{$}"), strings.NewReader(body))
	if strings.HasPrefix(path, "/integrity/") {
		r.Header.Set("Accept", "text/plain") // what is there has no provenance, and that is 404
	}
	return r
}

func (w *pypiWorld) values(t *testing.T, row authztest.Row, target authztest.Target, d pypitest.Dist) map[string]string {
	t.Helper()
	values := map[string]string{"name": d.Name, "version": "1.0", "file": d.WheelFile(), "namespace": "openly", "id": "nothing"}
	if !strings.Contains(row.Pattern, "{id}") || target == authztest.None {
		return values
	}
	values["id"] = w.session(t, target, d)
	if strings.Contains(row.Pattern, "{file}") || strings.HasPrefix(row.Pattern, "/stage/") {
		w.do(t, target, w.post(t, "/pypi/upload/"+values["id"]+"/files", announcement(d)))
	}
	if strings.HasPrefix(row.Pattern, "/stage/") {
		w.do(t, target, w.post(t, "/pypi/upload/"+values["id"]+"/files/"+d.WheelFile()+"/content", string(d.WheelBytes())))
	}
	return values
}

func announcement(d pypitest.Dist) string {
	raw := d.WheelBytes()
	return fmt.Sprintf(`{"filename":%q,"size":%d,"hashes":{"sha256":"%x"}}`, d.WheelFile(), len(raw), sha256.Sum256(raw))
}

// session opens an upload session and returns its id.
func (w *pypiWorld) session(t *testing.T, target authztest.Target, d pypitest.Dist) string {
	t.Helper()
	got := w.do(t, target, w.post(t, "/pypi/upload/", fmt.Sprintf(`{"name":%q,"version":"1.0"}`, d.Name)))
	var s struct {
		Token string `json:"session-token"`
	}
	must(t, json.Unmarshal(got.Body.Bytes(), &s))
	return s.Token
}

func (w *pypiWorld) post(t *testing.T, path, body string) *http.Request {
	return httptest.NewRequestWithContext(t.Context(), "POST", path, strings.NewReader(body))
}

func (w *pypiWorld) upload(t *testing.T, d pypitest.Dist) *http.Request {
	contentType, body := d.Form(d.WheelFile(), d.WheelBytes(), nil)
	r := httptest.NewRequestWithContext(t.Context(), "POST", "/pypi/legacy/", bytes.NewReader(body))
	r.Header.Set("Content-Type", contentType)
	return r
}

// do sends a request as who makes things in the target.
func (w *pypiWorld) do(t *testing.T, target authztest.Target, r *http.Request) *httptest.ResponseRecorder {
	t.Helper()
	got := send(w.handler, r, w.Authorization(holder(target)))
	if got.Code >= 300 {
		t.Fatalf("%s %s: %d %s", r.Method, r.URL, got.Code, got.Body)
	}
	return got
}
