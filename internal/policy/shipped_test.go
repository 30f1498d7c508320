package policy

import "testing"

func TestTheShippedPoliciesCompile(t *testing.T) {
	t.Parallel()
	p, err := Compile(Shipped())
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Names()) != 7 {
		t.Errorf("%d policies are shipped: %v", len(p.Names()), p.Names())
	}
	again, err := Parse(Shipped().Canonical())
	if err != nil {
		t.Fatal(err)
	}
	if q, err := Compile(again); err != nil || q.Revision() != p.Revision() {
		t.Errorf("the canonical document compiles to %v, %v; want revision %s", q, err, p.Revision())
	}
}
