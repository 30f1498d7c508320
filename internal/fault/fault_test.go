package fault

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
)

func TestEveryKindHasANameAStatusAndAnExitCode(t *testing.T) {
	t.Parallel()
	names := map[string]bool{}
	for k := Internal; k <= Integrity; k++ {
		err := New(k, "some-code", "text")
		if k.String() == "" || names[k.String()] {
			t.Errorf("kind %d is called %q; every kind needs a name of its own", k, k)
		}
		names[k.String()] = true
		if s := HTTPStatus(err); http.StatusText(s) == "" || s < 400 {
			t.Errorf("%s has the status %d", k, s)
		}
		if c := ExitCode(err); c != 1 && c != 3 && c != 7 {
			t.Errorf("%s has the exit code %d", k, c)
		}
	}
	if len(names) != len(kinds) {
		t.Errorf("%d kinds are in the table and %d constants exist", len(kinds), len(names))
	}
}

func TestWhatScriptsRelyOnStays(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		err  error
		exit int
	}{
		{"no error is 0", nil, 0},
		{"a plain error is 1", io.EOF, 1},
		{"a policy's no is 3", New(Policy, "c", "t"), 3},
		{"an integrity failure is 7", New(Integrity, "c", "t"), 7},
		{"wrapping does not change it", fmt.Errorf("verify: %w", New(Integrity, "c", "t")), 7},
	} {
		if got := ExitCode(c.err); got != c.exit {
			t.Errorf("%s: got %d", c.name, got)
		}
	}
}

func TestAPlainErrorIsInternalAndHidesItsText(t *testing.T) {
	t.Parallel()
	f := As(fmt.Errorf("open /srv/data: %w", io.EOF))
	if f.Kind != Internal || f.Code != "internal" || HTTPStatus(f) != http.StatusInternalServerError {
		t.Errorf("it became %s %s", f.Kind, f.Code)
	}
	if strings.Contains(f.Text, "/srv") || strings.Contains(f.Text, "EOF") {
		t.Errorf("the user would read %q", f.Text)
	}
	if !errors.Is(f, io.EOF) || !strings.Contains(f.Error(), "/srv") {
		t.Errorf("the operator does not see the cause: %v", f)
	}
}

func TestTheOutermostFaultCounts(t *testing.T) {
	t.Parallel()
	inner := New(NotFound, "inner", "in")
	if f := As(fmt.Errorf("do: %w", New(Denied, "outer", "out").Because(inner))); f.Code != "outer" || f.Kind != Denied {
		t.Errorf("got %s", f.Code)
	}
}

func TestBecauseLeavesTheOriginalAlone(t *testing.T) {
	t.Parallel()
	e := New(Conflict, "some-code", "%s is taken", "acme")
	caused := e.Because(io.ErrUnexpectedEOF)
	if e.Err != nil || e.Error() != "acme is taken" {
		t.Errorf("the original became %v", e)
	}
	if !errors.Is(caused, io.ErrUnexpectedEOF) || caused.Text != e.Text {
		t.Errorf("got %v", caused)
	}
}

func TestFaultsAreComparedByCode(t *testing.T) {
	t.Parallel()
	e := New(Conflict, "some-code", "one")
	if !errors.Is(fmt.Errorf("x: %w", e), New(Invalid, "some-code", "two")) {
		t.Error("the same code is another fault")
	}
	if errors.Is(e, New(Conflict, "other-code", "one")) || errors.Is(e, io.EOF) {
		t.Error("another code is the same fault")
	}
}
