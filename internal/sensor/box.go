package sensor

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/sensor/alert"
	"github.com/hullmark/hullmark/internal/sensor/container"
	"github.com/hullmark/hullmark/internal/sensor/kernel"
	"github.com/hullmark/hullmark/internal/sensor/layer"
)

// The bounds on what a container may hold up while it is being looked up.
const (
	maxHeld    = 1024
	holdFor    = 2 * time.Second
	indexFor   = 30 * time.Second // for the layer indexes to arrive from the server
	indexAgain = time.Minute
	imageAgain = 10 * time.Minute
)

// box is what the agent knows and remembers about one container. Guarded by Agent.mu.
type box struct {
	key    string
	groups []uint64
	c      *container.Container // nil while it is looked up
	image  *layer.Image         // nil without an index
	index  map[digest.Digest]*layer.Index
	// ready: the container is known and its indexes are here, or nobody waits for them any longer.
	ready bool
	since time.Time
	held  []held
	over  int64 // events that did not fit into held

	cache     map[fileKey]*content
	facts     map[fact]*tally
	blocked   map[fileID]int64 // by recall
	marked    []fileID         // for ContainExcepted
	contained bool             // see contain
	following kernel.Follow
	denying   bool
}

// held is an event that waits for its container.
type held struct {
	ev       kernel.Event
	entering bool
}

type fileID struct{ dev, inode uint64 }

// follow is told of a group by the registry: events of it pass from here on, and wait.
func (a *Agent) follow(key string, group uint64) {
	a.mu.Lock()
	b := a.boxes[key]
	if b == nil {
		b = &box{key: key, since: a.Clock.Now(), cache: map[fileKey]*content{}, facts: map[fact]*tally{}, blocked: map[fileID]int64{}}
		a.boxes[key] = b
	}
	if !slices.Contains(b.groups, group) {
		b.groups = append(b.groups, group)
	}
	a.byGroup[group] = b
	what := b.following
	a.mu.Unlock()
	if err := a.Kernel.Follow(group, what); err != nil {
		a.Logger.Warn("control group not followed", "group", group, "error", err)
	}
}

// found is told of a container by the registry.
func (a *Agent) found(key string, c *container.Container) {
	a.mu.Lock()
	b := a.boxes[key]
	if b == nil { // gone meanwhile
		a.mu.Unlock()
		return
	}
	b.c = c
	a.mu.Unlock()
	a.refollow(b)
	a.place(c, true)
	if a.Layers == nil || c.Image == "" && len(c.DiffIDs) == 0 || !a.later(func(ctx context.Context) { a.loadIndex(ctx, b) }) {
		a.settle(b, nil, nil)
	}
}

// loadIndex brings the indexes of a container's layers. The container may have ended meanwhile.
func (a *Agent) loadIndex(ctx context.Context, b *box) {
	a.mu.Lock()
	c, there := b.c, a.boxes[b.key] == b
	a.mu.Unlock()
	if !there {
		return // it has ended meanwhile
	}
	asking, cancel := context.WithTimeout(ctx, indexFor)
	defer cancel()
	img, indexes, err := a.Layers.Image(asking, c.Image, c.DiffIDs)
	switch {
	case errors.Is(err, layer.ErrNone):
		img = nil
	case err != nil:
		wait := indexAgain
		if fault.KindOf(err) == fault.NotFound {
			wait = imageAgain // it may be pushed yet
		}
		a.Logger.Info("layer index not fetched", "image", c.Image, "error", err)
		time.AfterFunc(wait, func() {
			a.later(func(ctx context.Context) { a.loadIndex(ctx, b) })
		})
	}
	if img != nil && len(c.DiffIDs) == 0 { // a rule names the image only: the record knows its layers
		learnt := *c
		learnt.DiffIDs = img.DiffIDs
		learnt.Gaps = nil
		if err := a.locate(&learnt); err == nil {
			a.mu.Lock()
			b.c = &learnt
			a.mu.Unlock()
		}
	}
	a.settle(b, img, indexes)
}

func (a *Agent) locate(c *container.Container) error {
	return container.Locator{Proc: a.Proc, Tree: a.Tree}.Locate(c)
}

// settle makes a box ready, with or without indexes, lets the events through that waited for it, and
// applies the recalls in force to it.
func (a *Agent) settle(b *box, img *layer.Image, indexes []*layer.Index) {
	a.mu.Lock()
	if img != nil {
		b.image, b.index = img, map[digest.Digest]*layer.Index{}
		for i, x := range indexes {
			if x != nil {
				b.index[img.DiffIDs[i]] = x
			}
		}
		clear(b.cache)
	}
	a.mu.Unlock()
	a.release(b)
	a.mu.Lock()
	all := slices.Clone(a.recalls.inForce)
	a.mu.Unlock()
	for _, r := range all {
		a.applyTo(b, r)
	}
	a.contain(b)
}

// release lets events through that waited.
func (a *Agent) release(b *box) {
	a.mu.Lock()
	b.ready = true
	waited, over := b.held, b.over
	b.held, b.over = nil, 0
	for _, h := range waited {
		a.judge(b, &h.ev, h.entering)
	}
	a.mu.Unlock()
	if over > 0 {
		a.gap("events of a container that was being looked up", fmt.Sprintf("%d events of %s did not fit into the queue", over, b.key))
	}
}

// expire ends the wait for containers whose runtime does not answer, or whose indexes do not come: their
// events are judged by what is known. What is found out later applies from then on.
func (a *Agent) expire() {
	now := a.Clock.Now()
	a.mu.Lock()
	var late []*box
	var ended []*container.Container
	for _, b := range a.boxes {
		waited := now.Sub(b.since)
		if waited < 0 { // the clock was set back
			b.since = now
		}
		if b.ready || waited < holdFor || len(b.held) == 0 {
			continue
		}
		if b.c == nil {
			if b.c = a.registry.Idle(b.key); b.c == nil {
				b.c = container.Unanswered(b.key)
			} else {
				ended = append(ended, b.c)
			}
		}
		late = append(late, b)
	}
	a.mu.Unlock()
	for _, c := range ended {
		a.place(c, true)
	}
	for _, b := range late {
		a.release(b)
	}
}

// gone is told by the registry that a container's group is no more.
func (a *Agent) gone(key string) {
	a.mu.Lock()
	b := a.boxes[key]
	if b == nil {
		a.mu.Unlock()
		return
	}
	delete(a.boxes, key)
	for _, group := range b.groups {
		delete(a.byGroup, group)
	}
	drafts := a.takeFacts(b)
	free := a.unref(append(slices.Collect(maps.Keys(b.blocked)), b.marked...))
	a.mu.Unlock()
	a.aggregate(drafts)
	for _, group := range b.groups {
		if err := a.Kernel.Forget(group); err != nil {
			a.Logger.Debug("control group not unfollowed", "group", group, "error", err)
		}
	}
	a.unblock(free)
	if b.denying && a.Denier != nil {
		a.Denier.Remove(a.host + b.c.Root.Mount)
	}
	if b.c != nil && b.c.Runtime != container.UnknownRuntime {
		a.place(b.c, false)
	}
}

// refollow tells the kernel what to stop in a container, when that has changed.
func (a *Agent) refollow(b *box) {
	a.mu.Lock()
	want := a.wanted(b)
	groups := slices.Clone(b.groups)
	changed := want != b.following
	b.following = want
	a.mu.Unlock()
	if !changed {
		return
	}
	for _, group := range groups {
		if err := a.Kernel.Follow(group, want); err != nil {
			a.Logger.Warn("control group not followed", "group", group, "error", err)
		}
	}
	a.deny(b, want.KillDrift)
}

// deny has executions of drift refused before they happen, where that is the level. The kernel's signal
// stands behind it.
func (a *Agent) deny(b *box, on bool) {
	a.mu.Lock()
	root, group := b.c.Root, b.groups[0]
	changed := on != b.denying && root.Mount != "" && root.Upper != ""
	b.denying = b.denying != changed
	a.mu.Unlock()
	switch {
	case a.Denier == nil || !changed:
	case !on:
		a.Denier.Remove(a.host + root.Mount)
	default:
		err := a.Denier.Add(kernel.Overlay{Cgroup: group, Merged: a.host + root.Mount, Upper: a.host + root.Upper})
		if err != nil {
			a.Logger.Warn("executions are not denied in a container, only killed", "container", b.key, "error", err)
		}
	}
}

// wanted is what to stop in a container. Nothing is stopped in a container that is not known.
func (a *Agent) wanted(b *box) kernel.Follow {
	var f kernel.Follow
	if b.c == nil || a.Level <= kernel.Observe {
		return f
	}
	f.KillDrift = a.StopDrift && !a.system(b.c)
	if a.StopRecalled && len(b.blocked) > 0 {
		f.KillRecalled, f.DenyTaintedEgress = true, true
	}
	f.DenyTaintedEgress = f.DenyTaintedEgress || b.contained
	for _, r := range a.recalls.inForce {
		if a.StopRecalled && r.wholeImage(b) && a.mayStop(b, r) {
			f.DenyEgress = true
		}
	}
	return f
}

func (a *Agent) system(c *container.Container) bool {
	return slices.Contains(a.SystemNamespaces, c.Workload.Namespace)
}

// place reports that a container runs or has ended.
func (a *Agent) place(c *container.Container, running bool) {
	where := describe(c)
	where.Cluster = a.Cluster
	if a.Lines != nil {
		a.Lines(Line{Type: "container", Time: a.Clock.Now(), Container: &where, Running: &running})
	}
	if c.Image == "" {
		return
	}
	a.aggregate([]evidence.Draft{a.draft(evidence.Placement{
		WorkloadRef: where.WorkloadRef, Node: a.Node, Pod: c.Pod, Container: c.ID, Running: running,
	}, evidence.About("", c.Image))})
}

func describe(c *container.Container) alert.Container {
	return alert.Container{
		ID: c.ID, Name: c.Name, Runtime: c.Runtime, Pod: c.Pod, Image: c.Image, Reference: c.Reference, WorkloadRef: c.Workload,
	}
}
