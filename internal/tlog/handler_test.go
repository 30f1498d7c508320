package tlog

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	xtlog "golang.org/x/mod/sumdb/tlog"

	"github.com/hullmark/hullmark/internal/blob/dir"
)

func TestHandlerServesWhatTheSpecificationSays(t *testing.T) {
	t.Parallel()
	l, _, objects := filled(t, 300)
	const tile, text = "application/octet-stream", "text/plain; charset=utf-8"
	for _, c := range []struct {
		path, contentType, cache string
	}{
		{"/checkpoint", text, "no-cache"},
		{"/tile/0/000", tile, "max-age=31536000, immutable"},
		{"/tile/0/001.p/44", tile, "max-age=31536000, immutable"},
		{"/tile/1/000.p/1", tile, "max-age=31536000, immutable"},
		{"/tile/entries/000", tile, "max-age=31536000, immutable"},
		{"/tile/entries/001.p/44", tile, "max-age=31536000, immutable"},
	} {
		for _, method := range []string{"GET", "HEAD"} {
			w := ask(l, method, c.path)
			h := w.Header()
			if w.Code != 200 || h.Get("Content-Type") != c.contentType || h.Get("Cache-Control") != c.cache {
				t.Errorf("%s %s: %d %v", method, c.path, w.Code, h)
			}
			want := objects.named[c.path[1:]]
			if h.Get("Content-Length") != fmt.Sprint(len(want)) {
				t.Errorf("%s %s: length %s, want %d", method, c.path, h.Get("Content-Length"), len(want))
			}
			if method == "GET" && !bytes.Equal(w.Body.Bytes(), want) || method == "HEAD" && w.Body.Len() > 0 {
				t.Errorf("%s %s: wrong body", method, c.path)
			}
		}
	}
}

func ask(l *Log, method, path string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "/", nil)
	r.URL.Path = path
	w := httptest.NewRecorder()
	l.Handler().ServeHTTP(w, r)
	return w
}

func TestHandlerHasNothingElse(t *testing.T) {
	t.Parallel()
	l, _, objects := filled(t, 300)
	objects.named["tile/0/secret"] = []byte("x")
	for _, path := range []string{
		"", "/", "checkpoint", "/checkpoint/", "//checkpoint", "/tile", "/tile/", "/tile/0", "/tile/0/", "/tile/0/000/", "/tile/0/secret",
		"/tile/0/0", "/tile/0/0000", "/tile/00/000", "/tile/-1/000", "/tile/64/000", "/tile/+0/000", "/tile/data/000", "/tile/8/0/000",
		"/tile/0/000.p/0", "/tile/0/000.p/256", "/tile/0/000.p/01", "/tile/0/000.p/", "/tile/0/001.p/45", "/tile/0/002",
		"/tile/0/x000/000", "/tile/0/001/234", "/tile/0/x001/x234", "/tile/entries/entries/000", "/tile/../checkpoint", "/tile/0/../0/000",
		"/tile/0/x999/x999/x999/x999/x999/x999/x999/x999/999", "/tile/0/\x00", "/tile/Entries/000",
	} {
		if w := ask(l, "GET", path); w.Code != 404 {
			t.Errorf("%q: %d, want 404", path, w.Code)
		}
	}
	for _, method := range []string{"POST", "PUT", "DELETE", "OPTIONS"} {
		if w := ask(l, method, "/checkpoint"); w.Code != 405 || w.Header().Get("Allow") != "GET, HEAD" {
			t.Errorf("%s: %d, want 405", method, w.Code)
		}
	}
}

func TestHandlerHidesAFailingDisk(t *testing.T) {
	t.Parallel()
	l, _, objects := filled(t, 10)
	l.config.Objects = brokenDisk{objects}
	if w := ask(l, "GET", "/tile/0/000.p/10"); w.Code != 500 || strings.Contains(w.Body.String(), errBroken.Error()) {
		t.Errorf("%d %s", w.Code, w.Body)
	}
}

func TestTilePathsAreThoseOfTheSpecification(t *testing.T) {
	t.Parallel()
	for want, got := range map[string]string{
		"tile/0/x001/x234/067":        tilePath(0, 1234067, 256),
		"tile/3/x001/x234/067.p/8":    tilePath(3, 1234067, 8),
		"tile/0/999":                  tilePath(0, 999, 256),
		"tile/entries/x001/067.p/255": bundlePath(1067, 255),
		"tile/entries/000":            bundlePath(0, 256),
	} {
		if got != want {
			t.Errorf("path %s, want %s", got, want)
		}
	}
}

func TestLevelsEndAt63(t *testing.T) {
	t.Parallel()
	if _, _, _, ok := parseTilePath("tile/63/000"); !ok {
		t.Error("level 63 is refused")
	}
	if _, _, _, ok := parseTilePath("tile/64/000"); ok {
		t.Error("level 64 is accepted")
	}
}

func FuzzParseTilePath(f *testing.F) {
	f.Add("tile/0/000")
	f.Add("tile/63/x001/x234/067.p/8")
	f.Add("tile/entries/x001/067.p/255")
	f.Add("tile/data/000")
	f.Fuzz(func(t *testing.T, path string) {
		level, n, w, ok := parseTilePath(path)
		if !ok {
			return
		}
		again := tilePath(level, n, w)
		if level < 0 {
			again = bundlePath(n, w)
		}
		if again != path || n < 0 || w < 1 || w > tileWidth || level > maxLevel {
			t.Errorf("%q was read as level %d tile %d width %d, which is %q", path, level, n, w, again)
		}
	})
}

// client knows nothing of this package's reading side: HTTP, and x/mod's own functions.
type client struct {
	t    *testing.T
	base string
}

func (c client) get(path string) []byte {
	resp, err := http.Get(c.base + path)
	if err != nil {
		c.t.Fatal(err)
	}
	defer resp.Body.Close()
	data, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != 200 {
		c.t.Fatalf("%s: %s %v", path, resp.Status, err)
	}
	return data
}

func (client) Height() int                      { return 8 }
func (client) SaveTiles([]xtlog.Tile, [][]byte) {}
func (c client) ReadTiles(tiles []xtlog.Tile) ([][]byte, error) {
	var all [][]byte
	for _, tile := range tiles {
		all = append(all, c.get(strings.Replace(tile.Path(), "tile/8/", "/tile/", 1)))
	}
	return all, nil
}

func TestAStrangerReadsTheWholeLogOverHTTP(t *testing.T) {
	t.Parallel()
	store, err := dir.Open(t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	leaves := &entries{}
	leaves.grow(555)
	l := open(t, leaves, store)
	sequence(t, l)
	leaves.grow(600)
	sequence(t, l)
	server := httptest.NewServer(http.StripPrefix("/log", l.Handler()))
	defer server.Close()
	c := client{t, server.URL + "/log"}

	head, err := OpenCheckpoint(c.get("/checkpoint"), testKey().Verifier)
	if err != nil || head.Size != 600 {
		t.Fatalf("size %d, %v", head.Size, err)
	}
	logged := append(append(split(t, c.get("/tile/entries/000")), split(t, c.get("/tile/entries/001"))...), split(t, c.get("/tile/entries/002.p/88"))...)
	hashes := xtlog.TileHashReader(xtlog.Tree{N: head.Size, Hash: head.Root}, c)
	for i := range head.Size {
		if !bytes.Equal(logged[i], leaves.all[i]) {
			t.Fatalf("entry %d is %q", i, logged[i])
		}
		if i%50 != 0 {
			continue
		}
		proof, err := xtlog.ProveRecord(head.Size, i, hashes)
		if err != nil {
			t.Fatal(err)
		}
		if err := xtlog.CheckRecord(proof, head.Size, head.Root, i, xtlog.RecordHash(logged[i])); err != nil {
			t.Errorf("entry %d: %v", i, err)
		}
	}
}

// split reads an entry bundle (C2SP tlog-tiles, "Log entries").
func split(t *testing.T, bundle []byte) (all [][]byte) {
	t.Helper()
	for len(bundle) > 0 {
		n := 2 + int(binary.BigEndian.Uint16(bundle))
		if n > len(bundle) {
			t.Fatal("the bundle is cut short")
		}
		all, bundle = append(all, bundle[2:n]), bundle[n:]
	}
	return all
}

func BenchmarkSequence20000Leaves(b *testing.B) {
	store, err := dir.Open(b.TempDir())
	if err != nil {
		b.Fatal(err)
	}
	leaves := &entries{}
	l := open(b, leaves, store)
	size := 100
	for b.Loop() {
		b.StopTimer()
		for i := range 20_000 {
			leaves.all = append(leaves.all, fmt.Appendf(nil, "%d %01000d", size, i))
		}
		size += 20_000
		b.StartTimer()
		sequence(b, l)
	}
	b.ReportMetric(20_000*float64(b.N)/b.Elapsed().Seconds(), "leaves/s")
}
