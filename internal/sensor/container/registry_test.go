package container

import (
	"context"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/sensor/cgroup"
)

// scripted is a source whose answers a test decides on.
type scripted struct {
	mu    sync.Mutex
	asked int
	find  func(ctx context.Context, asked int) (*Container, error)
}

func (*scripted) Name() string { return "scripted" }

func (s *scripted) Find(ctx context.Context, ref Ref) (*Container, error) {
	s.mu.Lock()
	s.asked++
	n := s.asked
	s.mu.Unlock()
	return s.find(ctx, n)
}

// watching is a registry over a made-up /proc with one mount, and what it told.
type watching struct {
	*Registry
	mu       sync.Mutex
	followed map[uint64]string
	found    []*Container
	gone     []string
}

func watch(t *testing.T, s Source) *watching {
	t.Helper()
	proc, groups := t.TempDir(), t.TempDir()
	for _, pid := range []string{"1", "self"} {
		if err := os.MkdirAll(filepath.Join(proc, pid), 0o755); err != nil {
			t.Fatal(err)
		}
		table := "1 1 0:1 / / rw - ext4 /dev/x rw\n2 1 0:40 / /merged rw - overlay overlay rw,lowerdir=/b:/a,upperdir=/u\n"
		if err := os.WriteFile(filepath.Join(proc, pid, "mountinfo"), []byte(table), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	w := &watching{followed: map[uint64]string{}}
	tree := cgroup.Tree{Root: groups}
	w.Registry = NewRegistry(Config{
		Tree: tree, Locator: Locator{Proc: proc, Tree: tree}, Sources: []Source{s}, Clock: clock.System{}, Logger: slog.New(slog.DiscardHandler),
		Follow: func(key string, group uint64) { w.mu.Lock(); defer w.mu.Unlock(); w.followed[group] = key },
		Found:  func(_ string, c *Container) { w.mu.Lock(); defer w.mu.Unlock(); w.found = append(w.found, c) },
		Gone:   func(key string) { w.mu.Lock(); defer w.mu.Unlock(); w.gone = append(w.gone, key) },
	})
	return w
}

// after runs the registry for a while of a test's own time, and returns what was found.
func (w *watching) after(t *testing.T, d time.Duration) []*Container {
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); w.Run(ctx) }()
	time.Sleep(d) // of the bubble's clock
	synctest.Wait()
	cancel()
	<-done
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.found
}

func web() *Container { return &Container{ID: id1, Name: "web", Merged: "/merged"} }

func TestAContainerIsFollowedAtOnceAndFoundWhenItsRuntimeKnowsIt(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t, &scripted{find: func(_ context.Context, asked int) (*Container, error) {
			if asked < 4 {
				return nil, ErrUnknown
			}
			return web(), nil
		}})
		w.Made(7, "/pods/"+id1)
		w.Made(8, "/pods/"+id1+"/below")
		w.Made(9, "/user.slice")
		if len(w.followed) != 2 || w.followed[7] != w.followed[8] {
			t.Errorf("followed %v", w.followed)
		}
		found := w.after(t, time.Second)
		if len(found) != 1 || found[0].Root.Dev != 40 || found[0].Runtime != "scripted" {
			t.Errorf("found %+v", found)
		}
	})
}

func TestARuntimeThatVanishesMidLookUpLeavesAGapAndIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		back := false
		s := &scripted{find: func(ctx context.Context, _ int) (*Container, error) {
			if back {
				return web(), nil
			}
			<-ctx.Done() // it took the question and never answers
			return nil, ctx.Err()
		}}
		w := watch(t, s)
		w.Made(7, "/pods/"+id1)
		found := w.after(t, Patience+2*askFor)
		if len(found) != 1 || found[0].Runtime != UnknownRuntime || found[0].Gaps[0] != "the container runtime did not answer" {
			t.Fatalf("found %+v", found)
		}
		if s.asked > 30 {
			t.Errorf("it was asked %d times", s.asked)
		}
		back = true
		found = w.after(t, 2*unknownWait)
		if len(found) != 2 || found[1].Name != "web" {
			t.Errorf("after it came back: %+v", found)
		}
	})
}

func TestAClockThatIsSetBackEndsNoWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var shift atomic.Int64 // of the clock; lookups run beside the registry
		w := watch(t, &scripted{find: func(context.Context, int) (*Container, error) {
			shift.Add(-int64(time.Hour))
			return nil, errors.New("not now")
		}})
		w.Clock = clock.Func(func() time.Time { return time.Now().Add(time.Duration(shift.Load())) })
		w.Made(7, "/pods/"+id1)
		if found := w.after(t, time.Second); len(found) != 0 {
			t.Errorf("found %+v", found)
		}
	})
}

func TestAContainerWithoutOverlayIsKnownWithAGap(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t, &scripted{find: func(context.Context, int) (*Container, error) { return &Container{ID: id1, Merged: "/elsewhere"}, nil }})
		group := "/" + id1
		if err := os.MkdirAll(filepath.Join(w.Tree.Root, group), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(w.Tree.Root, group, "cgroup.procs"), []byte("1\n"), 0o644); err != nil {
			t.Fatal(err)
		}
		w.Made(7, group)
		found := w.after(t, rootPatience+time.Second+slowWait)
		if len(found) != 1 || found[0].Root.Explained || len(found[0].Gaps) != 1 {
			t.Errorf("found %+v", found)
		}
	})
}

func TestAGroupThatIsGoneIsToldOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := watch(t, &scripted{find: func(context.Context, int) (*Container, error) { return web(), nil }})
		w.Made(7, "/pods/"+id1)
		w.after(t, time.Second)
		w.Sweep()
		w.Sweep()
		if len(w.gone) != 1 || w.gone[0] != "/pods/"+id1 {
			t.Errorf("gone %v", w.gone)
		}
	})
}
