package gemspec

import (
	"cmp"
	"maps"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/purl"
)

// Spec is what is kept of a gemspec: what indexes tell, and what decides about an installation.
type Spec struct {
	Name     string `json:"name"` // as its author spells it
	Version  string `json:"version"`
	Platform string `json:"platform"`

	Summary     string            `json:"summary,omitempty"`
	Description string            `json:"description,omitempty"`
	Homepage    string            `json:"homepage,omitempty"`
	Authors     []string          `json:"authors,omitempty"`
	Email       []string          `json:"email,omitempty"`
	Licenses    []string          `json:"licenses,omitempty"`
	Metadata    map[string]string `json:"metadata,omitempty"`
	Date        time.Time         `json:"date"`

	Dependencies     []Dependency `json:"dependencies,omitempty"`
	RequiredRuby     Requirement  `json:"requiredRuby,omitempty"`
	RequiredRubygems Requirement  `json:"requiredRubygems,omitempty"`
	RubygemsVersion  string       `json:"rubygemsVersion,omitempty"`
	// Extensions are what is run to build native code when the gem is installed.
	Extensions  []string `json:"extensions,omitempty"`
	Executables []string `json:"executables,omitempty"`

	// Attestations are the blobs of the Sigstore bundles that came along.
	Attestations []digest.Digest `json:"attestations,omitempty"`
}

// Dependency is a gem that another one needs.
type Dependency struct {
	Name        string      `json:"name"`
	Development bool        `json:"development,omitempty"`
	Requirement Requirement `json:"requirement,omitempty"`
}

// Kind is "runtime" or "development".
func (d Dependency) Kind() string {
	if d.Development {
		return "development"
	}
	return "runtime"
}

// Requirement is what a version must be, all of it; none is any version.
type Requirement []Constraint

// Constraint is one comparison: ">= 1.0".
type Constraint struct {
	Op      string `json:"op"`
	Version string `json:"version"`
}

// String writes the constraint as RubyGems does.
func (c Constraint) String() string { return c.Op + " " + c.Version }

// anyVersion is how RubyGems writes that any version does.
var anyVersion = Requirement{{">=", "0"}}

// Join writes the requirement with a separator: "&" in the compact index, ", " for people.
func (r Requirement) Join(separator string) string {
	if len(r) == 0 {
		r = anyVersion
	}
	texts := make([]string, len(r))
	for i, c := range r {
		texts[i] = c.String()
	}
	return strings.Join(texts, separator)
}

// Any reports whether every version meets it.
func (r Requirement) Any() bool { return len(r) == 0 || len(r) == 1 && r[0] == anyVersion[0] }

func (r Requirement) prerelease() bool {
	return slices.ContainsFunc(r, func(c Constraint) bool { return Prerelease(c.Version) })
}

var constraintForm = regexp.MustCompile(`^\s*(=|!=|>=|<=|~>|>|<)?\s*([0-9]+(?:\.[0-9A-Za-z]+)*(?:-[0-9A-Za-z.-]+)?)\s*$`)

// ParseConstraint reads ">= 1.0", or "1.0" for exactly that.
func ParseConstraint(s string) (Constraint, bool) {
	m := constraintForm.FindStringSubmatch(s)
	if m == nil {
		return Constraint{}, false
	}
	return Constraint{cmp.Or(m[1], "="), m[2]}, true
}

// Key is the version under which the core keeps the gem: "1.0.0", or "1.0.0-java".
func (s *Spec) Key() string { return VersionKey(s.Version, s.Platform) }

// VersionKey is [Spec.Key] of a version and a platform.
func VersionKey(version, platform string) string {
	if platform == RubyPlatform || platform == "" {
		return version
	}
	return version + "-" + platform
}

// FullName is the name of the gem's file, without ".gem".
func (s *Spec) FullName() string { return s.Name + "-" + s.Key() }

// PURLOf names a version. Platforms of one version are different things, and the purl says which.
func PURLOf(name, version, platform string) purl.PURL {
	if platform == RubyPlatform {
		platform = ""
	}
	return purl.New(purl.Gem, name, version, "platform", platform)
}

// dependencies are what is fetched with the gem.
func (s *Spec) dependencies() []evidence.Dependency {
	var out []evidence.Dependency
	for _, d := range s.Dependencies {
		if !d.Development {
			out = append(out, evidence.Dependency{Name: d.Name, Range: d.Requirement.Join(", ")})
		}
	}
	return out
}

func sortedKeys(m map[string]string) []string { return slices.Sorted(maps.Keys(m)) }
