// Package purl names releases and components by package URL, in one spelling per thing, so that a
// release that we host and a component that a layer reader found join by string equality.
//
// Source: package-url/purl-spec, "purl-types". Parsing and normalisation are the library's; this
// package only decides which qualifiers belong to a name (none but those an ecosystem needs).
package purl

import (
	"strings"

	"github.com/package-url/packageurl-go"

	"github.com/hullmark/hullmark/internal/fault"
)

// The ecosystems, by purl type.
const (
	NPM    = "npm"
	OCI    = "oci"
	PyPI   = "pypi"
	Maven  = "maven"
	NuGet  = "nuget"
	Gem    = "gem"
	Golang = "golang"
	Debian = "deb"
	Alpine = "apk"
)

// PURL is a canonical package URL, e.g. "pkg:npm/%40acme/ui@1.2.3".
type PURL string

// Parse canonicalises s. It fails with code purl-invalid.
func Parse(s string) (PURL, error) {
	p, err := packageurl.FromString(s)
	if err == nil {
		err = p.Normalize()
	}
	if err != nil {
		return "", fault.New(fault.Invalid, "purl-invalid",
			"%q is not a package URL; expected something like pkg:npm/%%40acme/ui@1.2.3", s[:min(len(s), 200)]).Because(err)
	}
	return PURL(p.ToString()), nil
}

// New builds the canonical purl of a package version. name is the ecosystem's own spelling
// ("@acme/ui", "library/debian", "golang.org/x/mod"); a version may be empty.
// Qualifiers are key, value pairs; empty values are left out.
func New(ecosystem, name, version string, qualifiers ...string) PURL {
	namespace := ""
	if i := strings.LastIndex(name, "/"); i >= 0 {
		namespace, name = name[:i], name[i+1:]
	}
	q := map[string]string{}
	for i := 0; i+1 < len(qualifiers); i += 2 {
		if qualifiers[i+1] != "" {
			q[qualifiers[i]] = qualifiers[i+1]
		}
	}
	p := packageurl.NewPackageURL(ecosystem, namespace, name, version, packageurl.QualifiersFromMap(q), "")
	// A name the library cannot normalise keeps its spelling: it still is an identity.
	_ = p.Normalize()
	return PURL(p.ToString())
}

// Split returns the ecosystem, the name in the ecosystem's own spelling and the version of p.
func (p PURL) Split() (ecosystem, name, version string) {
	u, err := packageurl.FromString(string(p))
	if err != nil {
		return "", string(p), ""
	}
	name = u.Name
	if u.Namespace != "" {
		name = u.Namespace + "/" + u.Name
	}
	return u.Type, name, u.Version
}

// String returns p as written.
func (p PURL) String() string { return string(p) }

// Image returns the purl of an image manifest in a repository ("acme/team/app"). The repository
// is a qualifier, as the oci type asks, without our own host name: the record outlives it.
func Image(repository, manifestDigest string) PURL {
	name := repository[strings.LastIndex(repository, "/")+1:]
	return New(OCI, name, manifestDigest, "repository_url", repository)
}

// Qualifier returns the value of a qualifier of p, or "".
func (p PURL) Qualifier(key string) string {
	u, err := packageurl.FromString(string(p))
	if err != nil {
		return ""
	}
	return u.Qualifiers.Map()[key]
}
