//go:build kernels

// The kernels of most machines that tests run on have no BPF among their security modules. These tests are
// compiled only for those that `make kernels` boots, where they may not skip.
package kernel

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/hullmark/hullmark/internal/sensor/kernel/lab"
)

func TestSecurityHooksDenyDriftAndRecalledFiles(t *testing.T) {
	needsKernel(t)
	if found := Probe(); !found.LSM.OK {
		t.Fatalf("needs BPF among the security modules: %s", found.LSM.Reason)
	}
	w := watch(t, Config{LSM: true})
	inTestLab(t, func(l *lab.Lab) error {
		if err := w.Follow(l.ID, Follow{KillDrift: true, KillRecalled: true}); err != nil {
			return err
		}
		if out, err := l.Run(t.Context(), l.Merged("lower")); err != nil || out != "!" {
			return fmt.Errorf("a file of a layer wrote %q: %v", out, err)
		}
		drift, err := l.Drift("drift")
		if err != nil {
			return err
		}
		if out, err := l.Run(t.Context(), drift); !errors.Is(err, os.ErrPermission) || out != "" {
			return fmt.Errorf("drift wrote %q: %v", out, err)
		}
		var st unix.Stat_t
		if err := unix.Stat(l.Path("lower2", "lower"), &st); err != nil {
			return err
		}
		if err := w.Block(st.Dev, st.Ino); err != nil {
			return err
		}
		if out, err := l.Run(t.Context(), l.Merged("lower")); err == nil || out != "" {
			return fmt.Errorf("a recalled file wrote %q: %v", out, err)
		}
		if _, err := w.find(l.ID, func(e Event) bool { return e.Kind == Exec && e.Action == Denied && e.File.Path == "/drift" }); err != nil {
			return err
		}
		// Whoever executes a recalled file is ended already as it is opened.
		_, err = w.find(l.ID, func(e Event) bool { return e.Action == Killed && e.Recalled && e.File.Path == "/lower" })
		return err
	})
}
