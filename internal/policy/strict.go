package policy

import (
	"fmt"
	"maps"
	"math"
	"reflect"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/hullmark/hullmark/internal/policy/ir"
)

// documentType is spelt out here alone so that the walk below starts from the same type that is decoded.
var documentType = reflect.TypeFor[Document]()

func place(n *yaml.Node) ir.Position { return ir.Position{Line: n.Line, Column: n.Column} }

// unfit finds what no policy may contain: aliases, which let a short document stand for a huge one, and
// more depth than any policy has.
func unfit(n *yaml.Node, depth int) (flaw, bool) {
	if n.Kind == yaml.AliasNode {
		return flaw{place(n), fmt.Sprintf("*%s refers to another part of the document; write it out", clip(n.Value))}, false
	}
	if depth > maxDepth {
		return flaw{place(n), "nested too deeply; flatten it"}, false
	}
	for _, child := range n.Content {
		if f, ok := unfit(child, depth+1); !ok {
			return f, false
		}
	}
	return flaw{}, true
}

// nameOf returns metadata.name without decoding the rest.
func nameOf(root *yaml.Node) string {
	if name := child(child(root, "metadata"), "name"); name != nil && name.Kind == yaml.ScalarNode {
		return clip(name.Value)
	}
	return ""
}

func child(n *yaml.Node, key string) *yaml.Node {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	return nil
}

// unknownFields walks a document beside the type that it is decoded to.
func unknownFields(n *yaml.Node, t reflect.Type, path string) []flaw {
	if t == reflect.TypeFor[Matches]() && n.Kind == yaml.MappingNode {
		t = reflect.TypeFor[Match]()
	}
	switch {
	case t.Kind() == reflect.Pointer:
		return unknownFields(n, t.Elem(), path)
	case t.Kind() == reflect.Slice && n.Kind == yaml.SequenceNode:
		var out []flaw
		for i, c := range n.Content {
			out = append(out, unknownFields(c, t.Elem(), fmt.Sprintf("%s[%d]", path, i))...)
		}
		return out
	case t.Kind() != reflect.Struct || t == reflect.TypeFor[Expression]():
		return nil
	case n.Kind != yaml.MappingNode:
		return []flaw{{place(n), fmt.Sprintf("%s must be a mapping with the fields %s", orDocument(path), strings.Join(slices.Sorted(maps.Keys(fieldsOf(t))), ", "))}}
	}
	fields := fieldsOf(t)
	var out []flaw
	for i := 0; i+1 < len(n.Content); i += 2 {
		key := n.Content[i]
		name := strings.TrimPrefix(path+"."+clip(key.Value), ".")
		if f, known := fields[key.Value]; known {
			out = append(out, unknownFields(n.Content[i+1], f, name)...)
			continue
		}
		out = append(out, flaw{place(key), fmt.Sprintf("%s is not a field%s", name, suggestion(key.Value, fields))})
	}
	return out
}

func orDocument(path string) string {
	if path == "" {
		return "a policy"
	}
	return path
}

func fieldsOf(t reflect.Type) map[string]reflect.Type {
	out := map[string]reflect.Type{}
	for i := range t.NumField() {
		if name := t.Field(i).Tag.Get("yaml"); name != "" {
			out[name] = t.Field(i).Type
		}
	}
	return out
}

// suggestion names the nearest field, or all of them when none is near.
func suggestion(word string, fields map[string]reflect.Type) string {
	best, distance := "", 3
	for _, name := range slices.Sorted(maps.Keys(fields)) {
		if d := editDistance(strings.ToLower(clip(word)), strings.ToLower(name)); d < distance {
			best, distance = name, d
		}
	}
	if best != "" {
		return fmt.Sprintf("; did you mean %s?", best)
	}
	return "; the fields here are " + strings.Join(slices.Sorted(maps.Keys(fields)), ", ")
}

// editDistance is Levenshtein's, over bytes: field names are ASCII.
func editDistance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := 1; i <= len(a); i++ {
		diagonal := row[0]
		row[0] = i
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			diagonal, row[j] = row[j], min(row[j]+1, row[j-1]+1, diagonal+cost)
		}
	}
	return row[len(b)]
}

var paramName = regexp.MustCompile(`^[a-zA-Z][a-zA-Z0-9_]{0,62}$`)

// validateParams brings parameters to the few types that expressions know, and checks that a
// rollout replaces only parameters that exist, by values of the same type.
func (d *Document) validateParams(bad func(ir.Position, string, ...any)) {
	for _, name := range slices.Sorted(maps.Keys(d.Spec.Params)) {
		if !paramName.MatchString(name) {
			bad(d.at, "spec.params.%s: a parameter's name is a letter, then letters, digits and _", clip(name))
		}
		value, ok := paramValue(d.Spec.Params[name])
		if !ok {
			bad(d.at, "spec.params.%s must be a text, a number, true or false, or a list of texts or of whole numbers", clip(name))
			continue
		}
		d.Spec.Params[name] = value
	}
	for i, r := range d.Spec.Rollout {
		for _, name := range slices.Sorted(maps.Keys(r.Params)) {
			field := fmt.Sprintf("spec.rollout[%d].params.%s", i, clip(name))
			base, exists := d.Spec.Params[name]
			value, ok := paramValue(r.Params[name])
			switch {
			case !exists:
				bad(d.at, "%s is not a parameter of this policy; add it to spec.params with its default", field)
			case !ok || reflect.TypeOf(value) != reflect.TypeOf(base):
				bad(d.at, "%s must be of the same type as the default in spec.params", field)
			default:
				r.Params[name] = value
			}
		}
	}
}

// paramValue returns the value as one of string, bool, int64, float64, []string, []int64.
func paramValue(v any) (any, bool) {
	switch x := v.(type) {
	case string, bool, int64, []string, []int64:
		return x, true
	case float64:
		return x, !math.IsInf(x, 0) && !math.IsNaN(x)
	case int:
		return int64(x), true
	case []any:
		return paramList(x)
	default:
		return nil, false
	}
}

func paramList(items []any) (any, bool) {
	if len(items) > maxList {
		return nil, false
	}
	texts, numbers := []string{}, []int64{}
	for _, item := range items {
		switch x := item.(type) {
		case string:
			texts = append(texts, x)
		case int:
			numbers = append(numbers, int64(x))
		default:
			return nil, false
		}
	}
	switch {
	case len(numbers) == 0:
		return texts, true
	case len(texts) == 0:
		return numbers, true
	default:
		return nil, false
	}
}

func (m Match) isZero() bool { return reflect.ValueOf(m).IsZero() }

// validateMatch checks a scope. A selector that could not be evaluated is refused here rather than
// found when a pod waits.
func (d *Document) validateMatch(field string, m Match, bad func(ir.Position, string, ...any)) {
	for _, l := range []struct {
		name  string
		items []string
	}{{"clusters", m.Clusters}, {"namespaces", m.Namespaces}, {"kinds", m.Kinds}, {"images", m.Images}, {"operations", m.Operations}, {"users", m.Users}} {
		if len(l.items) > maxList {
			bad(d.at, "%s.%s has %d entries and the limit is %d; use a label", field, l.name, len(l.items), maxList)
		}
		if slices.Contains(l.items, "") {
			bad(d.at, "%s.%s has an empty entry; remove it", field, l.name)
		}
	}
	for _, op := range m.Operations {
		if op != "CREATE" && op != "UPDATE" {
			bad(d.at, "%s.operations: %q must be CREATE or UPDATE", field, clip(op))
		}
	}
	for _, image := range m.Images {
		if strings.Contains(image, "*") {
			bad(d.at, "%s.images: %q has a *; an entry is a prefix already, which ends at a segment, a tag or a digest", field, clip(image))
		}
	}
	if m.NamespaceSelector == nil {
		return
	}
	if _, err := m.NamespaceSelector.compile(); err != nil {
		bad(d.at, "%s.namespaceSelector: %v", field, err)
	}
}

// compile turns a selector into requirements.
func (s Selector) compile() (*ir.Selector, error) {
	out := &ir.Selector{}
	for _, key := range slices.Sorted(maps.Keys(s.MatchLabels)) {
		out.Requirements = append(out.Requirements, ir.Requirement{Key: key, Operator: ir.In, Values: []string{s.MatchLabels[key]}})
	}
	for _, e := range s.MatchExpressions {
		r := ir.Requirement{Key: e.Key, Operator: ir.Operator(e.Operator), Values: e.Values}
		switch r.Operator {
		case ir.In, ir.NotIn:
			if len(e.Values) == 0 {
				return nil, fmt.Errorf("%s %s needs values", clip(e.Key), e.Operator)
			}
		case ir.Exists, ir.DoesNotExist:
			if len(e.Values) > 0 {
				return nil, fmt.Errorf("%s %s takes no values", clip(e.Key), e.Operator)
			}
		default:
			return nil, fmt.Errorf("operator %q must be In, NotIn, Exists or DoesNotExist", clip(e.Operator))
		}
		if e.Key == "" {
			return nil, fmt.Errorf("a requirement needs a key")
		}
		out.Requirements = append(out.Requirements, r)
	}
	if len(out.Requirements) == 0 {
		return nil, fmt.Errorf("it is empty; write matchLabels or matchExpressions, or leave it out")
	}
	return out, nil
}
