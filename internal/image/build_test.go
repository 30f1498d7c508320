package image

import (
	"archive/tar"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
)

// member is one entry of an archive that a test builds.
type member struct {
	tar.Header
	content string
	repeat  int // how often the content is written; only endless looks at it
}

func file(name, content string) member {
	return member{tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644}, content, 1}
}

func executable(name, content string) member {
	return member{tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o755}, content, 1}
}

func hardlinked(name, target string) member {
	return member{tar.Header{Name: name, Typeflag: tar.TypeLink, Linkname: target}, "", 1}
}

func tarball(t testing.TB, members ...member) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, m := range members {
		m.Size = int64(len(m.content))
		if err := w.WriteHeader(&m.Header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, m.content); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gzipped(t testing.TB, raw []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(raw); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// layerOf reads the members as a layer.
func layerOf(t testing.TB, members ...member) *evidence.Inventory {
	t.Helper()
	inv, err := ReadLayer(bytes.NewReader(tarball(t, members...)))
	if err != nil {
		t.Fatal(err)
	}
	return inv
}

// status is dpkg's database with packages given as "name version" or "name version arch".
func status(packages ...string) string {
	var b strings.Builder
	for _, p := range packages {
		f := append(strings.Fields(p), "amd64")
		fmt.Fprintf(&b, "Package: %s\nStatus: install ok installed\nArchitecture: %s\nVersion: %s\n\n", f[0], f[2], f[1])
	}
	return b.String()
}

func manifestOf(name, version string) string {
	return fmt.Sprintf(`{"name":%q,"version":%q}`, name, version)
}

// configOf is an image configuration for the uncompressed layers.
func configOf(t testing.TB, layers ...[]byte) []byte {
	t.Helper()
	config := map[string]any{"os": "linux", "architecture": "amd64"}
	var ids []digest.Digest
	var history []map[string]any
	for i, l := range layers {
		ids = append(ids, digest.FromBytes(l))
		history = append(history, map[string]any{"created_by": fmt.Sprintf("RUN step %d", i)}, map[string]any{"created_by": "ENV A=b", "empty_layer": true})
	}
	config["rootfs"] = map[string]any{"type": "layers", "diff_ids": ids}
	config["history"] = history
	raw, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	return raw
}

// purls lists components for comparison.
func purls[C any](components []C, of func(C) string) string {
	var out []string
	for _, c := range components {
		out = append(out, of(c))
	}
	return strings.Join(out, "\n")
}

func declaredPURLs(inv *evidence.Inventory) string {
	var out []string
	for c := range inv.AllComponents {
		out = append(out, string(c.PURL))
	}
	return strings.Join(out, "\n")
}
