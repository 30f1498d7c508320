package app_test

import (
	"archive/zip"
	"bytes"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hullmark/hullmark/internal/api/authztest"
	"github.com/hullmark/hullmark/internal/purl"
)

// mavenWorld makes the requests of the Maven repository's table. Every cell that writes has an artifact of its own.
type mavenWorld struct{ cells }

func newMavenWorld(t *testing.T, people *authztest.People, h http.Handler) *mavenWorld {
	t.Helper()
	for _, target := range []authztest.Target{authztest.Own, authztest.Other} {
		_, err := people.Accounts.ProveNamespace(t.Context(), people.Actor(t, holder(target)), purl.Maven, "com."+string(target))
		must(t, err)
	}
	return &mavenWorld{newCells(people, h)}
}

// Request implements authztest.World.
func (w *mavenWorld) Request(t *testing.T, row authztest.Row, role authztest.Role, target authztest.Target) *http.Request {
	t.Helper()
	w.n++
	group, artifact := "com."+string(target), fmt.Sprintf("cell%d", w.n)
	body, kind := "", ""
	if row.Method == http.MethodGet {
		artifact = "read"
		if target != authztest.None {
			w.publish(t, target, group, artifact)
		}
	}
	folder := strings.ReplaceAll(group, ".", "/") + "/" + artifact
	path := row.Pattern
	switch row.Method + " " + row.Pattern {
	case "GET /{group}/{artifact}/{version}/{file}":
		path = "/" + folder + "/1.0/" + artifact + "-1.0.pom"
	case "PUT /{group}/{artifact}/{version}/{file}":
		path, body = "/"+folder+"/1.0/"+artifact+"-1.0.pom", mavenPOM(group, artifact, "1.0")
	case "GET /{group}/{artifact}/{version}/maven-metadata.xml", "PUT /{group}/{artifact}/{version}/maven-metadata.xml":
		path = "/" + folder + "/2.0-SNAPSHOT/maven-metadata.xml"
	case "GET /{folder}/maven-metadata.xml", "PUT /{folder}/maven-metadata.xml":
		path = "/" + folder + "/maven-metadata.xml"
	case "POST /api/v1/publisher/upload":
		body, kind = mavenBundle(t, group, artifact)
	case "POST /api/v1/publisher/status":
		path += "?id=" + w.deployment(t, role, group, artifact)
	case "POST /api/v1/publisher/deployment/{id}", "DELETE /api/v1/publisher/deployment/{id}":
		path = strings.ReplaceAll(path, "{id}", w.deployment(t, role, group, artifact))
	case "GET /api/v1/publisher/deployment/{id}/download/{path...}", "GET /api/v1/publisher/deployments/download/{path...}":
		staged := fmt.Sprintf("staged%d", w.n)
		by := holder(target)
		if strings.Contains(path, "deployments") && role != authztest.Anonymous {
			by = role
		}
		id := "none"
		if target != authztest.None {
			id = w.deployment(t, by, group, staged)
		}
		path = strings.ReplaceAll(path, "{id}", id)
		path = strings.ReplaceAll(path, "{path...}", strings.ReplaceAll(group, ".", "/")+"/"+staged+"/1.0/"+staged+"-1.0.pom")
	case "GET /api/v1/publisher/published":
		path += "?namespace=" + group + "&name=" + artifact + "&version=1.0"
	case "POST /api/v1/oidc/token":
		body = `{}`
	case "GET /archetype-catalog.xml", "GET /api/v1/oidc/audience":
	default:
		return nil
	}
	r := httptest.NewRequestWithContext(t.Context(), row.Method, "/maven"+path, strings.NewReader(body))
	if kind != "" {
		r.Header.Set("Content-Type", kind)
	}
	return r
}

// publish deploys a release and a build of a snapshot.
func (w *mavenWorld) publish(t *testing.T, target authztest.Target, group, artifact string) {
	t.Helper()
	if !w.first(group + artifact) {
		return
	}
	folder := "/maven/" + strings.ReplaceAll(group, ".", "/") + "/" + artifact
	for path, version := range map[string]string{
		folder + "/1.0/" + artifact + "-1.0.pom":                            "1.0",
		folder + "/2.0-SNAPSHOT/" + artifact + "-2.0-20261122.181910-1.pom": "2.0-SNAPSHOT",
	} {
		r := httptest.NewRequestWithContext(t.Context(), "PUT", path, strings.NewReader(mavenPOM(group, artifact, version)))
		if got := send(w.handler, r, w.Authorization(holder(target))); got.Code != http.StatusCreated {
			t.Fatalf("deploy %s: %d %s", path, got.Code, got.Body)
		}
	}
}

// deployment uploads a bundle as the role and returns its id.
func (w *mavenWorld) deployment(t *testing.T, role authztest.Role, group, artifact string) string {
	t.Helper()
	if role == authztest.Anonymous {
		return "none"
	}
	body, kind := mavenBundle(t, group, artifact)
	r := httptest.NewRequestWithContext(t.Context(), "POST", "/maven/api/v1/publisher/upload", strings.NewReader(body))
	r.Header.Set("Content-Type", kind)
	got := send(w.handler, r, w.Authorization(role))
	if got.Code != http.StatusCreated {
		t.Fatalf("upload: %d %s", got.Code, got.Body)
	}
	return got.Body.String()
}

func mavenPOM(group, artifact, version string) string {
	return fmt.Sprintf(`<project xmlns="http://maven.apache.org/POM/4.0.0"><modelVersion>4.0.0</modelVersion>`+
		`<groupId>%s</groupId><artifactId>%s</artifactId><version>%s</version></project>`, group, artifact, version)
}

// mavenBundle is a deployment of one pom, as a form.
func mavenBundle(t testing.TB, group, artifact string) (body, contentType string) {
	t.Helper()
	var packed, form bytes.Buffer
	z := zip.NewWriter(&packed)
	f, err := z.Create(strings.ReplaceAll(group, ".", "/") + "/" + artifact + "/1.0/" + artifact + "-1.0.pom")
	must(t, err)
	_, err = io.WriteString(f, mavenPOM(group, artifact, "1.0"))
	must(t, err)
	must(t, z.Close())
	m := multipart.NewWriter(&form)
	part, err := m.CreateFormFile("bundle", "bundle.zip")
	must(t, err)
	_, err = part.Write(packed.Bytes())
	must(t, err)
	must(t, m.Close())
	return form.String(), m.FormDataContentType()
}
