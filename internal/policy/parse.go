package policy

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"

	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/policy/ir"
)

// The limits of a policy set. They are far above what people write and keep a hostile document cheap.
const (
	MaxDocument = 1 << 20 // bytes, all policies together
	MaxPolicies = 256
	maxChecks   = 64 // of one policy
	maxList     = 1024
	maxDepth    = 24
	maxProblems = 10 // told at once
)

// complaint is one thing that is wrong with a document, with its place and what to do.
type complaint struct {
	number int // of the document, from 1
	name   string
	at     ir.Position
	text   string
}

func (c complaint) String() string {
	where := fmt.Sprintf("document %d", c.number)
	if c.name != "" {
		where += fmt.Sprintf(" (policy %s)", c.name)
	}
	if c.at.Line > 0 {
		where += ", " + c.at.String()
	}
	return where + ": " + c.text
}

// Parse reads a policy set: YAML or JSON, one policy a document. It refuses fields that it does not know,
// since a misspelt one would otherwise silently weaken a policy. Expressions are looked at by
// [Compile]. The codes are policy-malformed and policy-too-large.
func Parse(document []byte) (Set, error) {
	if len(document) > MaxDocument {
		return Set{}, fault.New(fault.TooLarge, "policy-too-large",
			"the policy set has %d bytes and the limit is %d; split it, or move long lists into labels", len(document), MaxDocument)
	}
	var set Set
	var wrong []complaint
	lines := strings.Split(string(document), "\n")
	decoder := yaml.NewDecoder(bytes.NewReader(document))
	for number := 1; ; number++ {
		var node yaml.Node
		err := decoder.Decode(&node)
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			wrong = append(wrong, complaint{number: number, text: "not YAML: " + strings.TrimPrefix(err.Error(), "yaml: ") + "; correct the syntax"})
			break // the reader has lost its place
		}
		if empty(&node) {
			continue
		}
		if len(set.Policies) == MaxPolicies {
			return Set{}, fault.New(fault.TooLarge, "policy-too-large", "a policy set may hold %d policies; join some", MaxPolicies)
		}
		doc, problems := parseOne(&node, number)
		doc.lines = lines
		wrong = append(wrong, problems...)
		set.Policies = append(set.Policies, doc)
	}
	if len(wrong) == 0 && len(set.Policies) == 0 {
		wrong = append(wrong, complaint{number: 1, text: "there is no policy in it; start from 'hullmark policy shipped has-record'"})
	}
	if len(wrong) > 0 {
		return Set{}, malformed(append(wrong, duplicates(set)...))
	}
	return Join(set)
}

// Join makes one set of several. It fails as [Parse] does when two policies have one name, or when the
// whole is too large.
func Join(sets ...Set) (Set, error) {
	var all Set
	for _, s := range sets {
		all.Policies = append(all.Policies, s.Policies...)
	}
	if wrong := duplicates(all); len(wrong) > 0 {
		return Set{}, malformed(wrong)
	}
	if len(all.Policies) > MaxPolicies {
		return Set{}, fault.New(fault.TooLarge, "policy-too-large", "a policy set may hold %d policies; join some", MaxPolicies)
	}
	slices.SortStableFunc(all.Policies, func(a, b Document) int { return strings.Compare(a.Metadata.Name, b.Metadata.Name) })
	if n := len(all.Canonical()); n > MaxDocument { // whoever keeps the canonical document must be able to read it
		return Set{}, fault.New(fault.TooLarge, "policy-too-large", "the policy set comes to %d bytes and the limit is %d; shorten it", n, MaxDocument)
	}
	return all, nil
}

func malformed(wrong []complaint) error {
	return fault.New(fault.Invalid, "policy-malformed", "%s", list(wrong))
}

// list returns the first few complaints, one a line.
func list(wrong []complaint) string {
	lines := make([]string, 0, maxProblems+1)
	for i, c := range wrong {
		if i == maxProblems {
			lines = append(lines, fmt.Sprintf("and %d more", len(wrong)-i))
			break
		}
		lines = append(lines, c.String())
	}
	return strings.Join(lines, "\n")
}

// empty reports whether a document holds nothing but comments.
func empty(n *yaml.Node) bool {
	return n.Kind == 0 || n.Kind == yaml.DocumentNode && len(n.Content) == 1 && n.Content[0].Tag == "!!null"
}

func parseOne(node *yaml.Node, number int) (Document, []complaint) {
	root := node
	if node.Kind == yaml.DocumentNode {
		root = node.Content[0]
	}
	doc := Document{number: number, at: ir.Position{Line: root.Line, Column: root.Column}}
	say := func(at ir.Position, format string, args ...any) complaint {
		return complaint{number: number, name: doc.Metadata.Name, at: at, text: fmt.Sprintf(format, args...)}
	}
	if p, ok := unfit(root, 0); !ok {
		return doc, []complaint{say(p.at, "%s", p.text)}
	}
	doc.Metadata.Name = nameOf(root) // so that all complaints name the policy
	if unknown := unknownFields(root, documentType, ""); len(unknown) > 0 {
		var out []complaint
		for _, u := range unknown {
			out = append(out, say(u.at, "%s", u.text))
		}
		return doc, out
	}
	if err := root.Decode(&doc); err != nil {
		return doc, []complaint{say(ir.Position{}, "%s", typeError(err))}
	}
	return doc, doc.complaints()
}

func (d *Document) complaints() []complaint {
	var out []complaint
	for _, f := range d.validate() {
		out = append(out, complaint{number: d.number, name: d.Metadata.Name, at: f.at, text: f.text})
	}
	return out
}

// typeError says what yaml found, without its Go types.
func typeError(err error) string {
	text := strings.TrimPrefix(err.Error(), "yaml: unmarshal errors:\n  ")
	text = strings.ReplaceAll(text, "cannot unmarshal !!seq", "a list stands where there cannot be one, cannot read it")
	text = strings.ReplaceAll(text, "cannot unmarshal !!map", "a mapping stands where there cannot be one, cannot read it")
	text = strings.ReplaceAll(text, "\n  ", "; ")
	return text + "; see docs/reference/policies.md for the form of each field"
}

func duplicates(set Set) []complaint {
	var out []complaint
	first := map[string]int{}
	for _, d := range set.Policies {
		name := d.Metadata.Name
		if name == "" {
			continue
		}
		if n, seen := first[name]; seen {
			out = append(out, complaint{number: d.number, name: name, at: d.at,
				text: fmt.Sprintf("document %d has the same name; rename one of them", n)})
			continue
		}
		first[name] = d.number
	}
	return out
}

var policyName = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)

// flaw is a complaint that does not know its document yet.
type flaw struct {
	at   ir.Position
	text string
}

// validate checks what the types cannot.
func (d *Document) validate() []flaw {
	var out []flaw
	bad := func(at ir.Position, format string, args ...any) {
		out = append(out, flaw{at: at, text: fmt.Sprintf(format, args...)})
	}
	if d.APIVersion != APIVersion || d.Kind != Kind {
		bad(d.at, "apiVersion %q, kind %q is not read here; write apiVersion: %s and kind: %s", d.APIVersion, d.Kind, APIVersion, Kind)
	}
	if !policyName.MatchString(d.Metadata.Name) {
		bad(d.at, "metadata.name %q must be 1 to 63 lower-case letters, digits and dashes", clip(d.Metadata.Name))
	}
	if !d.Spec.Stage.known() {
		bad(d.at, "spec.stage %q must be one of simulate, audit, warn, enforce; start with audit", clip(string(d.Spec.Stage)))
	}
	for i, r := range d.Spec.Rollout {
		if !r.Stage.known() {
			bad(d.at, "spec.rollout[%d].stage %q must be one of simulate, audit, warn, enforce", i, clip(string(r.Stage)))
		}
		d.validateMatch(fmt.Sprintf("spec.rollout[%d].match", i), r.Match, bad)
	}
	d.validateMatch("spec.match", d.Spec.Match, bad)
	for i, m := range d.Spec.Exclude {
		if m.isZero() {
			bad(d.at, "spec.exclude[%d] is empty and would exclude everything; remove it, or use stage: simulate", i)
		}
		d.validateMatch(fmt.Sprintf("spec.exclude[%d]", i), m, bad)
	}
	d.validateParams(bad)
	d.validateChecks(bad)
	return out
}

func (d *Document) validateChecks(bad func(ir.Position, string, ...any)) {
	if n := len(d.Spec.Checks); n == 0 || n > maxChecks {
		bad(d.at, "spec.checks has %d entries; write 1 to %d", n, maxChecks)
	}
	names := map[string]bool{}
	for i, c := range d.Spec.Checks {
		field := fmt.Sprintf("spec.checks[%d]", i)
		switch {
		case !policyName.MatchString(c.Name):
			bad(c.at, "%s.name %q must be 1 to 63 lower-case letters, digits and dashes", field, clip(c.Name))
		case names[c.Name]:
			bad(c.at, "%s.name %q is taken by an earlier check; rename one of them", field, c.Name)
		}
		names[c.Name] = true
		if c.Expression.IsZero() {
			bad(c.at, "%s.expression is missing; write what must hold, as CEL", field)
		}
		if c.Message.IsZero() {
			bad(c.at, "%s.message is missing; say in one sentence what is wrong when the expression is false", field)
		}
		if !slices.Contains([]string{"", "images", "components", "recalls"}, c.Foreach) {
			bad(c.at, "%s.foreach %q must be images, components or recalls", field, clip(c.Foreach))
		}
		if !slices.Contains([]string{"", "image", "component"}, c.Blame) {
			bad(c.at, "%s.blame %q must be image or component", field, clip(c.Blame))
		}
		if c.Blame == "component" && (c.Foreach == "" || c.Foreach == "images") {
			bad(c.at, "%s.blame cannot be component: a check for each image knows none; write foreach: components", field)
		}
	}
}

func (s Stage) known() bool { return s == Simulate || s == Audit || s == Warn || s == Enforce }

// clip keeps foreign text in messages short.
func clip(s string) string {
	if len(s) > 80 {
		return strings.ToValidUTF8(s[:80], "") + "…"
	}
	return s
}
