package safearchive_test

import (
	"archive/tar"
	"bytes"
	"fmt"
	"strings"
	"testing"

	"github.com/hullmark/hullmark/internal/safearchive"
)

// raw is a header as it comes off a wire, with its checksum set last.
func raw(name string, flag byte, size int, change func([]byte)) []byte {
	b := make([]byte, 512)
	copy(b, name)
	copy(b[100:], "0000644\x00")
	copy(b[124:], fmt.Sprintf("%011o\x00", size))
	b[156] = flag
	copy(b[257:], "ustar\x0000")
	if change != nil {
		change(b)
	}
	copy(b[148:], "        ")
	sum := 0
	for _, c := range b {
		sum += int(c)
	}
	copy(b[148:], fmt.Sprintf("%06o\x00 ", sum))
	return b
}

func member(name, content string) []byte {
	return append(raw(name, '0', len(content), nil), padded(content)...)
}

// pax is an extended header of records.
func pax(flag byte, records ...string) []byte {
	var text string
	for _, r := range records {
		n := len(r) + 2
		for len(fmt.Sprintf("%d %s\n", n, r)) != n {
			n++
		}
		text += fmt.Sprintf("%d %s\n", n, r)
	}
	return append(raw("PaxHeader", flag, len(text), nil), padded(text)...)
}

// Each of these was listed by node-tar (npm 11) as other members than archive/tar sees.
func TestAMemberWithTwoReadingsIsRefused(t *testing.T) {
	t.Parallel()
	hidden := member("package/package.json", "{}")
	inside := func(header []byte) []byte { return append(header, hidden...) }
	long := append(raw("././@LongLink", 'L', 10, nil), padded("package/y")...)
	for title, archive := range map[string][]byte{
		"a file that ends like a folder":      inside(raw("package/x/", '0', len(hidden), nil)),
		"a file with a link target":           inside(raw("package/x", '0', len(hidden), func(b []byte) { b[157] = 'y' })),
		"a file without a name":               inside(raw("", '0', len(hidden), nil)),
		"a link with content":                 inside(raw("package/x", '2', len(hidden), func(b []byte) { b[157] = 'y' })),
		"a folder with content":               inside(raw("package/x", '5', len(hidden), nil)),
		"a name that goes on after its end":   append(raw("package/x\x00\n/y", '0', 1, nil), padded("x")...),
		"a size that only some read":          append(raw("package/x", '0', 1, func(b []byte) { b[124] = 0 }), padded("x")...),
		"a size in base 256":                  append(raw("package/x", '0', 1, func(b []byte) { copy(b[124:], "\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x01") }), padded("x")...),
		"a folder of another ustar version":   append(raw("package.json", '0', 1, func(b []byte) { copy(b[263:], "  "); copy(b[345:], "package") }), padded("x")...),
		"a folder in star's place":            append(raw("package.json", '0', 1, func(b []byte) { copy(b[508:], "tar\x00"); copy(b[345:], "package") }), padded("x")...),
		"a contiguous file":                   append(raw("package/x", '7', 1, nil), padded("x")...),
		"a record inside a record":            append(pax('x', "comment=x\n29 path=package/package.json"), member("package/x", "x")...),
		"a record that takes the name away":   append(pax('x', "path="), member("package/x", "x")...),
		"a record with the size":              append(pax('x', "size=1"), member("package/x", "x")...),
		"holes under another name":            append(pax('x', "GNU.sparse.major=1", "GNU.sparse.minor=0", "GNU.sparse.name=package/x", "GNU.sparse.realsize=1"), append(raw("package/package.json", '0', 513, nil), append(padded("1\n0\n1\n"), padded("x")...)...)...),
		"two extended headers":                append(pax('x', "path=package/package.json"), append(pax('x', "comment=x"), member("package/x", "x")...)...),
		"a long name, then an extended one":   append(bytes.Clone(long), append(pax('x', "path=package/package.json"), member("package/x", "x")...)...),
		"two long names":                      append(bytes.Clone(long), append(bytes.Clone(long), member("package/x", "x")...)...),
		"a size for all members":              append(pax('g', "size=0"), inside(raw("package/x", '0', len(hidden), nil))...),
		"a global header after a comment":     append(pax('g', "comment=x", "size=0"), member("package/x", "x")...),
		"a global header before its member":   append(pax('x', "comment=x"), append(pax('g', "comment=x"), member("package/x", "x")...)...),
		"a long name that goes on after NUL":  append(append(raw("././@LongLink", 'L', 14, nil), padded("package/y\x00\n/x")...), member("package/x", "x")...),
		"a terabyte of extended global names": raw("PaxHeader", 'g', 1<<30, nil),
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			archive := append(archive, make([]byte, 1024)...)
			if got, err := list(bytes.NewReader(archive), safearchive.PackageLimits()); code(err) != "archive-ambiguous" {
				t.Errorf("listed %q, err %v", got, err)
			}
		})
	}
}

func TestWhatToolsWriteHasOneReading(t *testing.T) {
	t.Parallel()
	name := "package/" + strings.Repeat("long/", 40) + "file"
	for title, format := range map[string]tar.Format{"pax": tar.FormatPAX, "gnu": tar.FormatGNU, "ustar": tar.FormatUSTAR} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			b := bytes.NewBuffer(pax('g', "comment=0123456789"))
			w := tar.NewWriter(b)
			for _, h := range []tar.Header{
				{Name: "package/", Typeflag: tar.TypeDir, Mode: 0o755},
				{Name: name, Mode: 0o644, Size: 5000},
				{Name: "package/link", Typeflag: tar.TypeSymlink, Linkname: "file"},
			} {
				h.Format = format
				if err := w.WriteHeader(&h); err != nil {
					t.Fatal(err)
				}
				if _, err := w.Write(make([]byte, h.Size)); err != nil {
					t.Fatal(err)
				}
			}
			if err := w.Close(); err != nil {
				t.Fatal(err)
			}
			if got, err := list(b, safearchive.PackageLimits()); err != nil || len(got) != 3 {
				t.Errorf("listed %d, err %v", len(got), err)
			}
		})
	}
}
