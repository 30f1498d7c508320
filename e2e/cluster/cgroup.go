package cluster

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// makeCgroups makes the cgroup under which the kubelet puts the pods, in every hierarchy: one on a
// machine with cgroup v2 alone, about ten where v1 is in use.
func (c *Cluster) makeCgroups() error {
	c.CgroupRoot = "/" + c.Name
	hierarchies, err := cgroupHierarchies()
	if err != nil {
		return err
	}
	c.atEnd(func() error { return removeCgroups(hierarchies, c.CgroupRoot) })
	for _, hierarchy := range hierarchies {
		if err := os.Mkdir(filepath.Join(hierarchy, c.CgroupRoot), 0o755); err != nil {
			return err
		}
	}
	return delegate(c.CgroupRoot)
}

// delegate makes the controllers of a pure cgroup v2 machine available below the root, which the
// kubelet expects to find done.
func delegate(cgroup string) error {
	const root = "/sys/fs/cgroup"
	controllers, err := os.ReadFile(filepath.Join(root, "cgroup.controllers"))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // version 1 in use
	}
	if err != nil {
		return err
	}
	for _, name := range strings.Fields(string(controllers)) {
		for _, dir := range []string{root, filepath.Join(root, cgroup)} {
			if err := os.WriteFile(filepath.Join(dir, "cgroup.subtree_control"), []byte("+"+name), 0o644); err != nil {
				return err
			}
		}
	}
	return nil
}

// cgroupHierarchies returns the mount points of all cgroup file systems.
func cgroupHierarchies() ([]string, error) {
	mounts, err := mountPoints()
	if err != nil {
		return nil, err
	}
	var out []string
	for _, m := range mounts {
		if m.kind == "cgroup" || m.kind == "cgroup2" {
			out = append(out, m.path)
		}
	}
	if len(out) == 0 {
		return nil, errors.New("no cgroup file system is mounted")
	}
	return out, nil
}

// removeCgroups removes a cgroup and all below it, after killing what still runs in there.
func removeCgroups(hierarchies []string, cgroup string) error {
	deadline := time.Now().Add(stopTimeout)
	for {
		var errs []error
		for _, hierarchy := range hierarchies {
			errs = append(errs, removeCgroup(filepath.Join(hierarchy, cgroup)))
		}
		err := errors.Join(errs...)
		if err == nil || time.Now().After(deadline) {
			return err
		}
		time.Sleep(50 * time.Millisecond) // a killed process leaves its cgroup when it has ended
	}
}

// removeCgroup goes bottom up: a cgroup with children cannot be removed.
func removeCgroup(path string) error {
	entries, err := os.ReadDir(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	var errs []error
	for _, entry := range entries {
		if entry.IsDir() {
			errs = append(errs, removeCgroup(filepath.Join(path, entry.Name())))
		}
	}
	procs, _ := os.ReadFile(filepath.Join(path, "cgroup.procs"))
	for _, field := range strings.Fields(string(procs)) {
		if pid, err := strconv.Atoi(field); err == nil {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	if err := os.Remove(path); !errors.Is(err, fs.ErrNotExist) {
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

type mount struct{ path, kind string }

// mountPoints reads what is mounted, in the order of mounting (proc(5), /proc/pid/mountinfo).
func mountPoints() ([]mount, error) {
	text, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return nil, err
	}
	var out []mount
	for line := range strings.Lines(string(text)) {
		before, after, ok := strings.Cut(line, " - ")
		left, right := strings.Fields(before), strings.Fields(after)
		if ok && len(left) >= 5 && len(right) >= 1 {
			out = append(out, mount{path: left[4], kind: right[0]})
		}
	}
	return out, nil
}

// unmountBelow undoes every mount inside a folder, the newest first.
func unmountBelow(dir string) error {
	mounts, err := mountPoints()
	if err != nil {
		return err
	}
	var errs []error
	for i := len(mounts) - 1; i >= 0; i-- {
		if path := mounts[i].path; strings.HasPrefix(path, dir+"/") {
			errs = append(errs, syscall.Unmount(path, syscall.MNT_DETACH))
		}
	}
	return errors.Join(errs...)
}
