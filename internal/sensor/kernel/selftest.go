package kernel

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"runtime/debug"
	"sync"

	"github.com/hullmark/hullmark/internal/sensor/kernel/lab"
)

// SelfTest proves a level on this machine: in an overlay and a cgroup of its own it runs a file of a layer,
// which must run and be recognised, and one that is only in the writable layer, which must be stopped
// without having written a byte. Enforcement is for callers to refuse until it returned nil.
//
// It reads the rings, so it has to be called before Run, and what else they hold is lost.
func (s *Sensor) SelfTest(ctx context.Context, level Level) error {
	if level == DenyLSM && !s.config.LSM {
		return errors.New("kernel: self-test of deny-lsm: the sensor was loaded without its security hooks")
	}
	root, err := CgroupRoot()
	if err != nil {
		return err
	}
	err = lab.In(root, "hullmark-selftest", func(l *lab.Lab) error {
		var events trail
		return errors.Join(s.reading(ctx, &events, func() error { return s.prove(ctx, l, level, &events) }), s.Forget(l.ID))
	})
	if err != nil {
		return fmt.Errorf("kernel: self-test of %s: %w", level, err)
	}
	return nil
}

// trail is what was told about executions, by cgroup and path.
type trail struct {
	mu    sync.Mutex
	execs []Event
}

func (t *trail) note(e *Event) {
	if e.Kind != Exec {
		return
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.execs = append(t.execs, *e)
}

func (t *trail) find(cgroup uint64, path string) (Event, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, e := range t.execs {
		if e.Cgroup == cgroup && e.File.Path == path {
			return e, true
		}
	}
	return Event{}, false
}

// reading runs do and then reads what the rings got meanwhile.
func (s *Sensor) reading(ctx context.Context, events *trail, do func() error) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, events.note) }()
	err := do()
	stop()
	return errors.Join(err, <-done)
}

func (s *Sensor) prove(ctx context.Context, l *lab.Lab, level Level, events *trail) error {
	if err := s.Follow(l.ID, Follow{KillDrift: level > Observe}); err != nil {
		return err
	}
	if level == DenyFanotify {
		end, err := denying(ctx, l, s)
		if err != nil {
			return err
		}
		defer end()
	}
	defer withoutCollection()()
	out, err := l.Run(ctx, l.Merged("lower"))
	if err != nil || out != "!" {
		return fmt.Errorf("a file of a layer did not run: %q, %w", out, err)
	}
	drift, err := l.Drift("drift")
	if err != nil {
		return err
	}
	out, err = l.Run(ctx, drift)
	if stopped := err != nil && out == ""; stopped != (level > Observe) {
		return fmt.Errorf("a file of the writable layer: output %q, result %v", out, err)
	}
	return s.recognised(ctx, l, level, events)
}

// recognised checks that the kernel called the two files what they are.
func (s *Sensor) recognised(ctx context.Context, l *lab.Lab, level Level, events *trail) error {
	if s.overlay.layout == "" && (level == Observe || level == DenyFanotify) {
		return s.unknown(ctx, l, events)
	}
	action := map[Level]Action{Observe: Observed, Kill: Killed, DenyLSM: Denied}[level]
	if level == Kill && s.config.LSM {
		action = Denied // the hooks come first, and the signal never has to
	}
	for _, want := range []Event{
		{File: File{Path: "/lower", Origin: OriginLower, Layer: 2}},
		{File: File{Path: "/drift", Origin: OriginUpper}, Action: action},
	} {
		if level == DenyFanotify && want.File.Origin == OriginUpper {
			continue // it never came to an exec that the programs could see
		}
		got, ok := s.await(ctx, l, want.File.Path, events)
		if !ok {
			return fmt.Errorf("the execution of %s was not told", want.File.Path)
		}
		if got.File.Origin != want.File.Origin || got.File.Layer != want.File.Layer || got.Action != want.Action {
			return fmt.Errorf("%s was told as origin %d, layer %d, action %d; this kernel's overlay is not understood",
				want.File.Path, got.File.Origin, got.File.Layer, got.Action)
		}
	}
	return nil
}

// unknown checks what is left where overlay is neither described nor of a layout that proved itself: executions
// are told, and their origin is said to be unknown. fanotify decides by path, without it.
func (s *Sensor) unknown(ctx context.Context, l *lab.Lab, events *trail) error {
	got, ok := s.await(ctx, l, l.Merged("lower"), events)
	if !ok {
		return errors.New("the execution of a file of a layer was not told")
	}
	if got.File.Origin != OriginUnknown {
		return fmt.Errorf("a file was told as of origin %d, which this kernel cannot know", got.File.Origin)
	}
	return nil
}

// await gives the rings a second to tell of an execution.
func (s *Sensor) await(ctx context.Context, l *lab.Lab, path string, events *trail) (Event, bool) {
	for range 200 {
		if e, ok := events.find(l.ID, path); ok {
			return e, true
		}
		if pause(ctx, s.config.Poll) != nil {
			break
		}
	}
	return Event{}, false
}

// denying runs a Deny for the lab until the result is called.
func denying(ctx context.Context, l *lab.Lab, s *Sensor) (end func(), err error) {
	d, err := NewDeny(s.config.Clock)
	if err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(ctx)
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = d.Run(ctx, func(*Event) {}) // a failure shows in what is executed meanwhile
	}()
	end = func() {
		stop()
		<-done
		d.Close()
	}
	if err := d.Add(Overlay{Cgroup: l.ID, Merged: l.Merged(""), Upper: l.Path("upper")}); err != nil {
		end()
		return nil, err
	}
	return end, nil
}

// withoutCollection holds the garbage collector until the result is called. Go starts programs by
// vfork, which no stop of the world interrupts; a program that waits for our own answer to start,
// while that goroutine is stopped, would wait for ever.
func withoutCollection() (again func()) {
	runtime.GC()
	before := debug.SetGCPercent(-1)
	return func() { debug.SetGCPercent(before) }
}
