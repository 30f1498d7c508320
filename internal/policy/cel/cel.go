// Package cel is the front end for our own policies: it compiles CEL expressions over the record
// to functions of package ir. Variables have types, so that a misspelt field is found when a policy is
// compiled and not when a pod waits.
//
// An expression cannot do I/O, cannot run for long (its size and the steps of its loops are limited) and
// cannot end the process: a panic becomes an error. It sees what it was given and no clock of its own.
package cel

import (
	"errors"
	"fmt"
	"strings"
	"sync"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/types"

	"github.com/hullmark/hullmark/internal/policy/ir"
)

// Dialect is the name of this front end.
const Dialect = "cel"

// The limits of one expression; those of its loops are MaxSteps and beside it.
const (
	MaxSource = 8 << 10 // bytes
	maxDepth  = 64      // of nesting, when parsing
)

// Problem is what is wrong with an expression, and where in the document.
type Problem struct {
	At   ir.Position
	Text string
}

func (p *Problem) Error() string { return p.Text }

// Compiler compiles the expressions of one policy in one set of variables.
type Compiler struct {
	env *cel.Env
}

// New returns a compiler for expressions over vars. params are those of the policy; the variable
// "params" offers each by name.
func New(vars []ir.Variable, params map[string]any) (*Compiler, error) {
	types, err := newCatalogue()
	if err != nil {
		return nil, err
	}
	if types, err = types.withParams(params); err != nil {
		return nil, err
	}
	options := []cel.EnvOption{
		cel.CustomTypeProvider(types), cel.CustomTypeAdapter(types),
		cel.ParserExpressionSizeLimit(MaxSource), cel.ParserRecursionLimit(maxDepth),
		cel.DefaultUTCTimeZone(true), cel.HomogeneousAggregateLiterals(), cel.CrossTypeNumericComparisons(true),
		cel.ASTValidators(cel.ValidateRegexLiterals(), cel.ValidateDurationLiterals(), cel.ValidateTimestampLiterals()),
	}
	for _, v := range vars {
		t, err := types.declare(v.Type)
		if err != nil {
			return nil, fmt.Errorf("variable %s: %w", v.Name, err)
		}
		options = append(options, cel.Variable(v.Name, t))
	}
	env, err := cel.NewEnv(options...)
	if err != nil {
		return nil, err
	}
	return &Compiler{env: env}, nil
}

// Condition compiles an expression of type bool. The error is a *Problem.
func (c *Compiler) Condition(e ir.Expression) (ir.Condition, error) {
	run, out, err := c.compile(e.Source)
	if err != nil {
		return ir.Condition{}, err
	}
	if !out.IsExactType(types.BoolType) {
		return ir.Condition{}, &Problem{Text: fmt.Sprintf("a condition must be true or false, and this is a %s; compare it with something", out)}
	}
	return ir.Condition{Expression: e, Eval: func(values ir.Values) (bool, error) {
		v, err := run(values)
		if err != nil {
			return false, err
		}
		return v == types.True, nil
	}}, nil
}

type runner func(ir.Values) (any, error)

// compile returns a function that evaluates source, and its type.
func (c *Compiler) compile(source string) (runner, *cel.Type, error) {
	if len(source) > MaxSource {
		return nil, nil, &Problem{Text: fmt.Sprintf("the expression is longer than %d bytes; split the check in two", MaxSource)}
	}
	checked, issues := c.env.Compile(source)
	if issues.Err() != nil {
		return nil, nil, problem(issues)
	}
	options := []cel.ProgramOption{cel.EvalOptions(cel.OptOptimize)}
	loops := charges(checked)
	if len(loops) > 0 {
		options = append(options, metering(loops))
	}
	prg, err := c.env.Program(checked, options...)
	if err != nil {
		return nil, nil, &Problem{Text: err.Error()}
	}
	pool := &sync.Pool{New: func() any { return &activation{} }}
	return func(values ir.Values) (any, error) {
		a := pool.Get().(*activation)
		defer pool.Put(a)
		a.values, a.meter = values, nil
		if len(loops) > 0 {
			var limited bool
			if a.meter, limited = values.(ir.Meter); !limited {
				a.meter = &steps{left: MaxSteps}
			}
		}
		return eval(prg, a)
	}, checked.OutputType(), nil
}

// eval turns a panic into an error.
func eval(prg cel.Program, a *activation) (v any, err error) {
	defer func() {
		if r := recover(); r != nil {
			v, err = nil, fmt.Errorf("the expression failed badly: %v", r)
		}
	}()
	out, _, err := prg.Eval(a)
	if err != nil {
		return nil, err
	}
	if types.IsUnknownOrError(out) {
		return nil, errors.New("the expression has no value")
	}
	return out, nil
}

// problem turns the compiler's findings into the first of them, with its place in the expression.
func problem(issues *cel.Issues) *Problem {
	first := issues.Errors()[0]
	text := strings.TrimSpace(strings.ReplaceAll(first.Message, "\n", " "))
	return &Problem{At: ir.Position{Line: first.Location.Line(), Column: first.Location.Column() + 1}, Text: hint(text)}
}

// hint adds what to do to the compiler's most frequent complaints.
func hint(text string) string {
	switch {
	case strings.HasPrefix(text, "undefined field"):
		return text + "; 'hullmark policy fields' and docs/reference/policies.md list those that exist"
	case strings.HasPrefix(text, "undeclared reference to 'component'"):
		return text + "; it exists in checks with foreach: components"
	case strings.HasPrefix(text, "undeclared reference to 'recall'"):
		return text + "; it exists in checks with foreach: recalls"
	}
	return text
}

// activation offers values under their names.
type activation struct {
	values ir.Values
	meter  ir.Meter
}

// ResolveName implements cel.Activation.
func (a *activation) ResolveName(name string) (any, bool) {
	if name == meterName {
		return a.meter, true
	}
	v := a.values.Value(name)
	return v, v != nil
}

// Parent implements cel.Activation.
func (a *activation) Parent() cel.Activation { return nil }
