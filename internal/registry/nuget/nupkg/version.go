package nupkg

import (
	"cmp"
	"strconv"
	"strings"

	"github.com/hullmark/hullmark/internal/fault"
)

// maxVersion is how long a version may be in bytes; nuget.org has the same.
const maxVersion = 64

// Version is a NuGet version. It is not quite a semantic one: there may be a fourth number, numbers may be
// missing or have zeroes in front, and letter case never matters.
// Source: NuGet docs, "Package versioning"; NuGet.Client, NuGetVersionFactory.cs.
type Version struct {
	Numbers  [4]int
	labels   []string // of a prerelease
	metadata string   // after "+"; no part of what identifies a version
}

// ParseVersion fails with code version-invalid. There is no library for these versions: the semantic ones
// refuse the fourth number and the missing third.
func ParseVersion(s string) (Version, error) {
	var v Version
	if len(s) > maxVersion {
		return v, versionInvalid(s)
	}
	rest, metadata, hasMetadata := strings.Cut(s, "+")
	rest, release, hasRelease := strings.Cut(rest, "-")
	if hasMetadata && !isLabels(metadata) || hasRelease && !isLabels(release) {
		return v, versionInvalid(s)
	}
	v.metadata = metadata
	if hasRelease {
		v.labels = strings.Split(release, ".")
	}
	parts := strings.Split(rest, ".")
	if len(parts) > len(v.Numbers) {
		return v, versionInvalid(s)
	}
	for i, part := range parts {
		n, err := strconv.ParseUint(part, 10, 31)
		if err != nil || part[0] == '+' {
			return v, versionInvalid(s)
		}
		v.Numbers[i] = int(n)
	}
	return v, nil
}

func versionInvalid(s string) *fault.Error {
	return fault.New(fault.Invalid, "version-invalid",
		"%q is not a version of NuGet's; write it like 1.2.3 or 1.2.3-beta.1, in at most %d characters", fault.Clip(s), maxVersion)
}

// isLabels reports whether s is one or more words of letters, digits and hyphens with dots between.
func isLabels(s string) bool {
	for label := range strings.SplitSeq(s, ".") {
		if label == "" || strings.Trim(label, "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ-") != "" {
			return false
		}
	}
	return true
}

// String is the normal form without metadata: three numbers, a fourth that is not zero, the labels.
func (v Version) String() string {
	var b strings.Builder
	for i, n := range v.Numbers {
		if i == 3 && n == 0 {
			break
		}
		if i > 0 {
			b.WriteByte('.')
		}
		b.WriteString(strconv.Itoa(n))
	}
	if len(v.labels) > 0 {
		b.WriteString("-" + strings.Join(v.labels, "."))
	}
	return b.String()
}

// Full is the normal form with metadata, which is how a version is shown.
func (v Version) Full() string {
	if v.metadata == "" {
		return v.String()
	}
	return v.String() + "+" + v.metadata
}

// Key is what the core keeps a version under: equal versions have equal keys.
func (v Version) Key() string { return strings.ToLower(v.String()) }

// Prerelease reports whether clients take the version only when they are asked to.
func (v Version) Prerelease() bool { return len(v.labels) > 0 }

// SemVer2 says that clients from before NuGet 4.3 cannot read the version.
func (v Version) SemVer2() bool { return len(v.labels) > 1 || v.metadata != "" }

// Compare orders versions by precedence. Source: NuGet.Client, VersionComparer.cs.
func (v Version) Compare(w Version) int {
	for i := range v.Numbers {
		if c := cmp.Compare(v.Numbers[i], w.Numbers[i]); c != 0 {
			return c
		}
	}
	switch {
	case len(v.labels) == 0 || len(w.labels) == 0:
		return cmp.Compare(len(w.labels), len(v.labels)) * min(1, len(v.labels)+len(w.labels))
	}
	for i := range min(len(v.labels), len(w.labels)) {
		if c := compareLabels(v.labels[i], w.labels[i]); c != 0 {
			return c
		}
	}
	return cmp.Compare(len(v.labels), len(w.labels))
}

// compareLabels puts numbers before words, as NuGet does: numbers that do not fit 32 bits are words.
func compareLabels(a, b string) int {
	x, xerr := strconv.ParseInt(a, 10, 32)
	y, yerr := strconv.ParseInt(b, 10, 32)
	switch {
	case xerr == nil && yerr == nil:
		return cmp.Compare(x, y)
	case xerr == nil:
		return -1
	case yerr == nil:
		return 1
	}
	return cmp.Compare(strings.ToUpper(a), strings.ToUpper(b))
}

// CompareKeys orders versions that are in the core.
func CompareKeys(a, b string) int {
	x, xerr := ParseVersion(a)
	y, yerr := ParseVersion(b)
	if xerr != nil || yerr != nil {
		return cmp.Compare(a, b)
	}
	return x.Compare(y)
}

// SemVer2Range reports whether a dependency's range names a version that older clients cannot read.
// Source: nuget.org, "SemVer 2.0.0 packages": such a dependency makes the package one.
func SemVer2Range(s string) bool {
	for part := range strings.SplitSeq(strings.Trim(s, "[]() "), ",") {
		if v, err := ParseVersion(strings.TrimSpace(part)); err == nil && v.SemVer2() {
			return true
		}
	}
	return false
}
