package policy

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"

	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/policy/cel"
	"github.com/hullmark/hullmark/internal/policy/ir"
)

// Program is a compiled policy set. It is immutable and safe for concurrent use.
type Program struct {
	policies []ir.Policy
	revision string
	names    []string
}

// Revision is "sha256:…" of the set's canonical document.
func (p *Program) Revision() string { return p.revision }

// Policies returns the compiled policies for back ends other than [Program.Decide]; they must not be changed.
func (p *Program) Policies() []ir.Policy { return p.policies }

// Names returns the names of the policies.
func (p *Program) Names() []string { return p.names }

// Canonical returns the one spelling of a set: the bytes that its revision is the digest of, which
// [Parse] reads back. Comments and the order of documents do not survive, meaning does.
func (s Set) Canonical() []byte {
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	for i, d := range s.Policies {
		if i > 0 {
			b.WriteString("---\n")
		}
		if err := encoder.Encode(d); err != nil {
			panic(fmt.Sprintf("policy: a parsed set cannot be written: %v", err)) // the types hold nothing that JSON lacks
		}
	}
	return b.Bytes()
}

// Compile turns a set into a program. The error has the code policy-expression-invalid and names
// document, field and place of each expression that cannot be compiled.
func Compile(s Set) (*Program, error) {
	program := &Program{names: s.Names()}
	var wrong []complaint
	for _, d := range s.Policies {
		if flaws := d.complaints(); len(flaws) > 0 { // a Set that was made by hand
			return nil, malformed(flaws)
		}
		c, err := newDocumentCompiler(d)
		if err != nil {
			return nil, err
		}
		program.policies = append(program.policies, c.policy())
		wrong = append(wrong, c.wrong...)
	}
	if len(wrong) > 0 {
		return nil, fault.New(fault.Invalid, "policy-expression-invalid", "%s", list(wrong))
	}
	sum := sha256.Sum256(s.Canonical())
	program.revision = "sha256:" + hex.EncodeToString(sum[:])
	return program, nil
}

// documentCompiler compiles one document with the front end for CEL. There is a compiler for
// each set of variables, so that a check cannot name what it is not asked about.
type documentCompiler struct {
	doc   Document
	cel   map[ir.Over]*cel.Compiler
	wrong []complaint
}

func newDocumentCompiler(d Document) (*documentCompiler, error) {
	c := &documentCompiler{doc: d, cel: map[ir.Over]*cel.Compiler{}}
	for _, over := range []ir.Over{ir.Images, ir.Components, ir.Recalls} {
		if over != ir.Images && !d.uses(over) {
			continue
		}
		compiler, err := cel.New(variables(over), d.Spec.Params)
		if err != nil {
			return nil, fmt.Errorf("policy %s: %w", d.Metadata.Name, err)
		}
		c.cel[over] = compiler
	}
	return c, nil
}

func (d Document) uses(over ir.Over) bool {
	for _, c := range d.Spec.Checks {
		if c.over() == over {
			return true
		}
	}
	return false
}

func (c CheckSpec) over() ir.Over {
	if c.Foreach == "" {
		return ir.Images
	}
	return ir.Over(c.Foreach)
}

func (c CheckSpec) blame() ir.Blame {
	switch {
	case c.Blame != "":
		return ir.Blame(c.Blame)
	case c.over() == ir.Images:
		return ir.BlameImage
	default:
		return ir.BlameComponent
	}
}

func (c *documentCompiler) policy() ir.Policy {
	spec := c.doc.Spec
	p := ir.Policy{
		Name: c.doc.Metadata.Name, Dialect: cel.Dialect, At: c.doc.at,
		Stage: string(spec.Stage), Match: spec.Match.compile(), Params: spec.Params,
	}
	for _, r := range spec.Rollout {
		p.Rollout = append(p.Rollout, ir.Rollout{Match: r.Match.compile(), Stage: string(r.Stage), Params: merged(spec.Params, r.Params)})
	}
	for _, m := range spec.Exclude {
		p.Exclude = append(p.Exclude, m.compile())
	}
	for i, e := range spec.Preconditions {
		p.Preconditions = append(p.Preconditions, c.condition(ir.Images, fmt.Sprintf("spec.preconditions[%d]", i), e))
	}
	for i, check := range spec.Checks {
		field, over := fmt.Sprintf("spec.checks[%d]", i), check.over()
		p.Checks = append(p.Checks, ir.Check{
			Name: check.Name, At: check.at, Over: over, Blame: check.blame(),
			Holds:   c.condition(over, field+".expression", check.Expression),
			Message: c.text(over, field+".message", check.Message),
			Missing: c.text(over, field+".missing", check.Missing),
		})
	}
	return p
}

func merged(base, over Params) map[string]any {
	if len(over) == 0 {
		return nil
	}
	out := maps.Clone(base)
	maps.Copy(out, over)
	return out
}

func (c *documentCompiler) condition(over ir.Over, field string, e Expression) ir.Condition {
	out, err := c.cel[over].Condition(ir.Expression{Source: e.Text, At: e.at})
	c.complain(field, e, err)
	return out
}

func (c *documentCompiler) text(over ir.Over, field string, e Expression) ir.Text {
	out, err := c.cel[over].Text(ir.Expression{Source: e.Text, At: e.at})
	c.complain(field, e, err)
	return out
}

// complain moves a problem from its place in an expression to its place in the document.
func (c *documentCompiler) complain(field string, e Expression, err error) {
	if err == nil {
		return
	}
	at := e.at
	if p, ok := errors.AsType[*cel.Problem](err); ok {
		at = locate(c.doc.lines, e, p.At)
	}
	c.wrong = append(c.wrong, complaint{number: c.doc.number, name: c.doc.Metadata.Name, at: at,
		text: fmt.Sprintf("%s: %v", field, err)})
}

func (m Match) compile() ir.Match {
	out := ir.Match{Clusters: m.Clusters, Namespaces: m.Namespaces, Kinds: m.Kinds, Images: m.Images, Operations: m.Operations, Users: m.Users}
	if m.NamespaceSelector != nil {
		out.Selector, _ = m.NamespaceSelector.compile() // validate has refused those that fail
	}
	return out
}
