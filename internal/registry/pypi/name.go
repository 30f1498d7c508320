package pypi

import (
	"regexp"
	"strings"

	pep440 "github.com/aquasecurity/go-pep440-version"

	"github.com/hullmark/hullmark/internal/fault"
)

var (
	nameForm   = regexp.MustCompile(`(?i)^([a-z0-9]|[a-z0-9][a-z0-9._-]*[a-z0-9])$`)
	separators = regexp.MustCompile(`[-_.]+`)
	// wheelForm has the parts of a wheel's name. Source: Binary distribution format, "File name convention".
	wheelForm = regexp.MustCompile(`^([A-Za-z0-9._]+)-([A-Za-z0-9._!+]+)(-[0-9][A-Za-z0-9_.]*)?-([A-Za-z0-9_.]+)-([A-Za-z0-9_.]+)-([A-Za-z0-9_.]+)\.whl$`)
)

const (
	maxName    = 100 // bytes
	maxVersion = 100
	maxFile    = 300

	wheelSuffix = ".whl"
	sdistSuffix = ".tar.gz"
)

// normal is the spelling under which a project is kept. Source: PEP 503, "Normalized Names".
func normal(name string) string {
	return separators.ReplaceAllString(strings.ToLower(name), "-")
}

func checkName(name string) error {
	if len(name) > maxName || !nameForm.MatchString(name) {
		return invalid("%q is not the name of a project: letters, digits, '.', '-' and '_', with a letter or digit at both ends", fault.Clip(name))
	}
	return nil
}

// parseVersion returns a version in the normal form of PEP 440. Local versions ("1.0+local") are for
// rebuilds and never published.
func parseVersion(version string) (string, error) {
	if len(version) > maxVersion {
		return "", invalid("the version is longer than %d bytes", maxVersion)
	}
	v, err := pep440.Parse(version)
	if err != nil {
		return "", invalid("%q is not a version (PEP 440); write it like 1.2.3 or 1.2.3rc1", fault.Clip(version))
	}
	if v.Local() != "" {
		return "", invalid("the version %q has a local part; an index takes only public versions", fault.Clip(version))
	}
	return v.String(), nil
}

// compareVersions orders versions as PEP 440 does; what is none comes first.
func compareVersions(a, b string) int {
	x, xerr := pep440.Parse(a)
	y, yerr := pep440.Parse(b)
	switch {
	case xerr != nil && yerr != nil:
		return strings.Compare(a, b)
	case xerr != nil:
		return -1
	case yerr != nil:
		return 1
	}
	return x.Compare(y)
}

// sameVersion reports whether two spellings are of one version: 1.0 is 1.0.0.
func sameVersion(a, b string) bool {
	x, xerr := pep440.Parse(a)
	y, yerr := pep440.Parse(b)
	return len(a) <= maxVersion && xerr == nil && yerr == nil && x.Compare(y) == 0
}

func prerelease(version string) bool {
	v, err := pep440.Parse(version)
	return err == nil && v.IsPreRelease()
}

// sort is what kind of file an upload is.
type sort string

const (
	sdist sort = "sdist"
	wheel sort = "bdist_wheel"
)

// parseFile takes the name of a file apart: whose it is, by the name in it, and which version.
func parseFile(file string) (kind sort, name, version string, err error) {
	if len(file) > maxFile || strings.ContainsAny(file, "/\\ \t\r\n") {
		return "", "", "", invalid("the file name %q is too long, or has a space or slash", fault.Clip(file))
	}
	if stem, ok := strings.CutSuffix(file, sdistSuffix); ok {
		at := strings.LastIndexByte(stem, '-')
		if at <= 0 {
			return "", "", "", invalid("the source distribution %q is not named NAME-VERSION.tar.gz", fault.Clip(file))
		}
		name, version = stem[:at], stem[at+1:]
		kind = sdist
	} else if parts := wheelForm.FindStringSubmatch(file); parts != nil {
		name, version = parts[1], parts[2]
		kind = wheel
	} else {
		return "", "", "", invalid("%q is neither a wheel (NAME-VERSION-PYTHON-ABI-PLATFORM.whl) nor a source distribution (NAME-VERSION.tar.gz); other kinds are not taken", fault.Clip(file))
	}
	if version, err = parseVersion(version); err != nil {
		return "", "", "", err
	}
	return kind, normal(name), version, checkName(name)
}

func invalid(format string, args ...any) *fault.Error {
	return fault.New(fault.Invalid, "upload-invalid", format, args...)
}
