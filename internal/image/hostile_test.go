package image

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/klauspost/compress/gzip"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/safearchive"
)

// good is found by every test below, so that one bad entry does not hide the rest.
func good() member { return file("good.js", "1") }

func TestHostileLayersAreReadAsFarAsTheyGo(t *testing.T) {
	t.Parallel()
	escape := tarball(t, file("../../etc/cron.d/x", "x"), good())
	tests := map[string]struct {
		raw    []byte
		reason string // part of Incomplete
		files  int
		diffID bool
	}{
		"an escaping path is left out":       {escape, "outside of its folder", 1, true},
		"cut short, what came before counts": {tarball(t, good(), file("b.js", strings.Repeat("x", 5000)))[:2000], "damaged", 1, true},
		"not a tar at all":                   {bytes.Repeat([]byte("text "), 1000), "damaged", 0, true},
		"empty":                              {nil, "cut off", 0, true},
		"empty gzip":                         {gzipped(t, nil), "cut off", 0, true},
		"nothing but the end":                {make([]byte, 1024), "", 0, true},
		"cut in the padding":                 {tarball(t, good())[:512+100], "cut off", 1, true},
		"cut behind the content":             {tarball(t, good())[:512+1], "cut off", 1, true},
		"gzip of one cut in the padding":     {gzipped(t, tarball(t, good())[:512+100]), "cut off", 1, true},
		"without its end, all entries there": {tarball(t, good())[:1024], "", 1, true},
		"gzip cut short has no diffID":       {gzipped(t, tarball(t, good()))[:40], "damaged", 0, false},
		"gzip with garbage behind":           {append(gzipped(t, tarball(t, good())), "garbage"...), "damaged", 1, false},
		"a symlink loop is not followed":     {tarball(t, link("a", "b"), link("b", "a"), file("a/x.js", "1"), good()), "", 2, true},
		"a zstd frame of nonsense":           {[]byte("\x28\xb5\x2f\xfd\xff\xff\xff\xff\xff\xff\xff\xff\xff"), "damaged", 0, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := bytes.NewReader(tt.raw)
			inv, err := ReadLayer(r)
			if err != nil {
				t.Fatal(err)
			}
			if r.Len() != 0 {
				t.Errorf("%d bytes were not read", r.Len())
			}
			if !strings.Contains(inv.Incomplete, tt.reason) || (inv.Incomplete == "") != (tt.reason == "") {
				t.Errorf("incomplete = %q, want %q in it", inv.Incomplete, tt.reason)
			}
			if len(inv.Files) != tt.files {
				t.Errorf("files = %+v, want %d", inv.Files, tt.files)
			}
			if (inv.DiffID != "") != tt.diffID {
				t.Errorf("diffID = %q", inv.DiffID)
			}
		})
	}
}

func link(name, target string) member {
	return member{tar.Header{Name: name, Typeflag: tar.TypeSymlink, Linkname: target}, "", 1}
}

func TestTooManyEntriesEndTheIndexAndNotTheHash(t *testing.T) {
	t.Parallel()
	raw := tarball(t, file("a.js", "1"), file("b.js", "1"), file("c.js", "1"))
	limits := safearchive.LayerLimits()
	limits.Entries = 2
	inv, err := Reader{Limits: limits}.Read(bytes.NewReader(gzipped(t, raw)))
	if err != nil {
		t.Fatal(err)
	}
	if len(inv.Files) != 2 || !strings.Contains(inv.Incomplete, "more than 2 entries") || inv.DiffID != digest.FromBytes(raw) {
		t.Errorf("inventory = %+v", inv)
	}
}

func TestManyReasonsAreSummedUp(t *testing.T) {
	t.Parallel()
	var members []member
	for i := range 1000 {
		members = append(members, file(fmt.Sprintf("../%d", i), ""))
	}
	inv := layerOf(t, members...)
	if len(inv.Incomplete) > 1000 || !strings.HasSuffix(inv.Incomplete, "and more of that kind") {
		t.Errorf("incomplete = %q", inv.Incomplete)
	}
}

func repeated(name, content string, n int) member {
	m := file(name, content)
	m.repeat = n
	return m
}

// endless is a gzip stream of so many tar entries, made while it is read.
func endless(entry func(i int) member, n int) io.Reader {
	r, w := io.Pipe()
	go func() {
		z, _ := gzip.NewWriterLevel(w, gzip.BestSpeed)
		tw := tar.NewWriter(z)
		for i := range n {
			m := entry(i)
			m.Size = int64(len(m.content) * m.repeat)
			if err := tw.WriteHeader(&m.Header); err != nil {
				w.CloseWithError(err)
				return
			}
			for range m.repeat {
				io.WriteString(tw, m.content)
			}
		}
		tw.Close()
		z.Close()
		w.Close()
	}()
	return r
}
