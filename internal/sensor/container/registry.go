package container

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/sensor/cgroup"
)

// Config is what a registry needs.
type Config struct {
	Tree    cgroup.Tree
	Locator Locator
	// Sources are asked in order; the first that knows a container has it.
	Sources []Source
	// Rules name groups that no path convention would recognise; they are asked first.
	Rules  Rules
	Clock  clock.Clock
	Logger *slog.Logger

	// Follow is called for every group that belongs to a container, or will once it is found out which.
	// key is the same for all groups of a container. Called from several goroutines.
	Follow func(key string, group uint64)
	// Found is called once a container is known, with its root if it has one, and again when one that
	// was unknown is found out about. Called from one goroutine.
	Found func(key string, c *Container)
	// Gone is called when a container's group is gone, also for one that was never found.
	Gone func(key string)
}

// The bounds on a look-up. A runtime registers a container before it starts it, so the first tries nearly
// always answer. What is not known after Patience is "unknown", with a gap, and asked about now and then.
const (
	Patience     = 30 * time.Second
	rootPatience = 3 * time.Second // for a container that is known but has no overlay
	askFor       = 5 * time.Second // one question to one source
	parallel     = 4
	firstWait    = 25 * time.Millisecond
	slowWait     = 2 * time.Second
	unknownWait  = time.Minute
)

// entry is one container, looked up or still to be.
type entry struct {
	refs   []Ref
	groups []uint64
	c      *Container // nil until found, or given up
	// open: it is still looked up, also after it was given up. busy: a worker has it.
	open, busy bool
	since, due time.Time
	wait       time.Duration
	idle       *Container // is known, but nothing ran in it when it was looked at
}

// answer is what one look-up brought.
type answer struct {
	e    *entry
	c    *Container // nil when no source knew it
	root error      // why c has no root yet
	err  error      // why c is nil
}

// Registry knows the containers of this node by their control groups. It is safe for concurrent use, and
// nobody who tells it of a group waits for a look-up.
type Registry struct {
	Config
	mu      sync.Mutex
	byGroup map[uint64]*entry
	byPath  map[string]*entry // by the container's own group
	wake    chan struct{}
}

// NewRegistry returns an empty registry. [Registry.Run] makes it work.
func NewRegistry(c Config) *Registry {
	return &Registry{Config: c, byGroup: map[uint64]*entry{}, byPath: map[string]*entry{}, wake: make(chan struct{}, 1)}
}

// Made takes note of a group. Groups of no container cost nothing further.
func (r *Registry) Made(id uint64, path string) {
	refs := append(r.Rules.Refs(path), Refs(path)...)
	if len(refs) == 0 || id == 0 {
		return
	}
	r.mu.Lock()
	if _, known := r.byGroup[id]; known {
		r.mu.Unlock()
		return
	}
	e := r.byPath[refs[0].Cgroup]
	if e == nil {
		now := r.Clock.Now()
		e = &entry{refs: refs, open: true, since: now, due: now, wait: firstWait}
		r.byPath[refs[0].Cgroup] = e
	}
	e.groups = append(e.groups, id)
	r.byGroup[id] = e
	r.mu.Unlock()
	r.Follow(refs[0].Cgroup, id)
	r.poke()
}

func (r *Registry) poke() {
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// Scan takes note of every group there is, and that some are gone.
func (r *Registry) Scan() error {
	seen := map[string]bool{}
	err := r.Tree.Scan(func(g cgroup.Group) {
		seen[g.Path] = true
		r.Made(g.ID, g.Path)
	})
	if err != nil {
		return err
	}
	r.sweep(func(path string) bool { return seen[path] })
	return nil
}

// Sweep forgets containers whose group is gone.
func (r *Registry) Sweep() {
	r.sweep(func(path string) bool {
		_, err := r.Tree.ID(path)
		return err == nil
	})
}

func (r *Registry) sweep(there func(path string) bool) {
	var gone []string
	r.mu.Lock()
	for path, e := range r.byPath {
		if e.busy || there(path) {
			continue
		}
		delete(r.byPath, path)
		for _, id := range e.groups {
			delete(r.byGroup, id)
		}
		gone = append(gone, path)
	}
	r.mu.Unlock()
	for _, key := range gone {
		r.Gone(key)
	}
}

// Hurry makes the next look-up of a container come at once: something happens in it.
func (r *Registry) Hurry(key string) {
	r.mu.Lock()
	if e := r.byPath[key]; e != nil && e.open {
		e.due, e.wait = r.Clock.Now(), firstWait
	}
	r.mu.Unlock()
	r.poke()
}

// Idle returns what is known about a container whose root was not found because nothing ran in it; nil
// when nothing is.
func (r *Registry) Idle(key string) *Container {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.byPath[key]
	if e == nil || e.idle == nil {
		return nil
	}
	c := *e.idle
	c.Gaps = append(c.Gaps[:len(c.Gaps):len(c.Gaps)], "it ended before its root file system was found, so files are not attributed to layers")
	return &c
}

// Run looks containers up until ctx ends.
func (r *Registry) Run(ctx context.Context) {
	answers := make(chan answer)
	slots := make(chan struct{}, parallel)
	var workers sync.WaitGroup
	defer workers.Wait()
	timer := time.NewTimer(0)
	for {
		select {
		case <-ctx.Done():
			return
		case a := <-answers:
			r.settle(a)
			<-slots
		case <-r.wake:
		case <-timer.C:
		}
		for len(slots) < parallel {
			e := r.next()
			if e == nil {
				break
			}
			slots <- struct{}{}
			workers.Go(func() {
				select {
				case answers <- r.lookUp(ctx, e):
				case <-ctx.Done():
				}
			})
		}
		timer.Reset(r.untilDue())
	}
}

// next takes an entry whose time has come.
func (r *Registry) next() *entry {
	r.mu.Lock()
	defer r.mu.Unlock()
	now := r.Clock.Now()
	for _, e := range r.byPath {
		if e.open && !e.busy && !e.due.After(now) {
			e.busy = true
			return e
		}
	}
	return nil
}

// untilDue is how long nothing needs to be done.
func (r *Registry) untilDue() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	wait := slowWait
	for _, e := range r.byPath {
		if e.open && !e.busy {
			wait = min(wait, e.due.Sub(r.Clock.Now()))
		}
	}
	return max(wait, time.Millisecond)
}

// lookUp asks for a container once.
func (r *Registry) lookUp(ctx context.Context, e *entry) answer {
	c, err := r.ask(ctx, e.refs)
	if err != nil {
		return answer{e: e, err: err}
	}
	return answer{e: e, c: c, root: r.Locator.Locate(c)}
}

func (r *Registry) ask(ctx context.Context, refs []Ref) (*Container, error) {
	var failed error
	for _, ref := range refs {
		for _, s := range append([]Source{r.Rules}, r.Sources...) {
			asking, cancel := context.WithTimeout(ctx, askFor)
			c, err := s.Find(asking, ref)
			cancel()
			if err == nil {
				c.Runtime = s.Name()
				return c, nil
			}
			if !errors.Is(err, ErrUnknown) {
				failed = errors.Join(failed, err)
			}
		}
	}
	if failed == nil {
		failed = ErrUnknown
	}
	return nil, failed
}

// settle records what a look-up brought: a container, another try later, or that it stays unknown.
func (r *Registry) settle(a answer) {
	e := a.e
	r.mu.Lock()
	e.busy = false
	now := r.Clock.Now()
	waited := now.Sub(e.since)
	if waited < 0 { // the clock was set back: begin to count again
		e.since, waited = now, 0
	}
	found := r.decide(a, waited)
	if found != nil {
		e.c = found
	}
	e.open = e.c == nil || e.c.Runtime == UnknownRuntime
	if e.open {
		e.due = now.Add(e.wait)
		e.wait = min(e.wait*2, slowWait)
		if e.c != nil {
			e.wait = unknownWait
		}
	}
	r.mu.Unlock()
	if found != nil {
		r.Found(e.refs[0].Cgroup, found)
	}
}

// decide returns the container to settle for, or nil to go on as before.
func (r *Registry) decide(a answer, waited time.Duration) *Container {
	switch {
	case a.c != nil && a.root == nil:
		return a.c
	case a.c != nil && errors.Is(a.root, errIdle):
		a.e.idle = a.c // it can do nothing before it has a process, and then there is a root to be found
	case a.c != nil && waited > rootPatience:
		a.c.Gaps = append(a.c.Gaps, "its root is no overlay that can be read, so files are not attributed to layers")
		r.Logger.Warn("container without overlay", "cgroup", a.c.Cgroup, "error", a.root)
		return a.c
	case a.c == nil && a.e.c == nil && waited > Patience:
		r.Logger.Warn("container unknown", "cgroup", a.e.refs[0].Cgroup, "error", a.err)
		return unknown(a.e.refs[len(a.e.refs)-1], a.err)
	}
	return nil
}

// UnknownRuntime is the runtime of a container that no source knew.
const UnknownRuntime = "unknown"

// unknown stands for a container that no runtime told about: its events have a place, with the gap named.
func unknown(ref Ref, err error) *Container {
	gap := "no container runtime on this node knows this container"
	if err != nil && !errors.Is(err, ErrUnknown) {
		gap = "the container runtime did not answer"
	}
	c := &Container{ID: ref.ID, Cgroup: ref.Cgroup, Runtime: UnknownRuntime, Gaps: []string{gap}}
	c.Workload.Kind, c.Workload.Name = "container", c.Display()
	return c
}

// Unanswered stands for a container while its runtime has not answered yet. path is its group.
func Unanswered(path string) *Container {
	c := unknown(Ref{Cgroup: path, ID: path[strings.LastIndexByte(path, '/')+1:]}, nil)
	c.Gaps = []string{"the container runtime has not answered yet"}
	return c
}
