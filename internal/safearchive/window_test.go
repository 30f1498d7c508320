package safearchive_test

import (
	"bytes"
	"io"
	"math/rand/v2"
	"testing"
	"testing/iotest"

	"github.com/hullmark/hullmark/internal/safearchive"
)

func TestAWindowReadsItsPart(t *testing.T) {
	t.Parallel()
	content := make([]byte, 200_000)
	for i := range content {
		content[i] = byte(i * 7)
	}
	w := safearchive.NewWindow(bytes.NewReader(content), 1000, 150_000)
	if err := iotest.TestReader(w, content[1000:151_000]); err != nil {
		t.Error(err)
	}
	if _, err := w.Seek(-1, io.SeekStart); err == nil {
		t.Error("a seek before the start succeeded")
	}
}

func TestAWindowEndsWhereTheFileDoes(t *testing.T) {
	t.Parallel()
	w := safearchive.NewWindow(bytes.NewReader([]byte("short")), 2, 100)
	if got, err := io.ReadAll(w); err != nil || string(got) != "ort" {
		t.Errorf("read %q, %v", got, err)
	}
}

func TestStepsOfAnySizeReadTheSame(t *testing.T) {
	t.Parallel()
	content := make([]byte, 300_000)
	rng := rand.New(rand.NewPCG(1, 2))
	for i := range content {
		content[i] = byte(rng.Uint32())
	}
	w := safearchive.NewWindow(bytes.NewReader(content), 0, int64(len(content)))
	buf := make([]byte, 70_000)
	for range 500 {
		at := rng.Int64N(int64(len(content)))
		if _, err := w.Seek(at, io.SeekStart); err != nil {
			t.Fatal(err)
		}
		n, err := io.ReadFull(w, buf[:rng.IntN(len(buf))])
		if err != nil && err != io.ErrUnexpectedEOF && err != io.EOF {
			t.Fatal(err)
		}
		if !bytes.Equal(buf[:n], content[at:at+int64(n)]) {
			t.Fatalf("%d bytes at %d differ", n, at)
		}
	}
}
