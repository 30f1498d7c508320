package process

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/hullmark/hullmark/internal/sensor/kernel"
)

func fork(pid, parent uint32, started uint64) *kernel.Event {
	return &kernel.Event{Kind: kernel.Fork, PID: pid, PPID: parent, Started: started * tick, Comm: "sh", Cgroup: 7}
}

func run(pid uint32, started uint64, path string, origin kernel.Origin) *kernel.Event {
	return &kernel.Event{
		Kind: kernel.Exec, PID: pid, Started: started * tick, Comm: path[strings.LastIndexByte(path, '/')+1:], Cgroup: 7,
		File: kernel.File{Path: path, Origin: origin},
	}
}

func TestAncestryOutlivesTheAncestors(t *testing.T) {
	t.Parallel()
	table := NewTable()
	table.Exec(run(1, 1, "/bin/sh", kernel.OriginLower))
	table.Fork(fork(2, 1, 2))
	table.Exec(run(2, 2, "/usr/bin/make", kernel.OriginLower))
	table.Fork(fork(3, 2, 3))
	table.Exit(fork(2, 1, 2))
	p, up := table.Snapshot(run(3, 3, "/x", kernel.OriginLower))
	if len(up) != 2 || up[0].Path != "/usr/bin/make" || up[1].Path != "/bin/sh" {
		t.Errorf("%+v has ancestors %+v", p, up)
	}
	if table.Len() != 2 {
		t.Errorf("%d processes are left", table.Len())
	}
}

func TestAnIDThatIsUsedAgainIsAnotherProcess(t *testing.T) {
	t.Parallel()
	table := NewTable()
	table.Exec(run(5, 1, "/bin/old", kernel.OriginLower))
	table.Taint(run(5, 1, "/bin/old", kernel.OriginLower), "bad")
	again := run(5, 900, "/bin/new", kernel.OriginLower)
	if got := table.Tainted(again); got != nil {
		t.Errorf("the new process has the old one's taint %v", got)
	}
	if p, _ := table.Snapshot(again); p.Path != "" {
		t.Errorf("the new process has the old one's program %s", p.Path)
	}
	// The old one's exit arrives late: the new one stays.
	table.Exec(again)
	table.Exit(run(5, 1, "/bin/old", kernel.OriginLower))
	if p, _ := table.Snapshot(again); p.Path != "/bin/new" {
		t.Error("the exit of the old process took the new one away")
	}
}

func TestAForkBombKeepsNoMoreThanThereIs(t *testing.T) {
	t.Parallel()
	table := NewTable()
	table.Exec(run(1, 1, "/bin/sh", kernel.OriginLower))
	// Each process starts the next and ends: the chain is as long as the bomb, and the memory is not.
	const n = 200_000
	for i := uint32(2); i < n; i++ {
		table.Fork(fork(i, i-1, uint64(i)))
		table.Exit(fork(i-1, i-2, uint64(i-1)))
	}
	if table.Len() != 1 {
		t.Errorf("%d processes are left of one", table.Len())
	}
	depth := 0
	for p := table.all[n-1]; p != nil; p = p.Parent {
		depth++
	}
	if depth > 2*MaxDepth+1 {
		t.Errorf("the last process keeps %d ancestors alive", depth)
	}
	if _, up := table.Snapshot(fork(n-1, n-2, n-1)); len(up) == 0 || len(up) > MaxDepth {
		t.Errorf("%d ancestors", len(up))
	}
}

func TestWhatWasLoadedIsInheritedAndThenOnesOwn(t *testing.T) {
	t.Parallel()
	table := NewTable()
	parent := run(1, 1, "/bin/node", kernel.OriginLower)
	table.Exec(parent)
	table.Load(parent, "a")
	table.Fork(fork(2, 1, 2))
	child := run(2, 2, "/bin/node", kernel.OriginLower)
	table.Load(child, "b")
	table.Load(parent, "c")
	loaded := func(ev *kernel.Event) string {
		p, _ := table.Snapshot(ev)
		var out []string
		for _, l := range p.Loaded {
			out = append(out, l.(string))
		}
		return strings.Join(out, "")
	}
	if loaded(parent) != "ac" || loaded(child) != "ab" {
		t.Errorf("parent %s, child %s", loaded(parent), loaded(child))
	}
	table.Exec(child)
	if loaded(child) != "" {
		t.Errorf("after exec the child still has %s", loaded(child))
	}
}

// A runtime enters a container as a process that nothing in the container has started.
func TestOnlyWhatCameFromOutsideIsOutside(t *testing.T) {
	t.Parallel()
	table := NewTable()
	if !table.Fork(fork(10, 9, 1)) {
		t.Error("a process of a parent that is not known is no orphan")
	}
	if !table.Exec(run(10, 1, "/proc/self/exe", kernel.OriginMemfd)) {
		t.Error("the runtime's own copy in memory does not count as outside")
	}
	if !table.Exec(run(10, 1, "/bin/sh", kernel.OriginLower)) {
		t.Error("it is inside before it executed anything of the container")
	}
	if table.Exec(run(10, 1, "/memfd", kernel.OriginMemfd)) {
		t.Error("a process of the container passes for the runtime")
	}
	table.Fork(fork(11, 10, 2))
	if table.Exec(run(11, 2, "/memfd", kernel.OriginMemfd)) {
		t.Error("a child of the container passes for the runtime")
	}
}

func TestTheTableIsFilledFromProc(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("sleep", "60")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill(); _ = cmd.Wait() }()
	pid := uint32(cmd.Process.Pid)
	table := NewTable()
	if err := table.Fill("/proc", func(int) uint64 { return 3 }); err != nil {
		t.Fatal(err)
	}
	started := StartOf("/proc", pid)
	p, up := table.Snapshot(&kernel.Event{PID: pid, Started: started})
	if p.Comm != "sleep" || p.Args != "sleep 60" || p.Cgroup != 3 || !strings.HasSuffix(p.Path, "sleep") && !strings.Contains(p.Path, "coreutils") {
		t.Errorf("got %+v", p)
	}
	if len(up) == 0 || up[0].PID != uint32(os.Getpid()) {
		t.Errorf("its ancestors are %+v", up)
	}
	// What has ended is forgotten, and what the kernel told of a newer process stays.
	table.Fork(fork(1<<22-1, pid, 1<<60/tick))
	_ = cmd.Process.Kill()
	_ = cmd.Wait()
	if err := table.Fill("/proc", func(int) uint64 { return 3 }); err != nil {
		t.Fatal(err)
	}
	table.mu.Lock()
	defer table.mu.Unlock()
	if table.get(pid, started) != nil {
		t.Error("a process that ended is still there")
	}
	if table.all[1<<22-1] == nil {
		t.Error("a process that was forked meanwhile is gone")
	}
}

func TestOnlyTheProcessThatWasMeantIsKilled(t *testing.T) {
	t.Parallel()
	cmd := exec.Command("sleep", "60")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = cmd.Process.Kill() }()
	pid := uint32(cmd.Process.Pid)
	started := StartOf("/proc", pid)
	if killed, err := Kill("/proc", pid, started+50*tick); killed || err != nil {
		t.Errorf("a process with another start time: %v, %v", killed, err)
	}
	if StartOf("/proc", pid) != started {
		t.Fatal("the wrong process was killed")
	}
	if killed, err := Kill("/proc", pid, started); !killed || err != nil {
		t.Errorf("the process itself: %v, %v", killed, err)
	}
	err := cmd.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("it ended with %v", err)
	}
	if killed, err := Kill("/proc", pid, started); killed || err != nil {
		t.Errorf("a process that has ended: %v, %v", killed, err)
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("1 (a) b) (c)) S 1 1 1 0 -1 4194560 1 1 1 1 1 1 1 1 20 0 1 0 44 1 1"))
	f.Add([]byte(") ("))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if s, err := parseStat(raw); err == nil && len(s.comm) > len(raw) {
			t.Error("a name longer than the line")
		}
	})
}
