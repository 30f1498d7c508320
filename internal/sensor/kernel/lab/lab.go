// Package lab makes the smallest container there is, an overlay mount and a cgroup, to try the sensor
// in: for the self-test, for tests, for measurements and for demonstrations.
//
// It isolates nothing: what runs in it is the caller's own. It never leaves a mount behind, whatever
// ends the process; the cgroup is removed on the way out, and by the next lab of the same name.
package lab

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// hidden is a folder that exists on every machine with /sys, and that nothing tried in a lab needs.
const hidden = "/sys/class"

// Lab is an overlay mount and a cgroup. The mount is in a mount namespace of one thread's own, on a
// tmpfs that hides a folder which exists anyway: when the thread ends, nothing is left of it.
type Lab struct {
	// Cgroup is the folder of the cgroup, and ID the number by which the kernel knows it.
	Cgroup string
	ID     uint64

	root string // what the tmpfs hides; below it the layers lower1 and lower2, upper, work and merged
	fd   *os.File
}

// In runs try with a fresh lab, on a thread that is not used again. The cgroup is made in root, a
// folder of the cgroup v2 tree.
func In(root, name string, try func(*Lab) error) error {
	result := make(chan error, 1)
	onThreadOfItsOwn(func() {
		result <- func() (err error) {
			l, err := enter(root, name)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, l.close()) }()
			return try(l)
		}()
	})
	return <-result
}

// onThreadOfItsOwn starts do on a thread that ends with it, and its mounts with the thread. The process's
// first thread would not do: Go never ends it, and what /proc/PID tells of a process's mounts is what that one has.
func onThreadOfItsOwn(do func()) {
	go func() {
		runtime.LockOSThread() // and never unlocked, so that the runtime ends the thread
		if unix.Gettid() != os.Getpid() {
			do()
			return
		}
		started := make(chan struct{})
		go func() {
			runtime.LockOSThread() // another one, while the first is held here
			close(started)
			do()
		}()
		<-started
		runtime.UnlockOSThread()
	}()
}

func enter(cgroups, name string) (*Lab, error) {
	l := &Lab{root: hidden, Cgroup: filepath.Join(cgroups, name)}
	if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS); err != nil {
		return nil, fmt.Errorf("lab: own mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return nil, fmt.Errorf("lab: private mounts: %w", err)
	}
	if err := unix.Mount("tmpfs", l.root, "tmpfs", 0, "mode=0755"); err != nil {
		return nil, fmt.Errorf("lab: mount tmpfs: %w", err)
	}
	for _, folder := range []string{"lower1", "lower2", "upper", "work", "merged"} {
		if err := os.Mkdir(filepath.Join(l.root, folder), 0o755); err != nil {
			return nil, fmt.Errorf("lab: %w", err)
		}
	}
	for _, file := range []string{l.Path("lower1", "top"), l.Path("lower2", "lower"), l.Path("lower2", "changed"), l.Path("lower2", "replaced")} {
		if err := os.WriteFile(file, Program(), 0o755); err != nil {
			return nil, fmt.Errorf("lab: %w", err)
		}
	}
	options := fmt.Sprintf("lowerdir=%s:%s,upperdir=%s,workdir=%s", l.Path("lower1"), l.Path("lower2"), l.Path("upper"), l.Path("work"))
	if err := unix.Mount("overlay", l.Path("merged"), "overlay", 0, options); err != nil {
		return nil, fmt.Errorf("lab: mount overlay: %w", err)
	}
	return l, l.makeCgroup()
}

// patience is how long a lab waits for another of its name, which is that of another process, in steps of 10 ms.
const patience = 3000

// makeCgroup makes the cgroup and holds it: two labs of one name follow each other, also in two processes.
func (l *Lab) makeCgroup() error {
	for range patience {
		if err := os.Mkdir(l.Cgroup, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
			return fmt.Errorf("lab: make cgroup: %w", err)
		}
		ok, err := l.hold()
		if ok || err != nil {
			return err
		}
		unix.Poll(nil, 10)
	}
	return fmt.Errorf("lab: %s is in use by another process", l.Cgroup)
}

// hold locks the cgroup's folder, unless another has it, or had it and removed it meanwhile.
func (l *Lab) hold() (ok bool, err error) {
	fd, err := os.Open(l.Cgroup)
	if errors.Is(err, os.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("lab: open cgroup: %w", err)
	}
	var held, named unix.Stat_t
	if err := unix.Fstat(int(fd.Fd()), &held); err != nil {
		return false, errors.Join(fmt.Errorf("lab: identify cgroup: %w", err), fd.Close())
	}
	if unix.Flock(int(fd.Fd()), unix.LOCK_EX|unix.LOCK_NB) != nil || unix.Stat(l.Cgroup, &named) != nil || named.Ino != held.Ino {
		return false, fd.Close()
	}
	l.fd, l.ID = fd, held.Ino
	return true, nil
}

// close removes the cgroup; a process that is still ending in it holds it for a moment.
func (l *Lab) close() error {
	defer l.fd.Close()
	var err error
	for range 100 {
		if err = os.Remove(l.Cgroup); err == nil || errors.Is(err, os.ErrNotExist) {
			return nil
		}
		unix.Poll(nil, 10)
	}
	return fmt.Errorf("lab: remove cgroup: %w", err)
}

// Path is a file below the lab's own folder: of its layers lower1 (topmost) and lower2, or of upper.
func (l *Lab) Path(parts ...string) string {
	return filepath.Join(append([]string{l.root}, parts...)...)
}

// Merged is a file as a process of the container sees it.
func (l *Lab) Merged(name string) string { return l.Path("merged", name) }

// Command is a program that starts inside the cgroup, so that its very exec is seen there.
func (l *Lab) Command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = []string{}
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(l.fd.Fd())}
	return cmd
}

// Run starts a program and returns what it wrote and how it ended.
func (l *Lab) Run(ctx context.Context, program string, args ...string) (string, error) {
	var out bytes.Buffer
	cmd := l.Command(ctx, program, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

// Drift writes a program that no layer has.
func (l *Lab) Drift(name string) (string, error) {
	file := l.Merged(name)
	if err := os.WriteFile(file, Program(), 0o755); err != nil {
		return "", fmt.Errorf("lab: %w", err)
	}
	return file, nil
}
