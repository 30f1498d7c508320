package account

import (
	"regexp"
	"strings"

	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/purl"
)

// rule is all that this package knows about an ecosystem's names.
type rule struct {
	// name and namespace are what a package and what a claim may be called; maxName bounds both
	// in bytes.
	name, namespace *regexp.Regexp
	maxName         int
	reserved        []string
	// normal is the spelling under which a name is kept; nil where every name has one spelling.
	normal func(string) string
	// holders are the namespaces that cover a name, narrowest first.
	holders func(name string) []string
	// root is the namespace that somebody who wants to publish the name would claim.
	root func(name string) string
	// nested says that a namespace inside another one needs that other one to exist: whoever owns the
	// outermost part owns it all. Elsewhere who owns the outer one must only agree.
	nested bool
	// proved says that a namespace is a domain turned around, which its holder must prove.
	proved bool
	// merged says that clients ask for a name without saying from whom, so that one that is hosted
	// here takes the place of a public one.
	merged bool
}

const (
	npmPart   = `[a-z0-9~-][a-z0-9._~-]*`
	ociPart   = `[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*`
	pypiName  = `[a-z0-9]+(?:-[a-z0-9]+)*`
	gemName   = `[a-z0-9][a-z0-9_]*(?:[.-][a-z0-9_]+)*`
	nugetName = `[a-z0-9_]+(?:[.-][a-z0-9_]+)*`
	groupID   = `[A-Za-z0-9_-]+(?:\.[A-Za-z0-9_-]+)*`
)

// rules has a row per ecosystem.
//
// Sources: npm, validate-npm-package-name (names for new packages); OCI distribution-spec 1.1, <name>;
// PyPI, PEP 503 (normal form) and PEP 752 (prefixes); Maven, "Guide to naming conventions", and
// Central's proof of a groupId by DNS; NuGet, "ID prefix reservation"; RubyGems, "Name your gem".
var rules = map[string]rule{
	purl.NPM: {
		name:      whole(`(?:@` + npmPart + `/)?` + npmPart),
		namespace: whole(`@?` + npmPart),
		maxName:   214,
		reserved:  []string{"node_modules", "favicon.ico"},
		holders:   func(name string) []string { return []string{npmScope(name)} },
		root:      npmScope,
		merged:    true,
	},
	purl.OCI: {
		name:      whole(ociPart + `(?:/` + ociPart + `)*`),
		namespace: whole(ociPart + `(?:/` + ociPart + `)*`),
		maxName:   255,
		holders:   func(name string) []string { return upwards(name, "/") },
		root:      func(name string) string { return last(upwards(name, "/")) },
		nested:    true,
	},
	purl.PyPI: {
		name:      whole(pypiName),
		namespace: whole(pypiName + `(?:-\*)?`),
		maxName:   100,
		normal:    normalPyPI,
		holders:   func(name string) []string { return prefixes(name, "-") },
		root:      itself,
		merged:    true,
	},
	purl.Gem: {
		name:      whole(gemName),
		namespace: whole(gemName + `(?:-\*)?`),
		maxName:   100,
		normal:    strings.ToLower,
		holders:   func(name string) []string { return prefixes(name, "-") },
		root:      itself,
		merged:    true,
	},
	purl.NuGet: {
		name:      whole(nugetName),
		namespace: whole(nugetName + `(?:\.\*)?`),
		maxName:   100,
		normal:    strings.ToLower,
		holders:   func(name string) []string { return prefixes(name, ".") },
		root:      itself,
		merged:    true,
	},
	purl.Maven: {
		name:      whole(groupID + `/[A-Za-z0-9._-]+`),
		namespace: whole(groupID),
		maxName:   255,
		holders:   func(name string) []string { return upwards(group(name), ".") },
		root:      func(name string) string { return last(domains(group(name))) },
		proved:    true,
		merged:    true,
	},
}

func whole(form string) *regexp.Regexp { return regexp.MustCompile("^(?:" + form + ")$") }

func itself(name string) string { return name }

func last(all []string) string { return all[len(all)-1] }

// npmScope: a scope covers all its names, an unscoped name only itself.
func npmScope(name string) string {
	scope, _, _ := strings.Cut(name, "/")
	return scope
}

// group is the groupId of a Maven name "groupId/artifactId", or the groupId itself.
func group(name string) string {
	g, _, _ := strings.Cut(name, "/")
	return g
}

// upwards: a path covers itself and everything below it.
func upwards(name, separator string) []string {
	holders := []string{name}
	for i := strings.LastIndex(name, separator); i >= 0; i = strings.LastIndex(name[:i], separator) {
		holders = append(holders, name[:i])
	}
	return holders
}

// domains are those of upwards that can be a registered domain turned around: two labels at least.
func domains(groupID string) []string {
	all := upwards(groupID, ".")
	return all[:max(1, len(all)-1)]
}

// prefixes: a name covers itself; "acme-*" covers "acme" and what begins with "acme-".
func prefixes(name, separator string) []string {
	stem := strings.TrimSuffix(name, separator+"*")
	var holders []string
	if stem == name {
		holders = append(holders, name)
	}
	for _, part := range upwards(stem, separator) {
		holders = append(holders, part+separator+"*")
	}
	return holders
}

var separators = regexp.MustCompile(`[-_.]+`)

// normalPyPI leaves the asterisk of a prefix alone. Source: PEP 503, "Normalized Names".
func normalPyPI(name string) string {
	return separators.ReplaceAllString(strings.ToLower(name), "-")
}

// ruleFor fails with code ecosystem-unknown.
func ruleFor(ecosystem string) (rule, error) {
	r, ok := rules[ecosystem]
	if !ok {
		return rule{}, fault.New(fault.Invalid, "ecosystem-unknown",
			"%q is not an ecosystem that is known here; use npm, oci, pypi, maven, nuget or gem", clip(ecosystem))
	}
	return r, nil
}

func (r rule) validName(name string) bool      { return r.valid(r.name, name) }
func (r rule) validNamespace(name string) bool { return r.valid(r.namespace, name) }

// spelt returns the spelling under which a name or pattern is kept.
func (r rule) spelt(name string) string {
	if r.normal == nil {
		return name
	}
	return r.normal(name)
}

func (r rule) valid(form *regexp.Regexp, name string) bool {
	if len(name) > r.maxName || !form.MatchString(name) {
		return false
	}
	for _, taboo := range r.reserved {
		if name == taboo {
			return false
		}
	}
	return true
}

// clip bounds what a message repeats of the caller's input.
func clip(s string) string { return s[:min(len(s), 100)] }
