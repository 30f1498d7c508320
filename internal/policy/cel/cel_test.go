package cel

import (
	"errors"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/policy/ir"
)

type inner struct {
	Name string    `json:"name"`
	At   time.Time `json:"at"`
	Tags []string  `json:"tags"`
}

type base struct {
	ID     string            `json:"id"`
	Shadow string            `json:"shadow"`
	N      int               `json:"n"`
	Inner  inner             `json:"inner"`
	List   []inner           `json:"list"`
	Labels map[string]string `json:"labels"`
	hidden string
}

type thing struct {
	*base
	Age    ir.Age `json:"age"`
	Shadow bool   `json:"shadow"`
}

type values map[string]any

func (v values) Value(name string) any { return v[name] }

func compiler(t testing.TB) *Compiler {
	t.Helper()
	c, err := New([]ir.Variable{
		{Name: "thing", Type: reflect.TypeFor[thing]()}, {Name: "params", Type: reflect.TypeFor[map[string]any]()},
		{Name: "now", Type: reflect.TypeFor[time.Time]()},
	}, params())
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func params() map[string]any {
	return map[string]any{"hours": int64(24), "ratio": 0.5, "names": []string{"a", "b"}, "counts": []int64{1}, "on": true, "text": "x", "none": []string{}}
}

var epoch = time.Date(2026, 5, 12, 12, 0, 0, 0, time.UTC)

func example() values {
	return values{"params": params(), "now": epoch, "thing": &thing{
		base: &base{ID: "i", Shadow: "outer", N: 3, Inner: inner{Name: "n", At: epoch.Add(-time.Hour), Tags: []string{"t"}},
			List: []inner{{Name: "one"}, {Name: "two", At: epoch}}, Labels: map[string]string{"a": "b"}, hidden: "x"},
		Age: ir.Age{Duration: 30 * time.Hour, Known: true}, Shadow: true}}
}

func TestExpressionsSeeStructsByTheirJSONNames(t *testing.T) {
	t.Parallel()
	c := compiler(t)
	for _, source := range []string{
		`thing.id == "i" && thing.n == 3`, `thing.shadow`, `thing.inner.name == "n"`, `thing.inner.tags[0] == "t"`,
		`thing.labels["a"] == "b"`, `"a" in thing.labels`, `thing.labels.a == "b"`, `!has(thing.labels.c)`,
		`thing.list.size() == 2`, `thing.list.exists(l, l.name == "two")`, `thing.list[1].at == now`, `thing.list.filter(l, has(l.at)).size() == 1`,
		`thing.list.map(l, l.name) == ["one", "two"]`, `thing.list[0] == thing.list[0] && thing.list[0] != thing.list[1]`,
		`thing.age.getHours() >= params.hours`, `thing.age > duration("29h")`, `has(thing.age)`, `now - thing.inner.at == duration("1h")`,
		`params.ratio < 1`, `"a" in params.names`, `1 in params.counts`, `params.on`, `params.text == "x"`, `!("a" in params.none)`,
		`[thing.inner].exists(i, i.name == "n")`, `{"k": thing.inner}["k"].name == "n"`, `(thing.shadow ? thing.inner : thing.list[0]).name == "n"`,
	} {
		condition, err := c.Condition(ir.Expression{Source: source})
		if err != nil {
			t.Errorf("%s: %v", source, err)
			continue
		}
		if holds, err := condition.Eval(example()); !holds || err != nil {
			t.Errorf("%s: %v, %v", source, holds, err)
		}
	}
}

func TestWhatDoesNotExistIsRefusedWhenCompiled(t *testing.T) {
	t.Parallel()
	c := compiler(t)
	for source, says := range map[string]string{
		`thing.nmae == ""`: "undefined field", `thing.inner.nmae == ""`: "undefined field", `thing.list.exists(l, l.nmae == "")`: "undefined field",
		`has(thing.nope)`: "undefined field", `thing.hidden == ""`: "undefined field", `thing.base.id == ""`: "undefined field", `thing.ID == ""`: "undefined field",
		`params.nope`: "undefined field", `other`: "undeclared", `thing.n == "3"`: "overload", `thing.id`: "true or false", `thing`: "true or false",
		`thing{id: "x"} == thing`: "undeclared", `params{} == params`: "undeclared", `1 +`: "Syntax error", ``: "Syntax error",
		`[1, "a"].size() == 2`: "expected type", `timestamp("yesterday") == now`: "invalid", `duration("soon") == thing.age`: "invalid",
		strings.Repeat("(", 200) + "true" + strings.Repeat(")", 200): "", `"` + strings.Repeat("a", MaxSource) + `" == ""`: "longer than",
	} {
		_, err := c.Condition(ir.Expression{Source: source})
		if p, ok := errors.AsType[*Problem](err); !ok || !strings.Contains(p.Text, says) {
			t.Errorf("%.60s: %v; want %q", source, err, says)
		}
	}
}

func TestWhatIsNotKnownIsAnErrorAndNeverOld(t *testing.T) {
	t.Parallel()
	c := compiler(t)
	unknown := example()
	unknown["thing"].(*thing).Age, unknown["thing"].(*thing).Inner.At = ir.Age{}, time.Time{}
	for _, source := range []string{`thing.age > duration("1h")`, `thing.age <= duration("1h")`, `now - thing.inner.at > duration("1h")`, `!(thing.age < duration("1h"))`, `[thing.age].size() == 1`} {
		condition, err := c.Condition(ir.Expression{Source: source})
		if err != nil {
			t.Fatal(err)
		}
		if holds, err := condition.Eval(unknown); err == nil || holds || !strings.Contains(err.Error(), "is not known") {
			t.Errorf("%s: %v, %v", source, holds, err)
		}
	}
	for _, source := range []string{`has(thing.age)`, `has(thing.inner.at)`} {
		condition, err := c.Condition(ir.Expression{Source: source})
		if err != nil {
			t.Fatal(err)
		}
		if holds, err := condition.Eval(unknown); holds || err != nil {
			t.Errorf("%s: %v, %v", source, holds, err)
		}
	}
}

func TestALoopThatTakesTooLongIsStopped(t *testing.T) {
	t.Parallel()
	c := compiler(t)
	v := example()
	v["thing"].(*thing).List = make([]inner, 2000)
	for source, says := range map[string]string{
		`thing.list.all(a, thing.list.all(b, a.name != "x" || b.name != "x"))`:                                    "too many steps",
		`thing.list.all(a, thing.list.all(b, thing.list.all(c, a.name + b.name == c.name || true)))`:              "too many steps",
		`thing.list.exists(a, thing.list.exists(b, a.name == "x"))`:                                               "too many steps",
		`thing.list.map(a, thing.list.map(b, a.name)).size() == 0`:                                                "too many steps",
		`thing.list.filter(a, thing.list.filter(b, true).size() == 1).size() == 0`:                                "too many steps",
		`thing.list.exists_one(a, thing.list.exists_one(b, true))`:                                                "too many steps",
		`[thing.id]` + strings.Repeat(`.map(x, x + x)`, 30) + `.size() == 1`:                                      "grew longer",
		`[[1]]` + strings.Repeat(`.map(x, x + x)`, 30) + `.all(x, x == x)`:                                        "grew longer",
		`[b"ab"]` + strings.Repeat(`.map(x, x + x)`, 30) + `.size() == 1`:                                         "grew longer",
		`true || thing.list.all(a, thing.list.all(b, a.name != "x"))`:                                             "",
		`thing.list.all(a, a.name != "x")`:                                                                        "",
		`thing.list.all(a, !(a.name in params.names))`:                                                            "",
		`thing.list.all(a, [1, 2, 3].all(b, b > 0)) && thing.list.map(a, a.name + "y").all(s, s.startsWith("y"))`: "",
	} {
		condition, err := c.Condition(ir.Expression{Source: source})
		if err != nil {
			t.Fatalf("%s: %v", source, err)
		}
		holds, err := condition.Eval(v)
		if says == "" && (err != nil || !holds) || says != "" && (err == nil || holds || !strings.Contains(err.Error(), says)) {
			t.Errorf("%s: %v, %v; want %q", source, holds, err, says)
		}
	}
}

func TestAPanicIsAnError(t *testing.T) {
	t.Parallel()
	condition, err := compiler(t).Condition(ir.Expression{Source: `thing.id == "i"`})
	if err != nil {
		t.Fatal(err)
	}
	if holds, err := condition.Eval(values{"thing": "not a thing"}); err == nil || holds {
		t.Errorf("got %v, %v", holds, err)
	}
	if holds, err := condition.Eval(values{}); err == nil || holds {
		t.Errorf("a variable that is missing: %v, %v", holds, err)
	}
}

func TestASentenceHoldsExpressionsInBraces(t *testing.T) {
	t.Parallel()
	c := compiler(t)
	for source, want := range map[string]string{
		"": "", "plain": "plain", "{thing.id}": "i", "a {thing.id} b {thing.n}": "a i b 3", "{{x}}": "{x}", "{{{thing.id}}}": "{i}",
		`{thing.shadow ? "yes }" : 'no {'}!`: "yes }!", `{ {"k": "v"}["k"] }`: "v", "{thing.age}": "30h0m0s", "{now}": "2026-05-12T12:00:00Z",
		"{params.ratio}": "0.5", "{thing.shadow}": "true", `{"\"}"}`: `"}`, "ü {thing.id} 漢": "ü i 漢",
	} {
		text, err := c.Text(ir.Expression{Source: source})
		if err != nil {
			t.Errorf("%q: %v", source, err)
			continue
		}
		if got, err := text.Eval(example()); got != want || err != nil {
			t.Errorf("%q: %q, %v; want %q", source, got, err, want)
		}
	}
	long, err := c.Text(ir.Expression{Source: strings.Repeat("ü", MaxText)})
	if err != nil {
		t.Fatal(err)
	}
	if got, err := long.Eval(example()); err != nil || len(got) > MaxText+len("…") {
		t.Errorf("a long sentence has %d bytes: %v", len(got), err)
	}
}

func TestAProblemInASentenceIsPlacedInIt(t *testing.T) {
	t.Parallel()
	c := compiler(t)
	for source, want := range map[string]ir.Position{
		"x {thing.nope}":            {Line: 1, Column: 9},
		"one\ntwo {thing.nope}":     {Line: 2, Column: 11},
		"one {\n thing.nope} three": {Line: 2, Column: 7},
		"one\n{{ {":                 {Line: 2, Column: 4},
	} {
		_, err := c.Text(ir.Expression{Source: source})
		if p, ok := errors.AsType[*Problem](err); !ok || p.At != want {
			t.Errorf("%q: %+v; want %v", source, err, want)
		}
	}
}

func FuzzExpression(f *testing.F) {
	for _, s := range []string{`thing.id == "i"`, `thing.list.exists(l, l.at > now)`, `has(thing.age) && thing.age > duration("1h")`, `{thing.id} x {{`, `params.names.all(n, n.matches("[a-z]+"))`} {
		f.Add(s)
	}
	c := compiler(f)
	f.Fuzz(func(t *testing.T, source string) {
		if condition, err := c.Condition(ir.Expression{Source: source}); err == nil {
			if holds, err := condition.Eval(example()); holds && err != nil {
				t.Error("it holds and fails")
			}
		}
		if text, err := c.Text(ir.Expression{Source: source}); err == nil {
			if got, err := text.Eval(example()); err == nil && len(got) > MaxText+len("…") {
				t.Errorf("a sentence of %d bytes", len(got))
			}
		}
	})
}
