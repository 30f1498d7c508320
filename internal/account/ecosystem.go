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
	// holders are the namespaces that cover a name, narrowest first; the last is the outermost.
	holders func(name string) []string
}

const (
	npmPart = `[a-z0-9~-][a-z0-9._~-]*`
	ociPart = `[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*`
)

// rules has a row per ecosystem that can be published to.
// Sources: npm, validate-npm-package-name (names for new packages); OCI distribution-spec 1.1, <name>.
var rules = map[string]rule{
	purl.NPM: {
		name:      regexp.MustCompile(`^(?:@` + npmPart + `/)?` + npmPart + `$`),
		namespace: regexp.MustCompile(`^@?` + npmPart + `$`),
		maxName:   214,
		reserved:  []string{"node_modules", "favicon.ico"},
		holders:   npmHolders,
	},
	purl.OCI: {
		name:      regexp.MustCompile(`^` + ociPart + `(?:/` + ociPart + `)*$`),
		namespace: regexp.MustCompile(`^` + ociPart + `(?:/` + ociPart + `)*$`),
		maxName:   255,
		holders:   ociHolders,
	},
}

// npmHolders: a scope covers all its names, an unscoped name only itself.
func npmHolders(name string) []string {
	scope, _, _ := strings.Cut(name, "/")
	return []string{scope}
}

// ociHolders: a path prefix covers itself and everything below it.
func ociHolders(name string) []string {
	holders := []string{name}
	for i := strings.LastIndexByte(name, '/'); i >= 0; i = strings.LastIndexByte(name[:i], '/') {
		holders = append(holders, name[:i])
	}
	return holders
}

// ruleFor fails with code ecosystem-unknown.
func ruleFor(ecosystem string) (rule, error) {
	r, ok := rules[ecosystem]
	if !ok {
		return rule{}, fault.New(fault.Invalid, "ecosystem-unknown",
			"%q is not an ecosystem that can be published to here; use npm or oci", clip(ecosystem))
	}
	return r, nil
}

func (r rule) validName(name string) bool      { return r.valid(r.name, name) }
func (r rule) validNamespace(name string) bool { return r.valid(r.namespace, name) }

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
