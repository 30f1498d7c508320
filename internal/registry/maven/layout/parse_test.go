package layout

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
		if c, err := ParsePath(path); err == nil && c.Shape == ShapeFile {
			got = strings.TrimSpace(strings.Join([]string{c.Group, c.Artifact, c.Version, c.Build, c.Coordinates.Sort(), c.Sum}, " "))
		}
		if got != want {
			t.Errorf("%s is %q, want %q", path, got, want)
		}
	}
	for path, want := range map[string]Shape{
		"com/acme/ui/maven-metadata.xml": ShapeMetadata, "com/maven-metadata.xml": ShapeMetadata, "com/acme/ui/maven-metadata.xml.sha1": ShapeMetadata,
		"com/acme/ui/1.0-SNAPSHOT/maven-metadata.xml": ShapeSnapshot, "archetype-catalog.xml": ShapeCatalog, "com/acme/": shapeFolder, "": shapeFolder,
	} {
		if got, err := ParsePath(path); err != nil || got.Shape != want {
			t.Errorf("%s is %q (%v), want %q", path, got.Shape, err, want)
		}
	}
}

func FuzzParsePath(f *testing.F) {
	for _, seed := range []string{"com/acme/ui/1.0/ui-1.0.jar", "com/acme/ui/1.0-SNAPSHOT/ui-1.0-20261122.181910-1-x.tar.gz.asc.sha1", "a/maven-metadata.xml"} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, path string) {
		got, err := ParsePath(path)
		if err != nil || got.Shape != ShapeFile {
			return
		}
		back := got.Coordinates.Dir() + got.File
		if got.Sum != "" {
			back += "." + got.Sum
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
		p, err := ParsePOM(raw)
		if err != nil {
			return
		}
		_ = p.Check(Coordinates{Group: "a", Artifact: "b", Version: "1"})
		p.Inventory(evidence.File{Path: "b.pom"})
		_ = CheckModule(raw, Coordinates{})
	})
}
