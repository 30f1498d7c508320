//go:build kernels

// As with security hooks, `make kernels` runs this where the kernel can trace functions.
package kernel

import (
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hullmark/hullmark/internal/sensor/kernel/lab"
)

func TestTracedFunctionsTellWhatCallsWouldAndStopRecalledFiles(t *testing.T) {
	needsKernel(t)
	if found := Probe(); !found.Tracing.OK {
		t.Fatalf("needs a kernel that can trace functions: %s", found.Tracing.Reason)
	}
	w := watch(t, Config{Tracing: true})
	if !w.Traced() {
		t.Fatal("tracing did not take effect")
	}
	cat := program(t, "cat")
	inTestLab(t, func(l *lab.Lab) error {
		if err := w.Follow(l.ID, Follow{KillRecalled: true, KillDrift: true}); err != nil {
			return err
		}
		for _, name := range []string{"a.js", "bad.txt"} {
			if err := os.WriteFile(l.Path("lower1", name), []byte("1"), 0o644); err != nil {
				return err
			}
		}
		if out, err := l.Run(t.Context(), cat, l.Merged("a.js"), l.Merged("a.js")); err != nil || out != "11" {
			return fmt.Errorf("%q %w", out, err)
		}
		e, err := w.find(l.ID, of(Open, "/a.js"))
		if err != nil {
			return err
		}
		if e.File.Origin != OriginLower || e.File.Layer != 1 || w.count(l.ID, of(Open, "/a.js")) != 1 {
			return fmt.Errorf("%d times %+v", w.count(l.ID, of(Open, "/a.js")), e)
		}
		if _, err := l.Run(t.Context(), l.Merged("lower")); err != nil {
			return err
		}
		if _, err := w.find(l.ID, of(Mmap, "/lower")); err != nil {
			return err
		}
		var st unix.Stat_t
		if err := unix.Stat(l.Path("lower1", "bad.txt"), &st); err != nil {
			return err
		}
		if err := w.Block(st.Dev, st.Ino); err != nil {
			return err
		}
		if out, err := l.Run(t.Context(), cat, l.Merged("bad.txt")); err == nil || out != "" {
			return fmt.Errorf("a recalled file gave %q: %v", out, err)
		}
		_, err = w.find(l.ID, func(e Event) bool {
			return e.Kind == Open && e.Recalled && e.Action == Killed && e.File.Path == "/bad.txt"
		})
		return err
	})
}
