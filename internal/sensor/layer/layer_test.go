package layer

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/digest"
)

func d(text string) digest.Digest { return digest.FromBytes([]byte(text)) }

func files(n int) []File {
	var out []File
	for i := range n {
		f := File{Path: fmt.Sprintf("usr/lib/%05d/file", (i*7919)%n), SHA256: sha256.Sum256([]byte{byte(i), byte(i >> 8)})}
		if i%2 == 0 {
			f.Component = fmt.Sprintf("pkg:npm/c%d@1", i%10)
		}
		out = append(out, f)
	}
	return out
}

func TestEveryFileIsFoundAndNothingElse(t *testing.T) {
	t.Parallel()
	all := files(1000)
	raw, err := encode(append([]File(nil), all...))
	if err != nil {
		t.Fatal(err)
	}
	x, err := decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range all {
		if got, ok := x.Lookup("/" + f.Path); !ok || got != f {
			t.Fatalf("%s: %+v, %v", f.Path, got, ok)
		}
	}
	for _, path := range []string{"", "/", "/usr/lib", "/usr/lib/00000/file/", "/zzz", "/usr/lib/00000/fil"} {
		if f, ok := x.Lookup(path); ok {
			t.Errorf("%q is found as %+v", path, f)
		}
	}
}

func TestFindAnswersByContentAndByComponent(t *testing.T) {
	t.Parallel()
	raw, err := encode([]File{
		{Path: "a", SHA256: [32]byte(sha(1)), Component: "pkg:npm/x@1"}, {Path: "b", SHA256: [32]byte(sha(2))}, {Path: "c", SHA256: [32]byte(sha(1))},
	})
	if err != nil {
		t.Fatal(err)
	}
	x, err := decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	for want, w := range map[string]Wanted{
		"ac": {Files: map[[32]byte]bool{sha(1): true}},
		"a":  {Components: map[string]bool{"pkg:npm/x@1": true}},
		"":   {Components: map[string]bool{"pkg:npm/x@2": true}},
	} {
		got := ""
		for _, f := range x.Find(w) {
			got += f.Path
		}
		if got != want {
			t.Errorf("%+v finds %q, want %q", w, got, want)
		}
	}
}

func sha(b byte) [32]byte { return sha256.Sum256([]byte{b}) }

// server is a source with one image, and counts how often it is asked.
type server struct {
	asked int
	err   error
	skip  digest.Digest // a layer that it says nothing about
}

func (s *server) Image(_ context.Context, _ digest.Digest, _ []digest.Digest, visit func(Part) error) error {
	s.asked++
	if s.err != nil {
		return s.err
	}
	img := &Image{Digest: d("image"), DiffIDs: []digest.Digest{d("low"), d("high")}, Releases: map[string]Release{
		"pkg:npm/c0@1": {PURL: "pkg:npm/c0@1", Publisher: "ci", Published: time.Unix(1, 0).UTC()},
	}}
	parts := []Part{{Image: img}}
	for _, diffID := range img.DiffIDs {
		if diffID != s.skip {
			parts = append(parts, Part{DiffID: diffID, Files: files(50)[:25]}, Part{DiffID: diffID, Files: files(50)[25:]})
		}
	}
	for _, p := range parts {
		if err := visit(p); err != nil {
			return err
		}
	}
	return nil
}

func store(t *testing.T, folder string, s Source) *Store {
	t.Helper()
	return NewStore(folder, s, slog.New(slog.DiscardHandler))
}

func TestAnImageIsFetchedOnceAndIsThereWithoutTheServer(t *testing.T) {
	t.Parallel()
	folder, s := t.TempDir(), &server{}
	for range 2 {
		img, indexes, err := store(t, folder, s).Image(t.Context(), d("image"), nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(indexes) != 2 || indexes[0].Len() != 50 || indexes[1].Len() != 50 || img.Releases["pkg:npm/c0@1"].Publisher != "ci" {
			t.Errorf("got %+v, %v", img, indexes)
		}
	}
	if s.asked != 1 {
		t.Errorf("the server was asked %d times", s.asked)
	}
	s.err = errors.New("away")
	old := time.Now().Add(-2 * freshFor)
	if err := os.Chtimes(store(t, folder, s).imageFile(d("image"), nil), old, old); err != nil {
		t.Fatal(err)
	}
	if _, _, err := store(t, folder, s).Image(t.Context(), d("image"), nil); err != nil {
		t.Errorf("without the server: %v", err)
	}
	if s.asked != 2 {
		t.Errorf("about an image that was fetched long ago the server was asked %d times, want once more", s.asked-1)
	}
	if _, _, err := store(t, folder, s).Image(t.Context(), d("other"), nil); err == nil {
		t.Error("an image that nobody knows is known")
	}
	if _, _, err := store(t, folder, nil).Image(t.Context(), d("other"), nil); !errors.Is(err, ErrNone) {
		t.Errorf("stand-alone: %v", err)
	}
}

func TestAnIndexThatIsNotWholeIsFetchedAgain(t *testing.T) {
	t.Parallel()
	folder, s := t.TempDir(), &server{}
	first := store(t, folder, s)
	if _, _, err := first.Image(t.Context(), d("image"), nil); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(first.layerFile(d("low")), 100); err != nil {
		t.Fatal(err)
	}
	_, indexes, err := store(t, folder, s).Image(t.Context(), d("image"), nil)
	if err != nil || indexes[0] == nil || indexes[0].Len() != 50 || s.asked != 2 {
		t.Errorf("got %v, %v after %d questions", indexes, err, s.asked)
	}
}

func TestALayerThatTheServerDoesNotTellIsAGap(t *testing.T) {
	t.Parallel()
	img, indexes, err := store(t, t.TempDir(), &server{skip: d("low")}).Image(t.Context(), d("image"), nil)
	if err != nil || len(img.Gaps) != 1 || indexes[0] != nil || indexes[1] == nil {
		t.Errorf("got %+v, %v, %v", img, indexes, err)
	}
}

func FuzzDecode(f *testing.F) {
	whole, err := encode(files(20))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Add(whole[:len(whole)-3])
	f.Add(bytes.Repeat([]byte{0xff}, 200))
	f.Fuzz(func(t *testing.T, raw []byte) {
		x, err := decode(raw)
		if err != nil {
			return
		}
		for file := range x.All() {
			x.Lookup(file.Path)
		}
		x.Find(Wanted{Components: map[string]bool{"pkg:npm/c0@1": true}})
	})
}

func BenchmarkLookup(b *testing.B) {
	all := files(100_000)
	raw, err := encode(append([]File(nil), all...))
	if err != nil {
		b.Fatal(err)
	}
	x, err := decode(raw)
	if err != nil {
		b.Fatal(err)
	}
	for i := range b.N {
		x.Lookup(all[i%len(all)].Path)
	}
}
