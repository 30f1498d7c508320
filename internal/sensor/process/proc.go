package process

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// GroupID finds the id of the control group of a process.
type GroupID func(pid int) uint64

// Fill reads every process of /proc into the table: those that started before the agent, or whose events
// were lost. What the kernel has told stays. It forgets processes that are no more.
func (t *Table) Fill(proc string, group GroupID) error {
	var now unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_BOOTTIME, &now); err != nil {
		return fmt.Errorf("read the time since boot: %w", err)
	}
	entries, err := os.ReadDir(proc)
	if err != nil {
		return fmt.Errorf("read the process table: %w", err)
	}
	found := map[uint32]*Process{}
	parents := map[uint32]uint32{}
	for _, e := range entries {
		pid, err := strconv.ParseUint(e.Name(), 10, 32)
		if err != nil {
			continue
		}
		p, ppid, err := read(proc, uint32(pid))
		if err != nil {
			continue // it has ended
		}
		p.Cgroup = group(int(pid))
		found[p.PID], parents[p.PID] = p, ppid
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	t.merge(found, parents, uint64(now.Nano()))
	return nil
}

// merge adds what is new, and drops what /proc no longer has unless it was started after the reading began.
func (t *Table) merge(found map[uint32]*Process, parents map[uint32]uint32, began uint64) {
	for pid, p := range t.all {
		now := found[pid]
		if now == nil && p.Started < began || now != nil && !same(now.Started, p.Started) && p.Started < now.Started {
			delete(t.all, pid)
		}
	}
	for pid, p := range found {
		if t.all[pid] == nil {
			t.put(p)
		}
	}
	for pid, p := range t.all {
		if p.Parent == nil && found[pid] != nil {
			p.adopt(t.all[parents[pid]])
		}
	}
}

// read takes one process from /proc/PID.
func read(proc string, pid uint32) (*Process, uint32, error) {
	folder := filepath.Join(proc, strconv.Itoa(int(pid)))
	raw, err := os.ReadFile(filepath.Join(folder, "stat"))
	if err != nil {
		return nil, 0, err
	}
	s, err := parseStat(raw)
	if err != nil {
		return nil, 0, err
	}
	p := &Process{PID: pid, Started: s.started, Comm: s.comm}
	if path, err := os.Readlink(filepath.Join(folder, "exe")); err == nil {
		p.Path = strings.TrimSuffix(path, " (deleted)")
	}
	if args, err := os.ReadFile(filepath.Join(folder, "cmdline")); err == nil {
		args = args[:min(len(args), maxArgs)]
		p.Args = strings.TrimSpace(string(bytes.ReplaceAll(args, []byte{0}, []byte{' '})))
	}
	return p, s.ppid, nil
}

type stat struct {
	comm    string
	ppid    uint32
	started uint64 // ns since boot, at the resolution of /proc
}

// parseStat reads /proc/PID/stat. The name may hold blanks and brackets, so the last bracket ends it.
func parseStat(raw []byte) (stat, error) {
	open, end := bytes.IndexByte(raw, '('), bytes.LastIndexByte(raw, ')')
	if open < 0 || end < open {
		return stat{}, fmt.Errorf("malformed process status %.40q", raw)
	}
	fields := strings.Fields(string(raw[end+1:]))
	if len(fields) < 20 {
		return stat{}, fmt.Errorf("malformed process status %.40q", raw)
	}
	ppid, err1 := strconv.ParseUint(fields[1], 10, 32)
	start, err2 := strconv.ParseUint(fields[19], 10, 64)
	if err1 != nil || err2 != nil {
		return stat{}, fmt.Errorf("malformed process status %.40q", raw)
	}
	// USER_HZ is 100 on every architecture that Go runs Linux on.
	return stat{comm: string(raw[open+1 : end]), ppid: uint32(ppid), started: start * tick}, nil
}

// StartOf returns when a process was started, ns since boot; 0 when there is none.
func StartOf(proc string, pid uint32) uint64 {
	_, started := Named(proc, pid)
	return started
}

// Named returns what a process is called and when it was started; nothing when there is none.
func Named(proc string, pid uint32) (comm string, started uint64) {
	raw, err := os.ReadFile(filepath.Join(proc, strconv.Itoa(int(pid)), "stat"))
	if err != nil {
		return "", 0
	}
	s, err := parseStat(raw)
	if err != nil {
		return "", 0
	}
	return s.comm, s.started
}

// Ancestry reads the ancestors of a process that came from outside, and puts them above it.
func (t *Table) Ancestry(proc string, pid, parent uint32) {
	var up []*Process
	for at := parent; at > 1 && len(up) < MaxDepth; {
		p, ppid, err := read(proc, at)
		if err != nil {
			break // it has ended: what is above it is not to be found out any more
		}
		p.Outside = true
		up = append(up, p)
		at = ppid
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.all[pid]
	for _, ancestor := range up {
		if known := t.get(ancestor.PID, ancestor.Started); known != nil {
			ancestor = known
		}
		if p == nil || p.Parent != nil {
			return
		}
		p.adopt(ancestor)
		p = ancestor
	}
}
