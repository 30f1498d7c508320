//go:build !race

package image

import (
	"fmt"
	"runtime"
	"strings"
	"testing"
	"time"
)

// The race detector has a heap of its own beside the program's, and takes eight times as long: make check runs this
// without it.

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
