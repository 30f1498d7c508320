package kernel

import (
	"fmt"
	"os"
	"testing"

	"github.com/hullmark/hullmark/internal/sensor/kernel/lab"
)

func TestAnExecutableIsKnownByItsLayer(t *testing.T) {
	w := watch(t, Config{})
	inTestLab(t, func(l *lab.Lab) error {
		if err := w.Follow(l.ID, Follow{}); err != nil {
			return err
		}
		if err := os.Chmod(l.Merged("changed"), 0o700); err != nil {
			return err
		}
		drift, err := l.Drift("drift")
		if err != nil {
			return err
		}
		for program, want := range map[string]File{
			l.Merged("lower"):   {Path: "/lower", Origin: OriginLower, Layer: 2},
			l.Merged("changed"): {Path: "/changed", Origin: OriginCopiedUp, Layer: 2},
			drift:               {Path: "/drift", Origin: OriginUpper},
		} {
			out, err := l.Run(t.Context(), program, "first", "second")
			if err != nil || out != "!" {
				return fmt.Errorf("%s wrote %q: %v", program, out, err)
			}
			e, err := w.find(l.ID, of(Exec, want.Path))
			if err != nil {
				return err
			}
			if e.File.Origin != want.Origin || e.File.Layer != want.Layer || e.Args != program+" first second" {
				return fmt.Errorf("event %+v, want %+v", e, want)
			}
		}
		return nil
	})
}

func TestADriftedExecutableIsKilledBeforeItWrites(t *testing.T) {
	w := watch(t, Config{})
	inTestLab(t, func(l *lab.Lab) error {
		if err := w.Follow(l.ID, Follow{KillDrift: true}); err != nil {
			return err
		}
		drift, err := l.Drift("drift")
		if err != nil {
			return err
		}
		if out, err := l.Run(t.Context(), drift); err == nil || out != "" {
			return fmt.Errorf("drift wrote %q: %v", out, err)
		}
		if out, err := l.Run(t.Context(), l.Merged("lower")); err != nil || out != "!" {
			return fmt.Errorf("image file wrote %q: %v", out, err)
		}
		e, err := w.find(l.ID, of(Exec, "/drift"))
		if err == nil && e.Action != Killed {
			err = fmt.Errorf("event %+v", e)
		}
		return err
	})
}

func TestAProgramInMemoryIsKilledUnlessTheHostStartsIt(t *testing.T) {
	w := watch(t, Config{})
	python := program(t, "python3")
	inTestLab(t, func(l *lab.Lab) error {
		if err := w.Follow(l.ID, Follow{KillDrift: true}); err != nil {
			return err
		}
		code := fmt.Sprintf("import os; f = os.memfd_create('x', 0); os.write(f, open(%q, 'rb').read()); os.execve(f, ['x'], {})", l.Merged("lower"))
		if out, err := l.Run(t.Context(), python, "-c", code); err == nil || out != "" {
			return fmt.Errorf("program in memory wrote %q: %v", out, err)
		}
		e, err := w.find(l.ID, func(e Event) bool { return e.Kind == Exec && e.File.Origin == OriginMemfd })
		if err != nil {
			return err
		}
		if e.Action != Killed || e.File.Path != "" || !e.File.Deleted {
			return fmt.Errorf("event %+v", e)
		}
		// As a container runtime does: in the container's cgroup, but not yet in its mount namespace.
		nsenter := program(t, "nsenter")
		if out, err := l.Run(t.Context(), nsenter, fmt.Sprintf("--mount=/proc/%d/ns/mnt", os.Getpid()), python, "-c", "import os; f = os.memfd_create('x', 0); os.write(f, open('/bin/true', 'rb').read()); os.execve(f, ['x'], {})"); err != nil {
			return fmt.Errorf("the host's program in memory: %q %w", out, err)
		}
		return nil
	})
}
