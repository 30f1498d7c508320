package app_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/hullmark/hullmark/internal/api/authztest"
	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/registry/nuget/nugettest"
)

// nugetWorld makes the requests of the NuGet registry's table. Every cell that changes something has a
// package of its own.
type nugetWorld struct{ cells }

func newNuGetWorld(t *testing.T, people *authztest.People, h http.Handler) *nugetWorld {
	t.Helper()
	claim(t, people, purl.NuGet, ".*")
	return &nugetWorld{newCells(people, h)}
}

// Request implements authztest.World.
func (w *nugetWorld) Request(t *testing.T, row authztest.Row, _ authztest.Role, target authztest.Target) *http.Request {
	t.Helper()
	w.n++
	name := fmt.Sprintf("%s.cell%d", target, w.n)
	if row.Method == http.MethodGet {
		name = fmt.Sprintf("%s.read", target)
	}
	pushes := strings.Contains(row.Pattern, "package") && row.Method == http.MethodPut && !strings.Contains(row.Pattern, "{name}")
	symbols := strings.Contains(row.Pattern, "symbolpackage")
	if target != authztest.None && (!pushes || symbols) {
		w.push(t, target, name)
	}
	body, kind := w.body(row.Pattern, name, pushes)
	r := httptest.NewRequestWithContext(t.Context(), row.Method, "/nuget"+w.path(row, name), bytes.NewReader(body))
	r.Header.Set("Content-Type", kind)
	r.Header.Set("User-Agent", "test")
	if strings.Contains(row.Pattern, "verifykey") {
		r.Header.Set("X-NuGet-ApiKey", w.key(t, name))
	}
	if strings.Contains(r.URL.Path, "{") {
		return nil
	}
	return r
}

func (w *nugetWorld) path(row authztest.Row, name string) string {
	file := "index.json"
	switch {
	case strings.Contains(row.Pattern, "/flat/"):
		file = name + ".1.0.0.nupkg"
	case strings.Contains(row.Pattern, "repository-signatures"):
		return "/v3/repository-signatures/index.json" // without a certificate there is no file
	}
	return strings.NewReplacer("{name}", name, "{version}", "1.0.0", "{file}", file, "{$}", "", "{state}", "none.json", "{owner}", "own",
		"{lower}", "1.0.0", "{upper}", "1.0.0.json").Replace(row.Pattern)
}

func (w *nugetWorld) body(pattern, name string, pushes bool) (body []byte, kind string) {
	switch {
	case strings.Contains(pattern, "symbolpackage"):
		return nugettest.Form(nugettest.Package{ID: name, Version: "1.0.0", Files: []string{"lib/a.pdb", "BSJB"}}.Bytes())
	case pushes:
		return nugettest.Form(nugettest.Package{ID: name, Version: "1.0.0"}.Bytes())
	case strings.HasSuffix(pattern, "/deprecations"):
		return []byte(`{"versions": ["1.0.0"], "message": "test"}`), "application/json"
	}
	return []byte(`{"tokenType": "other"}`), "application/json" // of the exchange: no pipeline stands behind it
}

// push makes version 1.0.0 of the name.
func (w *nugetWorld) push(t *testing.T, target authztest.Target, name string) {
	t.Helper()
	if !w.first(name) {
		return
	}
	body, kind := nugettest.Form(nugettest.Package{ID: name, Version: "1.0.0"}.Bytes())
	r := httptest.NewRequestWithContext(t.Context(), "PUT", "/nuget/api/v2/package", bytes.NewReader(body))
	r.Header.Set("Content-Type", kind)
	if got := send(w.handler, r, w.Authorization(holder(target))); got.Code != http.StatusCreated {
		t.Fatalf("push %s: %d %s", name, got.Code, got.Body)
	}
}

// key is a verification key for the name.
func (w *nugetWorld) key(t *testing.T, name string) string {
	t.Helper()
	r := httptest.NewRequestWithContext(t.Context(), "POST", "/nuget/api/v2/package/create-verification-key/"+name+"/1.0.0", nil)
	var made struct{ Key string }
	must(t, json.Unmarshal(send(w.handler, r, w.Authorization(authztest.Owner)).Body.Bytes(), &made))
	return made.Key
}
