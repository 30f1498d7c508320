package cel

import (
	"fmt"
	"strings"
	"time"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"

	"github.com/hullmark/hullmark/internal/policy/ir"
)

// MaxText is how long a sentence may get, in bytes; the rest is cut off.
const MaxText = 1 << 10

// Text compiles a sentence in which every {…} is an expression; {{ is a brace. The error is a *Problem.
func (c *Compiler) Text(e ir.Expression) (ir.Text, error) {
	parts, err := split(e.Source)
	if err != nil {
		return ir.Text{}, err
	}
	runs := make([]runner, len(parts))
	for i, p := range parts {
		if p.literal {
			continue
		}
		run, out, err := c.compile(p.text)
		if err != nil {
			return ir.Text{}, within(err, e.Source, p.offset)
		}
		if !printable(out) {
			return ir.Text{}, within(&Problem{Text: fmt.Sprintf("{%s} is a %s, which has no text; pick a field of it", p.text, out)}, e.Source, p.offset)
		}
		runs[i] = run
	}
	return ir.Text{Expression: e, Eval: func(values ir.Values) (string, error) {
		var b strings.Builder
		for i, p := range parts {
			if p.literal {
				b.WriteString(p.text)
				continue
			}
			v, err := runs[i](values)
			if err != nil {
				return "", err
			}
			b.WriteString(text(v.(ref.Val)))
		}
		return cut(b.String()), nil
	}}, nil
}

type part struct {
	text    string
	literal bool
	offset  int // of text in the template, in bytes
}

// split takes a template apart.
func split(source string) ([]part, error) {
	var parts []part
	literal := strings.Builder{}
	flush := func() {
		if literal.Len() > 0 {
			parts = append(parts, part{text: literal.String(), literal: true})
			literal.Reset()
		}
	}
	for i := 0; i < len(source); i++ {
		switch {
		case strings.HasPrefix(source[i:], "{{"), strings.HasPrefix(source[i:], "}}"):
			literal.WriteByte(source[i])
			i++
		case source[i] == '{':
			end := closing(source[i+1:])
			if end < 0 {
				return nil, within(&Problem{Text: "a { is not closed; write {{ for a brace in the text"}, source, i)
			}
			flush()
			parts = append(parts, part{text: source[i+1 : i+1+end], offset: i + 1})
			i += 1 + end
		default:
			literal.WriteByte(source[i])
		}
	}
	flush()
	return parts, nil
}

// closing returns where the expression at the start of s ends: its } that is neither nested nor in a string.
func closing(s string) int {
	depth, quote := 0, byte(0)
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quote != 0 && c == '\\':
			i++
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '"' || c == '\'':
			quote = c
		case c == '{':
			depth++
		case c == '}' && depth == 0:
			return i
		case c == '}':
			depth--
		}
	}
	return -1
}

// within moves a problem from a place in an expression to the place in the template that holds it.
func within(err error, template string, offset int) error {
	p, ok := err.(*Problem)
	if !ok {
		return err
	}
	before := template[:offset]
	line := strings.Count(before, "\n")
	column := len(before) - (strings.LastIndexByte(before, '\n') + 1)
	moved := *p
	if p.At.Line <= 1 {
		moved.At = ir.Position{Line: line + 1, Column: column + max(p.At.Column, 1)}
	} else {
		moved.At.Line += line
	}
	return &moved
}

func printable(t *cel.Type) bool {
	switch t.Kind() {
	case types.StringKind, types.BoolKind, types.IntKind, types.UintKind, types.DoubleKind, types.DurationKind, types.TimestampKind:
		return true
	}
	return false
}

func text(v ref.Val) string {
	switch x := v.Value().(type) {
	case string:
		return x
	case time.Time:
		return x.UTC().Format(time.RFC3339)
	case time.Duration:
		return x.Round(time.Second).String()
	default:
		return fmt.Sprint(x)
	}
}

func cut(s string) string {
	if len(s) <= MaxText {
		return s
	}
	return strings.ToValidUTF8(s[:MaxText], "") + "…"
}
