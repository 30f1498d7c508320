// Package process keeps the processes of this machine with their ancestry, so that an event can be told
// with who started it. A process is its id together with its start time: an id that is used again is
// another process.
//
// The table is filled from /proc when the agent starts and kept by the kernel's fork, exec and exit events.
// It is bounded: ancestors beyond [MaxDepth] and arguments beyond [maxArgs] are cut, and it holds no more
// processes than there are.
package process

import (
	"slices"
	"sync"

	"github.com/hullmark/hullmark/internal/sensor/kernel"
)

// The bounds.
const (
	MaxDepth  = 16
	maxArgs   = 256
	maxLoaded = 1024
	// MaxProcesses is Linux' own limit on pids of a large machine, so it is met by lost exits only.
	MaxProcesses = 1 << 20
)

// tick is the resolution of start times in /proc: two that agree to it are the same.
const tick = 10_000_000 // ns

// Process is one process. Its fields are guarded by the table's lock; use [Table.Snapshot] to keep one.
type Process struct {
	PID     uint32
	Started uint64 // ns since boot
	Parent  *Process
	Comm    string
	Path    string // of the executable
	Args    string
	Cgroup  uint64
	UID     uint32
	// Outside reports that the process has not executed anything of a container yet: a container
	// runtime on its way in is such a process, and nothing in a container can become one.
	Outside bool
	// Taint is recalled content that the process, or the process it was forked from, has loaded; nil for none.
	Taint any
	// Loaded is what the process has executed, opened as code or mapped, at most maxLoaded.
	Loaded []any

	depth int
}

// Ancestor is a line of ancestry.
type Ancestor struct {
	PID  uint32 `json:"pid"`
	Comm string `json:"comm"`
	Path string `json:"path,omitempty"`
}

// Table is the processes that run now. It is safe for concurrent use.
type Table struct {
	mu  sync.Mutex
	all map[uint32]*Process
}

// NewTable returns an empty table.
func NewTable() *Table { return &Table{all: map[uint32]*Process{}} }

// Len returns how many processes are known.
func (t *Table) Len() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	return len(t.all)
}

// same compares start times at the resolution of /proc.
func same(a, b uint64) bool { return a/tick == b/tick || a == 0 || b == 0 }

// get returns the process if it is known by that start time.
func (t *Table) get(pid uint32, started uint64) *Process {
	p := t.all[pid]
	if p == nil || !same(p.Started, started) {
		return nil
	}
	return p
}

// of returns the process of an event, made from the event when it was not known. Processes of containers
// are known by their forks, or from /proc, so one that is not came from outside.
func (t *Table) of(ev *kernel.Event) *Process {
	if p := t.get(ev.PID, ev.Started); p != nil {
		return p
	}
	p := &Process{PID: ev.PID, Started: ev.Started, Comm: ev.Comm, Cgroup: ev.Cgroup, UID: ev.UID, Outside: true}
	p.adopt(t.all[ev.PPID])
	t.put(p)
	return p
}

// put keeps p. A full table forgets what it has: events and the next reading of /proc fill it again.
func (t *Table) put(p *Process) {
	if len(t.all) >= MaxProcesses {
		clear(t.all)
	}
	t.all[p.PID] = p
}

// adopt gives p a parent, and cuts the ancestry at MaxDepth.
func (p *Process) adopt(parent *Process) {
	if parent == nil || parent == p {
		return
	}
	p.Parent, p.depth = parent, parent.depth+1
	if p.depth < 2*MaxDepth {
		return
	}
	// Others may have cut the ancestry they share with p before, so it can be shorter than counted.
	at := p
	for i := 0; i < MaxDepth && at.Parent != nil; i++ {
		at.depth = MaxDepth - i
		at = at.Parent
	}
	at.Parent, at.depth = nil, 0
}

// Fork takes note of a new process. orphan reports that its parent is not known: events of the host's
// processes are not read, so what comes in from there is an orphan until [Table.Ancestry] was read.
func (t *Table) Fork(ev *kernel.Event) (orphan bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	parent := t.all[ev.PPID]
	p := &Process{PID: ev.PID, Started: ev.Started, Comm: ev.Comm, Cgroup: ev.Cgroup, UID: ev.UID, Outside: parent == nil}
	if parent != nil {
		p.Path, p.Args, p.Outside, p.Taint = parent.Path, parent.Args, parent.Outside, parent.Taint
		// The two share what was loaded until one of them loads more.
		p.Loaded = parent.Loaded[:len(parent.Loaded):len(parent.Loaded)]
		parent.Loaded = p.Loaded
		p.adopt(parent)
	}
	t.put(p)
	return parent == nil
}

// Exec takes note of a new program in a process, and reports whether the process was outside of
// containers until then.
func (t *Table) Exec(ev *kernel.Event) (wasOutside bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.of(ev)
	wasOutside = p.Outside
	p.Loaded = nil
	p.Comm, p.Path, p.Args, p.Cgroup, p.UID = ev.Comm, ev.File.Path, ev.Args[:min(len(ev.Args), maxArgs)], ev.Cgroup, ev.UID
	p.Outside = ev.File.Origin == kernel.OriginHost || p.Outside && ev.File.Origin == kernel.OriginMemfd
	return wasOutside
}

// Exit forgets a process. Its children keep it as their ancestor.
func (t *Table) Exit(ev *kernel.Event) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.get(ev.PID, ev.Started) != nil {
		delete(t.all, ev.PID)
	}
}

// Load takes note of what the process of an event has loaded.
func (t *Table) Load(ev *kernel.Event, what any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.of(ev); len(p.Loaded) < maxLoaded && !slices.Contains(p.Loaded, what) {
		p.Loaded = append(p.Loaded, what)
	}
}

// Taint marks the process of an event, which marks what it forks from now on.
func (t *Table) Taint(ev *kernel.Event, with any) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.of(ev); p.Taint == nil {
		p.Taint = with
	}
}

// Tainted returns what the process of an event was marked with, or the nearest ancestor that still marks it.
func (t *Table) Tainted(ev *kernel.Event) any {
	t.mu.Lock()
	defer t.mu.Unlock()
	if p := t.get(ev.PID, ev.Started); p != nil {
		return p.Taint
	}
	return nil
}

// Snapshot returns what is known about the process of an event, and its ancestors, nearest first.
func (t *Table) Snapshot(ev *kernel.Event) (Process, []Ancestor) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.get(ev.PID, ev.Started)
	if p == nil {
		return Process{PID: ev.PID, Started: ev.Started, Comm: ev.Comm, UID: ev.UID, Cgroup: ev.Cgroup}, nil
	}
	var up []Ancestor
	for a := p.Parent; a != nil && len(up) < MaxDepth; a = a.Parent {
		up = append(up, Ancestor{PID: a.PID, Comm: a.Comm, Path: a.Path})
	}
	out := *p
	out.Parent = nil
	return out, up
}

// Select returns id and start time of the processes that want says yes to.
func (t *Table) Select(want func(*Process) bool) []Process {
	t.mu.Lock()
	defer t.mu.Unlock()
	var out []Process
	for _, p := range t.all {
		if want(p) {
			out = append(out, Process{PID: p.PID, Started: p.Started, Comm: p.Comm, Path: p.Path, Cgroup: p.Cgroup, Taint: p.Taint, Loaded: p.Loaded})
		}
	}
	return out
}
