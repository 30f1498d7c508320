// Package ir is the one representation that policies of every dialect are compiled to: match,
// preconditions, checks, messages and mutations, each with its place in the source. Exceptions,
// rollout, recording and recomputation know policies only in this form; every difference between
// dialects stays in its front end.
//
// A back end either runs the compiled functions (package policy does) or emits the source of the
// expressions elsewhere. Nothing in this package names a type of an expression language, and nothing may:
// a second front end would otherwise have to imitate the first.
package ir

import (
	"fmt"
	"reflect"
	"slices"
	"time"
)

// Position is a place in a document, counted from 1. The zero value is "not known".
type Position struct {
	Line   int
	Column int
}

// String returns "line 3, column 7".
func (p Position) String() string {
	if p.Line == 0 {
		return "an unknown line"
	}
	return fmt.Sprintf("line %d, column %d", p.Line, p.Column)
}

// Policy is one compiled policy.
type Policy struct {
	Name    string
	Dialect string // front end that made it: "cel"
	At      Position
	Stage   string
	Rollout []Rollout
	Match   Match
	Exclude []Match
	// Params are constants that expressions read, unless a Rollout replaces some.
	Params        map[string]any
	Preconditions []Condition
	Checks        []Check
	Mutations     []Mutation
}

// Rollout sets the stage, and parameters, within a scope.
type Rollout struct {
	Match  Match
	Stage  string
	Params map[string]any // all of the policy's, those of this entry replaced; nil: the policy's
}

// Match is a scope. Every list that is not empty must have an entry that matches. Clusters, namespaces
// and users may hold "*" for any run of characters.
type Match struct {
	Clusters   []string
	Namespaces []string
	Selector   *Selector
	Kinds      []string
	Images     []string // prefixes that end at a segment, tag or digest
	Operations []string
	Users      []string
}

// Selector selects namespaces by label; all requirements must hold.
type Selector struct {
	Requirements []Requirement
}

// Operator compares a label with values, with the meaning that Kubernetes gives it.
type Operator string

// The operators.
const (
	In           Operator = "In"
	NotIn        Operator = "NotIn"
	Exists       Operator = "Exists"
	DoesNotExist Operator = "DoesNotExist"
)

// Requirement is one condition on a label.
type Requirement struct {
	Key      string
	Operator Operator
	Values   []string
}

// Holds reports whether labels meet the requirement. As in Kubernetes, NotIn holds for an absent label.
func (r Requirement) Holds(labels map[string]string) bool {
	value, present := labels[r.Key]
	switch r.Operator {
	case In:
		return present && slices.Contains(r.Values, value)
	case NotIn:
		return !present || !slices.Contains(r.Values, value)
	case Exists:
		return present
	default:
		return !present
	}
}

// Over is what a check is asked about, once each.
type Over string

// What checks go over.
const (
	Images     Over = "images"
	Components Over = "components" // of each image
	Recalls    Over = "recalls"    // that reach each image at this gate
)

// Blame is what a failure names as its cause.
type Blame string

// What can be blamed.
const (
	BlameImage     Blame = "image"
	BlameComponent Blame = "component"
)

// Check is one condition that must hold, and what to say when it does not.
type Check struct {
	Name    string
	At      Position
	Over    Over
	Holds   Condition
	Message Text
	Missing Text
	Blame   Blame
}

// Expression is a piece of source. Emitters read it; the evaluator does not.
type Expression struct {
	Source string
	At     Position
}

// Condition is a compiled expression that is true or false. Eval is safe for concurrent use.
type Condition struct {
	Expression
	Eval func(Values) (bool, error)
}

// Text is a compiled expression that makes a sentence. Eval is safe for concurrent use.
type Text struct {
	Expression
	Eval func(Values) (string, error)
}

// Mutation is a change that a policy asks for. Documents of our own ask for none: the admission gate pins
// the tags of every pod to the digests that were decided on, whatever the policies. It is here for dialects
// whose policies mutate, which a front end must be able to say without a second representation.
type Mutation struct {
	Name string
	At   Position
	Kind MutationKind
}

// MutationKind is what a Mutation does.
type MutationKind string

// PinDigest writes the digest that was decided on into an image reference.
const PinDigest MutationKind = "pin-digest"

// Variable is a name that expressions may use, with its Go type. A front end offers the exported fields of
// structs under their JSON names, and refuses a name that does not exist when it compiles. A zero
// time.Time and an Age that is not known are absent: to read one is an error, never a very large age.
type Variable struct {
	Name string
	Type reflect.Type
}

// Values are the variables of one evaluation: pointers to structs of the declared type, or plain values.
type Values interface {
	Value(name string) any
}

// Meter is implemented by Values that limit how many steps the loops of all evaluations of one request may
// take together. Spend fails when there are not as many left, and the evaluation with it.
type Meter interface {
	Spend(steps uint64) error
}

// Age is a duration that may not be known.
type Age struct {
	Duration time.Duration
	Known    bool
}

// AgeAt returns how old something made at t is; a zero t makes it unknown, and a t in the future zero.
func AgeAt(now, t time.Time) Age {
	if t.IsZero() {
		return Age{}
	}
	return Age{Duration: max(0, now.Sub(t)), Known: true}
}
