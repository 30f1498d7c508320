package output

import (
	"bytes"
	"encoding/json"
	"reflect"
	"strings"
	"testing"

	"go.yaml.in/yaml/v3"
)

type thing struct {
	Name    string   `json:"name"`
	Digest  string   `json:"artifactDigest,omitempty"`
	Members []string `json:"members"`
	Count   int      `json:"count"`
	Note    string   `json:"note"`
}

var sample = thing{Name: "@acme/ui", Members: []string{"a: b", "<x>"}, Count: 2, Note: "yes"}

func printed(t *testing.T, f Format, people func(*Printer)) string {
	t.Helper()
	var b bytes.Buffer
	if err := New(&b, f).Print(sample, people); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

func never(t *testing.T) func(*Printer) {
	return func(*Printer) { t.Error("the table was printed too") }
}

func TestYAMLSaysWhatJSONSays(t *testing.T) {
	t.Parallel()
	var fromJSON, fromYAML map[string]any
	asYAML := printed(t, YAML, never(t))
	if err := json.Unmarshal([]byte(printed(t, JSON, never(t))), &fromJSON); err != nil {
		t.Fatal(err)
	}
	if err := yaml.Unmarshal([]byte(asYAML), &fromYAML); err != nil {
		t.Fatal(err)
	}
	fromJSON["count"] = int(fromJSON["count"].(float64)) // JSON knows no integers
	if !reflect.DeepEqual(fromJSON, fromYAML) {
		t.Errorf("JSON says %v\nYAML says %v", fromJSON, fromYAML)
	}
	if strings.ContainsAny(asYAML, "{}") || strings.HasPrefix(asYAML, "[") {
		t.Errorf("YAML is printed in JSON's style:\n%s", asYAML)
	}
}

func TestJSONIsNotEscapedForHTML(t *testing.T) {
	t.Parallel()
	if got := printed(t, JSON, never(t)); !strings.Contains(got, `"<x>"`) {
		t.Errorf("got %s", got)
	}
}

func TestPeopleGetPlainTextWhereNoTerminalIs(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		people func(*Printer)
		want   string
	}{
		{"a line loses its colours", func(p *Printer) { p.Line("%s %s %s", Good("ok"), Bad("no"), Dim(Head("x"))) }, "ok no x\n"},
		{"a table's columns are aligned, without borders or trailing spaces", func(p *Printer) {
			p.Table([]string{"NAME", "VERSION"}, [][]string{{"@acme/ui", "1.0.0"}, {"x", ""}})
		}, "NAME      VERSION\n@acme/ui  1.0.0\nx\n"},
		{"an empty table says so", func(p *Printer) { p.Table([]string{"NAME"}, nil) }, "none\n"},
		{"a tree shows its branches", func(p *Printer) {
			p.Tree(Tree{Text: "root", Branches: []Tree{
				{Text: "one\nmore of one", Branches: []Tree{{Text: "leaf"}}},
				{Text: "two", Branches: []Tree{{Text: "leaf"}}},
			}})
		}, "root\n├─ one\n│  more of one\n│  └─ leaf\n└─ two\n   └─ leaf\n"},
	} {
		if got := printed(t, Table, c.people); got != c.want {
			t.Errorf("%s:\n%s\nwant:\n%s", c.name, got, c.want)
		}
	}
}

func TestAFormatThatIsNoneIsRefused(t *testing.T) {
	t.Parallel()
	var f Format
	for _, s := range []string{"table", "json", "yaml"} {
		if err := f.Set(s); err != nil || f.String() != s {
			t.Errorf("%s: got %s, %v", s, f, err)
		}
	}
	if err := f.Set("xml"); err == nil || f != YAML {
		t.Errorf("xml: got %s, %v", f, err)
	}
}
