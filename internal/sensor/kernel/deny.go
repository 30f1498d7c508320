package kernel

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"github.com/hullmark/hullmark/internal/clock"
)

// Overlay is a container's root, as the machine sees it.
type Overlay struct {
	Cgroup uint64 // told in the events of what was denied
	Merged string // the mount point
	Upper  string // its upperdir
}

// Deny refuses the execution of files that are only in the writable layer of an overlay, by fanotify's
// permission events: the exec fails with EPERM. The decision is two looks at the upper folder, on a
// thread of its own that does nothing else; no content is read and nobody is asked.
//
// It fails open: when it is closed, or its process ends, the kernel allows what is waiting. It does not
// see programs in memory, and a rename at the very moment may pass it: Follow.KillDrift, which judges the
// file and not its path, stands behind it.
type Deny struct {
	fd    int
	end   int // an eventfd
	self  int32
	clock clock.Clock

	// Undecided counts executions that were allowed because their overlay was not recognised,
	// and Untold denials that the handler was too slow to be told of.
	Undecided, Untold atomic.Uint64

	mu       sync.Mutex
	overlays map[uint64]*marked // by st_dev of the mount
}

type marked struct {
	Overlay
	upper int // an O_PATH descriptor
}

// NewDeny opens a fanotify group. It needs CAP_SYS_ADMIN.
func NewDeny(c clock.Clock) (*Deny, error) {
	fd, err := unix.FanotifyInit(unix.FAN_CLASS_CONTENT|unix.FAN_CLOEXEC|unix.FAN_NONBLOCK, unix.O_RDONLY|unix.O_LARGEFILE|unix.O_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("kernel: fanotify: %w", err)
	}
	end, err := unix.Eventfd(0, unix.EFD_CLOEXEC|unix.EFD_NONBLOCK)
	if err != nil {
		unix.Close(fd)
		return nil, fmt.Errorf("kernel: eventfd: %w", err)
	}
	return &Deny{fd: fd, end: end, self: int32(os.Getpid()), clock: c, overlays: map[uint64]*marked{}}, nil
}

// Add begins to judge what is executed on an overlay. Run has to be running, or executions there wait.
func (d *Deny) Add(o Overlay) error {
	var st unix.Stat_t
	if err := unix.Stat(o.Merged, &st); err != nil {
		return fmt.Errorf("kernel: overlay %s: %w", o.Merged, err)
	}
	upper, err := unix.Open(o.Upper, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("kernel: upper folder %s: %w", o.Upper, err)
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	if old, ok := d.overlays[st.Dev]; ok {
		unix.Close(old.upper)
	}
	d.overlays[st.Dev] = &marked{Overlay: o, upper: upper}
	if err := unix.FanotifyMark(d.fd, unix.FAN_MARK_ADD|unix.FAN_MARK_FILESYSTEM, unix.FAN_OPEN_EXEC_PERM, unix.AT_FDCWD, o.Merged); err != nil {
		delete(d.overlays, st.Dev)
		unix.Close(upper)
		return fmt.Errorf("kernel: watch executions on %s: %w", o.Merged, err)
	}
	return nil
}

// Remove ends Add for an overlay, whether it is still mounted or not: a mark ends with its mount.
func (d *Deny) Remove(merged string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for dev, m := range d.overlays {
		if m.Merged != merged {
			continue
		}
		// An unmounted overlay has no mark left to remove.
		_ = unix.FanotifyMark(d.fd, unix.FAN_MARK_REMOVE|unix.FAN_MARK_FILESYSTEM, unix.FAN_OPEN_EXEC_PERM, unix.AT_FDCWD, merged)
		unix.Close(m.upper)
		delete(d.overlays, dev)
	}
}

// Close ends the group and with it every mark. It must not run while Run does.
func (d *Deny) Close() error {
	for _, m := range d.overlays {
		unix.Close(m.upper)
	}
	return errors.Join(unix.Close(d.fd), unix.Close(d.end))
}

// Run decides until ctx ends, and gives each denial to handle, which is never waited for.
func (d *Deny) Run(ctx context.Context, handle func(*Event)) error {
	denied := make(chan Event, 256)
	decided := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() {
		unix.Write(d.end, []byte{1, 0, 0, 0, 0, 0, 0, 0}) //nolint:errcheck // a full counter is awake already
	})
	defer stop()
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread is for this alone
		decided <- d.decideAll(ctx, denied)
		close(denied)
	}()
	for e := range denied {
		handle(&e)
	}
	return <-decided
}

func (d *Deny) decideAll(ctx context.Context, denied chan<- Event) error {
	buffer := make([]byte, 64*24)
	for ctx.Err() == nil {
		fds := []unix.PollFd{{Fd: int32(d.fd), Events: unix.POLLIN}, {Fd: int32(d.end), Events: unix.POLLIN}}
		if _, err := unix.Poll(fds, -1); err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("kernel: wait for executions: %w", err)
		}
		n, err := unix.Read(d.fd, buffer)
		switch {
		case errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EINTR):
			continue
		case err != nil:
			return fmt.Errorf("kernel: read executions: %w", err)
		}
		for rest := buffer[:n]; len(rest) >= 24; rest = rest[binary.NativeEndian.Uint32(rest):] {
			d.decide(rest, denied)
		}
	}
	return nil
}

// decide answers one permission event. Whatever goes wrong, it answers: an execution without an answer
// hangs.
func (d *Deny) decide(raw []byte, denied chan<- Event) {
	mask := binary.NativeEndian.Uint64(raw[8:])
	fd := int32(binary.NativeEndian.Uint32(raw[16:]))
	pid := int32(binary.NativeEndian.Uint32(raw[20:]))
	if fd < 0 {
		return
	}
	defer unix.Close(int(fd))
	if mask&unix.FAN_OPEN_EXEC_PERM == 0 {
		return
	}
	verdict := uint32(unix.FAN_ALLOW)
	m, name, drift := d.judge(int(fd), pid)
	if drift {
		verdict = unix.FAN_DENY
	} else if m != nil {
		d.allowFromNowOn(int(fd))
	}
	answer := binary.NativeEndian.AppendUint32(nil, uint32(fd))
	answer = binary.NativeEndian.AppendUint32(answer, verdict)
	unix.Write(d.fd, answer) //nolint:errcheck // a process that was killed meanwhile needs none
	if !drift {
		return
	}
	select {
	case denied <- d.event(m, int(fd), pid, name):
	default:
		d.Untold.Add(1)
	}
}

// allowFromNowOn ends the questions about a file, until it is written to.
func (d *Deny) allowFromNowOn(fd int) {
	name := "/proc/self/fd/" + strconv.Itoa(fd)
	flags := uint(unix.FAN_MARK_ADD | unix.FAN_MARK_IGNORED_MASK)
	// An evictable mark does not hold the inode in memory; kernels before 5.19 have only the other kind.
	if unix.FanotifyMark(d.fd, flags|unix.FAN_MARK_EVICTABLE, unix.FAN_OPEN_EXEC_PERM, unix.AT_FDCWD, name) != nil {
		_ = unix.FanotifyMark(d.fd, flags, unix.FAN_OPEN_EXEC_PERM, unix.AT_FDCWD, name) // else it is asked about again
	}
}

// judge tells whether a file is only in the upper folder of its overlay; the overlay is nil where that
// could not be told.
func (d *Deny) judge(fd int, pid int32) (m *marked, name string, drift bool) {
	if pid == d.self {
		return nil, "", false
	}
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil {
		return nil, "", false
	}
	if m = d.overlayOf(&st, pid); m == nil {
		d.Undecided.Add(1)
		return nil, "", false
	}
	// A name that changes while it is looked at is looked at again; what goes on renaming is refused.
	for range 3 {
		before := nameOf(fd)
		name, drift = m.onlyUpper(before)
		if drift || st.Nlink == 0 {
			return m, name, true
		}
		if nameOf(fd) == before {
			return m, name, false
		}
	}
	return m, name, true
}

// overlayOf finds the overlay by the device of the file, or, where its layers lie on several file
// systems and files have other numbers, by the root of the process.
func (d *Deny) overlayOf(st *unix.Stat_t, pid int32) *marked {
	d.mu.Lock()
	defer d.mu.Unlock()
	if m, ok := d.overlays[st.Dev]; ok {
		return m
	}
	var root unix.Stat_t
	if unix.Stat(fmt.Sprintf("/proc/%d/root", pid), &root) != nil {
		return nil
	}
	return d.overlays[root.Dev]
}

func nameOf(fd int) string {
	name, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(fd))
	if err != nil {
		return ""
	}
	return name
}

// onlyUpper looks the path up in the upper folder. Seen from the machine it begins with the mount point,
// seen from a container it does not; both are tried, since a container can make folders of any name.
func (m *marked) onlyUpper(name string) (string, bool) {
	if m.isUpper(name) {
		return name, true
	}
	inner, ok := strings.CutPrefix(name, m.Merged+"/")
	if !ok {
		return name, false
	}
	return "/" + inner, m.isUpper("/" + inner)
}

// isUpper tells whether the upper folder has a file that was not copied there from a layer: overlay
// leaves a mark on those, which a container cannot make.
func (m *marked) isUpper(name string) bool {
	fd, err := unix.Openat2(m.upper, strings.TrimPrefix(path.Clean(name), "/"), &unix.OpenHow{
		Flags: unix.O_PATH | unix.O_NOFOLLOW | unix.O_CLOEXEC, Resolve: unix.RESOLVE_BENEATH | unix.RESOLVE_NO_SYMLINKS,
	})
	if err != nil {
		return false
	}
	defer unix.Close(fd)
	var st unix.Stat_t
	if unix.Fstat(fd, &st) != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return false
	}
	_, err = unix.Getxattr("/proc/self/fd/"+strconv.Itoa(fd), "trusted.overlay.origin", nil)
	return err != nil
}

func (d *Deny) event(m *marked, fd int, pid int32, name string) Event {
	var st unix.Stat_t
	_ = unix.Fstat(fd, &st) // of an open file: it does not fail
	return Event{
		Kind: Exec, Action: Denied, Time: d.clock.Now(), PID: uint32(pid), TID: uint32(pid), Cgroup: m.Cgroup,
		File: File{Path: name, Dev: st.Dev, Inode: st.Ino, Origin: OriginUpper, Deleted: st.Nlink == 0},
	}
}
