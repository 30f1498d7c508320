package suite

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/policy"
)

// resolve reads the references of the test cases: host/repository:tag@digest.
func resolve(reference string) (policy.Image, error) {
	name, digest, _ := strings.Cut(reference, "@")
	name, tag, _ := strings.Cut(name, ":")
	registry, repository, _ := strings.Cut(name, "/")
	return policy.Image{Registry: registry, Repository: repository, Tag: tag, Digest: digest}, nil
}

func TestCasesRunByTheEvaluatorThatAdmissionUses(t *testing.T) {
	t.Parallel()
	cases, err := Load("testdata")
	if err != nil || len(cases) != 3 {
		t.Fatalf("%d cases: %v", len(cases), err)
	}
	for _, c := range cases {
		program := program(t, c)
		v, differences, err := c.Run(program, resolve)
		if err != nil || len(differences) > 0 {
			t.Errorf("%s: %v, %v: %+v", c.Name, differences, err, v)
		}
		for name, change := range map[string]func(*Expect){
			"the answer":        func(e *Expect) { e.Allow = !e.Allow },
			"a failure less":    func(e *Expect) { e.Failures = nil },
			"a failure more":    func(e *Expect) { e.Failures = append([]string{"x/y"}, e.Failures...) },
			"the stage":         func(e *Expect) { e.Failures = []string{e.Failures[0] + "x"} },
			"an exception more": func(e *Expect) { e.Exceptions = append([]int64{99}, e.Exceptions...) },
		} {
			wrong := c
			change(&wrong.Expect)
			if _, differences, err := wrong.Run(program, resolve); err != nil || len(differences) == 0 {
				t.Errorf("%s: with %s wrong in what is expected it passes (%v)", c.Name, name, err)
			}
		}
	}
}

func program(t *testing.T, c Case) *policy.Program {
	t.Helper()
	set, err := c.Set()
	if err != nil {
		t.Fatal(err)
	}
	p, err := policy.Compile(set)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestAMalformedCaseIsRefused(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, code string }{
		"nothing":          {"", "policy-case-malformed"},
		"no YAML":          {"a: [", "policy-case-malformed"},
		"a misspelt field": {"name: x\nrequest: {at: 2026-05-12T12:00:00Z, imags: []}", "policy-case-malformed"},
		"no name":          {"request: {at: 2026-05-12T12:00:00Z}", "policy-case-malformed"},
		"no moment":        {"name: x\nrequest: {namespace: a}", "policy-case-malformed"},
		"a wrong type":     {"name: [x]\nrequest: {at: 2026-05-12T12:00:00Z}", "policy-case-malformed"},
	} {
		file := filepath.Join(t.TempDir(), "case.yaml")
		if err := os.WriteFile(file, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		if _, err := Load(file); err == nil || fault.As(err).Code != c.code {
			t.Errorf("%s: %v", name, err)
		}
	}
	if _, err := Load(filepath.Join(t.TempDir(), "none")); fault.As(err).Code != "policy-file-unreadable" {
		t.Errorf("no such file: %v", err)
	}
	for _, c := range []Case{{Name: "x", Shipped: []string{"nope"}}, {Name: "x", Policies: []string{"nope.yaml"}}} {
		if _, err := c.Set(); err == nil || fault.KindOf(err) == fault.Internal {
			t.Errorf("%+v: %v", c, err)
		}
	}
}
