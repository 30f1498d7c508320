package sensor

import (
	"context"

	"github.com/hullmark/hullmark/internal/sensor/alert"
	"github.com/hullmark/hullmark/internal/sensor/kernel"
	"github.com/hullmark/hullmark/internal/sensor/process"
)

// SeenEvent is an event as it is printed.
type SeenEvent struct {
	Kind      string          `json:"kind"`
	Done      alert.Done      `json:"done"`
	Container alert.Container `json:"container"`
	Process   alert.Process   `json:"process"`
	File      *alert.File     `json:"file,omitempty"`
	Release   *alert.Release  `json:"release,omitempty"`
	Target    string          `json:"target,omitempty"`
	Peer      string          `json:"peer,omitempty"`
	Call      string          `json:"call,omitempty"`
	Sensitive bool            `json:"sensitive,omitempty"`
}

// kinds are the names of events.
var kinds = map[kernel.Kind]string{
	kernel.Exec: "exec", kernel.Exit: "exit", kernel.Fork: "fork", kernel.Open: "open", kernel.Mmap: "mmap",
	kernel.Connect: "connect", kernel.Bind: "bind", kernel.Accept: "accept", kernel.SendTo: "sendto",
	kernel.Rename: "rename", kernel.Unlink: "unlink", kernel.Chmod: "chmod", kernel.Privilege: "privilege",
	kernel.CgroupMade: "cgroup",
}

var actions = map[kernel.Action]alert.Done{
	kernel.Observed: alert.Observed, kernel.Killed: alert.Killed, kernel.Denied: alert.Denied,
}

// Handle takes one event. It is the agent's hot path: it looks up and counts, and leaves the rest to others.
func (a *Agent) Handle(ev *kernel.Event) {
	entering := false
	switch ev.Kind {
	case kernel.Fork:
		if a.processes.Fork(ev) {
			pid, parent := ev.PID, ev.PPID
			a.later(func(context.Context) { a.processes.Ancestry(a.Proc, pid, parent) }) // without room: without ancestry
		}
		return
	case kernel.Exit:
		a.processes.Exit(ev)
		return
	case kernel.CgroupMade:
		a.registry.Made(ev.Cgroup, ev.Target)
		return
	case kernel.Exec:
		// A denied exec has not happened: the process goes on as what it was.
		if ev.Action != kernel.Denied {
			entering = a.processes.Exec(ev)
		}
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	b := a.byGroup[ev.Cgroup]
	if b == nil {
		return // the host's, or a container's whose group is gone
	}
	if !b.ready {
		if b.c == nil && len(b.held) == 0 {
			a.registry.Hurry(b.key)
		}
		b.hold(ev, entering)
		return
	}
	a.judge(b, ev, entering)
}

// denied takes an execution that was refused. It is told without the process that asked for it, which
// still is what it was.
func (a *Agent) denied(ev *kernel.Event) {
	if ev.Started == 0 {
		ev.Comm, ev.Started = process.Named(a.Proc, ev.PID)
	}
	a.Handle(ev)
}

// hold keeps an event until its container is known; [Agent.expire] bounds the wait. What does not fit is
// counted, and told as a gap.
func (b *box) hold(ev *kernel.Event, entering bool) {
	if len(b.held) >= maxHeld {
		b.over++
		return
	}
	b.held = append(b.held, held{*ev, entering})
}

// judge says what an event means. a.mu is held.
func (a *Agent) judge(b *box, ev *kernel.Event, entering bool) {
	switch ev.Kind {
	case kernel.Exec:
		a.executed(b, ev, entering)
	case kernel.Open, kernel.Mmap:
		a.opened(b, ev)
	case kernel.Connect, kernel.SendTo:
		a.dialled(b, ev)
	}
	if a.Events && a.Lines != nil {
		a.print(b, ev)
	}
}

func (a *Agent) executed(b *box, ev *kernel.Event, entering bool) {
	c := a.content(b, ev)
	switch {
	case c.recall != nil:
		a.touchRecalled(b, ev, c, "exec")
	case a.excepted(b, c):
		a.processes.Taint(ev, c)
	case ev.File.Origin == kernel.OriginCopiedUp:
		a.verify(b, ev, c)
	case drifted(ev) && !(entering && ev.File.Origin == kernel.OriginMemfd):
		a.raise(b, ev, c, alert.ExecutedDrift, "exec")
		return
	}
	if ev.Action == kernel.Denied {
		return
	}
	a.note(b, ev, c, "executed")
	if ev.Target != "" && b.c.Root.Upper != "" {
		a.script(b, ev)
	}
	if c.file.Origin == originLayer && a.unseen(b, c) {
		a.raise(b, ev, c, alert.UnseenExec, "exec")
	}
}

// drifted reports whether an executable is in no layer of the image. A program on a volume or a tmpfs is
// of the host: what is mounted into a container is its owner's decision, and not drift of the image.
func drifted(ev *kernel.Event) bool {
	switch ev.File.Origin {
	case kernel.OriginUpper, kernel.OriginMemfd:
		return true
	}
	return ev.File.Deleted && ev.File.Origin != kernel.OriginHost
}

func (a *Agent) opened(b *box, ev *kernel.Event) {
	c := a.content(b, ev)
	if c.recall != nil {
		a.touchRecalled(b, ev, c, "open")
	} else if a.excepted(b, c) {
		a.processes.Taint(ev, c)
	}
	if !ev.Sensitive && ev.Action != kernel.Denied {
		a.note(b, ev, c, "loaded")
	}
}

// dialled tells egress by a process that has loaded recalled or excepted content. Loopback is not egress.
func (a *Agent) dialled(b *box, ev *kernel.Event) {
	c, ok := a.processes.Tainted(ev).(*content)
	if !ok || !ev.Peer.IsValid() || ev.Peer.Addr().IsLoopback() {
		return
	}
	if c.recall == nil {
		a.egressExcepted(b, ev, c)
		return
	}
	a.raise(b, ev, c, alert.EgressRecalled, "connect")
}

func (a *Agent) print(b *box, ev *kernel.Event) {
	p, ancestors := a.processes.Snapshot(ev)
	seen := &SeenEvent{
		Kind: kinds[ev.Kind], Done: actions[ev.Action], Container: describe(b.c), Process: seenProcess(ev, p, ancestors),
		Target: ev.Target, Call: ev.Call, Sensitive: ev.Sensitive,
	}
	seen.Container.Cluster = a.Cluster
	if ev.File.Path != "" || ev.File.Inode != 0 {
		c := a.content(b, ev)
		seen.File, seen.Release = &c.file, c.release
	}
	if ev.Peer.IsValid() {
		seen.Peer = ev.Peer.String()
	}
	a.Lines(Line{Type: "event", Time: ev.Time, Event: seen})
}
