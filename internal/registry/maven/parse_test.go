package maven

import (
	"strings"
	"testing"

	"github.com/hullmark/hullmark/internal/evidence"
)

func TestPathsOfARepository(t *testing.T) {
	t.Parallel()
	for path, want := range map[string]string{
		"com/acme/ui/1.0/ui-1.0.jar":                                   "com.acme ui 1.0 1.0 jar",
		"com/acme/ui/1.0/ui-1.0-sources.jar":                           "com.acme ui 1.0 1.0 jar:sources",
		"com/acme/ui/1.0/ui-1.0-bin.tar.gz":                            "com.acme ui 1.0 1.0 tar.gz:bin",
		"com/acme/ui/1.0/ui-1.0.tar.gz":                                "com.acme ui 1.0 1.0 tar.gz",
		"com/acme/ui/1.0/ui-1.0-jdk1.5.jar":                            "com.acme ui 1.0 1.0 jar:jdk1.5",
		"com/acme/ui/1.0/ui-1.0.jar.asc":                               "com.acme ui 1.0 1.0 jar.asc",
		"com/acme/ui/1.0/ui-1.0.pom.sigstore.json":                     "com.acme ui 1.0 1.0 pom.sigstore.json",
		"com/acme/ui/1.0/ui-1.0.jar.sha1":                              "com.acme ui 1.0 1.0 jar sha1",
		"com/acme/ui/1.0/ui-1.0.jar.asc.md5":                           "com.acme ui 1.0 1.0 jar.asc md5",
		"com/acme/ui/1.0-SNAPSHOT/ui-1.0-20261122.181910-1.jar":        "com.acme ui 1.0-SNAPSHOT 1.0-20261122.181910-1 jar",
		"com/acme/ui/1.0-SNAPSHOT/ui-1.0-20261122.181910-12-tests.jar": "com.acme ui 1.0-SNAPSHOT 1.0-20261122.181910-12 jar:tests",
		"com/acme/ui/1.0-SNAPSHOT/ui-1.0-SNAPSHOT.jar":                 "com.acme ui 1.0-SNAPSHOT 1.0-SNAPSHOT jar",
		"g/a-b/1-2/a-b-1-2.pom":                                        "g a-b 1-2 1-2 pom",
		"com/acme/ui/1.0/ui-1.1.jar":                                   "",
		"com/acme/ui/1.0/core-1.0.jar":                                 "",
		"com/acme/ui/1.0/ui-1.0":                                       "",
		"com/acme/ui/1.0/ui-1.0-.jar":                                  "",
		"com/acme/ui/1.0/ui-1.0.":                                      "",
		"com.acme/ui/1.0/ui-1.0.jar":                                   "",
		"com/acme/ui.kit/1.0/ui.kit-1.0.jar":                           "com.acme ui.kit 1.0 1.0 jar",
		"com/acme/ui/1.0/ui-1.0x.jar":                                  "",
		"com/acme/ui/1.0-SNAPSHOT/ui-1.0-2026.jar":                     "",
		"ui/1.0/ui-1.0.jar":                                            "",
		"com/acme/ui/../ui/1.0/ui-1.0.jar":                             "",
		"com//ui/1.0/ui-1.0.jar":                                       "",
		"com/.acme/ui/1.0/ui-1.0.jar":                                  "",
		"com/acme/ui/1.0/ui-1.0.jar\x00":                               "",
		strings.Repeat("a/", 600) + "ui/1.0/ui-1.0.jar":                "",
		"com/acme/ui/" + strings.Repeat("1", 200) + "/ui-" + strings.Repeat("1", 200) + ".jar": "",
	} {
		got := ""
		if c, err := parsePath(path); err == nil && c.shape == shapeFile {
			got = strings.TrimSpace(strings.Join([]string{c.group, c.artifact, c.version, c.build, c.coordinates.sort(), c.sum}, " "))
		}
		if got != want {
			t.Errorf("%s is %q, want %q", path, got, want)
		}
	}
	for path, want := range map[string]shape{
		"com/acme/ui/maven-metadata.xml": shapeMetadata, "com/maven-metadata.xml": shapeMetadata, "com/acme/ui/maven-metadata.xml.sha1": shapeMetadata,
		"com/acme/ui/1.0-SNAPSHOT/maven-metadata.xml": shapeSnapshot, "archetype-catalog.xml": shapeCatalog, "com/acme/": shapeFolder, "": shapeFolder,
	} {
		if got, err := parsePath(path); err != nil || got.shape != want {
			t.Errorf("%s is %q (%v), want %q", path, got.shape, err, want)
		}
	}
}

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

func FuzzParsePath(f *testing.F) {
	for _, seed := range []string{"com/acme/ui/1.0/ui-1.0.jar", "com/acme/ui/1.0-SNAPSHOT/ui-1.0-20261122.181910-1-x.tar.gz.asc.sha1", "a/maven-metadata.xml"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		got, err := parsePath(path)
		if err != nil || got.shape != shapeFile {
			return
		}
		back := got.coordinates.folder() + got.file
		if got.sum != "" {
			back += "." + got.sum
		}
		if back != strings.TrimPrefix(path, "/") {
			t.Fatalf("%q was read as %q", path, back)
		}
		if strings.Contains(path, "..") && strings.Contains("/"+path+"/", "/../") {
			t.Fatalf("%q leaves its folder", path)
		}
	})
}

func FuzzParsePOM(f *testing.F) {
	f.Add([]byte(`<project><parent><groupId>a</groupId><artifactId>p</artifactId><version>${v}</version></parent><artifactId>b</artifactId>
		<properties><v>1</v><w>${w}</w></properties><dependencies><dependency><groupId>c</groupId><artifactId>${w}</artifactId></dependency></dependencies></project>`))
	f.Add([]byte(`<?xml version="1.0" encoding="ISO-8859-1"?><project><name>` + "\xe9" + `</name></project>`))
	f.Fuzz(func(t *testing.T, raw []byte) {
		p, err := parsePOM(raw)
		if err != nil {
			return
		}
		_ = p.check(coordinates{group: "a", artifact: "b", version: "1"})
		p.inventory(evidence.File{Path: "b.pom"})
		_, _ = parseMetadata(raw)
		_ = checkModule(raw, coordinates{})
	})
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
