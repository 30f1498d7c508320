package safearchive_test

import (
	"bytes"
	"fmt"
	"io"
	"strings"
	"testing"

	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/safearchive"
)

// block is a raw USTAR header: archive/tar does not write what these tests need.
func block(name string, typeflag byte, size int64) []byte {
	b := make([]byte, 512)
	copy(b, name)
	copy(b[100:], "0000755\x000000000\x000000000\x00")
	copy(b[124:], fmt.Sprintf("%011o\x00%011o\x00", size, 0))
	b[156] = typeflag
	copy(b[257:], "ustar\x0000")
	copy(b[148:], strings.Repeat(" ", 8))
	sum := 0
	for _, c := range b {
		sum += int(c)
	}
	copy(b[148:], fmt.Sprintf("%06o\x00 ", sum))
	return b
}

func padded(s string) []byte {
	return append([]byte(s), make([]byte, (512-len(s)%512)%512)...)
}

// sparse is an archive of one file of size bytes, all but the first one a hole, and a file behind it.
func sparse(size int64) []byte {
	pax := ""
	for _, record := range []string{
		"GNU.sparse.major=0\n", "GNU.sparse.minor=1\n", "GNU.sparse.name=holes\n",
		fmt.Sprintf("GNU.sparse.size=%d\n", size), "GNU.sparse.numblocks=1\n", "GNU.sparse.map=0,1\n",
	} {
		n := len(record) + 3
		pax += fmt.Sprintf("%02d %s", n, record)
	}
	return bytes.Join([][]byte{
		block("pax", 'x', int64(len(pax))), padded(pax),
		block("GNUSparseFile.0/holes", '0', 1), padded("x"),
		block("after", '0', 1), padded("y"), make([]byte, 1024),
	}, nil)
}

func TestHolesCountAsTheyUnfold(t *testing.T) {
	t.Parallel()
	const tera = 1 << 40
	if _, err := list(bytes.NewReader(sparse(3)), safearchive.PackageLimits()); code(err) != "archive-ambiguous" {
		t.Errorf("a small sparse file in a package, which npm would unpack under another name: %v", err)
	}
	if _, err := list(bytes.NewReader(sparse(tera)), safearchive.PackageLimits()); code(err) != "archive-too-large" {
		t.Errorf("a terabyte of holes in a package: %v", err)
	}
	var kept []string
	var skipped *fault.Error
	err := safearchive.Survey(bytes.NewReader(sparse(tera)), safearchive.LayerLimits(),
		func(e safearchive.Entry, content io.Reader) error {
			kept = append(kept, e.Path)
			_, err := io.Copy(io.Discard, content)
			return err
		},
		func(f *fault.Error) { skipped = f })
	if err != nil || fmt.Sprint(kept) != "[after]" || code(skipped) != "archive-too-large" {
		t.Errorf("a terabyte of holes in a layer: kept %v, skipped %v, err %v", kept, skipped, err)
	}
}

func TestADeclaredSizeIsNotBelieved(t *testing.T) {
	t.Parallel()
	raw := append(block("huge", '0', 1<<32), "little"...)
	for name, r := range map[string]io.Reader{"stream": struct{ io.Reader }{bytes.NewReader(raw)}, "seekable": bytes.NewReader(raw)} {
		if _, err := list(r, safearchive.Limits{}); code(err) != "archive-malformed" {
			t.Errorf("%s: err = %v", name, err)
		}
		if _, err := list(bytes.NewReader(raw), safearchive.PackageLimits()); code(err) != "archive-too-large" {
			t.Errorf("%s, limited: err = %v", name, err)
		}
	}
}
