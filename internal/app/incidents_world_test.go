package app_test

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/rand"
	"crypto/sha1"
	"crypto/sha512"
	"database/sql"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/account"
	"github.com/hullmark/hullmark/internal/app"
	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/publish"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry"
)

// attack is a registry in which an incident happens again: the real npm protocol, core, publish stage,
// record and accounts. Pipelines come with the short-lived tokens that an exchange mints; only the time at
// which credentials changed is put in front of the accounts.
//
// The core knows no ecosystem, so what happened elsewhere happens again with npm packages.
type attack struct {
	t       *testing.T
	app     *app.App
	publish *publish.Service
	handler http.Handler
	now     atomic.Int64 // Unix nanoseconds
	admin   evidence.Actor
	tokens  map[string]string   // by user
	runs    map[string]workflow // by whom to publish as
	changed map[string]time.Time
}

// workflow is a trusted publisher's run: what it may do, and with which names.
type workflow struct {
	may   evidence.Permission
	names []string
}

// people are the accounts, with the time at which credentials changed.
type changedPeople struct {
	publish.People
	changed map[string]time.Time
}

func (p changedPeople) LastCredentialChange(_ context.Context, name string) (time.Time, error) {
	return p.changed[name], nil
}

func newAttack(t *testing.T) *attack {
	t.Helper()
	w := &attack{t: t, tokens: map[string]string{}, runs: map[string]workflow{}, changed: map[string]time.Time{}}
	w.now.Store(time.Date(2026, 5, 11, 19, 0, 0, 0, time.UTC).UnixNano())
	w.app = open(t, app.Config{Data: t.TempDir(), Clock: clock.Func(func() time.Time { return time.Unix(0, w.now.Load()).UTC() })})
	var err error
	w.admin, err = w.app.Accounts.AuthenticateSecret(t.Context(), "token", w.app.AdminToken, "127.0.0.1:1")
	must(t, err)
	w.tokens["admin"] = w.app.AdminToken
	w.publish = publish.New(w.app.Record, w.app.Accounts).WithPeople(changedPeople{w.app.People(), w.changed}, rand.Reader)
	core := registry.New(w.app.Record, w.app.Blobs, w.app.Accounts).WithReviewer(app.Reviewer(w.publish))
	npm, err := w.app.NPMOn(core, w.publish)
	must(t, err)
	w.handler = npm.Handler()
	must(t, w.app.Accounts.CreateOrganisation(t.Context(), w.admin, "acme"))
	must(t, w.app.Accounts.ClaimNamespace(t.Context(), w.admin, "acme", purl.NPM, "@acme", account.Public))
	w.user("maintainer", "acme")
	w.user("colleague", "acme")
	return w
}

// user makes a user, who may publish for an organisation unless that is empty, and a token for them.
func (w *attack) user(name, organisation string) {
	w.t.Helper()
	must(w.t, w.app.Accounts.CreateUser(w.t.Context(), w.admin, name, ""))
	if organisation != "" {
		must(w.t, w.app.Accounts.SetMember(w.t.Context(), w.admin, organisation, name, account.Maintainer))
	}
	secret, _, err := w.app.Accounts.CreateToken(w.t.Context(), w.admin, account.Token{Account: name, Scope: account.Scope{Permission: evidence.Publish}})
	must(w.t, err)
	w.tokens[name] = secret
}

// workflow is a trusted publisher's run that may do something with names; it returns whom to publish as.
func (w *attack) workflow(may evidence.Permission, names ...string) string {
	who := fmt.Sprintf("run%d", len(w.runs))
	w.runs[who] = workflow{may, names}
	return who
}

// tokenOf is the token that somebody sends to a path; a pipeline exchanges its identity for one first.
func (w *attack) tokenOf(who, path string) string {
	w.t.Helper()
	run, ok := w.runs[who]
	if !ok {
		return w.tokens[who]
	}
	name := run.names[0]
	for _, other := range run.names {
		if strings.HasSuffix(path, "/"+url.PathEscape(other)) {
			name = other
		}
	}
	secret, _, insert, err := w.app.Accounts.MintWorkload(account.WorkloadToken{
		Ecosystem: purl.NPM, Expires: w.app.Record.Now().Add(15 * time.Minute),
		Rights: []evidence.WorkloadRight{{
			Name: name, Permission: run.may, Label: "github acme/ui release.yml",
			Identity: evidence.WorkloadIdentity{
				Publisher: "tp_release", Provider: "github", Issuer: "https://token.actions.githubusercontent.com",
				Subject: "repo:acme/ui:ref:refs/heads/main",
				Claims:  map[string]string{"repository": "acme/ui", "workflow": "release.yml", "event_name": "push", "ref": "refs/heads/main"},
			},
		}},
	})
	must(w.t, err)
	must(w.t, w.app.DB.Write(w.t.Context(), func(tx *sql.Tx) error { return insert(w.t.Context(), tx) }))
	return secret
}

// ownerToken is an unrestricted token of a user's.
func (w *attack) ownerToken(name string) string {
	w.t.Helper()
	secret, _, err := w.app.Accounts.CreateToken(w.t.Context(), w.admin, account.Token{Account: name, Scope: account.Scope{Permission: evidence.Own}})
	must(w.t, err)
	return secret
}

// later lets time pass.
func (w *attack) later(d time.Duration) { w.now.Add(int64(d)) }

// pkg is a version: its package.json besides name and version, and its other files.
type pkg struct {
	manifest map[string]any
	files    map[string]string
}

func plain(content string) pkg { return pkg{files: map[string]string{"index.js": content}} }

func scripts(content string, scripts map[string]any, files map[string]string) pkg {
	p := plain(content)
	p.manifest = map[string]any{"scripts": scripts}
	for name, content := range files {
		p.files[name] = content
	}
	return p
}

// answer is what the registry said.
type answer struct {
	status int
	code   string // of a refusal
	id     string // of what waits
	notice string
}

func (w *attack) publishAs(who, name, version string, p pkg) answer {
	return w.send("PUT", "/"+url.PathEscape(name), who, document(w.t, name, version, p))
}

func (w *attack) stageAs(who, name, version string, p pkg) answer {
	return w.send("POST", "/-/stage/package/"+url.PathEscape(name), who, document(w.t, name, version, p))
}

func (w *attack) send(method, path, who, body string) answer {
	w.t.Helper()
	r := httptest.NewRequestWithContext(w.t.Context(), method, path, strings.NewReader(body))
	got := send(w.handler, r, "Bearer "+w.tokenOf(who, path))
	var said struct{ Code, StageID string }
	if err := json.Unmarshal(got.Body.Bytes(), &said); err != nil {
		w.t.Fatalf("%s %s: %d %s", method, path, got.Code, got.Body)
	}
	return answer{got.Code, said.Code, said.StageID, got.Header().Get("Npm-Notice")}
}

// offered fails the test unless the version is offered, or is not.
func (w *attack) offered(name, version string, want bool) {
	w.t.Helper()
	var state string
	err := w.app.DB.Query().QueryRow(`SELECT r.state FROM release r JOIN package p ON p.id = r.package_id WHERE p.name = $1 AND r.version = $2`,
		name, version).Scan(&state)
	if (err == nil && state == "active") != want {
		w.t.Errorf("%s %s is %q, %v; want it offered: %v", name, version, state, err, want)
	}
}

// stopped fails the test unless the newest decision of the publish gate about the version is this one.
func (w *attack) stopped(name, version, verdict, rule string) {
	w.t.Helper()
	w.offered(name, version, false)
	var gotVerdict, code string
	err := w.app.DB.Query().QueryRow(`SELECT verdict, code FROM decision WHERE gate = 'publish' AND subject IN ($1, $2) ORDER BY seq DESC LIMIT 1`,
		purl.New(purl.NPM, name, version), purl.New(purl.NPM, name, "")).Scan(&gotVerdict, &code)
	must(w.t, err)
	if gotVerdict != verdict || code != rule {
		w.t.Errorf("%s %s: the gate says %s (%s), want %s (%s)", name, version, gotVerdict, code, verdict, rule)
	}
}

func (w *attack) set(sc publish.Scope, to publish.Settings) {
	w.t.Helper()
	must(w.t, w.publish.SetSettings(w.t.Context(), w.admin, sc, to))
}

// document is what npm sends to publish a version. Source: libnpmpublish, publish.js.
func document(t testing.TB, name, version string, p pkg) string {
	t.Helper()
	manifest := map[string]any{"name": name, "version": version}
	for key, value := range p.manifest {
		manifest[key] = value
	}
	inside, err := json.Marshal(manifest)
	must(t, err)
	tarball := packed(t, string(inside), p.files)
	sum512, sum1 := sha512.Sum512(tarball), sha1.Sum(tarball)
	manifest["dist"] = map[string]string{
		"integrity": "sha512-" + base64.StdEncoding.EncodeToString(sum512[:]), "shasum": hex.EncodeToString(sum1[:]),
	}
	doc, err := json.Marshal(map[string]any{
		"_id": name, "name": name, "dist-tags": map[string]string{"latest": version}, "versions": map[string]any{version: manifest},
		"_attachments": map[string]any{name + "-" + version + ".tgz": map[string]any{
			"content_type": "application/octet-stream", "data": base64.StdEncoding.EncodeToString(tarball), "length": len(tarball),
		}},
	})
	must(t, err)
	return string(doc)
}

func packed(t testing.TB, manifest string, files map[string]string) []byte {
	t.Helper()
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	out := tar.NewWriter(z)
	add := func(name, content string) {
		must(t, out.WriteHeader(&tar.Header{Name: "package/" + name, Mode: 0o644, Size: int64(len(content))}))
		_, err := out.Write([]byte(content))
		must(t, err)
	}
	add("package.json", manifest)
	for name, content := range files {
		add(name, content)
	}
	must(t, out.Close())
	must(t, z.Close())
	return b.Bytes()
}
