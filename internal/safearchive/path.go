package safearchive

import (
	"path"
	"strconv"
	"strings"
)

// quote shows a stranger's name in one bounded line.
func quote(name string) string {
	const longest = 120
	if len(name) > longest {
		name = name[:longest] + "…"
	}
	return strconv.Quote(name)
}

// clean returns name relative to the archive's root, or false when it leaves the root. Leading
// slashes are dropped, as every unpacking tool does. The result is a copy: a name in a tar header
// may be a slice of a megabyte of PAX records, which it would keep alive.
func clean(name string) (string, bool) {
	if strings.IndexByte(name, 0) >= 0 {
		return "", false
	}
	cleaned := path.Clean(strings.TrimLeft(name, "/"))
	if cleaned == ".." || strings.HasPrefix(cleaned, "../") {
		return "", false
	}
	return strings.Clone(cleaned), true
}

// portable reports whether name stays inside on every system that might unpack it, Windows
// included, where a backslash separates and "C:" is a drive.
func portable(name string) bool {
	name = strings.ReplaceAll(name, `\`, "/")
	if strings.HasPrefix(name, "/") || hasDrive(name) {
		return false
	}
	return !hasParent(name)
}

func hasDrive(name string) bool {
	if len(name) < 2 || name[1] != ':' {
		return false
	}
	letter := name[0] | 0x20
	return 'a' <= letter && letter <= 'z'
}

func hasParent(name string) bool {
	return name == ".." || strings.HasPrefix(name, "../") || strings.HasSuffix(name, "/..") || strings.Contains(name, "/../")
}

// staysInside reports whether a symlink at name (clean) that points to target ends up inside the
// root. A ".." after a folder name is refused even where it looks harmless: the folder may itself
// be a link, and then ".." goes somewhere else.
func staysInside(name, target string) bool {
	slashed := strings.ReplaceAll(target, `\`, "/")
	if slashed == "" || strings.HasPrefix(slashed, "/") || hasDrive(slashed) || strings.IndexByte(slashed, 0) >= 0 {
		return false
	}
	up := 0
	for strings.HasPrefix(slashed, "../") || strings.HasPrefix(slashed, "./") {
		step, rest, _ := strings.Cut(slashed, "/")
		up += len(step) - 1
		slashed = strings.TrimLeft(rest, "/")
	}
	if slashed == ".." {
		up, slashed = up+1, ""
	}
	return up <= strings.Count(name, "/") && !hasParent(slashed)
}

// deeper reports whether p has more than limit bytes or more than depth folders.
func deeper(p string, limit, depth int) bool {
	return limit > 0 && len(p) > limit || depth > 0 && strings.Count(p, "/") > depth
}
