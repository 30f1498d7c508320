package registry

import (
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/purl"
)

// Vulnerabilities knows what is publicly known of releases. The vuln package implements it. It is asked with
// every request and answers from memory; names and versions are in the core's spelling.
type Vulnerabilities interface {
	// About returns what is known of a version, or of any version of a name when version is empty, in the order of the ids.
	About(ecosystem, name, version string) []evidence.Vulnerability
	// Names returns the names of an ecosystem of which anything is known, in byte order.
	Names(ecosystem string) []string
	// Fixes returns the id of an advisory whose vulnerability a version repairs, if none is about the version itself;
	// empty for none.
	Fixes(ecosystem, name, version string) string
	// Mark is a word that changes with what is known of a name, or of a whole ecosystem when name is empty; it is
	// empty when nothing is.
	Mark(ecosystem, name string) string
}

// nothingKnown is a Vulnerabilities of somebody who gave no advisories.
type nothingKnown struct{}

func (nothingKnown) About(string, string, string) []evidence.Vulnerability { return nil }
func (nothingKnown) Names(string) []string                                 { return nil }
func (nothingKnown) Fixes(string, string, string) string                   { return "" }
func (nothingKnown) Mark(string, string) string                            { return "" }

// WithVulnerabilities makes the core mark releases that are known to be vulnerable, and let through the cooldown what
// repairs them. It is called before the core is used.
func (c *Core) WithVulnerabilities(v Vulnerabilities) *Core {
	c.vulnerable = v
	return c
}

// Vulnerabilities returns what is publicly known of releases; it is never nil.
func (c *Core) Vulnerabilities() Vulnerabilities {
	if c.vulnerable == nil {
		return nothingKnown{}
	}
	return c.vulnerable
}

// repairs returns the advisory whose vulnerability a release repairs, or nothing.
func (c *Core) repairs(p purl.PURL) string {
	ecosystem, name, version := p.Split()
	return c.Vulnerabilities().Fixes(ecosystem, name, version)
}
