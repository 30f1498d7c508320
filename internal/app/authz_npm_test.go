package app_test

import (
	"archive/tar"
	"bytes"
	"cmp"
	"compress/gzip"
	"crypto/sha1"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/api/authztest"
)

// npmWorld makes the requests of the npm registry's table. Every cell has a package of its own, but
// for the reads of one target, which share one.
type npmWorld struct{ cells }

func newNPMWorld(people *authztest.People, h http.Handler) *npmWorld {
	return &npmWorld{newCells(people, h)}
}

// Request implements authztest.World.
func (w *npmWorld) Request(t *testing.T, row authztest.Row, role authztest.Role, target authztest.Target) *http.Request {
	t.Helper()
	w.n++
	name := fmt.Sprintf("@%s/cell%d", target, w.n)
	if row.Method == http.MethodGet {
		name = fmt.Sprintf("@%s/read", target)
	}
	makes := row.String() == "npm PUT /{name}" || row.String() == "npm POST /-/stage/package/{name}"
	if target != authztest.None && !makes && (strings.Contains(row.Pattern, "{name}") || strings.Contains(row.Pattern, "{release}")) {
		w.publish(t, target, name)
	}
	path := row.Pattern
	for key, value := range w.values(t, row, role, target, name) {
		path = strings.ReplaceAll(path, "{"+key+"}", url.PathEscape(value))
	}
	body, known := w.bodies(t, name)[row.Method+" "+row.Pattern]
	if !known || strings.Contains(path, "{") {
		return nil
	}
	r := httptest.NewRequestWithContext(t.Context(), row.Method, "/npm"+path, strings.NewReader(body))
	return r
}

// publish makes version 1.0.0 of the name, tagged "old" beside "latest".
func (w *npmWorld) publish(t *testing.T, target authztest.Target, name string) {
	t.Helper()
	if !w.first(name) {
		return
	}
	r := httptest.NewRequestWithContext(t.Context(), "PUT", "/npm/"+url.PathEscape(name), strings.NewReader(npmDocument(t, name)))
	if got := send(w.handler, r, w.Authorization(holder(target))); got.Code != http.StatusCreated {
		t.Fatalf("publish %s: %d %s", name, got.Code, got.Body)
	}
}

// holder returns who makes things in a target.
func holder(target authztest.Target) authztest.Role {
	if target == authztest.Own {
		return authztest.Owner
	}
	return authztest.Rival
}

// values are what a row's path parameters are set to; what they name is made where the row needs
// something of its own.
func (w *npmWorld) values(t *testing.T, row authztest.Row, role authztest.Role, target authztest.Target, name string) map[string]string {
	t.Helper()
	_, base, _ := strings.Cut(name, "/")
	values := map[string]string{
		"name": name, "package": name, "version": "1.0.0", "file": base + "-1.0.0.tgz", "tag": "old", "rev": "1-0", "user": "org.couchdb.user:owner",
	}
	values["release"] = name + "@1.0.0"
	if row.Pattern == "/-/user/{user}/package" {
		values["user"] = cmp.Or(w.Account(role), "nobody")
	}
	if strings.Contains(row.Pattern, "{org}") {
		values["org"], values["team"] = string(target), w.team(t, target)
	}
	if target != authztest.None && strings.Contains(row.Pattern, "{rev}") {
		values["rev"] = w.revision(t, target, name)
	}
	if strings.Contains(row.Pattern, "/trust/{id}") {
		values["id"] = w.publisher(t, target, name)
	}
	if strings.Contains(row.Pattern, "{token}") {
		values["token"] = w.SpareToken(t, role)
	}
	if strings.Contains(row.Pattern, "/-/stage/{id}") {
		values["id"] = w.stage(t, role, target)
	}
	if strings.Contains(row.Pattern, "{code}") || strings.Contains(row.Pattern, "{poll}") {
		code, poll, err := w.Accounts.StartLogin(t.Context(), fmt.Sprintf("198.51.100.%d:1", w.n%250))
		must(t, err)
		values["code"], values["poll"] = code, poll
	}
	return values
}

// team makes a team of the target's organisation with the user spare in it.
func (w *npmWorld) team(t *testing.T, target authztest.Target) string {
	t.Helper()
	name := fmt.Sprintf("team%d", w.n)
	if target == authztest.None {
		return name
	}
	owner := w.Actor(t, holder(target))
	must(t, w.Accounts.SetMember(t.Context(), owner, string(target), "spare", account.Reader))
	must(t, w.Accounts.CreateTeam(t.Context(), owner, account.Team{Organisation: string(target), Name: name}))
	must(t, w.Accounts.AddTeamMember(t.Context(), owner, string(target), name, "spare"))
	return name
}

// stage makes something that waits, by somebody else than who is going to decide on it, and returns its id.
func (w *npmWorld) stage(t *testing.T, role authztest.Role, target authztest.Target) string {
	t.Helper()
	by := holder(target)
	switch {
	case target == authztest.None:
		return "00000000-0000-4000-8000-000000000000"
	case target == authztest.Own && role == authztest.Owner:
		by = authztest.Maintainer
	}
	name := fmt.Sprintf("@%s/staged%d", target, w.n)
	r := httptest.NewRequestWithContext(t.Context(), "POST", "/npm/-/stage/package/"+url.PathEscape(name), strings.NewReader(npmDocument(t, name)))
	got := send(w.handler, r, w.Authorization(by))
	var answer struct{ StageID string }
	if err := json.Unmarshal(got.Body.Bytes(), &answer); err != nil || got.Code != http.StatusCreated {
		t.Fatalf("stage %s: %d %s", name, got.Code, got.Body)
	}
	return answer.StageID
}

// npmTrusted is what npm trust sends.
const npmTrusted = `[{"type": "github", "claims": {"repository": "acme/ui", "workflow_ref": {"file": "release.yml"}}, "permissions": ["createPackage"]}]`

// publisher makes the name trust a pipeline and returns the publisher's id.
func (w *npmWorld) publisher(t *testing.T, target authztest.Target, name string) string {
	t.Helper()
	if target == authztest.None {
		return "tp_none"
	}
	r := httptest.NewRequestWithContext(t.Context(), "POST", "/npm/-/package/"+url.PathEscape(name)+"/trust", strings.NewReader(npmTrusted))
	var made []struct{ ID string }
	must(t, json.Unmarshal(send(w.handler, r, w.Authorization(holder(target))).Body.Bytes(), &made))
	return made[0].ID
}

func (w *npmWorld) revision(t *testing.T, target authztest.Target, name string) string {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), "GET", "/npm/"+url.PathEscape(name), nil)
	var packument struct {
		Rev string `json:"_rev"`
	}
	must(t, json.Unmarshal(send(w.handler, r, w.Authorization(holder(target))).Body.Bytes(), &packument))
	return packument.Rev
}

// bodies are the rows with what each sends.
func (w *npmWorld) bodies(t *testing.T, name string) map[string]string {
	t.Helper()
	_, secret, _ := strings.Cut(w.Authorization(authztest.Owner), " ")
	return map[string]string{
		"GET /{name}": "", "GET /{name}/{version}": "", "GET /{name}/-/{file}": "",
		"PUT /{name}":                                          npmDocument(t, name),
		"PUT /{name}/-rev/{rev}":                               `{"maintainers": [{"name": "owner"}, {"name": "spare"}]}`,
		"DELETE /{name}/-rev/{rev}":                            "",
		"DELETE /{name}/-/{file}/-rev/{rev}":                   "",
		"GET /-/package/{name}/dist-tags":                      "",
		"PUT /-/package/{name}/dist-tags/{tag}":                `"1.0.0"`,
		"POST /-/package/{name}/dist-tags/{tag}":               `"1.0.0"`,
		"DELETE /-/package/{name}/dist-tags/{tag}":             "",
		"GET /-/package/{name}/visibility":                     "",
		"GET /-/package/{name}/collaborators":                  "",
		"POST /-/package/{name}/access":                        `{"access": "public"}`,
		"GET /-/npm/v1/attestations/{release}":                 "",
		"GET /-/org/{org}/user":                                "",
		"PUT /-/org/{org}/user":                                `{"user": "spare", "role": "developer"}`,
		"DELETE /-/org/{org}/user":                             `{"user": "spare"}`,
		"GET /-/org/{org}/package":                             "",
		"GET /-/org/{org}/team":                                "",
		"PUT /-/org/{org}/team":                                fmt.Sprintf(`{"name": "new%d"}`, w.n),
		"DELETE /-/team/{org}/{team}":                          "",
		"GET /-/team/{org}/{team}/user":                        "",
		"PUT /-/team/{org}/{team}/user":                        `{"user": "spare"}`,
		"DELETE /-/team/{org}/{team}/user":                     `{"user": "spare"}`,
		"GET /-/team/{org}/{team}/package":                     "",
		"PUT /-/team/{org}/{team}/package":                     fmt.Sprintf(`{"package": %q, "permissions": "read-write"}`, name),
		"DELETE /-/team/{org}/{team}/package":                  fmt.Sprintf(`{"package": %q}`, name),
		"GET /-/user/{user}/package":                           "",
		"POST /-/npm/v1/user":                                  `{"email": null, "fullname": null}`,
		"GET /-/ping":                                          "",
		"GET /-/npm/v1/keys":                                   "",
		"GET /-/v1/search":                                     "",
		"POST /-/npm/v1/security/advisories/bulk":              `{"@own/read": ["1.0.0"]}`,
		"POST /-/npm/v1/security/audits/quick":                 `{}`,
		"POST /-/npm/v1/security/audits":                       `{}`,
		"POST /-/v1/login":                                     `{}`,
		"GET /-/v1/done/{poll}":                                "",
		"PUT /-/user/{user}":                                   fmt.Sprintf(`{"name": "owner", "password": %q}`, secret),
		"GET /-/user/{user}":                                   "",
		"DELETE /-/user/token/{token}":                         "",
		"GET /-/whoami":                                        "",
		"POST /-/stage/package/{name}":                         npmDocument(t, name),
		"GET /-/stage":                                         "",
		"GET /-/stage/{id}":                                    "",
		"GET /-/stage/{id}/tarball":                            "",
		"POST /-/stage/{id}/approve":                           "",
		"DELETE /-/stage/{id}":                                 "",
		"GET /-/npm/v1/user":                                   "",
		"GET /-/npm/v1/tokens":                                 "",
		"POST /-/npm/v1/tokens":                                `{"readonly": true}`,
		"DELETE /-/npm/v1/tokens/token/{token}":                "",
		"GET /-/package/{name}/trust":                          "",
		"POST /-/package/{name}/trust":                         npmTrusted,
		"DELETE /-/package/{name}/trust/{id}":                  "",
		"POST /-/npm/v1/oidc/token/exchange/package/{package}": "",
	}
}

// npmDocument is what a client sends to publish version 1.0.0 of a name.
// Source: libnpmpublish, publish.js.
func npmDocument(t testing.TB, name string) string {
	t.Helper()
	manifest := map[string]any{"name": name, "version": "1.0.0"}
	inside, err := json.Marshal(manifest)
	must(t, err)
	tarball := npmTarball(t, inside)
	sum512, sum1 := sha512.Sum512(tarball), sha1.Sum(tarball)
	manifest["dist"] = map[string]string{
		"integrity": "sha512-" + base64.StdEncoding.EncodeToString(sum512[:]), "shasum": hex.EncodeToString(sum1[:]),
	}
	document, err := json.Marshal(map[string]any{
		"_id": name, "name": name, "dist-tags": map[string]string{"latest": "1.0.0", "old": "1.0.0"},
		"versions": map[string]any{"1.0.0": manifest},
		"_attachments": map[string]any{name + "-1.0.0.tgz": map[string]any{
			"content_type": "application/octet-stream", "data": base64.StdEncoding.EncodeToString(tarball), "length": len(tarball),
		}},
	})
	must(t, err)
	return string(document)
}

// npmTarball packs one package.json.
func npmTarball(t testing.TB, manifest []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	w := tar.NewWriter(z)
	must(t, w.WriteHeader(&tar.Header{Name: "package/package.json", Mode: 0o644, Size: int64(len(manifest))}))
	_, err := w.Write(manifest)
	must(t, err)
	must(t, w.Close())
	must(t, z.Close())
	return b.Bytes()
}
