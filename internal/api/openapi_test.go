package api

import (
	"os"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

// document is the part of api/openapi.yaml that the tests compare with the code.
type document struct {
	OpenAPI string                          `yaml:"openapi"`
	Paths   map[string]map[string]operation `yaml:"paths"`
	Parts   struct {
		Schemas    map[string]any       `yaml:"schemas"`
		Parameters map[string]parameter `yaml:"parameters"`
		Responses  map[string]any       `yaml:"responses"`
		Headers    map[string]any       `yaml:"headers"`
	} `yaml:"components"`
}

type operation struct {
	ID         string         `yaml:"operationId"`
	Access     string         `yaml:"x-hullmark-access"`
	Permission string         `yaml:"x-hullmark-permission"`
	Admin      bool           `yaml:"x-hullmark-admin"`
	Parameters []ref          `yaml:"parameters"`
	Responses  map[string]any `yaml:"responses"`
}

type ref struct {
	Ref string `yaml:"$ref"`
}

type parameter struct {
	Name string `yaml:"name"`
	In   string `yaml:"in"`
}

func readDocument(t *testing.T) (d document, raw map[string]any) {
	t.Helper()
	text, err := os.ReadFile("../../api/openapi.yaml")
	if err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &d); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal(text, &raw); err != nil {
		t.Fatal(err)
	}
	return d, raw
}

func TestTheDocumentAndTheRouteTableSayTheSame(t *testing.T) {
	t.Parallel()
	d, _ := readDocument(t)
	said := map[string]string{}
	for path, operations := range d.Paths {
		for method, o := range operations {
			said[strings.ToUpper(method)+" "+path] = line(o.Access, o.Permission, o.Admin)
		}
	}
	served := map[string]string{}
	for _, r := range new(API).table() {
		served[r.Method+" "+r.Pattern] = line(r.Access, string(r.Permission), r.Admin)
	}
	for route, want := range said {
		if served[route] != want {
			t.Errorf("%s: the document says %q, the table %q", route, want, served[route])
		}
	}
	for route, have := range served {
		if said[route] == "" {
			t.Errorf("%s (%s) is served and not in the document", route, have)
		}
	}
}

func line(access, permission string, admin bool) string {
	s := access
	if permission != "" {
		s += " " + permission
	}
	if admin {
		s += " or admin"
	}
	return s
}

func TestEveryReferenceInTheDocumentHasItsPart(t *testing.T) {
	t.Parallel()
	_, raw := readDocument(t)
	var walk func(at string, v any)
	walk = func(at string, v any) {
		switch v := v.(type) {
		case map[string]any:
			if target, ok := v["$ref"].(string); ok && !resolves(raw, target) {
				t.Errorf("%s refers to %s, which is not there", at, target)
			}
			for k, child := range v {
				walk(at+"/"+k, child)
			}
		case []any:
			for _, child := range v {
				walk(at, child)
			}
		}
	}
	walk("", raw)
}

func resolves(raw map[string]any, target string) bool {
	var at any = raw
	for key := range strings.SplitSeq(strings.TrimPrefix(target, "#/"), "/") {
		m, ok := at.(map[string]any)
		if !ok || m[key] == nil {
			return false
		}
		at = m[key]
	}
	return true
}

func TestEveryPathParameterIsDeclaredAndEveryOperationNamesItsErrors(t *testing.T) {
	t.Parallel()
	d, _ := readDocument(t)
	if d.OpenAPI != "3.1.0" {
		t.Errorf("openapi %q", d.OpenAPI)
	}
	ids := map[string]bool{}
	for path, operations := range d.Paths {
		for method, o := range operations {
			if o.ID == "" || ids[o.ID] {
				t.Errorf("%s %s: operationId %q is empty or not unique", method, path, o.ID)
			}
			ids[o.ID] = true
			if o.Responses["default"] == nil {
				t.Errorf("%s %s does not say what an error looks like", method, path)
			}
			if want, got := inPath(path), declared(d, o); !slices.Equal(want, got) {
				t.Errorf("%s %s: the path has %v, the parameters are %v", method, path, want, got)
			}
		}
	}
}

func inPath(path string) []string {
	var names []string
	for segment := range strings.SplitSeq(path, "/") {
		if name, ok := strings.CutPrefix(segment, "{"); ok {
			names = append(names, strings.TrimSuffix(name, "}"))
		}
	}
	slices.Sort(names)
	return names
}

func declared(d document, o operation) []string {
	var names []string
	for _, p := range o.Parameters {
		have := d.Parts.Parameters[p.Ref[strings.LastIndex(p.Ref, "/")+1:]]
		if have.In == "path" {
			names = append(names, have.Name)
		}
	}
	slices.Sort(names)
	return names
}
