package account

import (
	"testing"

	"github.com/hullmark/hullmark/internal/evidence"
)

func TestAPatternMatchesWithinItsSegmentsAndBelowADoubleStar(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		pattern, name string
		want          bool
	}{
		{"left-pad", "left-pad", true},
		{"left-pad", "left-pad2", false},
		{"@acme/*", "@acme/ui", true},
		{"@acme/*", "@acme2/ui", false},
		{"@acme/*", "@acme", false},
		{"@acme/ui-*", "@acme/ui-core", true},
		{"@acme/ui-*", "@acme/ui", false},
		{"acme/*", "acme/team/app", false},
		{"acme/**", "acme/team/app", true},
		{"acme/**", "acme/app", true},
		{"acme/**", "acme", false},
		{"acme/**", "acmes/app", false},
		{"**", "acme/team/app", true},
		{"*", "acme/app", false},
		{"*", "acme", true},
		{"acme/*/app", "acme/team/app", true},
		{"acme/**/app", "acme/team/app", true},
		{"acme/**/app", "acme/a/b/app", false},
	} {
		if got := matches(c.pattern, c.name); got != c.want {
			t.Errorf("%q on %q: %v, want %v", c.pattern, c.name, got, c.want)
		}
	}
}

func TestAPatternCoversOnlyWhatReachesNoFurther(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		outer, inner string
		want         bool
	}{
		{"@acme/*", "@acme/ui", true},
		{"@acme/*", "@acme/ui-*", true},
		{"@acme/*", "@acme/*", true},
		{"@acme/ui-*", "@acme/*", false},
		{"@acme/ui-*", "@acme/ui-x-*", true},
		{"@acme/*", "@other/ui", false},
		{"acme/**", "acme/team/**", true},
		{"acme/team/**", "acme/**", false},
		{"acme/*", "acme/**", false},
		{"acme/**", "acme", false},
		{"acme/**", "**", false},
		{"**", "acme/**", true},
		{"*", "**", false},
	} {
		if got := coversPattern(c.outer, c.inner); got != c.want {
			t.Errorf("%q over %q: %v, want %v", c.outer, c.inner, got, c.want)
		}
	}
}

func TestAScopeIsCheckedBeforeATokenIsMade(t *testing.T) {
	t.Parallel()
	many := make([]string, maxPatterns+1)
	for i := range many {
		many[i] = "a"
	}
	for title, c := range map[string]struct {
		scope Scope
		code  string
	}{
		"everything":              {Scope{Permission: evidence.Own}, ""},
		"patterns":                {Scope{Permission: evidence.Read, Ecosystem: "npm", Names: []string{"@acme/*", "left-pad"}}, ""},
		"no permission":           {Scope{}, "scope-invalid"},
		"an unknown permission":   {Scope{Permission: "root"}, "scope-invalid"},
		"an unknown ecosystem":    {Scope{Permission: evidence.Own, Ecosystem: "cobol"}, "ecosystem-unknown"},
		"an empty pattern":        {Scope{Permission: evidence.Own, Names: []string{""}}, "scope-invalid"},
		"two patterns in one":     {Scope{Permission: evidence.Own, Names: []string{"a b"}}, "scope-invalid"},
		"a class":                 {Scope{Permission: evidence.Own, Names: []string{"[a-z]"}}, "scope-invalid"},
		"an escape":               {Scope{Permission: evidence.Own, Names: []string{`a\*`}}, "scope-invalid"},
		"a leading slash":         {Scope{Permission: evidence.Own, Names: []string{"/a"}}, "scope-invalid"},
		"too many patterns":       {Scope{Permission: evidence.Own, Names: many}, "scope-invalid"},
		"a pattern that is long":  {Scope{Permission: evidence.Own, Names: []string{string(make([]byte, 300))}}, "scope-invalid"},
		"a newline in a pattern":  {Scope{Permission: evidence.Own, Names: []string{"a\n"}}, "scope-invalid"},
		"upper case in a pattern": {Scope{Permission: evidence.Own, Names: []string{"A"}}, "scope-invalid"},
	} {
		if got := codeOf(c.scope.check()); got != c.code {
			t.Errorf("%s: %q, want %q", title, got, c.code)
		}
	}
}

// FuzzPattern: what covers says, matches must bear out, on any names and patterns.
func FuzzPattern(f *testing.F) {
	f.Add("@acme/*", "@acme/ui-*", "@acme/ui-core")
	f.Add("acme/**", "acme/team/*", "acme/team/app")
	f.Add("**", "*", "x")
	f.Add("a*b*", "a*b*c", "axbxc")
	f.Fuzz(func(t *testing.T, outer, inner, name string) {
		for _, p := range []string{outer, inner} {
			if (Scope{Permission: evidence.Own, Names: []string{p}}).check() != nil {
				return
			}
		}
		if coversPattern(outer, inner) && matches(inner, name) && !matches(outer, name) {
			t.Errorf("%q is said to cover %q, but %q tells them apart", outer, inner, name)
		}
		if !coversPattern(outer, outer) {
			t.Errorf("%q does not cover itself", outer)
		}
	})
}

// FuzzHolders: a namespace that covers a name is a prefix of it that ends at a segment, and
// a valid namespace itself.
func FuzzHolders(f *testing.F) {
	f.Add("npm", "@acme/ui")
	f.Add("npm", "left-pad")
	f.Add("oci", "acme/team/app")
	f.Add("oci", "a//b")
	f.Fuzz(func(t *testing.T, ecosystem, name string) {
		r, err := ruleFor(ecosystem)
		if err != nil || !r.validName(name) {
			return
		}
		for _, h := range r.holders(name) {
			if !r.validNamespace(h) {
				t.Errorf("%q of %q is no namespace", h, name)
			}
			if name != h && (len(h) >= len(name) || name[:len(h)] != h || name[len(h)] != '/') {
				t.Errorf("%q does not cover %q", h, name)
			}
		}
	})
}
