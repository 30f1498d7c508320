package kernel

import (
	"fmt"
	"os"
	"testing"

	"github.com/cilium/ebpf/asm"

	"github.com/hullmark/hullmark/internal/sensor/kernel/lab"
)

func TestAStormOfProcessesLosesNoneOfThem(t *testing.T) {
	w := watch(t, Config{CriticalSize: 1 << 18})
	inTestLab(t, func(l *lab.Lab) error {
		if err := w.Follow(l.ID, Follow{}); err != nil {
			return err
		}
		const processes = 3000
		line := fmt.Sprintf("i=0; while [ $i -lt %d ]; do (:) & (:) & (:) & wait; i=$((i+3)); done; exec %s", processes, l.Merged("lower"))
		if out, err := shell(t, l, line); err != nil {
			return fmt.Errorf("%q: %w", out, err)
		}
		if _, err := w.find(l.ID, func(e Event) bool { return e.Kind == Exit && e.Comm == "lower" }); err != nil {
			return err
		}
		counters, err := w.Counters()
		if err != nil {
			return err
		}
		forks := w.count(l.ID, func(e Event) bool { return e.Kind == Fork })
		exits := w.count(l.ID, func(e Event) bool { return e.Kind == Exit })
		// The first process was forked before it was in the cgroup.
		if counters.DroppedCritical != 0 || forks < processes || exits != forks+1 {
			return fmt.Errorf("%d forks and %d exits of %d processes were told, %d dropped", forks, exits, processes, counters.DroppedCritical)
		}
		return nil
	})
}

func TestACgroupThatOpensTooMuchIsThrottledAndCounted(t *testing.T) {
	w := watch(t, Config{Rate: 100, Seen: 1})
	inTestLab(t, func(l *lab.Lab) error {
		if err := w.Follow(l.ID, Follow{}); err != nil {
			return err
		}
		if err := os.WriteFile(l.Path("lower1", "a.js"), []byte("1"), 0o644); err != nil {
			return err
		}
		line := fmt.Sprintf("i=0; while [ $i -lt 2000 ]; do : < %s; i=$((i+1)); done; exec %s", l.Merged("a.js"), l.Merged("lower"))
		if out, err := shell(t, l, line); err != nil {
			return fmt.Errorf("%q: %w", out, err)
		}
		if _, err := w.find(l.ID, of(Exec, "/lower")); err != nil {
			return fmt.Errorf("an exec was throttled: %w", err)
		}
		counters, err := w.Counters()
		if err != nil {
			return err
		}
		told := w.count(l.ID, of(Open, "/a.js"))
		if told == 0 || told > 1500 || counters.Throttled == 0 || counters.DroppedBulk != 0 {
			return fmt.Errorf("%d told, %+v", told, counters)
		}
		return nil
	})
}

func TestTenThousandCgroupsAreFollowedAndForgotten(t *testing.T) {
	w := watch(t, Config{})
	const many = 10_000
	for id := uint64(1 << 50); id < 1<<50+many; id++ {
		if err := w.Follow(id, Follow{KillDrift: true}); err != nil {
			t.Fatal(err)
		}
	}
	for id := uint64(1 << 50); id < 1<<50+many; id++ {
		if err := w.Forget(id); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Forget(1 << 50); err != nil {
		t.Errorf("forgetting twice: %v", err)
	}
}

func TestACgroupThatWasNotNamedIsWatchedOnRequest(t *testing.T) {
	w := watch(t, Config{})
	inTestLab(t, func(l *lab.Lab) error {
		if err := w.Watch(true); err != nil {
			return err
		}
		if _, err := l.Run(t.Context(), l.Merged("lower")); err != nil {
			return err
		}
		if _, err := w.find(l.ID, of(Exec, "/lower")); err != nil {
			return err
		}
		return w.Watch(false)
	})
}

func TestWhatAnOlderKernelRefusesIsLeftOutAndSaid(t *testing.T) {
	needsKernel(t)
	programs, err := spec(sensorObject, Config{}.withDefaults())
	if err != nil {
		t.Fatal(err)
	}
	// A number that no kernel has a helper for, as an older one has none for some of those in use.
	broken := programs.Programs["connect4"]
	broken.Instructions = append(asm.Instructions{asm.BuiltinFunc(60000).Call()}, broken.Instructions...)
	loaded, lacks, err := overlay{}.loadWhatGoes(programs)
	if err != nil {
		t.Fatal(err)
	}
	defer loaded.Close()
	if loaded.Programs["process_exec"] == nil || loaded.Programs["call_open"] == nil || loaded.Programs["connect4"] != nil || len(lacks) != 1 {
		t.Errorf("left out: %q", lacks)
	}
}
