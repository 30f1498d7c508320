package app_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/hullmark/hullmark/internal/api/authztest"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry/gem/gemtest"
)

// gemWorld makes the requests of the table of the gem registry. Every cell that changes something has a gem
// of its own.
type gemWorld struct{ cells }

func newGemWorld(t *testing.T, people *authztest.People, h http.Handler) *gemWorld {
	t.Helper()
	claim(t, people, purl.Gem, "-*")
	return &gemWorld{newCells(people, h)}
}

// Request implements authztest.World.
func (w *gemWorld) Request(t *testing.T, row authztest.Row, role authztest.Role, target authztest.Target) *http.Request {
	t.Helper()
	w.n++
	name := fmt.Sprintf("%s-cell%d", target, w.n)
	if row.Method == http.MethodGet {
		name = fmt.Sprintf("%s-read", target)
	}
	pushes := row.String() == "gem POST /api/v1/gems"
	if target != authztest.None && !pushes {
		w.push(t, target, name)
	}
	path := row.Pattern
	for key, value := range w.values(t, row, role, target, name) {
		path = strings.ReplaceAll(path, "{"+key+"}", url.PathEscape(value))
	}
	body, known := w.bodies(name)[row.Method+" "+row.Pattern]
	if row.Method == http.MethodPut || strings.HasSuffix(row.Pattern, "/webauthn_verification") {
		body, known = w.ownKey(t, row, role), true
	}
	path = strings.TrimSuffix(path, "{$}")
	if row.Method != http.MethodGet && !known || strings.Contains(path, "{") {
		return nil
	}
	r := httptest.NewRequestWithContext(t.Context(), row.Method, "/gems"+path, strings.NewReader(body))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return r
}

// push makes version 1.0.0 of the name.
func (w *gemWorld) push(t *testing.T, target authztest.Target, name string) {
	t.Helper()
	if !w.first(name) {
		return
	}
	r := httptest.NewRequestWithContext(t.Context(), "POST", "/gems/api/v1/gems", bytes.NewReader(gemtest.Gem{Name: name, Version: "1.0.0"}.Bytes()))
	if got := send(w.handler, r, w.Authorization(holder(target))); got.Code != http.StatusOK {
		t.Fatalf("push %s: %d %s", name, got.Code, got.Body)
	}
}

func (w *gemWorld) values(t *testing.T, row authztest.Row, role authztest.Role, target authztest.Target, name string) map[string]string {
	t.Helper()
	values := map[string]string{"name": name, "file": name + ".json", "code": "none", "id": "tp_none"}
	switch row.Pattern {
	case "/quick/Marshal.4.8/{file}":
		values["file"] = name + "-1.0.0.gemspec.rz"
	case "/gems/{file}":
		values["file"] = name + "-1.0.0.gem"
	case "/api/v1/attestations/{file}":
		values["file"] = name + "-1.0.0.json"
	case "/api/v2/rubygems/{name}/versions/{file}":
		values["file"] = "1.0.0.json"
	case "/api/v1/gems/{name}/trusted_publishers/{id}":
		values["id"] = w.publisher(t, target, name)
	}
	return values
}

const gemTrusted = `{"trusted_publisher_type": "OIDC::TrustedPublisher::GitHubAction",
	"trusted_publisher": {"repository_owner": "acme", "repository_name": "ui", "workflow_filename": "release.yml"}}`

func (w *gemWorld) publisher(t *testing.T, target authztest.Target, name string) string {
	t.Helper()
	if target == authztest.None {
		return "tp_none"
	}
	r := httptest.NewRequestWithContext(t.Context(), "POST", "/gems/api/v1/gems/"+name+"/trusted_publishers", strings.NewReader(gemTrusted))
	r.Header.Set("Content-Type", "application/json")
	var made struct{ ID string }
	got := send(w.handler, r, w.Authorization(holder(target)))
	if err := json.Unmarshal(got.Body.Bytes(), &made); err != nil || made.ID == "" {
		t.Fatalf("trust for %s: %d %s", name, got.Code, got.Body)
	}
	return made.ID
}

// ownKey is the body of a request about a key of the role's own.
func (w *gemWorld) ownKey(t *testing.T, row authztest.Row, role authztest.Role) string {
	t.Helper()
	if row.Method != http.MethodPut || role == authztest.Anonymous {
		return ""
	}
	_, secret, _ := strings.Cut(w.Authorization(role), " ")
	return url.Values{"api_key": {secret}, "push_rubygem": {"true"}}.Encode()
}

// bodies are the rows with a body.
func (w *gemWorld) bodies(name string) map[string]string {
	return map[string]string{
		"POST /api/v1/gems":                                  string(gemtest.Gem{Name: name, Version: "1.0.0"}.Bytes()),
		"DELETE /api/v1/gems/yank":                           "gem_name=" + name + "&version=1.0.0",
		"POST /api/v1/api_key":                               "name=test&index_rubygems=true",
		"POST /api/v1/gems/{name}/owners":                    "email=spare",
		"DELETE /api/v1/gems/{name}/owners":                  "email=spare",
		"POST /api/v1/gems/{name}/trusted_publishers":        "trusted_publisher_type=OIDC::TrustedPublisher::GitHubAction&trusted_publisher[repository_owner]=acme&trusted_publisher[repository_name]=ui&trusted_publisher[workflow_filename]=release.yml",
		"DELETE /api/v1/gems/{name}/trusted_publishers/{id}": "",
		"POST /api/v1/oidc/trusted_publisher/exchange_token": "jwt=none",
	}
}
