package safearchive_test

import (
	"archive/tar"
	"bytes"
	"io"
	"testing"

	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/safearchive"
)

func tarOf(t *testing.T, name string) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	if err := w.WriteHeader(&tar.Header{Name: name, Mode: 0o644}); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestOnlyPaddingMayFollowTheEndOfAPackage(t *testing.T) {
	t.Parallel()
	one, other := tarOf(t, "package/a"), tarOf(t, "package/b")
	for title, c := range map[string]struct {
		after []byte
		code  string
	}{
		"nothing":         {nil, ""},
		"padding":         {make([]byte, 10<<10), ""},
		"another archive": {other, "archive-trailing-data"},
		"one byte":        {append(make([]byte, 1000), 'x'), "archive-trailing-data"},
	} {
		t.Run(title, func(t *testing.T) {
			t.Parallel()
			archive := bytes.NewReader(append(bytes.Clone(one), c.after...))
			err := safearchive.Walk(archive, safearchive.Limits{}, func(safearchive.Entry, io.Reader) error { return nil })
			code := ""
			if err != nil {
				code = fault.As(err).Code
			}
			if code != c.code {
				t.Errorf("refused with %q, want %q", code, c.code)
			}
		})
	}
}
