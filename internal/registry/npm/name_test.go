package npm

import (
	"strings"
	"testing"
)

func TestNamesFollowNpmsRulesForNewPackages(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a", "left-pad", "@acme/ui", "@a.b/c_d", "3d", "~x", "-x", "a.js"} {
		if err := checkName(name); err != nil {
			t.Errorf("%q: %v", name, err)
		}
	}
	for _, name := range []string{
		"", "A", ".hidden", "_x", "@acme", "@/x", "@acme/", "@acme/.x", "@acme/_x", "a/b", "@a/b/c", "a b", "a%2fb", "é", "node_modules", "favicon.ico", "-",
		"@acme/../x", "a\x00", strings.Repeat("a", 215), "a\n",
	} {
		if checkName(name) == nil {
			t.Errorf("%q was taken", name)
		}
	}
}

func TestVersionsAreStrictSemverWithoutBuildSuffix(t *testing.T) {
	t.Parallel()
	for _, v := range []string{"0.0.0", "1.2.3", "1.2.3-rc.1", "10.0.0--x"} {
		if _, err := checkVersion(v); err != nil {
			t.Errorf("%q: %v", v, err)
		}
	}
	for _, v := range []string{"", "1", "1.2", "v1.2.3", "1.2.3+b", "01.2.3", "1.2.3-01", " 1.2.3", "1.2.3/../x", "1.0.0-" + strings.Repeat("a", 260)} {
		if _, err := checkVersion(v); err == nil {
			t.Errorf("%q was taken", v)
		}
	}
}

func TestTagsAreNotRanges(t *testing.T) {
	t.Parallel()
	for _, tag := range []string{"latest", "next-7", "stable", "v8-canary"} {
		if err := checkTag(tag); err != nil {
			t.Errorf("%q: %v", tag, err)
		}
	}
	for _, tag := range []string{"", "1.0.0", "v1", "1.x", "x", "*", "^1", "a b", "../x", "a/b"} {
		if checkTag(tag) == nil {
			t.Errorf("%q was taken", tag)
		}
	}
}

func TestScopedPathsAreJoined(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"/@acme/ui":                          "/@acme%2fui",
		"/@acme/ui/-/ui-1.0.0.tgz":           "/@acme%2fui/-/ui-1.0.0.tgz",
		"/%40acme/ui":                        "/%40acme%2fui",
		"/-/package/@acme/ui/dist-tags/next": "/-/package/@acme%2fui/dist-tags/next",
		"/@acme%2fui/1.0.0":                  "",
		"/@acme%2Fui/1.0.0":                  "",
		"/ui/1.0.0":                          "",
		"/@acme":                             "",
		"/-/package/ui/dist-tags":            "",
		"/":                                  "",
	} {
		if got, _ := joinedPath(path); got != want {
			t.Errorf("joinedPath(%q) = %q, want %q", path, got, want)
		}
	}
}

// FuzzNames checks that what passes as a name or a version is safe where it is put: one folder,
// one file name, one URL segment.
func FuzzNames(f *testing.F) {
	for _, seed := range []string{"@acme/ui", "../x", "a%2f", "1.0.0-x", "é"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, s string) {
		if checkName(s) == nil {
			if strings.ContainsAny(s, "\\%?#\x00 \n") || strings.Contains(s, "..") && strings.Contains(s, "/..") || strings.Count(s, "/") > 1 {
				t.Errorf("the name %q is not safe", s)
			}
			if joined := escapedName(s); strings.Contains(joined, "/") {
				t.Errorf("%q is more than one segment", joined)
			}
		}
		if _, err := checkVersion(s); err == nil && strings.ContainsAny(s, "/\\%?#+\x00 \n") {
			t.Errorf("the version %q is not safe", s)
		}
		joinedPath(s)
	})
}
