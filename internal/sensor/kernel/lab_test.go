package kernel

import (
	"context"
	"fmt"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/sensor/kernel/lab"
)

// needsKernel skips a test where BPF programs cannot be loaded; where the tests have to be whole it fails.
func needsKernel(t *testing.T) {
	t.Helper()
	if os.Geteuid() == 0 {
		return
	}
	if os.Getenv("CI") == "true" {
		t.Fatal("needs root to load BPF programs")
	}
	t.Skip("needs root to load BPF programs")
}

// watched is a sensor that runs, and the events of one cgroup that it has told so far.
type watched struct {
	*Sensor
	mu     sync.Mutex
	events []Event
	more   chan struct{}
}

func watch(t *testing.T, config Config) *watched {
	t.Helper()
	needsKernel(t)
	sensor, err := Load(config)
	if err != nil {
		t.Fatal(err)
	}
	w := &watched{Sensor: sensor, more: make(chan struct{}, 1)}
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- sensor.Run(ctx, w.note) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err := sensor.Close(); err != nil {
			t.Error(err)
		}
	})
	return w
}

func (w *watched) note(e *Event) {
	w.mu.Lock()
	w.events = append(w.events, *e)
	w.mu.Unlock()
	select {
	case w.more <- struct{}{}:
	default:
	}
}

// find waits for an event of a cgroup.
func (w *watched) find(cgroup uint64, want func(Event) bool) (Event, error) {
	end := time.After(5 * time.Second)
	for {
		w.mu.Lock()
		var seen []string
		for _, e := range w.events {
			if e.Cgroup != cgroup {
				continue
			}
			if want(e) {
				w.mu.Unlock()
				return e, nil
			}
			seen = append(seen, fmt.Sprintf("%+v", e))
		}
		w.mu.Unlock()
		select {
		case <-w.more:
		case <-end:
			return Event{}, fmt.Errorf("no such event among:\n%s", strings.Join(seen, "\n"))
		}
	}
}

// count tells how many such events have been told so far.
func (w *watched) count(cgroup uint64, want func(Event) bool) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, e := range w.events {
		if e.Cgroup == cgroup && want(e) {
			n++
		}
	}
	return n
}

func of(kind Kind, path string) func(Event) bool {
	return func(e Event) bool { return e.Kind == kind && e.File.Path == path }
}

// inTestLab is a lab with a cgroup of the test's own.
func inTestLab(t *testing.T, try func(*lab.Lab) error) {
	t.Helper()
	name := "hullmark-test-" + strings.ToLower(strings.NewReplacer("/", "-").Replace(t.Name()))
	root, err := CgroupRoot()
	if err != nil {
		t.Fatal(err)
	}
	if err := lab.In(root, name, try); err != nil {
		t.Fatal(err)
	}
}
