package cel

import (
	"errors"
	"fmt"

	"github.com/google/cel-go/cel"
	"github.com/google/cel-go/common/ast"
	"github.com/google/cel-go/common/operators"
	"github.com/google/cel-go/common/overloads"
	"github.com/google/cel-go/common/types"
	"github.com/google/cel-go/common/types/ref"
	"github.com/google/cel-go/common/types/traits"
	"github.com/google/cel-go/interpreter"

	"github.com/hullmark/hullmark/internal/policy/ir"
)

// Expressions are limited by counting the steps of their loops. cel-go's own cost limit observes every node,
// which takes three quarters of the time of an expression without loops, and searches a stack that grows
// with each iteration of one that has them: the guard would cost more than what it guards against.
// Without a loop, an expression is limited by the length of its source.
const (
	// MaxSteps is how many steps a request may take where the values do not limit it: some tenths of a second.
	MaxSteps = 1_000_000
	// walkCharge is charged for a call inside a loop that may itself walk a list or a text.
	walkCharge = 32
	// A text or list that a loop makes longer is cut short by ending the evaluation: doubled sixty times, it
	// would fill the memory.
	maxMadeText = 64 << 10
	maxMadeList = 100_000
)

// meterName is the hidden variable by which steps find their meter; no expression can spell it.
const meterName = "#meter"

// walks reports whether a function takes time with the size of what it is given.
func walks(function string) bool {
	switch function {
	case operators.In, operators.Equals, operators.NotEquals, operators.Add,
		overloads.Contains, overloads.Matches, overloads.StartsWith, overloads.EndsWith:
		return true
	}
	return false
}

// charges returns what the nodes of an expression cost each time, by their id; empty when there is no loop.
func charges(a *cel.Ast) map[int64]uint64 {
	out := map[int64]uint64{}
	for _, loop := range ast.MatchDescendants(ast.NavigateAST(a.NativeRep()), ast.KindMatcher(ast.ComprehensionKind)) {
		out[loop.AsComprehension().LoopStep().ID()]++
		for _, call := range ast.MatchDescendants(loop, ast.KindMatcher(ast.CallKind)) {
			if walks(call.AsCall().FunctionName()) && out[call.ID()] < walkCharge {
				out[call.ID()] += walkCharge
			}
		}
	}
	return out
}

// metering is the option that makes the nodes of loops count.
func metering(charges map[int64]uint64) cel.ProgramOption {
	return cel.CustomDecoratorV2(func(i interpreter.InterpretableV2) (interpreter.InterpretableV2, error) {
		if charge := charges[i.ID()]; charge > 0 {
			return &meteredNode{InterpretableV2: i, charge: charge}, nil
		}
		return i, nil
	})
}

// meteredNode is a node that pays before it is evaluated.
type meteredNode struct {
	interpreter.InterpretableV2
	charge uint64
}

// Exec implements interpreter.InterpretableV2.
func (n *meteredNode) Exec(frame *interpreter.ExecutionFrame) ref.Val {
	found, _ := frame.ResolveName(meterName)
	meter, ok := found.(ir.Meter)
	if !ok {
		cancel("the steps of a loop cannot be counted")
	}
	if err := meter.Spend(n.charge); err != nil {
		cancel(err.Error())
	}
	out := n.InterpretableV2.Exec(frame)
	switch made := out.(type) {
	case types.String:
		if len(made) > maxMadeText {
			cancel(fmt.Sprintf("a text grew longer than %d bytes", maxMadeText))
		}
	case types.Bytes:
		if len(made) > maxMadeText {
			cancel(fmt.Sprintf("bytes grew longer than %d", maxMadeText))
		}
	case traits.Lister:
		if size, isInt := made.Size().(types.Int); isInt && size > maxMadeList {
			cancel(fmt.Sprintf("a list grew longer than %d", maxMadeList))
		}
	}
	return out
}

// Eval implements interpreter.Interpretable for callers of the older interface.
func (n *meteredNode) Eval(a interpreter.Activation) ref.Val {
	frame, err := interpreter.NewExecutionFrame(a)
	if err != nil {
		return types.WrapErr(err)
	}
	defer frame.Close()
	return n.Exec(frame)
}

// cancel ends an evaluation. An error value would not: "error || true" is true, and the loop goes on.
func cancel(why string) {
	panic(interpreter.EvalCancelledError{Message: why, Cause: interpreter.CostLimitExceeded})
}

// steps is the meter of an evaluation whose values have none.
type steps struct{ left uint64 }

// Spend implements ir.Meter.
func (s *steps) Spend(cost uint64) error {
	if cost > s.left {
		return errors.New("the expression takes too many steps; loop over less")
	}
	s.left -= cost
	return nil
}
