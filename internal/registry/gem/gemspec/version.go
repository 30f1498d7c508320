package gemspec

import (
	"cmp"
	"regexp"
	"slices"
	"strings"
)

// VersionForm is a version without the "-" that RubyGems rewrites to ".pre.": in a full name it would be
// taken for the platform. Source: RubyGems 3.3, version.rb, VERSION_PATTERN.
var VersionForm = regexp.MustCompile(`^[0-9]+(?:\.[0-9A-Za-z]+)*$`)

var segmentForm = regexp.MustCompile(`[0-9]+|[A-Za-z]+`)

// prerelease: whatever has a letter. Source: version.rb, "prerelease?".
func Prerelease(version string) bool {
	return strings.ContainsFunc(version, func(r rune) bool { return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' })
}

// CompareVersions orders versions as Gem::Version does: number by number, and a word is before any number.
// Source: version.rb, "<=>" and "canonical_segments".
func CompareVersions(a, b string) int {
	x, y := segments(a), segments(b)
	for i := range max(len(x), len(y)) {
		if c := compareSegments(at(x, i), at(y, i)); c != 0 {
			return c
		}
	}
	return 0
}

// CompareKeys orders keys "1.0.0-java" by version and then by platform.
func CompareKeys(a, b string) int {
	av, ap, _ := strings.Cut(a, "-")
	bv, bp, _ := strings.Cut(b, "-")
	return cmp.Or(CompareVersions(av, bv), cmp.Compare(ap, bp))
}

// segments are the version's numbers and words, without the zeros at the end of its numbers and of what
// follows the first word. Numbers have no zeros in front; "" is the number 0.
func segments(version string) []string {
	all := segmentForm.FindAllString(version, -1)
	word := slices.IndexFunc(all, Prerelease)
	for i, s := range all {
		if !Prerelease(s) {
			all[i] = strings.TrimLeft(s, "0")
		}
	}
	if word < 0 {
		return trimZeros(all)
	}
	return append(trimZeros(slices.Clone(all[:word])), trimZeros(all[word:])...)
}

func trimZeros(all []string) []string {
	for len(all) > 0 && all[len(all)-1] == "" {
		all = all[:len(all)-1]
	}
	return all
}

func at(all []string, i int) string {
	if i < len(all) {
		return all[i]
	}
	return ""
}

func compareSegments(a, b string) int {
	switch aw, bw := Prerelease(a), Prerelease(b); {
	case aw && !bw:
		return -1
	case !aw && bw:
		return 1
	case aw:
		return cmp.Compare(a, b)
	}
	return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
}
