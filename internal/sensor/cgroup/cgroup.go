// Package cgroup finds control groups of version 2 and what is in them. The kernel names a group by the
// inode number of its folder; people, runtimes and orchestrators name it by its path. This package keeps
// the two together.
//
// It changes no group, and where no version 2 hierarchy is mounted it says so: on a pure version 1 machine
// the ids that BPF programs see name nothing.
package cgroup

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/sensor/mount"
)

// Tree is the version 2 hierarchy of this machine.
type Tree struct {
	Root string // folder of the root group, e.g. /sys/fs/cgroup/unified
}

// Open finds the hierarchy. It fails with code cgroup2-missing.
func Open(proc string) (Tree, error) {
	table, err := mount.Read(proc, 0)
	if err != nil {
		return Tree{}, err
	}
	for _, e := range table {
		if e.Type == "cgroup2" && e.Root == "/" {
			return Tree{Root: e.Point}, nil
		}
	}
	return Tree{}, fault.New(fault.Unsupported, "cgroup2-missing",
		"no cgroup version 2 hierarchy is mounted, so containers cannot be told apart; mount one (mount -t cgroup2 none /sys/fs/cgroup/unified) or boot with systemd.unified_cgroup_hierarchy=1")
}

// Group is one control group.
type Group struct {
	ID   uint64
	Path string // from the root group, "/" is the root
}

// Scan calls visit for every group, parents first. A group that goes away meanwhile is left out.
func (t Tree) Scan(visit func(Group)) error {
	return filepath.WalkDir(t.Root, func(name string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENODEV) {
			return nil
		}
		if err != nil {
			return err
		}
		if !d.IsDir() {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return nil // gone between the listing and now
		}
		visit(Group{ID: inode(info), Path: "/" + strings.TrimPrefix(strings.TrimPrefix(name, t.Root), "/")})
		return nil
	})
}

// ID returns the id of a group by its path.
func (t Tree) ID(path string) (uint64, error) {
	info, err := os.Stat(filepath.Join(t.Root, path))
	if err != nil {
		return 0, err
	}
	return inode(info), nil
}

func inode(info fs.FileInfo) uint64 {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return st.Ino
	}
	return 0
}

// Processes returns the pids in a group, not in its children. A group that is gone has none.
func (t Tree) Processes(path string) []int {
	raw, err := os.ReadFile(filepath.Join(t.Root, path, "cgroup.procs"))
	if err != nil {
		return nil
	}
	var out []int
	for _, line := range strings.Fields(string(raw)) {
		if pid, err := strconv.Atoi(line); err == nil && pid > 0 {
			out = append(out, pid)
		}
	}
	return out
}

// AllProcesses returns the pids in a group and all groups below it.
func (t Tree) AllProcesses(path string) []int {
	sub := Tree{Root: filepath.Join(t.Root, path)}
	var out []int
	// A walk that fails has met a group that is going away; what was found is what there is.
	_ = sub.Scan(func(g Group) { out = append(out, sub.Processes(g.Path)...) })
	return out
}

// Of returns the path of the version 2 group of a process.
func Of(proc string, pid int) (string, error) {
	raw, err := os.ReadFile(proc + "/" + strconv.Itoa(pid) + "/cgroup")
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(raw)) {
		if path, ok := strings.CutPrefix(strings.TrimSuffix(line, "\n"), "0::"); ok {
			return path, nil
		}
	}
	return "", fs.ErrNotExist
}
