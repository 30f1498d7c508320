// Package dist reads what is published as Python packages: names and versions, wheels, source distributions and their
// core metadata. It knows no registry and no protocol.
package dist

import (
	"regexp"
	"strings"

	pep440 "github.com/aquasecurity/go-pep440-version"

	"github.com/hullmark/hullmark/internal/fault"
)

var (
	nameForm   = regexp.MustCompile(`(?i)^([a-z0-9]|[a-z0-9][a-z0-9._-]*[a-z0-9])$`)
	separators = regexp.MustCompile(`[-_.]+`)
	// WheelForm has the parts of a wheel's name. Source: Binary distribution format, "File name convention".
	WheelForm = regexp.MustCompile(`^([A-Za-z0-9._]+)-([A-Za-z0-9._!+]+)(-[0-9][A-Za-z0-9_.]*)?-([A-Za-z0-9_.]+)-([A-Za-z0-9_.]+)-([A-Za-z0-9_.]+)\.whl$`)
)

const (
	maxName = 100 // bytes
	// MaxVersion and MaxFile are the longest version and file name, in bytes.
	MaxVersion = 100
	MaxFile    = 300

	// WheelSuffix and SdistSuffix end the file names of the two sorts.
	WheelSuffix = ".whl"
	SdistSuffix = ".tar.gz"
)

// Normal is the spelling under which a project is kept. Source: PEP 503, "Normalized Names".
func Normal(name string) string {
	return separators.ReplaceAllString(strings.ToLower(name), "-")
}

// CheckName fails with the code of Invalid when no project may be called so. Source: PyPA specifications, "Names and normalization".
func CheckName(name string) error {
	if len(name) > maxName || !nameForm.MatchString(name) {
		return Invalid("%q is not the name of a project: letters, digits, '.', '-' and '_', with a letter or digit at both ends", fault.Clip(name))
	}
	return nil
}

// ParseVersion returns a version in the normal form of PEP 440. Local versions ("1.0+local") are for
// rebuilds and never published.
func ParseVersion(version string) (string, error) {
	if len(version) > MaxVersion {
		return "", Invalid("the version is longer than %d bytes", MaxVersion)
	}
	v, err := pep440.Parse(version)
	if err != nil {
		return "", Invalid("%q is not a version (PEP 440); write it like 1.2.3 or 1.2.3rc1", fault.Clip(version))
	}
	if v.Local() != "" {
		return "", Invalid("the version %q has a local part; an index takes only public versions", fault.Clip(version))
	}
	return v.String(), nil
}

// CompareVersions orders versions as PEP 440 does; what is none comes first.
func CompareVersions(a, b string) int {
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

// SameVersion reports whether two spellings are of one version: 1.0 is 1.0.0.
func SameVersion(a, b string) bool {
	x, xerr := pep440.Parse(a)
	y, yerr := pep440.Parse(b)
	return len(a) <= MaxVersion && xerr == nil && yerr == nil && x.Compare(y) == 0
}

// Prerelease reports whether a version is one that installers take only when they are asked to.
func Prerelease(version string) bool {
	v, err := pep440.Parse(version)
	return err == nil && v.IsPreRelease()
}

// Sort is what kind of file an upload is.
type Sort string

const (
	Sdist Sort = "sdist"
	Wheel Sort = "bdist_wheel"
)

// ParseFile takes the name of a file apart: whose it is, by the name in it, and which version.
func ParseFile(file string) (kind Sort, name, version string, err error) {
	if len(file) > MaxFile || strings.ContainsAny(file, "/\\ \t\r\n") {
		return "", "", "", Invalid("the file name %q is too long, or has a space or slash", fault.Clip(file))
	}
	if stem, ok := strings.CutSuffix(file, SdistSuffix); ok {
		at := strings.LastIndexByte(stem, '-')
		if at <= 0 {
			return "", "", "", Invalid("the source distribution %q is not named NAME-VERSION.tar.gz", fault.Clip(file))
		}
		name, version = stem[:at], stem[at+1:]
		kind = Sdist
	} else if parts := WheelForm.FindStringSubmatch(file); parts != nil {
		name, version = parts[1], parts[2]
		kind = Wheel
	} else {
		return "", "", "", Invalid("%q is neither a wheel (NAME-VERSION-PYTHON-ABI-PLATFORM.whl) nor a source distribution (NAME-VERSION.tar.gz); other kinds are not taken", fault.Clip(file))
	}
	if version, err = ParseVersion(version); err != nil {
		return "", "", "", err
	}
	return kind, Normal(name), version, CheckName(name)
}

// Invalid is the refusal of a name, a version or a file with code upload-invalid.
func Invalid(format string, args ...any) *fault.Error {
	return fault.New(fault.Invalid, "upload-invalid", format, args...)
}
