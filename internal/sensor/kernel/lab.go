package kernel

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

// lab is an overlay mount and a cgroup to try things in. The mount is in a mount namespace of one
// thread's own, on a tmpfs that hides a folder which exists anyway: when the thread ends, by
// whatever cause, nothing is left of it.
type lab struct {
	root   string // the folder that the tmpfs hides; below it lower, upper, work and merged
	cgroup string
	fd     *os.File
	id     uint64
}

// inLab runs try with a fresh lab, on a thread that is not used again.
func inLab(name string, try func(*lab) error) error {
	result := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // and never unlocked: the runtime ends the thread, and its mounts with it
		result <- func() (err error) {
			l, err := newLab(name)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, l.close()) }()
			return try(l)
		}()
	}()
	return <-result
}

func newLab(name string) (*lab, error) {
	l := &lab{root: os.TempDir()}
	if err := unix.Unshare(unix.CLONE_NEWNS | unix.CLONE_FS); err != nil {
		return nil, fmt.Errorf("kernel: own mount namespace: %w", err)
	}
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return nil, fmt.Errorf("kernel: private mounts: %w", err)
	}
	if err := unix.Mount("tmpfs", l.root, "tmpfs", 0, "mode=0755"); err != nil {
		return nil, fmt.Errorf("kernel: mount tmpfs: %w", err)
	}
	for _, folder := range []string{"lower1", "lower2", "upper", "work", "merged"} {
		if err := os.Mkdir(filepath.Join(l.root, folder), 0o755); err != nil {
			return nil, fmt.Errorf("kernel: %w", err)
		}
	}
	if err := os.WriteFile(l.path("lower2", "lower"), tinyProgram(), 0o755); err != nil {
		return nil, fmt.Errorf("kernel: %w", err)
	}
	if err := os.WriteFile(l.path("lower2", "changed"), tinyProgram(), 0o755); err != nil {
		return nil, fmt.Errorf("kernel: %w", err)
	}
	options := fmt.Sprintf("lowerdir=%s:%s,upperdir=%s,workdir=%s", l.path("lower1"), l.path("lower2"), l.path("upper"), l.path("work"))
	if err := unix.Mount("overlay", l.path("merged"), "overlay", 0, options); err != nil {
		return nil, fmt.Errorf("kernel: mount overlay: %w", err)
	}
	return l, l.makeCgroup(name)
}

func (l *lab) makeCgroup(name string) error {
	root, err := CgroupRoot()
	if err != nil {
		return err
	}
	l.cgroup = filepath.Join(root, name)
	if err := os.Mkdir(l.cgroup, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return fmt.Errorf("kernel: make cgroup: %w", err)
	}
	if l.fd, err = os.Open(l.cgroup); err != nil {
		return fmt.Errorf("kernel: open cgroup: %w", err)
	}
	l.id, err = CgroupID(l.cgroup)
	return err
}

// close removes the cgroup; a process that is still ending in it holds it for a moment.
func (l *lab) close() error {
	l.fd.Close()
	var err error
	for range 100 {
		if err = os.Remove(l.cgroup); err == nil || errors.Is(err, os.ErrNotExist) {
			return nil
		}
		unix.Poll(nil, 10)
	}
	return fmt.Errorf("kernel: remove cgroup: %w", err)
}

func (l *lab) path(parts ...string) string {
	return filepath.Join(append([]string{l.root}, parts...)...)
}

// merged is a file as a process of the container sees it.
func (l *lab) merged(name string) string { return l.path("merged", name) }

// command is a program that starts inside the cgroup, so that its very exec is seen there.
func (l *lab) command(ctx context.Context, program string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Env = []string{}
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(l.fd.Fd())}
	return cmd
}

// run starts a program and returns what it wrote and how it ended.
func (l *lab) run(ctx context.Context, program string, args ...string) (string, error) {
	var out bytes.Buffer
	cmd := l.command(ctx, program, args...)
	cmd.Stdout, cmd.Stderr = &out, &out
	err := cmd.Run()
	return out.String(), err
}

// drift writes a program that no layer has.
func (l *lab) drift(name string) (string, error) {
	file := l.merged(name)
	if err := os.WriteFile(file, tinyProgram(), 0o755); err != nil {
		return "", fmt.Errorf("kernel: %w", err)
	}
	return file, nil
}
