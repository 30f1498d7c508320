package account

import (
	"path"
	"regexp"
	"strings"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
)

const (
	maxPatterns      = 50
	maxPatternLength = 255 // bytes
)

// Scope narrows what a token may do below what its user may.
type Scope struct {
	// Ecosystem is "npm", "oci" or, for all of them, empty.
	Ecosystem string
	// Names are glob patterns, any of which must match; none means every name. "*" matches within
	// one path segment, a final "/**" everything below: "@acme/*", "acme/**".
	Names []string
	// Permission is the most that the token may do.
	Permission evidence.Permission
}

// everything reports whether the scope does not narrow anything: only then may the token manage
// users, organisations and namespaces.
func (sc Scope) everything() bool {
	return sc.Ecosystem == "" && len(sc.Names) == 0 && sc.Permission == evidence.Own
}

// allows reports whether the scope reaches a permission on a name.
func (sc Scope) allows(perm evidence.Permission, ecosystem, name string) bool {
	if !includes(sc.Permission, perm) || (sc.Ecosystem != "" && sc.Ecosystem != ecosystem) {
		return false
	}
	if len(sc.Names) == 0 {
		return true
	}
	for _, p := range sc.Names {
		if matches(p, name) {
			return true
		}
	}
	return false
}

// covers reports whether everything that other allows, sc allows. It errs on the side of no.
func (sc Scope) covers(other Scope) bool {
	if !includes(sc.Permission, other.Permission) || (sc.Ecosystem != "" && sc.Ecosystem != other.Ecosystem) {
		return false
	}
	if len(sc.Names) == 0 {
		return true
	}
	for _, inner := range other.Names {
		if !anyCovers(sc.Names, inner) {
			return false
		}
	}
	return len(other.Names) > 0
}

func anyCovers(outer []string, inner string) bool {
	for _, p := range outer {
		if coversPattern(p, inner) {
			return true
		}
	}
	return false
}

var patternForm = regexp.MustCompile(`^@?[a-z0-9._~*-]+(?:/[a-z0-9._~*-]+)*$`)

// check fails with code scope-invalid.
func (sc Scope) check() error {
	if sc.Ecosystem != "" {
		if _, err := ruleFor(sc.Ecosystem); err != nil {
			return err
		}
	}
	if ranks[sc.Permission] == 0 {
		return fault.New(fault.Invalid, "scope-invalid", "%q is not a permission; use read, stage, publish or own", clip(string(sc.Permission)))
	}
	if len(sc.Names) > maxPatterns {
		return fault.New(fault.Invalid, "scope-invalid", "a token takes at most %d name patterns", maxPatterns)
	}
	for _, p := range sc.Names {
		if len(p) > maxPatternLength || !patternForm.MatchString(p) {
			return fault.New(fault.Invalid, "scope-invalid", "%q is not a name pattern; expected something like @acme/* or acme/**", clip(p))
		}
	}
	return nil
}

// matches reports whether a pattern of the form that check accepts matches a name.
func matches(pattern, name string) bool {
	for {
		p, restP, moreP := strings.Cut(pattern, "/")
		n, restN, moreN := strings.Cut(name, "/")
		if p == "**" && !moreP {
			return name != ""
		}
		if ok, err := path.Match(p, n); err != nil || !ok {
			return false
		}
		if !moreP || !moreN {
			return moreP == moreN
		}
		pattern, name = restP, restN
	}
}

// coversPattern reports whether outer matches whatever inner matches, as far as that is plain.
func coversPattern(outer, inner string) bool {
	for {
		o, restO, moreO := strings.Cut(outer, "/")
		i, restI, moreI := strings.Cut(inner, "/")
		if o == "**" && !moreO {
			return true
		}
		if i == "**" && !moreI || !coversSegment(o, i) {
			return false
		}
		if !moreO || !moreI {
			return moreO == moreI
		}
		outer, inner = restO, restI
	}
}

// coversSegment knows three plain cases: equal, a literal that matches, and "prefix*".
func coversSegment(outer, inner string) bool {
	if outer == inner {
		return true
	}
	if !strings.Contains(inner, "*") {
		ok, err := path.Match(outer, inner)
		return err == nil && ok
	}
	prefix, star := strings.CutSuffix(outer, "*")
	return star && !strings.Contains(prefix, "*") && strings.HasPrefix(inner, prefix)
}
