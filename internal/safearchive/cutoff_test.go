package safearchive_test

import (
	"archive/tar"
	"bytes"
	"io"
	"testing"
	"testing/iotest"

	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/safearchive"
)

// TestASurveySaysWhereverAnArchiveWasCutOff cuts one at every byte: only between two members can
// nobody tell.
func TestASurveySaysWhereverAnArchiveWasCutOff(t *testing.T) {
	t.Parallel()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, name := range []string{"a", "b"} {
		check(t, w.WriteHeader(&tar.Header{Name: name, Mode: 0o644, Size: 3}))
		_, err := io.WriteString(w, "abc")
		check(t, err)
	}
	check(t, w.Close())
	for cut := range b.Len() + 1 {
		whole := cut == 1024 || cut >= 2048 && cut%512 == 0
		for form, r := range map[string]io.Reader{
			"to be read":   iotest.HalfReader(bytes.NewReader(b.Bytes()[:cut])),
			"to be sought": bytes.NewReader(b.Bytes()[:cut]),
		} {
			err := safearchive.Survey(r, safearchive.LayerLimits(),
				func(safearchive.Entry, io.Reader) error { return nil }, func(*fault.Error) {})
			if whole != (err == nil) || err != nil && fault.As(err).Code != "archive-malformed" {
				t.Errorf("cut at byte %d, %s: %v", cut, form, err)
			}
		}
	}
}

func TestASurveyMayBeginInsideAFile(t *testing.T) {
	t.Parallel()
	r := bytes.NewReader(append([]byte("before"), tarOf(t, "a")...))
	_, err := r.Seek(6, io.SeekStart)
	check(t, err)
	err = safearchive.Survey(r, safearchive.LayerLimits(), func(safearchive.Entry, io.Reader) error { return nil }, func(*fault.Error) {})
	check(t, err)
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
