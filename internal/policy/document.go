package policy

import (
	"encoding/json"
	"math"

	"go.yaml.in/yaml/v3"

	"github.com/hullmark/hullmark/internal/policy/ir"
)

// APIVersion and Kind name the documents that [Parse] reads.
const (
	APIVersion = "hullmark.dev/v1"
	Kind       = "Policy"
)

// Set is a set of policies, in force together.
type Set struct {
	Policies []Document `json:"policies"`
}

// Names returns the policies' names in order.
func (s Set) Names() []string {
	names := make([]string, len(s.Policies))
	for i, p := range s.Policies {
		names[i] = p.Metadata.Name
	}
	return names
}

// Document is one policy as it is written.
type Document struct {
	APIVersion string   `yaml:"apiVersion" json:"apiVersion"`
	Kind       string   `yaml:"kind" json:"kind"`
	Metadata   Metadata `yaml:"metadata" json:"metadata"`
	Spec       Spec     `yaml:"spec" json:"spec"`

	// number is the document's place in its file, from 1, for messages.
	number int
	at     ir.Position
	lines  []string // of the file, to find places in expressions that stand on several
}

// Metadata names a policy.
type Metadata struct {
	Name        string            `yaml:"name" json:"name"`
	Description string            `yaml:"description" json:"description,omitempty"`
	Annotations map[string]string `yaml:"annotations" json:"annotations,omitempty"`
}

// Spec is what a policy demands, of what, and how strictly.
type Spec struct {
	Stage         Stage        `yaml:"stage" json:"stage"`
	Rollout       []Rollout    `yaml:"rollout" json:"rollout,omitempty"`
	Match         Match        `yaml:"match" json:"match,omitzero"`
	Exclude       Matches      `yaml:"exclude" json:"exclude,omitempty"`
	Params        Params       `yaml:"params" json:"params,omitempty"`
	Preconditions []Expression `yaml:"preconditions" json:"preconditions,omitempty"`
	Checks        []CheckSpec  `yaml:"checks" json:"checks"`
}

// Rollout sets the stage of a policy, and parameters of it, within a scope. The last that matches wins.
type Rollout struct {
	Match  Match  `yaml:"match" json:"match,omitzero"`
	Stage  Stage  `yaml:"stage" json:"stage"`
	Params Params `yaml:"params" json:"params,omitempty"`
}

// Match is a scope: every list that is given must have an entry that matches.
type Match struct {
	Clusters          []string  `yaml:"clusters" json:"clusters,omitempty"`
	Namespaces        []string  `yaml:"namespaces" json:"namespaces,omitempty"`
	NamespaceSelector *Selector `yaml:"namespaceSelector" json:"namespaceSelector,omitempty"`
	Kinds             []string  `yaml:"kinds" json:"kinds,omitempty"`
	Images            []string  `yaml:"images" json:"images,omitempty"`
	Operations        []string  `yaml:"operations" json:"operations,omitempty"`
	Users             []string  `yaml:"users" json:"users,omitempty"`
}

// Matches is a list of scopes, or one written without the list.
type Matches []Match

// UnmarshalYAML implements yaml.Unmarshaler.
func (m *Matches) UnmarshalYAML(n *yaml.Node) error {
	if n.Kind == yaml.SequenceNode {
		return n.Decode((*[]Match)(m))
	}
	var one Match
	if err := n.Decode(&one); err != nil {
		return err
	}
	*m = Matches{one}
	return nil
}

// Selector selects namespaces by their labels, as Kubernetes' LabelSelector does.
type Selector struct {
	MatchLabels      map[string]string `yaml:"matchLabels" json:"matchLabels,omitempty"`
	MatchExpressions []Requirement     `yaml:"matchExpressions" json:"matchExpressions,omitempty"`
}

// Requirement is one condition on a label.
type Requirement struct {
	Key      string   `yaml:"key" json:"key"`
	Operator string   `yaml:"operator" json:"operator"`
	Values   []string `yaml:"values" json:"values,omitempty"`
}

// CheckSpec is one condition that must hold.
type CheckSpec struct {
	Name       string     `yaml:"name" json:"name"`
	Foreach    string     `yaml:"foreach" json:"foreach,omitempty"` // images (default), components, recalls
	Expression Expression `yaml:"expression" json:"expression"`
	Message    Expression `yaml:"message" json:"message"`
	Missing    Expression `yaml:"missing" json:"missing,omitzero"`
	Blame      string     `yaml:"blame" json:"blame,omitempty"` // image, component; default by foreach

	at ir.Position
}

// UnmarshalYAML implements yaml.Unmarshaler; it keeps the place.
func (c *CheckSpec) UnmarshalYAML(n *yaml.Node) error {
	type plain CheckSpec
	if err := n.Decode((*plain)(c)); err != nil {
		return err
	}
	c.at = ir.Position{Line: n.Line, Column: n.Column}
	return nil
}

// Expression is CEL, or a sentence with CEL in braces, and where it stands.
type Expression struct {
	Text string
	at   ir.Position // of the text's first character; of a block's first line, without column
	// literal is a block whose lines are those of the text; others are folded to one.
	literal bool
}

// IsZero reports whether there is none.
func (e Expression) IsZero() bool { return e.Text == "" }

// UnmarshalYAML implements yaml.Unmarshaler; it keeps the place.
func (e *Expression) UnmarshalYAML(n *yaml.Node) error {
	if err := n.Decode(&e.Text); err != nil {
		return err
	}
	e.at = ir.Position{Line: n.Line, Column: n.Column}
	switch n.Style &^ yaml.TaggedStyle {
	case yaml.LiteralStyle:
		e.at, e.literal = ir.Position{Line: n.Line + 1}, true
	case yaml.FoldedStyle:
		e.at = ir.Position{Line: n.Line + 1}
	case yaml.DoubleQuotedStyle, yaml.SingleQuotedStyle:
		e.at.Column++
	}
	return nil
}

// MarshalJSON writes the text alone.
func (e Expression) MarshalJSON() ([]byte, error) { return json.Marshal(e.Text) }

// MarshalYAML writes the text alone.
func (e Expression) MarshalYAML() (any, error) { return e.Text, nil }

// Params are constants by name: texts, numbers, booleans, and lists of texts or whole numbers.
type Params map[string]any

// MarshalJSON keeps 1.0 apart from 1: the type of a parameter is that of its value.
func (p Params) MarshalJSON() ([]byte, error) {
	out := make(map[string]any, len(p))
	for name, value := range p {
		if f, ok := value.(float64); ok && f == math.Trunc(f) && math.Abs(f) < 1e15 {
			text, err := json.Marshal(f)
			if err != nil {
				return nil, err
			}
			value = json.RawMessage(append(text, '.', '0'))
		}
		out[name] = value
	}
	return json.Marshal(out)
}
