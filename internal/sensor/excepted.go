package sensor

import (
	"slices"

	"golang.org/x/sys/unix"

	"github.com/hullmark/hullmark/internal/sensor/alert"
	"github.com/hullmark/hullmark/internal/sensor/kernel"
	"github.com/hullmark/hullmark/internal/sensor/layer"
	"github.com/hullmark/hullmark/internal/sensor/process"
)

// An exception lets an image run for a reason and until a time. What nobody approved in it may work, which
// is what the exception is for; when it dials out that is told, and with ContainExcepted it may not.

// excepted reports whether content is of a release that was published here and approved by nobody, in an
// image that was admitted under an exception. a.mu is held.
func (a *Agent) excepted(b *box, c *content) bool {
	return c.release != nil && unapproved(c.release.Published.IsZero(), c.release.Approved) && a.exceptionFor(b) != 0
}

func unapproved(foreign, approved bool) bool { return !foreign && !approved }

// contain names to the kernel the files that nobody approved, so that a process which uses one is marked
// before its next call, and not when the agent gets to read about it.
func (a *Agent) contain(b *box) {
	a.mu.Lock()
	if !a.ContainExcepted || a.Level <= kernel.Observe || b.c == nil || !b.ready || b.image == nil || a.system(b.c) || a.exceptionFor(b) == 0 {
		a.mu.Unlock()
		return
	}
	wanted := layer.Wanted{Components: map[string]bool{}}
	for name, r := range b.image.Releases {
		if unapproved(r.Published.IsZero(), r.Approved) {
			wanted.Components[name] = true
		}
	}
	c, indexes := b.c, b.index
	b.contained = len(wanted.Components) > 0
	a.mu.Unlock()
	let := &recall{wanted: wanted, copies: true}
	files := a.recalledFiles(c.Root.Layers, c.Root.Lower, indexes, let)
	for _, f := range files {
		a.mark(b, f)
	}
	a.refollow(b)
	for _, h := range a.havers(b, let, files, false) { // it was quicker than the index
		if err := a.Kernel.Taint(h.PID); err != nil {
			a.Logger.Error("process not marked", "pid", h.PID, "error", err)
		}
		a.processes.Taint(&kernel.Event{PID: h.PID, Started: h.Started, Comm: h.Comm, Cgroup: h.Cgroup}, h.content)
	}
}

func (a *Agent) mark(b *box, f recalledFile) {
	var st unix.Stat_t
	if err := unix.Lstat(a.host+f.host, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return
	}
	id := fileID{st.Dev, st.Ino}
	a.mu.Lock()
	known := slices.Contains(b.marked, id)
	if !known {
		b.marked = append(b.marked, id)
		a.blocks[id]++
	}
	a.mu.Unlock()
	if known {
		return
	}
	if err := a.Kernel.Mark(id.dev, id.inode); err != nil {
		a.gap("content admitted under an exception", "the kernel takes no further files to watch")
		a.Logger.Error("file not marked", "path", f.Path, "error", err)
	}
}

// egressExcepted is a connection by a process that has loaded content which nobody approved. The kernel has
// refused it where it may not be; the process then ends, before it tries another way. a.mu is held.
func (a *Agent) egressExcepted(b *box, ev *kernel.Event, c *content) {
	done := actions[ev.Action]
	if b.contained && a.Level > kernel.Observe {
		if killed, err := process.Kill(a.Proc, ev.PID, ev.Started); err == nil && killed {
			done = alert.Killed
		}
	}
	a.raiseDone(b, ev, c, alert.EgressExcepted, "connect", done)
}

// remark turns files that a recall no longer blocks, and that are watched all the same, back into marked ones.
func (a *Agent) remark(b *box, lifted []fileID) {
	for _, id := range lifted {
		a.mu.Lock()
		still := slices.Contains(b.marked, id) && !a.blockedElsewhere(id)
		a.mu.Unlock()
		if !still {
			continue
		}
		a.unblock([]fileID{id})
		if err := a.Kernel.Mark(id.dev, id.inode); err != nil {
			a.Logger.Error("file not marked", "error", err)
		}
	}
}

// blockedElsewhere reports whether a recall blocks the file in any container. a.mu is held.
func (a *Agent) blockedElsewhere(id fileID) bool {
	for _, b := range a.boxes {
		if _, ok := b.blocked[id]; ok {
			return true
		}
	}
	return false
}
