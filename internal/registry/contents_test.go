package registry_test

import (
	"archive/zip"
	"bytes"
	"io"
	"testing"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/registry"
	"github.com/hullmark/hullmark/internal/safearchive"
)

func zipOf(t *testing.T, files ...string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for i := 0; i+1 < len(files); i += 2 {
		f, err := w.Create(files[i])
		if err == nil {
			_, err = io.WriteString(f, files[i+1])
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestAZipIsIndexedAsATarIs(t *testing.T) {
	t.Parallel()
	raw := zipOf(t, "demo/__init__.py", `url = "https://exfil.example.org/x"`, "demo/data.txt", "one")
	var looked []string
	inv, err := registry.IndexZip(bytes.NewReader(raw), int64(len(raw)), safearchive.PackageLimits(), func(e safearchive.Entry, _ io.Reader) error {
		looked = append(looked, e.Path)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if len(looked) != 2 || len(inv.Files) != 2 || inv.Entries != 2 || inv.Files[1].SHA256 != digest.FromBytes([]byte("one")) || inv.Bytes != 38 {
		t.Errorf("looked at %q, inventory %+v", looked, inv)
	}
	if inv.Signals == nil || len(inv.Signals.Hosts) != 1 {
		t.Errorf("signals %+v", inv.Signals)
	}
	empty := zipOf(t)
	_, err = registry.IndexZip(bytes.NewReader(empty), int64(len(empty)), safearchive.PackageLimits(), nil)
	if fault.As(err).Code != "archive-empty" {
		t.Errorf("an empty archive: %v", err)
	}
}
