package policy

import (
	"errors"
	"slices"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/policy/ir"
)

// native compiles nothing: it is a front end of plain functions, as one for Rego would hand them over.
func native(holds func(ir.Values) (bool, error)) ir.Policy {
	always := func(text string) ir.Text {
		return ir.Text{Expression: ir.Expression{Source: text}, Eval: func(ir.Values) (string, error) { return text, nil }}
	}
	return ir.Policy{
		Name: "native", Dialect: "go", Stage: string(Audit),
		Rollout: []ir.Rollout{{Match: ir.Match{Namespaces: []string{"web"}}, Stage: string(Enforce)}},
		Checks: []ir.Check{{Name: "c", Over: ir.Components, Blame: ir.BlameComponent, Holds: ir.Condition{Eval: holds},
			Message: always("no"), Missing: always("yes")}},
	}
}

func TestAnotherFrontEndNeedsNothingButTheRepresentation(t *testing.T) {
	t.Parallel()
	vendored := func(v ir.Values) (bool, error) {
		return v.Value("component").(*componentView).Grounds != "content", nil
	}
	p := &Program{policies: []ir.Policy{native(vendored)}, revision: "sha256:r"}
	e := Exception{ID: 9, Policy: "native", Scope: evidence.ExceptionScope{Component: "pkg:npm/%40acme/ui-kit"}, ApprovedSeq: 1, Expires: noon.Add(time.Hour)}
	if v := p.Decide(shop(), always(shopRecord()), nil); v.Allow || v.Findings[0].Release != "@acme/ui-kit 4.2.1" {
		t.Errorf("its check, its stage or its blame does not count: %+v", v)
	}
	if v := p.Decide(shop(), always(shopRecord()), []Exception{e}); !v.Allow || !slices.Equal(v.Exceptions, []int64{9}) {
		t.Errorf("exceptions do not reach it: %+v", v)
	}
	failing := &Program{policies: []ir.Policy{native(func(ir.Values) (bool, error) { return true, errors.New("broken") })}}
	if v := failing.Decide(shop(), always(shopRecord()), nil); v.Allow || v.Findings[0].Error != "broken" {
		t.Errorf("its error is no failure: %+v", v)
	}
	panicking := &Program{policies: []ir.Policy{native(func(ir.Values) (bool, error) { panic("broken") })}}
	if v := panicking.Decide(shop(), always(shopRecord()), nil); v.Allow {
		t.Errorf("its panic is no failure: %+v", v)
	}
}
