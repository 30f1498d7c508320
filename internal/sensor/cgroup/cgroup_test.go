package cgroup_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
	"time"

	"github.com/hullmark/hullmark/internal/sensor/cgroup"
)

// newGroup makes a control group for one test.
func newGroup(t *testing.T) (cgroup.Tree, string) {
	t.Helper()
	if os.Geteuid() != 0 {
		if os.Getenv("CI") == "true" {
			t.Fatal("only root can make control groups, and under CI nothing may skip")
		}
		t.Skip("only root can make control groups")
	}
	tree, err := cgroup.Open("/proc")
	if err != nil {
		t.Fatal(err)
	}
	path := fmt.Sprintf("/hullmark-test-%d-%d", os.Getpid(), time.Now().UnixNano())
	if err := os.Mkdir(filepath.Join(tree.Root, path), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.Remove(filepath.Join(tree.Root, path)); err != nil {
			t.Error(err)
		}
	})
	return tree, path
}

func TestProcessesOfAGroupAndOfTheGroupsBelowIt(t *testing.T) {
	tree, path := newGroup(t)
	below := filepath.Join(path, "below")
	if err := os.Mkdir(filepath.Join(tree.Root, below), 0o755); err != nil {
		t.Fatal(err)
	}
	group, err := os.Open(filepath.Join(tree.Root, below))
	if err != nil {
		t.Fatal(err)
	}
	defer group.Close()
	cmd := exec.Command("sleep", "60")
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(group.Fd()), Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if err := os.Remove(filepath.Join(tree.Root, below)); err != nil {
			t.Error(err)
		}
	}()
	if got := tree.Processes(path); len(got) != 0 {
		t.Errorf("the group itself has %v", got)
	}
	if got := tree.AllProcesses(path); !slices.Equal(got, []int{cmd.Process.Pid}) {
		t.Errorf("with those below it has %v, want %d", got, cmd.Process.Pid)
	}
	if got, err := cgroup.Of("/proc", cmd.Process.Pid); got != below || err != nil {
		t.Errorf("the process is in %s, %v; want %s", got, err, below)
	}
}

// Ten thousand groups are looked through in well under a second of a core, and none is missed.
func TestTenThousandGroupsAreScanned(t *testing.T) {
	tree, path := newGroup(t)
	const n = 10_000
	folder := filepath.Join(tree.Root, path)
	for i := range n {
		if err := os.Mkdir(filepath.Join(folder, fmt.Sprint(i)), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(func() {
		for i := range n {
			_ = os.Remove(filepath.Join(folder, fmt.Sprint(i)))
		}
	})
	ids := map[uint64]bool{}
	start := time.Now()
	if err := (cgroup.Tree{Root: folder}).Scan(func(g cgroup.Group) { ids[g.ID] = true }); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(start); took > 10*time.Second {
		t.Errorf("the scan took %s", took)
	}
	if len(ids) != n+1 {
		t.Errorf("%d groups were found, want %d", len(ids), n+1)
	}
}

func TestAGroupThatIsGoneHasNoProcesses(t *testing.T) {
	t.Parallel()
	tree := cgroup.Tree{Root: t.TempDir()}
	if got := tree.AllProcesses("/gone"); got != nil {
		t.Errorf("got %v", got)
	}
	if _, err := tree.ID("/gone"); err == nil {
		t.Error("a group that is gone has an id")
	}
}
