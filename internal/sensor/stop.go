package sensor

import (
	"bufio"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/sensor/alert"
	"github.com/hullmark/hullmark/internal/sensor/kernel"
	"github.com/hullmark/hullmark/internal/sensor/layer"
	"github.com/hullmark/hullmark/internal/sensor/process"
)

// effect is what a recall did in one container.
type effect struct {
	touched  bool // the container has recalled content
	enforced bool // and it is stopped there
	stopped  int64
}

// recalledFile is a file of a recall in one container.
type recalledFile struct {
	layer.File
	diffID digest.Digest
	number int    // of the lower layer, 1 is topmost
	host   string // where the layer has it, in the host's view
}

// applyTo carries a recall out in one container: the kernel is told of its files first, so that nothing
// new gets at them, then the processes that have them are found and stopped.
func (a *Agent) applyTo(b *box, r *recall) effect {
	a.mu.Lock()
	if b.c == nil || !b.ready {
		a.mu.Unlock()
		return effect{}
	}
	c, indexes, img := b.c, b.index, b.image
	whole, stop := r.wholeImage(b), a.mayStop(b, r)
	a.mu.Unlock()

	files := a.recalledFiles(c.Root.Layers, c.Root.Lower, indexes, r.in(img))
	if len(files) == 0 && !whole {
		return effect{}
	}
	e := effect{touched: true, enforced: stop}
	if stop {
		a.block(b, r, files)
		a.refollow(b)
	}
	for _, p := range a.havers(b, r, files, whole) {
		if a.stopProcess(b, r, p, stop) {
			e.stopped++
		}
	}
	return e
}

// recalledFiles are the files that a recall means and the container can see: not those that a higher layer
// has another file in place of.
func (a *Agent) recalledFiles(layers []digest.Digest, lower []string, indexes map[digest.Digest]*layer.Index, r *recall) []recalledFile {
	var out []recalledFile
	for i, diffID := range layers {
		x := indexes[diffID]
		if x == nil {
			continue
		}
		for _, f := range x.Find(r.wanted) {
			hidden := slices.ContainsFunc(layers[:i], func(above digest.Digest) bool {
				_, ok := lookup(indexes[above], f.Path)
				return ok
			})
			if !hidden {
				out = append(out, recalledFile{File: f, diffID: diffID, number: i + 1, host: filepath.Join(lower[i], f.Path)})
			}
		}
	}
	return out
}

func lookup(x *layer.Index, path string) (layer.File, bool) {
	if x == nil {
		return layer.File{}, false
	}
	return x.Lookup(path)
}

// block names the files to the kernel, by what holds their content.
func (a *Agent) block(b *box, r *recall, files []recalledFile) {
	for _, f := range files {
		var st unix.Stat_t
		if err := unix.Lstat(a.host+f.host, &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
			continue // a link: what it points at is a file of its own
		}
		id := fileID{st.Dev, st.Ino}
		a.mu.Lock()
		_, known := b.blocked[id]
		b.blocked[id] = r.Seq
		if !known {
			a.blocks[id]++
		}
		a.mu.Unlock()
		if known {
			continue
		}
		if err := a.Kernel.Block(id.dev, id.inode); err != nil {
			a.gap("recalled content", "the kernel takes no further files to block")
			a.Logger.Error("file not blocked", "path", f.Path, "error", err)
		}
	}
}

// lift undoes a recall.
func (a *Agent) lift(boxes []*box, seq int64) {
	for _, b := range boxes {
		a.mu.Lock()
		var drop []fileID
		for id, by := range b.blocked {
			if by == seq {
				delete(b.blocked, id)
				drop = append(drop, id)
			}
		}
		free := a.unref(drop)
		a.mu.Unlock()
		a.unblock(free)
		a.remark(b, drop)
		a.refollow(b)
	}
}

// unref returns those files that no container needs blocked any longer. a.mu is held.
func (a *Agent) unref(ids []fileID) []fileID {
	var out []fileID
	for _, id := range ids {
		if a.blocks[id]--; a.blocks[id] <= 0 {
			delete(a.blocks, id)
			out = append(out, id)
		}
	}
	return out
}

func (a *Agent) unblock(ids []fileID) {
	for _, id := range ids {
		if err := a.Kernel.Unblock(id.dev, id.inode); err != nil {
			a.Logger.Warn("file not unblocked", "error", err)
		}
	}
}

// haver is a process that has recalled content, and which.
type haver struct {
	process.Process
	content *content
}

// havers are the processes of a container that have loaded, mapped, opened or executed recalled content.
// Those that read a file and closed it before the agent began to watch are not among them.
func (a *Agent) havers(b *box, r *recall, files []recalledFile, whole bool) []haver {
	byPath := make(map[string]recalledFile, len(files))
	for _, f := range files {
		byPath["/"+f.Path] = f
	}
	seen := map[uint32]bool{}
	var out []haver
	a.mu.Lock()
	groups, group := slices.Clone(b.groups), b.c.Cgroup
	a.mu.Unlock()
	for _, p := range a.processes.Select(func(p *process.Process) bool { return slices.Contains(groups, p.Cgroup) }) {
		for _, loaded := range p.Loaded {
			if c, ok := loaded.(*content); ok && (r.covers(c) || whole) {
				out = append(out, haver{p, c})
				seen[p.PID] = true
				break
			}
		}
	}
	for _, pid := range a.Tree.AllProcesses(group) {
		if seen[uint32(pid)] {
			continue
		}
		path, ok := a.holds(pid, byPath)
		if !ok && !whole {
			continue
		}
		p := process.Process{PID: uint32(pid), Started: process.StartOf(a.Proc, uint32(pid)), Path: path}
		c := &content{file: alert.File{Path: path, Origin: originLayer}}
		if f, known := byPath[path]; known {
			c = a.contentOf(b, f)
		}
		out = append(out, haver{p, c})
	}
	return out
}

// contentOf is the content of a recalled file, as an event about it would have it.
func (a *Agent) contentOf(b *box, f recalledFile) *content {
	a.mu.Lock()
	defer a.mu.Unlock()
	return b.attribute(kernel.File{Path: "/" + f.Path, Dev: b.c.Root.Dev, Origin: kernel.OriginLower, Layer: f.number})
}

// holds reports whether a process has one of the files for its program, mapped or open, by the paths that
// the kernel tells in /proc.
func (a *Agent) holds(pid int, files map[string]recalledFile) (string, bool) {
	folder := filepath.Join(a.Proc, strconv.Itoa(pid))
	if exe, err := os.Readlink(filepath.Join(folder, "exe")); err == nil {
		if _, ok := files[exe]; ok {
			return exe, true
		}
	}
	if path, ok := mappedIn(filepath.Join(folder, "maps"), files); ok {
		return path, true
	}
	fds, err := os.ReadDir(filepath.Join(folder, "fd"))
	if err != nil {
		return "", false
	}
	for _, fd := range fds {
		if path, err := os.Readlink(filepath.Join(folder, "fd", fd.Name())); err == nil {
			if _, ok := files[path]; ok {
				return path, true
			}
		}
	}
	return "", false
}

func mappedIn(name string, files map[string]recalledFile) (string, bool) {
	f, err := os.Open(name)
	if err != nil {
		return "", false
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		if i := strings.IndexByte(lines.Text(), '/'); i > 0 {
			path := lines.Text()[i:]
			if _, ok := files[path]; ok {
				return path, true
			}
		}
	}
	return "", false
}

// stopProcess ends a process that has recalled content, or taints it where it may not, and tells it.
func (a *Agent) stopProcess(b *box, r *recall, h haver, stop bool) bool {
	done := alert.Observed
	if stop {
		killed, err := process.Kill(a.Proc, h.PID, h.Started)
		if err != nil {
			a.Logger.Error("process not killed", "pid", h.PID, "error", err)
		}
		if !killed && err == nil {
			return false // it ended by itself
		}
		if killed {
			done = alert.Killed
		}
	}
	ev := &kernel.Event{Kind: kernel.Open, Time: a.Clock.Now(), PID: h.PID, Started: h.Started, Comm: h.Comm, Cgroup: h.Cgroup}
	c := *h.content
	c.recall = r
	a.processes.Taint(ev, &c)
	a.mu.Lock()
	defer a.mu.Unlock()
	a.raiseDone(b, ev, &c, alert.RecalledContent, "open", done)
	return done == alert.Killed
}

// touchRecalled is an event on recalled content: told, and stopped where the kernel has not done so and
// the agent may. a.mu is held; the signal does not block.
func (a *Agent) touchRecalled(b *box, ev *kernel.Event, c *content, action string) {
	done := actions[ev.Action]
	if done == alert.Observed && a.mayStop(b, c.recall) {
		if killed, err := process.Kill(a.Proc, ev.PID, ev.Started); err == nil && killed {
			done = alert.Killed
		}
	}
	if done == alert.Observed {
		a.processes.Taint(ev, c)
	}
	a.raiseDone(b, ev, c, alert.RecalledContent, action, done)
}
