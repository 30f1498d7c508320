package safearchive_test

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"io"
	"path"
	"strings"
	"testing"

	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/safearchive"
)

// FuzzArchive reads anything both ways. What Walk accepts, Survey must show too, and no entry of
// either may have a path that leaves the root.
func FuzzArchive(f *testing.F) {
	plain := archive(f, file("package/a.js", "1"), symlink("package/b", "a.js"), hardlink("c", "package/a.js"))
	f.Add(plain)
	f.Add(gzipped(f, plain))
	f.Add(zstded(f, plain))
	f.Add(sparse(1 << 40))
	f.Add(archive(f, file("../x", ""), symlink("a", ".."), tar.Header{Name: "d", Typeflag: tar.TypeChar}))
	limits := safearchive.Limits{Entries: 1000, PathLength: 300, Depth: 50, Packed: 1 << 20, Unpacked: 1 << 20, Sparse: 1 << 20, Ratio: 256}
	f.Fuzz(func(t *testing.T, raw []byte) {
		strict, err := paths(t, raw, limits, true)
		lenient, _ := paths(t, raw, limits, false)
		if err == nil && strings.Join(strict, "\n") != strings.Join(lenient, "\n") {
			t.Errorf("Walk saw %q, Survey %q", strict, lenient)
		}
	})
}

func paths(t *testing.T, raw []byte, limits safearchive.Limits, strict bool) ([]string, error) {
	stream, free, err := safearchive.Decompress(bytes.NewReader(raw), limits)
	if err != nil {
		return nil, err
	}
	defer free()
	var seen []string
	visit := func(e safearchive.Entry, content io.Reader) error {
		if e.Path != path.Clean(e.Path) || path.IsAbs(e.Path) || e.Path == ".." || strings.HasPrefix(e.Path, "../") {
			t.Errorf("path %q is not confined", e.Path)
		}
		seen = append(seen, e.Path)
		_, err := io.Copy(io.Discard, content)
		return err
	}
	if strict {
		err = safearchive.Walk(stream, limits, visit)
	} else {
		err = safearchive.Survey(stream, limits, visit, func(*fault.Error) {})
	}
	if err != nil && fault.KindOf(err) == fault.Internal {
		t.Errorf("bytes caused an internal error: %v", err)
	}
	return seen, err
}

// FuzzZip reads anything as a zip archive. What WalkZip accepts, archive/zip reads with the same names
// and sizes in whatever order.
func FuzzZip(f *testing.F) {
	a, b := zipped{name: "a.txt", content: "one"}, zipped{name: "d/b.txt", content: "two", stored: true}
	f.Add(zipOf(a, b))
	f.Add(zipOf(zipped{name: "d/", stored: true}, zipped{name: "é", later: true, content: "x", flags: 1 << 11}))
	f.Add(zipOf(zipped{name: "s", content: "xyz", stored: true, local: func(b []byte) { put32(18, 1<<32-1)(b); put32(22, 1<<32-1)(b) }, localExtra: zip64Field(3, 3)}))
	f.Add(append(zipOf(a), zipOf(b)...))
	limits := safearchive.Limits{Entries: 1000, PathLength: 300, Depth: 50, Packed: 1 << 20, Unpacked: 1 << 20, Ratio: 256}
	f.Fuzz(func(t *testing.T, raw []byte) {
		seen := map[string]int64{}
		err := safearchive.WalkZip(bytes.NewReader(raw), int64(len(raw)), limits, func(e safearchive.Entry, content io.Reader) error {
			if e.Path != path.Clean(e.Path) || path.IsAbs(e.Path) || e.Path == ".." || strings.HasPrefix(e.Path, "../") {
				t.Errorf("path %q is not confined", e.Path)
			}
			n, err := io.Copy(io.Discard, content)
			if err == nil && n != e.Size {
				t.Errorf("%s has %d bytes and says %d", e.Path, n, e.Size)
			}
			seen[e.Path] = e.Size
			return err
		})
		if err != nil {
			if fault.KindOf(err) == fault.Internal {
				t.Errorf("bytes caused an internal error: %v", err)
			}
			return
		}
		other, err := zip.NewReader(bytes.NewReader(raw), int64(len(raw)))
		if err != nil {
			t.Fatalf("accepted what archive/zip refuses: %v", err)
		}
		for _, file := range other.File {
			p := path.Clean(file.Name)
			if size, ok := seen[p]; p != "." && (!ok || size != int64(file.UncompressedSize64)) {
				t.Errorf("archive/zip sees %q of %d bytes; saw %v", file.Name, file.UncompressedSize64, seen)
			}
		}
	})
}
