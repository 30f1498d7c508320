package api_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"

	"github.com/hullmark/hullmark/internal/api"
	"github.com/hullmark/hullmark/internal/api/authztest"
)

// contract checks answers against the schemas of api/openapi.yaml: the part of JSON Schema that
// the document uses.
type contract struct {
	raw map[string]any
	mux *http.ServeMux // only to find the operation of a request
}

func readContract(t *testing.T) *contract {
	t.Helper()
	text, err := os.ReadFile("../../api/openapi.yaml")
	must(t, err)
	c := &contract{mux: http.NewServeMux()}
	must(t, yaml.Unmarshal(text, &c.raw))
	for path, operations := range c.raw["paths"].(map[string]any) {
		for method := range operations.(map[string]any) {
			c.mux.Handle(strings.ToUpper(method)+" "+api.Prefix+path, http.NotFoundHandler())
		}
	}
	return c
}

// check returns what is wrong with the answer to r, or "".
func (c *contract) check(r *http.Request, answer *httptest.ResponseRecorder) string {
	_, pattern := c.mux.Handler(r)
	method, path, _ := strings.Cut(pattern, " ")
	operation := at(c.raw, "paths", strings.TrimPrefix(path, api.Prefix), strings.ToLower(method))
	if operation == nil {
		return "no operation for " + r.URL.Path
	}
	said := at(operation, "responses", fmt.Sprint(answer.Code))
	kind, _, _ := strings.Cut(answer.Header().Get("Content-Type"), ";")
	switch {
	case answer.Code >= 400:
		return c.conforms("problem", at(c.raw, "components", "schemas", "Problem"), decoded(answer))
	case said == nil:
		return fmt.Sprintf("status %d is not in the document", answer.Code)
	case answer.Body.Len() == 0:
		return ""
	case at(said, "content", kind) == nil:
		return fmt.Sprintf("Content-Type %q is not in the document", kind)
	case at(said, "content", kind, "schema") == nil:
		return "" // no JSON
	}
	return c.conforms("answer", at(said, "content", kind, "schema"), decoded(answer))
}

func decoded(answer *httptest.ResponseRecorder) any {
	var v any
	if err := json.Unmarshal(answer.Body.Bytes(), &v); err != nil {
		return err
	}
	return v
}

func at(v any, keys ...string) any {
	for _, key := range keys {
		m, _ := v.(map[string]any)
		v = m[key]
	}
	return v
}

func (c *contract) conforms(where string, schema, v any) string {
	if target, ok := at(schema, "$ref").(string); ok {
		return c.conforms(where, at(c.raw, strings.Split(strings.TrimPrefix(target, "#/"), "/")...), v)
	}
	switch kind := at(schema, "type"); v := v.(type) {
	case map[string]any:
		if kind != "object" {
			return fmt.Sprintf("%s is an object, not %v", where, kind)
		}
		return c.object(where, schema, v)
	case []any:
		if kind != "array" {
			return fmt.Sprintf("%s is an array, not %v", where, kind)
		}
		for i, one := range v {
			if bad := c.conforms(fmt.Sprintf("%s[%d]", where, i), at(schema, "items"), one); bad != "" {
				return bad
			}
		}
	case string:
		if options, ok := at(schema, "enum").([]any); kind != "string" || ok && !slices.Contains(options, any(v)) {
			return fmt.Sprintf("%s is %q, not %v", where, v, schema)
		}
	case float64:
		if kind != "integer" {
			return fmt.Sprintf("%s is a number, not %v", where, kind)
		}
	case bool:
		if kind != "boolean" {
			return fmt.Sprintf("%s is a boolean, not %v", where, kind)
		}
	default:
		return fmt.Sprintf("%s is %v", where, v)
	}
	return ""
}

func (c *contract) object(where string, schema any, v map[string]any) string {
	required, _ := at(schema, "required").([]any)
	for _, name := range required {
		if _, there := v[name.(string)]; !there {
			return fmt.Sprintf("%s has no %v", where, name)
		}
	}
	for name, one := range v {
		field := at(schema, "properties", name)
		if field == nil {
			if field = at(schema, "additionalProperties"); field == false {
				return fmt.Sprintf("%s has %s, which is not in the document", where, name)
			}
		}
		if _, described := field.(map[string]any); !described {
			continue
		}
		if bad := c.conforms(where+"."+name, field, one); bad != "" {
			return bad
		}
	}
	return ""
}

func TestEveryAnswerOfTheMatrixIsWhatTheDocumentSays(t *testing.T) {
	t.Parallel()
	s, c := newServer(t), readContract(t)
	seen := map[string]bool{}
	checked := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer := httptest.NewRecorder()
		s.handler.ServeHTTP(answer, r)
		if bad := c.check(r, answer); bad != "" {
			t.Errorf("%s %s, status %d: %s\n%s", r.Method, r.URL, answer.Code, bad, answer.Body)
		}
		if _, pattern := c.mux.Handler(r); answer.Code < 300 {
			seen[pattern] = true
		}
		w.WriteHeader(answer.Code)
	})
	rows := authztest.FromDocument(t, "api", "../../api/openapi.yaml")
	authztest.Run(t, checked, rows, s.API)
	for _, row := range rows {
		if !seen[row.Method+" "+api.Prefix+row.Pattern] {
			t.Errorf("%s never succeeded, so its answer was not checked", row)
		}
	}
}
