package image

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"runtime"
	"strings"
	"testing"
	"time"

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

// Not parallel: it watches the heap.
func TestMemoryStaysBounded(t *testing.T) {
	long := strings.Repeat("d/", 120)
	manifest := manifestOf("p", "1.0.0") + strings.Repeat(" ", 100)
	tests := map[string]struct {
		entry func(i int) member
		n     int
		full  bool
	}{
		"sixty thousand scripts with long paths": {func(i int) member { return file(fmt.Sprintf("%s%d.js", long, i), "1") }, 60_000, true},
		"as many whiteouts":                      {func(i int) member { return file(fmt.Sprintf("%s.wh.%d", long, i), "") }, 60_000, true},
		"as many hard links":                     {func(i int) member { return hardlinked(fmt.Sprintf("%s%d", long, i), "good.js") }, 60_000, true},
		"as many packages":                       {func(i int) member { return file(fmt.Sprintf("%s%d/node_modules/p/package.json", long, i), manifest) }, 60_000, true},
		"a database of a million packages": {func(int) member {
			return repeated("var/lib/dpkg/status", "Package: a\nVersion: 1\nStatus: install ok installed\n\n", 1_000_000)
		}, 1, true},
		"a database of long names": {func(int) member {
			return repeated("lib/apk/db/installed", "P:"+strings.Repeat("p", 500)+"\nV:"+strings.Repeat("1", 500)+"\n\n", 60_000)
		}, 1, true},
		"a line of sixty megabytes":     {func(int) member { return repeated("lib/apk/db/installed", "xxxxxxxx", 60<<17) }, 1, false},
		"one name sixty thousand times": {func(int) member { return file("a.js", "1") }, 60_000, false},
	}
	for name, tt := range tests {
		t.Run(name, func(t *testing.T) {
			r := endless(tt.entry, tt.n)
			stop, peak := watchHeap()
			inv, err := ReadLayer(r)
			close(stop)
			if err != nil {
				t.Fatal(err)
			}
			if full := strings.Contains(inv.Incomplete, "left out"); full != tt.full {
				t.Errorf("incomplete = %q", inv.Incomplete)
			}
			if most := <-peak; most > 64<<20 {
				t.Errorf("the heap grew by %d MiB", most>>20)
			}
		})
	}
}

// watchHeap samples how far the heap grows until stop is closed.
func watchHeap() (stop chan struct{}, peak chan int64) {
	stop, peak = make(chan struct{}), make(chan int64, 1)
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	before := int64(m.HeapAlloc)
	go func() {
		most := int64(0)
		tick := time.NewTicker(2 * time.Millisecond)
		defer tick.Stop()
		for {
			runtime.ReadMemStats(&m)
			most = max(most, int64(m.HeapAlloc)-before)
			select {
			case <-stop:
				peak <- most
				return
			case <-tick.C:
			}
		}
	}()
	return stop, peak
}
