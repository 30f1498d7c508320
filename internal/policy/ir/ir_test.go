package ir

import (
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

// TestNoExpressionLanguageIsNamedOutsideItsFrontEnd holds the promise that Rego, Kyverno and in-process pins
// can be added without touching exceptions, rollout or recording: this package imports nothing but the
// standard library, and of package policy's folders only cel knows cel-go.
func TestNoExpressionLanguageIsNamedOutsideItsFrontEnd(t *testing.T) {
	t.Parallel()
	seen := 0
	err := filepath.WalkDir("..", func(path string, d os.DirEntry, err error) error {
		if err != nil || d.IsDir() || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		seen++
		for _, imported := range imports(t, path) {
			folder := filepath.Base(filepath.Dir(path))
			if strings.Contains(imported, "/cel-go/") && folder != "cel" {
				t.Errorf("%s imports %s: only the front end may", path, imported)
			}
			if strings.Contains(imported, ".") && folder == "ir" {
				t.Errorf("%s imports %s: the representation depends on nothing", path, imported)
			}
			if imported == "net/http" || strings.HasPrefix(imported, "k8s.io/") {
				t.Errorf("%s imports %s: a policy is decided without network and without a cluster", path, imported)
			}
		}
		return nil
	})
	if err != nil || seen < 10 {
		t.Fatalf("saw %d files: %v", seen, err)
	}
}

func imports(t *testing.T, path string) []string {
	f, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, i := range f.Imports {
		name, err := strconv.Unquote(i.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, name)
	}
	return out
}

func TestRequirementsMeanWhatKubernetesMeans(t *testing.T) {
	t.Parallel()
	labels := map[string]string{"team": "a", "empty": ""}
	for _, c := range []struct {
		r    Requirement
		want bool
	}{
		{Requirement{"team", In, []string{"a", "b"}}, true}, {Requirement{"team", In, []string{"b"}}, false}, {Requirement{"none", In, []string{""}}, false},
		{Requirement{"team", NotIn, []string{"a"}}, false}, {Requirement{"none", NotIn, []string{"a"}}, true},
		{Requirement{"empty", Exists, nil}, true}, {Requirement{"none", Exists, nil}, false},
		{Requirement{"none", DoesNotExist, nil}, true}, {Requirement{"empty", DoesNotExist, nil}, false},
	} {
		if got := c.r.Holds(labels); got != c.want {
			t.Errorf("%+v: %v", c.r, got)
		}
	}
}
