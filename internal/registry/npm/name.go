package npm

import (
	"regexp"
	"strings"

	"github.com/Masterminds/semver/v3"

	"github.com/hullmark/hullmark/internal/fault"
)

// maxName is the longest package name in bytes, scope included.
// Source: validate-npm-package-name, "validForNewPackages".
const maxName = 214

// maxVersion is the longest version in bytes. Source: node-semver, MAX_LENGTH.
const maxVersion = 256

// nameForm is what a package may be called: lower case, safe in a URL and in a folder name, and
// not beginning with a dot or an underscore.
var nameForm = regexp.MustCompile(`^(?:@[a-z0-9~-][a-z0-9._~-]*/)?[a-z0-9~-][a-z0-9._~-]*$`)

// reserved are names that mean something else in a path here or in a folder there.
var reserved = map[string]bool{"-": true, "node_modules": true, "favicon.ico": true}

// checkName fails with code name-invalid.
func checkName(name string) error {
	if len(name) > maxName || !nameForm.MatchString(name) || reserved[name] {
		return fault.New(fault.Invalid, "name-invalid",
			"%q is not a package name; use lower-case letters, digits, dot, dash and underscore, at most %d characters", fault.Clip(name), maxName)
	}
	return nil
}

// checkVersion fails with code version-invalid. Build metadata is refused: npm drops it when it
// compares versions, so that two versions that differ in nothing else would be one.
func checkVersion(version string) (*semver.Version, error) {
	v, err := semver.StrictNewVersion(version)
	if err != nil || len(version) > maxVersion || v.Metadata() != "" || v.Original() != version {
		return nil, fault.New(fault.Invalid, "version-invalid",
			"%q is not a version that can be published; use MAJOR.MINOR.PATCH[-PRERELEASE] without a build suffix", fault.Clip(version))
	}
	return v, nil
}

var (
	tagForm = regexp.MustCompile(`^[A-Za-z0-9_-][A-Za-z0-9._~-]{0,99}$`)
	// rangeForm is what of tagForm npm reads as a version range. Source: node-semver, re.js, XRANGEPLAIN.
	rangeForm = regexp.MustCompile(`^v*(?:[xX]|\d+)(?:\.(?:[xX]|\d+)(?:\.(?:[xX]|\d+)(?:-[0-9A-Za-z.-]+)?)?)?$`)
)

// checkTag fails with code tag-invalid. A tag that reads as a version range could not be told from
// one in "npm install name@tag".
func checkTag(tag string) error {
	if rangeForm.MatchString(tag) || !tagForm.MatchString(tag) {
		return fault.New(fault.Invalid, "tag-invalid",
			"%q cannot be a tag; use letters, digits, dot, dash and underscore, and nothing that reads as a version range", fault.Clip(tag))
	}
	return nil
}

// tarballFile returns the file name of a version's tarball: "ui-1.2.3.tgz" for @acme/ui.
func tarballFile(name, version string) string { return baseName(name) + "-" + version + ".tgz" }

func baseName(name string) string { return name[strings.LastIndexByte(name, '/')+1:] }

// escapedName is the name as one path segment, the way npm's client writes it.
func escapedName(name string) string { return strings.Replace(name, "/", "%2f", 1) }
