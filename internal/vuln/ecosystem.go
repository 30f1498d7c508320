package vuln

import (
	"regexp"
	"strings"

	"github.com/google/osv-scalibr/semantic"

	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/purl"
)

// ecosystem is how a package registry spells and orders.
type ecosystem struct {
	ours, osv string
	spell     func(string) string // from the format's spelling of a name to the core's
}

var separators = regexp.MustCompile(`[-_.]+`)

// ecosystems are those that are hosted and proxied here, by the format's names for them. Source: osv-schema,
// "defined ecosystems".
var ecosystems = []*ecosystem{
	{purl.NPM, "npm", strings.ToLower},
	{purl.PyPI, "PyPI", func(s string) string { return separators.ReplaceAllString(strings.ToLower(s), "-") }},
	{purl.Maven, "Maven", func(s string) string { return strings.Replace(s, ":", "/", 1) }},
	{purl.NuGet, "NuGet", strings.ToLower},
	{purl.Gem, "RubyGems", strings.ToLower},
}

// ecosystemOf returns the ecosystem by the format's name, or nil. What follows a colon is a release of it.
func ecosystemOf(osv string) *ecosystem {
	osv, _, _ = strings.Cut(osv, ":")
	for _, e := range ecosystems {
		if e.osv == osv {
			return e
		}
	}
	return nil
}

func byPURL(ours string) *ecosystem {
	for _, e := range ecosystems {
		if e.ours == ours {
			return e
		}
	}
	return nil
}

func (e *ecosystem) key(name string) string { return e.ours + " " + e.spell(name) }

// compare orders two versions as the ecosystem does. What is no version there comes after everything that is: it is
// in no span that ends.
func (e *ecosystem) compare(a, b string) int {
	if a == b {
		return 0
	}
	if a == beginning {
		return -1
	}
	if b == beginning {
		return 1
	}
	v, err := semantic.Parse(a, e.osv)
	if err != nil {
		return 1
	}
	order, err := v.CompareStr(b)
	if err != nil {
		return -1
	}
	return order
}

// has reports whether a version is in a span.
func (e *ecosystem) has(s evidence.Span, version string) bool {
	return (s.From == "" || e.compare(version, s.From) >= 0) &&
		(s.Before == "" || e.compare(version, s.Before) < 0) &&
		(s.Through == "" || e.compare(version, s.Through) <= 0)
}

func (e *ecosystem) anyHas(all []evidence.Span, version string) bool {
	for _, s := range all {
		if e.has(s, version) {
			return true
		}
	}
	return false
}
