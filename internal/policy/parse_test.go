package policy

import (
	"errors"
	"strings"
	"testing"

	"github.com/hullmark/hullmark/internal/fault"
)

const head = "apiVersion: hullmark.dev/v1\nkind: Policy\nmetadata: {name: p}\nspec:\n  stage: audit\n"
const check = "  checks: [{name: c, expression: 'true', message: m}]\n"

func TestAMistakeIsToldWithDocumentFieldAndWhatToDo(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		document string
		code     string
		says     []string
	}{
		"nothing":                  {"", "policy-malformed", []string{"no policy", "hullmark policy shipped"}},
		"comments alone":           {"# x\n---\n# y\n", "policy-malformed", []string{"no policy"}},
		"no YAML":                  {"a: [", "policy-malformed", []string{"document 1", "not YAML"}},
		"a list":                   {"- a", "policy-malformed", []string{"a policy must be a mapping", "apiVersion, kind, metadata, spec"}},
		"another kind":             {"apiVersion: kyverno.io/v1\nkind: ClusterPolicy\nmetadata: {name: p}\nspec: {stage: audit, checks: [{name: c, expression: x, message: m}]}", "policy-malformed", []string{"kind: Policy"}},
		"a misspelt field":         {head + "  chekcs: []\n", "policy-malformed", []string{"document 1 (policy p), line 6, column 3", "spec.chekcs", "did you mean checks?"}},
		"a deep misspelt field":    {head + check + "  match: {namespaceSelector: {matchLabel: {a: b}}}\n", "policy-malformed", []string{"spec.match.namespaceSelector.matchLabel", "matchLabels?"}},
		"a field of nothing":       {head + check + "  zzzzzzz: 1\n", "policy-malformed", []string{"the fields here are checks, exclude, match"}},
		"in the second document":   {head + check + "---\n" + strings.Replace(head, "name: p", "name: q", 1) + "  x: 1\n" + check, "policy-malformed", []string{"document 2 (policy q), line 13"}},
		"the same name":            {head + check + "---\n" + head + check, "policy-malformed", []string{"document 2 (policy p)", "document 1 has the same name"}},
		"no name":                  {strings.Replace(head, "name: p", "", 1) + check, "policy-malformed", []string{"metadata.name"}},
		"a wild name":              {strings.Replace(head, "name: p", "name: 'P p'", 1) + check, "policy-malformed", []string{"lower-case"}},
		"no stage":                 {strings.Replace(head, "  stage: audit\n", "", 1) + check, "policy-malformed", []string{"spec.stage", "start with audit"}},
		"a wild stage":             {strings.Replace(head, "audit", "block", 1) + check, "policy-malformed", []string{`"block"`, "simulate, audit, warn, enforce"}},
		"no checks":                {head, "policy-malformed", []string{"spec.checks"}},
		"no message":               {head + "  checks: [{name: c, expression: 'true'}]\n", "policy-malformed", []string{"spec.checks[0].message is missing"}},
		"no expression":            {head + "  checks: [{name: c, message: m}]\n", "policy-malformed", []string{"spec.checks[0].expression is missing"}},
		"two checks of one name":   {head + "  checks: [{name: c, expression: x, message: m}, {name: c, expression: x, message: m}]\n", "policy-malformed", []string{"spec.checks[1].name"}},
		"a wild foreach":           {head + "  checks: [{name: c, expression: x, message: m, foreach: layers}]\n", "policy-malformed", []string{"images, components or recalls"}},
		"blame without components": {head + "  checks: [{name: c, expression: x, message: m, blame: component}]\n", "policy-malformed", []string{"foreach: components"}},
		"a wild operator":          {head + check + "  match: {namespaceSelector: {matchExpressions: [{key: a, operator: in, values: [b]}]}}\n", "policy-malformed", []string{`operator "in"`, "In, NotIn, Exists or DoesNotExist"}},
		"an operator without key":  {head + check + "  match: {namespaceSelector: {matchExpressions: [{operator: Exists}]}}\n", "policy-malformed", []string{"a key"}},
		"In without values":        {head + check + "  match: {namespaceSelector: {matchExpressions: [{key: a, operator: In}]}}\n", "policy-malformed", []string{"needs values"}},
		"an empty selector":        {head + check + "  match: {namespaceSelector: {}}\n", "policy-malformed", []string{"it is empty"}},
		"an empty exclusion":       {head + check + "  exclude: {}\n", "policy-malformed", []string{"would exclude everything"}},
		"a pattern for images":     {head + check + "  match: {images: ['reg/*']}\n", "policy-malformed", []string{"prefix already"}},
		"an unknown operation":     {head + check + "  match: {operations: [create]}\n", "policy-malformed", []string{"CREATE or UPDATE"}},
		"a nested parameter":       {head + check + "  params: {a: {b: c}}\n", "policy-malformed", []string{"spec.params.a"}},
		"a mixed parameter":        {head + check + "  params: {a: [1, x]}\n", "policy-malformed", []string{"spec.params.a"}},
		"an unknown override":      {head + check + "  rollout: [{stage: warn, params: {a: 1}}]\n", "policy-malformed", []string{"spec.rollout[0].params.a", "add it to spec.params"}},
		"an override of no type":   {head + check + "  params: {a: 1}\n  rollout: [{stage: warn, params: {a: x}}]\n", "policy-malformed", []string{"same type"}},
		"a list for a text":        {head + "  checks: [{name: [c], expression: x, message: m}]\n", "policy-malformed", []string{"line 6", "policies.md"}},
		"an alias":                 {head + "  checks: [&a {name: c, expression: x, message: m}, *a]\n", "policy-malformed", []string{"write it out"}},
		"a depth":                  {head + check + "  params: " + strings.Repeat("[", 40) + strings.Repeat("]", 40), "policy-malformed", []string{"nested too deeply"}},
		"a size":                   {strings.Repeat(" ", MaxDocument+1), "policy-too-large", []string{"limit"}},
		"a size that grows":        {head + check + "  params: {a: '" + strings.Repeat("\\", 600<<10) + "'}\n", "policy-too-large", []string{"limit"}},
		"a mutation":               {head + check + "  mutations: [{name: m, kind: delete}]\n", "policy-malformed", []string{"spec.mutations is not a field"}},
		"an unknown record field":  {head + "  checks: [{name: c, expression: 'record.knwon', message: m}]\n", "policy-expression-invalid", []string{"document 1 (policy p), line 6", "spec.checks[0].expression", "undefined field 'knwon'", "policy fields"}},
		"an unknown variable":      {head + "  checks: [{name: c, expression: 'recrod.known', message: m}]\n", "policy-expression-invalid", []string{"undeclared reference to 'recrod'"}},
		"an unknown parameter":     {head + "  checks: [{name: c, expression: 'params.x == 1', message: m}]\n", "policy-expression-invalid", []string{"undefined field 'x'"}},
		"a component of an image":  {head + "  checks: [{name: c, expression: 'component.release', message: m}]\n", "policy-expression-invalid", []string{"foreach: components"}},
		"no condition":             {head + "  checks: [{name: c, expression: 'record.digest', message: m}]\n", "policy-expression-invalid", []string{"true or false", "string"}},
		"a wrong comparison":       {head + "  checks: [{name: c, expression: 'record.age > 24', message: m}]\n", "policy-expression-invalid", []string{"no matching overload"}},
		"a wrong precondition":     {head + "  preconditions: ['image.']\n" + check, "policy-expression-invalid", []string{"spec.preconditions[0]"}},
		"a wrong message":          {head + "  checks: [{name: c, expression: 'true', message: 'x {image.nam}'}]\n", "policy-expression-invalid", []string{"spec.checks[0].message", "column 60", "undefined field 'nam'"}},
		"an open brace":            {head + "  checks: [{name: c, expression: 'true', message: 'x {image.tag'}]\n", "policy-expression-invalid", []string{"not closed"}},
		"a message of a list":      {head + "  checks: [{name: c, expression: 'true', message: '{record.gaps}'}]\n", "policy-expression-invalid", []string{"has no text"}},
		"a bad pattern":            {head + "  checks: [{name: c, expression: 'image.tag.matches(\"(\")', message: m}]\n", "policy-expression-invalid", []string{"invalid matches"}},
		"a block on two lines":     {head + "  checks:\n    - name: c\n      expression: |\n        record.known &&\n        record.knwon\n      message: m\n", "policy-expression-invalid", []string{"line 10, column 15"}},
		"a folded block":           {head + "  checks:\n    - name: c\n      expression: >-\n        record.known &&\n        image.pinned && record.knwon\n      message: m\n", "policy-expression-invalid", []string{"line 10, column 31"}},
		"a plain text on two":      {head + "  checks:\n    - name: c\n      expression: record.known &&\n        record.knwon\n      message: m\n", "policy-expression-invalid", []string{"line 9, column 15"}},
		"a block in a message":     {head + "  checks:\n    - name: c\n      expression: 'true'\n      message: |\n        é\n        so {record.knwon}\n", "policy-expression-invalid", []string{"line 11, column 19"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			set, err := Parse([]byte(c.document))
			if err == nil {
				_, err = Compile(set)
			}
			f, ok := errors.AsType[*fault.Error](err)
			if !ok || f.Code != c.code {
				t.Fatalf("got %v; want code %s", err, c.code)
			}
			for _, word := range c.says {
				if !strings.Contains(f.Text, word) {
					t.Errorf("%q is not in: %.600s", word, f.Text)
				}
			}
		})
	}
}

func TestARevisionIsOfTheMeaning(t *testing.T) {
	t.Parallel()
	a := compiled(t, head+"  params: {x: 1.0, y: 1}\n"+check+"---\n"+strings.Replace(head, "name: p", "name: q", 1)+check)
	b := compiled(t, "# a comment\n"+strings.Replace(head, "name: p", "name: q", 1)+check+"---\n"+head+check+"  params:\n    y: 1\n    x: 1.0\n")
	if a.Revision() != b.Revision() || !strings.HasPrefix(a.Revision(), "sha256:") {
		t.Errorf("order and comments change the revision: %s, %s", a.Revision(), b.Revision())
	}
	if c := compiled(t, head+"  params: {x: 1, y: 1}\n"+check+"---\n"+strings.Replace(head, "name: p", "name: q", 1)+check); c.Revision() == a.Revision() {
		t.Error("1 and 1.0 are different parameters and have one revision")
	}
}

func FuzzParse(f *testing.F) {
	for _, name := range ShippedNames() {
		text, _ := ShippedDocument(name)
		f.Add(text)
	}
	f.Add([]byte(head + check + "  params: {a: 1.5, b: [1], c: [x], d: true, e: 1e300, f: -0.0}\n"))
	f.Add([]byte(head + "  rollout: [{match: {clusters: ['*']}, stage: warn}]\n  exclude: [{namespaces: [a]}]\n" + check))
	f.Add([]byte("{\"apiVersion\": \"hullmark.dev/v1\"}"))
	f.Fuzz(func(t *testing.T, document []byte) {
		set, err := Parse(document)
		if err != nil {
			if k := fault.KindOf(err); k != fault.Invalid && k != fault.TooLarge {
				t.Fatalf("a document is answered with %v", err)
			}
			return
		}
		if _, err := Compile(set); err != nil && fault.KindOf(err) != fault.Invalid {
			t.Fatalf("a parsed document is answered with %v", err)
		}
		canonical := set.Canonical()
		again, err := Parse(canonical)
		if err != nil {
			t.Fatalf("the canonical document cannot be read: %v\n%s", err, canonical)
		}
		if second := again.Canonical(); string(second) != string(canonical) {
			t.Fatalf("the canonical document has two spellings:\n%s\n%s", canonical, second)
		}
	})
}
