package image

import (
	"archive/tar"
	"bytes"
	"errors"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/klauspost/compress/zstd"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/safearchive"
)

func TestALayerReadsTheSameInEveryForm(t *testing.T) {
	t.Parallel()
	raw := tarball(t, file("usr/lib/os-release", "ID=debian\nVERSION_ID=\"12\"\n"), executable("bin/x", "#!/bin/sh\n"))
	raw = append(raw, make([]byte, 10_240)...) // builders pad to records; it is part of the diffID
	z, err := zstd.NewWriter(nil, zstd.WithEncoderConcurrency(1))
	if err != nil {
		t.Fatal(err)
	}
	for name, packed := range map[string][]byte{"plain": raw, "gzip": gzipped(t, raw), "zstd": z.EncodeAll(raw, nil)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var seen bytes.Buffer
			inv, err := ReadLayer(io.TeeReader(iotest.HalfReader(bytes.NewReader(packed)), &seen))
			if err != nil {
				t.Fatal(err)
			}
			if inv.DiffID != digest.FromBytes(raw) {
				t.Errorf("diffID = %s, want that of the whole uncompressed stream", inv.DiffID)
			}
			if !bytes.Equal(seen.Bytes(), packed) {
				t.Errorf("%d of %d bytes were read", seen.Len(), len(packed))
			}
			if inv.Incomplete != "" || inv.Entries != 2 || inv.OS == nil || inv.OS.VersionID != "12" || len(inv.Files) != 1 {
				t.Errorf("inventory = %+v", inv)
			}
		})
	}
}

func TestOnlyCodeIsIndexed(t *testing.T) {
	t.Parallel()
	const elf = "\x7fELF and so on"
	tests := []struct {
		member member
		want   bool
	}{
		{executable("usr/bin/a", elf), true},
		{executable("usr/bin/b", "#!/bin/sh"), true},
		{executable("usr/bin/data", "text"), false},
		{executable("usr/bin/empty", ""), false},
		{file("usr/lib/libc.so.6", elf), true},
		{file("usr/lib/libc.so", "/* GNU ld script"), false},
		{file("usr/share/doc/x", elf), false},
		{file("app/index.js", "1"), true},
		{file("app/index.mjs", "1"), true},
		{file("app/main.py", "1"), true},
		{file("app/app.jar", "PK"), true},
		{file("app/main.pyc", "1"), false},
		{file("app/empty.js", ""), false},
		{file("etc/passwd", "root"), false},
	}
	var members []member
	var want []string
	for _, tt := range tests {
		members = append(members, tt.member)
		if tt.want {
			want = append(want, tt.member.Name)
		}
	}
	slices.Sort(want)
	var got []string
	for _, f := range layerOf(t, members...).Files {
		got = append(got, f.Path)
		if f.Path == "app/index.js" && (f.SHA256 != digest.FromBytes([]byte("1")) || f.Size != 1 || f.Mode != 0o644) {
			t.Errorf("file = %+v", f)
		}
	}
	if !slices.Equal(got, want) {
		t.Errorf("indexed %q\nwant    %q", got, want)
	}
}

func TestABigFileIsHashedWhole(t *testing.T) {
	t.Parallel()
	content := strings.Repeat("0123456789", 50_000)
	inv := layerOf(t, file("big.js", content))
	if want := digest.FromBytes([]byte(content)); inv.Files[0].SHA256 != want {
		t.Errorf("sha256 = %s, want %s", inv.Files[0].SHA256, want)
	}
}

func TestTheLastOfTwoEntriesCounts(t *testing.T) {
	t.Parallel()
	inv := layerOf(t,
		file("a.js", "first"), file("./a.js", "second"),
		file("gone.js", "x"), member{tar.Header{Name: "gone.js", Typeflag: tar.TypeSymlink, Linkname: "a.js"}, "", 1},
		file("node_modules/x/package.json", manifestOf("x", "1.0.0")), file("node_modules/x/package.json", manifestOf("x", "2.0.0")),
		file("var/lib/dpkg/status", status("a 1")), file("var/lib/dpkg/status", status("b 1")))
	if len(inv.Files) != 1 || inv.Files[0].SHA256 != digest.FromBytes([]byte("second")) {
		t.Errorf("files = %+v", inv.Files)
	}
	if got, want := declaredPURLs(inv), "pkg:npm/x@2.0.0\npkg:deb/debian/b@1?arch=amd64"; got != want {
		t.Errorf("components:\n%s\nwant:\n%s", got, want)
	}
}

func TestAHardLinkHasTheContentOfItsTarget(t *testing.T) {
	t.Parallel()
	inv := layerOf(t, executable("bin/perl", "#!x"), hardlinked("bin/perl5", "bin/perl"), hardlinked("bin/other", "not/here"))
	if len(inv.Files) != 2 || inv.Files[1].Path != "bin/perl5" || inv.Files[1].SHA256 != inv.Files[0].SHA256 {
		t.Errorf("files = %+v", inv.Files)
	}
}

func TestWhiteouts(t *testing.T) {
	t.Parallel()
	inv := layerOf(t, file("a/.wh.b", ""), file(".wh.c", ""), file("d/.wh..wh..opq", ""), file(".wh..wh..opq", ""), file("e/.wh.f.js", "x"))
	if got, want := strings.Join(inv.Whiteouts, " "), "a/b c e/f.js"; got != want {
		t.Errorf("whiteouts = %q, want %q", got, want)
	}
	if got, want := strings.Join(inv.Opaque, " "), ". d"; got != want {
		t.Errorf("opaque = %q, want %q", got, want)
	}
	if inv.Incomplete != "" || len(inv.Files) != 0 {
		t.Errorf("inventory = %+v", inv)
	}
}

func TestWhiteoutTricksDeleteNothing(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"a/.wh.", "a/.wh..", "a/.wh...", "a/.wh..wh.x", ".wh..wh.plnk"} {
		inv := layerOf(t, file(name, ""))
		if len(inv.Whiteouts)+len(inv.Opaque) != 0 || !strings.Contains(inv.Incomplete, "deletes nothing") {
			t.Errorf("%s: whiteouts %q, opaque %q, incomplete %q", name, inv.Whiteouts, inv.Opaque, inv.Incomplete)
		}
	}
}

func TestAnErrorOfTheReaderIsTheOnlyError(t *testing.T) {
	t.Parallel()
	broken := errors.New("connection reset")
	raw := tarball(t, file("a.js", strings.Repeat("x", 100_000)))
	for _, packed := range [][]byte{raw, gzipped(t, raw)} {
		r := io.MultiReader(bytes.NewReader(packed[:len(packed)/2]), iotest.ErrReader(broken))
		if _, err := ReadLayer(r); !errors.Is(err, broken) {
			t.Errorf("err = %v, want %v", err, broken)
		}
	}
}

func TestATrustedLayerIsReadOnlyWhereNeeded(t *testing.T) {
	t.Parallel()
	raw := tarball(t, file("data", strings.Repeat("x", 10<<20)), file("a.js", "1"))
	counting := &countingAt{ReaderAt: bytes.NewReader(raw)}
	id := digest.FromBytes(raw)
	inv, err := Reader{DiffID: id}.Read(safearchive.NewWindow(counting, 0, int64(len(raw))))
	if err != nil || inv.DiffID != id || len(inv.Files) != 1 || inv.Bytes != 10<<20+1 {
		t.Fatalf("inventory = %+v, %v", inv, err)
	}
	if counting.n > 200_000 {
		t.Errorf("%d bytes were read of a layer that holds one byte of code", counting.n)
	}
}

type countingAt struct {
	io.ReaderAt
	n int
}

func (c *countingAt) ReadAt(p []byte, off int64) (int, error) {
	n, err := c.ReaderAt.ReadAt(p, off)
	c.n += n
	return n, err
}
