// Package sensor is the agent of a node, the gate where things run: it reads what the kernel sees, says
// which image layer, component and release a file belongs to, notes what was executed and loaded, raises
// alerts, and carries recalls out.
//
// Nothing on the path of an event waits: not for the network, not for a container runtime, not for a hash.
// What needs that is queued, bounded, and its result applies from then on. The agent never guesses: what
// it could not see or attribute is a gap, in the alert or as a statement of its own.
package sensor

import (
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/sensor/alert"
	"github.com/hullmark/hullmark/internal/sensor/cgroup"
	"github.com/hullmark/hullmark/internal/sensor/container"
	"github.com/hullmark/hullmark/internal/sensor/kernel"
	"github.com/hullmark/hullmark/internal/sensor/layer"
	"github.com/hullmark/hullmark/internal/sensor/process"
)

// Kernel is what the agent needs of the programs in the kernel: package kernel's Sensor, or events that a
// test makes up.
type Kernel interface {
	// Run calls handle for every event until ctx ends. An event is valid during the call only.
	Run(ctx context.Context, handle func(*kernel.Event)) error
	// Follow makes events of a control group pass, and says what to stop in it.
	Follow(group uint64, what kernel.Follow) error
	// Forget ends that.
	Forget(group uint64) error
	// Block names a file as recalled content, by the file system that holds its content.
	Block(dev, inode uint64) error
	// Mark names a file whose use is only to be remembered, for DenyTaintedEgress.
	Mark(dev, inode uint64) error
	// Taint marks a process as if it had used such a file.
	Taint(pid uint32) error
	// Unblock takes Block and Mark back.
	Unblock(dev, inode uint64) error
	// Counters returns what was seen and lost.
	Counters() (kernel.Counters, error)
}

// Denier refuses the execution of files that are only in an overlay's writable layer; package kernel's
// Deny, where the level is deny by fanotify.
type Denier interface {
	// Run decides until ctx ends, and tells what it denied.
	Run(ctx context.Context, handle func(*kernel.Event)) error
	// Add begins to judge an overlay. Run must be running.
	Add(kernel.Overlay) error
	// Remove ends that, by the mount point.
	Remove(merged string)
}

// Layers tells which files an image has.
type Layers interface {
	Image(ctx context.Context, image digest.Digest, diffIDs []digest.Digest) (*layer.Image, []*layer.Index, error)
}

// Reporter puts statements on the record. Its methods do not wait for the server.
type Reporter interface {
	// Urgent reports a decision: an alert or a receipt. It is never dropped.
	Urgent(evidence.Draft)
	// Aggregate reports what may be dropped, oldest first, when the server is away for long.
	Aggregate(evidence.Draft)
}

// Line is one line of standard output: an event, an alert, or a container that came or went.
type Line struct {
	Type      string           `json:"type"` // "event", "alert", "container", "gap"
	Time      time.Time        `json:"time"`
	Alert     *alert.Alert     `json:"alert,omitempty"`
	Event     *SeenEvent       `json:"event,omitempty"`
	Container *alert.Container `json:"container,omitempty"`
	Running   *bool            `json:"running,omitempty"`
	Gap       *evidence.Gap    `json:"gap,omitempty"`
}

// Config is what an agent needs.
type Config struct {
	Node, Cluster string
	// Level is the enforcement level that was proven on this node.
	Level kernel.Level
	// StopDrift makes the kernel stop executables that are not of the image. Default: they are told, not stopped.
	StopDrift bool
	// StopRecalled stops recalled content, within the scope of the recall. Off: it is told.
	StopRecalled bool
	// ContainExcepted keeps content that nobody approved from dialling out, where an exception let its image in.
	ContainExcepted bool
	// SystemNamespaces are left alone by everything that stops, unless a recall says that it reaches them.
	SystemNamespaces []string
	// Learn is for how long an image must have been watched before a component that it executes for the
	// first time is an alert. 0 turns these alerts off.
	Learn time.Duration
	// State is the folder for what is to survive a restart; "" keeps nothing.
	State string
	// FlushEvery is how often aggregates are handed to the reporter. Default 5 s.
	FlushEvery time.Duration

	Proc     string // "/proc"
	Tree     cgroup.Tree
	Kernel   Kernel
	Denier   Denier // nil: executions are not denied before they happen
	Layers   Layers
	Reporter Reporter          // nil: no server
	Lines    func(Line)        // nil: nothing is printed. It must not block
	Events   bool              // print events too, not only alerts
	Alerts   func(alert.Alert) // nil: no further route. It must not block
	Clock    clock.Clock
	Logger   *slog.Logger
	Random   func() string // a unique id
	Sources  []container.Source
	Rules    container.Rules
}

// Agent is a running sensor.
type Agent struct {
	Config
	registry  *container.Registry
	processes *process.Table
	book      *alert.Book
	learnt    *learnt
	slow      chan func(context.Context)
	receipts  *receipts
	recalling sync.Mutex    // one change of the recalls at a time
	scanned   chan struct{} // closed when the containers that ran at the start are known by their groups

	mu      sync.Mutex
	boxes   map[string]*box // by the registry's key
	byGroup map[uint64]*box
	blocks  map[fileID]int // how many containers need a file blocked
	host    string         // prefix of the host's paths, "" where the agent sees them as they are
	recalls recalls
	excepts []exceptionUse
	lost    kernel.Counters // that were reported
	missed  int64           // slow work that did not fit
	// lastFlush is by the monotonic clock.
	lastFlush time.Time
}

// New returns an agent. Run starts it.
func New(c Config) (*Agent, error) {
	if c.FlushEvery == 0 {
		c.FlushEvery = 5 * time.Second
	}
	a := &Agent{
		Config: c, processes: process.NewTable(), book: alert.NewBook(), slow: make(chan func(context.Context), slowQueue),
		scanned: make(chan struct{}), boxes: map[string]*box{}, byGroup: map[uint64]*box{}, blocks: map[fileID]int{},
	}
	a.host = hostPrefix(c.Proc)
	var err error
	if a.learnt, err = openLearnt(c.State); err != nil {
		return nil, err
	}
	if a.receipts, err = openReceipts(c.State); err != nil {
		return nil, err
	}
	a.registry = container.NewRegistry(container.Config{
		Tree: c.Tree, Locator: container.Locator{Proc: c.Proc, Tree: c.Tree}, Sources: c.Sources, Rules: c.Rules,
		Clock: c.Clock, Logger: c.Logger, Follow: a.follow, Found: a.found, Gone: a.gone,
	})
	return a, nil
}

// The sizes of what is bounded. What does not fit is counted and told as a gap.
const (
	slowQueue   = 1024
	slowWorkers = 2
	rescanEvery = 30 * time.Second
	sweepEvery  = 2 * time.Second
)

// Run works until ctx ends.
func (a *Agent) Run(ctx context.Context) error {
	if err := a.fillProcesses(); err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return a.Kernel.Run(ctx, a.Handle) })
	if a.Denier != nil {
		g.Go(func() error { return a.Denier.Run(ctx, a.denied) })
	}
	g.Go(func() error { a.registry.Run(ctx); return nil })
	for range slowWorkers {
		g.Go(func() error { a.work(ctx); return nil })
	}
	g.Go(func() error { return a.tend(ctx) })
	err := g.Wait()
	a.flush(true)
	return err
}

func (a *Agent) fillProcesses() error {
	return a.processes.Fill(a.Proc, func(pid int) uint64 {
		path, err := cgroup.Of(a.Proc, pid)
		if err != nil {
			return 0
		}
		id, err := a.Tree.ID(path)
		if err != nil {
			return 0
		}
		return id
	})
}

// tend does what recurs: looking for containers that came or went unseen, and handing over aggregates.
func (a *Agent) tend(ctx context.Context) error {
	if err := a.registry.Scan(); err != nil {
		return err
	}
	close(a.scanned)
	flush, sweep, rescan := time.NewTicker(a.FlushEvery), time.NewTicker(sweepEvery), time.NewTicker(rescanEvery)
	defer flush.Stop()
	defer sweep.Stop()
	defer rescan.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-flush.C:
			a.flush(false)
		case <-sweep.C:
			a.registry.Sweep()
			a.expire()
		case <-rescan.C:
			if err := a.registry.Scan(); err != nil {
				a.Logger.Warn("control groups not read", "error", err)
			}
			if err := a.fillProcesses(); err != nil {
				a.Logger.Warn("processes not read", "error", err)
			}
		}
	}
}

// later queues work that may wait: for a disk, a network, a hash. It reports whether there was room.
func (a *Agent) later(do func(context.Context)) bool {
	select {
	case a.slow <- do:
		return true
	default:
		return false
	}
}

func (a *Agent) work(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case do := <-a.slow:
			do(ctx)
		}
	}
}

// hostPrefix is where the agent finds the host's paths. An agent in a container of its own sees them below
// the root of the host's first process.
func hostPrefix(proc string) string {
	host, err := os.Readlink(filepath.Join(proc, "1", "ns", "mnt"))
	own, ownErr := os.Readlink(filepath.Join(proc, "self", "ns", "mnt"))
	if err != nil || ownErr != nil || host == own {
		return ""
	}
	return filepath.Join(proc, "1", "root")
}
