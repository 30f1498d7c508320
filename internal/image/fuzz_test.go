package image

import (
	"bytes"
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/hullmark/hullmark/internal/purl"
	"github.com/hullmark/hullmark/internal/safearchive"
)

// parse runs one parser as a layer would.
func parse(t *testing.T, path string, raw []byte) {
	c := newCollector(Reader{Memory: 1 << 20})
	e := safearchive.Entry{Path: path, Kind: safearchive.File, Size: int64(len(raw)), Mode: 0o755}
	if err := c.visit(e, bytes.NewReader(raw)); err != nil {
		t.Fatalf("the content of %s is blamed on the reader: %v", path, err)
	}
	for comp := range c.finish().AllComponents {
		if _, err := purl.Parse(string(comp.PURL)); err != nil {
			t.Errorf("%s declares %q: %v", path, comp.PURL, err)
		}
	}
}

func fuzzParser(f *testing.F, path string, seeds ...string) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) { parse(t, path, raw) })
}

func FuzzDpkg(f *testing.F) {
	fuzzParser(f, "var/lib/dpkg/status", status("a 1", "b 2:1-1+b1 all"), "Package: a\nSource: b (1)\nStatus: hold ok installed\nVersion: 1\n")
}

func FuzzApk(f *testing.F) {
	fuzzParser(f, "lib/apk/db/installed", "P:a\nV:1\nA:x\no:b\n\nP:c\nV:2\n")
}

func FuzzOSRelease(f *testing.F) {
	fuzzParser(f, "etc/os-release", "ID=\"a\\\"b\"\nVERSION_ID='1'\n")
}

func FuzzPackageJSON(f *testing.F) {
	fuzzParser(f, "node_modules/a/package.json", manifestOf("a", "1.0.0"), manifestOf("@a/b", "1.0.0-x+y"))
}

func FuzzPythonMetadata(f *testing.F) {
	fuzzParser(f, "a.dist-info/METADATA", "Name: a\nVersion: 1\n\n")
}

func FuzzChisel(f *testing.F) {
	fuzzParser(f, "var/lib/chisel/manifest.wall", "\x28\xb5\x2f\xfd")
}

func FuzzGoBuildInfo(f *testing.F) {
	fuzzParser(f, "usr/bin/x", "\x7fELF", "\x7fELF\x02\x01"+record("go1.22", "dep\ta.b/c\tv1.0.0\n"))
}

// FuzzLayer reads anything as a layer: no content is an error, and all of it is read.
func FuzzLayer(f *testing.F) {
	f.Add(tarball(f, file("a.js", "1"), file("b/.wh.c", ""), hardlinked("d", "a.js"), file("var/lib/dpkg/status", status("a 1"))))
	f.Add(gzipped(f, tarball(f, executable("x", "#!/bin/sh"))))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r := bytes.NewReader(raw)
		if _, err := (Reader{Memory: 1 << 20, Limits: fuzzLimits()}).Read(struct{ io.Reader }{r}); err != nil || r.Len() != 0 {
			t.Errorf("error %v, %d bytes left", err, r.Len())
		}
	})
}

func fuzzLimits() safearchive.Limits {
	l := safearchive.LayerLimits()
	l.Unpacked, l.Sparse = 4<<20, 1<<20
	return l
}

// FuzzInspect reads anything as a file.
func FuzzInspect(f *testing.F) {
	layer := tarball(f, file("a.js", "1"))
	f.Add(dockerArchive(f, layer))
	f.Add(tarball(f, file("package/package.json", manifestOf("a", "1.0.0"))))
	f.Add(tarball(f, file("oci-layout", "{}"), file("index.json", `{"manifests":[{"digest":"sha256:`+"00"+`"}]}`)))
	f.Fuzz(func(t *testing.T, raw []byte) {
		path := filepath.Join(t.TempDir(), "x.tar")
		if err := os.WriteFile(path, raw, 0o600); err != nil {
			t.Fatal(err)
		}
		if r, err := Inspect(t.Context(), path); err == nil && len(r.Layers) != len(r.Image.Incomplete) && r.Kind == "" {
			t.Errorf("report = %+v", r)
		}
	})
}
