package cluster

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// stopTimeout is how long a process may take to end after SIGTERM before it is killed.
const stopTimeout = 20 * time.Second

// process is one part of the cluster.
type process struct {
	name   string
	pid    int
	exited chan struct{} // closed when it has ended; err is set before
	err    error
}

// run starts a program of the cluster; it ends with the cluster, or earlier when this process dies.
func (c *Cluster) run(name string, args ...string) (*process, error) {
	program, err := c.lookPath(name)
	if err != nil {
		return nil, err
	}
	logPath := filepath.Join(c.logDir(), name+".log")
	log, err := os.Create(logPath)
	if err != nil {
		return nil, err
	}
	c.logs = append(c.logs, logPath)
	cmd := exec.Command(program, args...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = c.dir, log, log
	cmd.SysProcAttr = endsWithParent()

	p := &process{name: name, exited: make(chan struct{})}
	started := make(chan error)
	go func() {
		// The kernel means the thread, not the process, when it speaks of the parent's death.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer func() { _ = log.Close() }()
		err := cmd.Start()
		started <- err
		if err == nil {
			p.err = cmd.Wait()
			close(p.exited)
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	p.pid = cmd.Process.Pid
	c.atEnd(p.stop)
	return p, nil
}

// stop ends the process by its id, gently first.
func (p *process) stop() error {
	if p.gone() {
		return nil
	}
	_ = syscall.Kill(p.pid, syscall.SIGTERM)
	select {
	case <-p.exited:
		return nil
	case <-time.After(stopTimeout):
		_ = syscall.Kill(p.pid, syscall.SIGKILL)
		<-p.exited
		return fmt.Errorf("%s did not end within %s of SIGTERM and was killed", p.name, stopTimeout)
	}
}

func (p *process) gone() bool {
	select {
	case <-p.exited:
		return true
	default:
		return false
	}
}

// await asks ready until it returns nil. It gives up when the process ends, after a time, or when ctx does.
func (p *process) await(ctx context.Context, what string, ready func(context.Context) error) error {
	ctx, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := ready(ctx)
		if err == nil {
			return nil
		}
		select {
		case <-p.exited:
			return fmt.Errorf("%s ended before %s: %v", p.name, what, p.err)
		case <-ctx.Done():
			return fmt.Errorf("%s: %s did not happen in time: %w", p.name, what, err)
		case <-ticker.C:
		}
	}
}

// lookPath finds a program of the cluster.
func (c *Cluster) lookPath(name string) (string, error) {
	path := c.options.Path
	if path == "" {
		path = toolsDir() + string(os.PathListSeparator) + os.Getenv("PATH")
	}
	for _, dir := range append(filepath.SplitList(path), "/usr/sbin", "/sbin") {
		file := filepath.Join(dir, name)
		if info, err := os.Stat(file); dir != "" && err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return file, nil
		}
	}
	return "", fmt.Errorf("no %s on the path; run scripts/tools cluster", name)
}

// toolsDir is where scripts/tools puts programs: $HULLMARK_TOOLS, which the Makefile sets, or the
// folder in the tree that a test runs in.
func toolsDir() string {
	if dir := os.Getenv("HULLMARK_TOOLS"); dir != "" {
		return dir
	}
	dir, err := os.Getwd()
	for err == nil {
		if _, err := os.Stat(filepath.Join(dir, "go.mod")); err == nil || dir == filepath.Dir(dir) {
			break
		}
		dir = filepath.Dir(dir)
	}
	return filepath.Join(dir, ".cache", "tools", "bin")
}

// Missing returns the programs of a cluster with these options that are not installed.
func Missing(options Options) []string {
	c := &Cluster{options: options}
	names := []string{"etcd", "kube-apiserver"}
	if options.Controllers || options.Node {
		names = append(names, "kube-controller-manager", "kube-scheduler")
	}
	if options.Node {
		names = append(names, "kubelet", "containerd", "containerd-shim-runc-v2", "runc", "ctr", "busybox", "ip")
	}
	var missing []string
	for _, name := range names {
		if _, err := c.lookPath(name); err != nil {
			missing = append(missing, name)
		}
	}
	return missing
}

// LogTails returns the last lines of each log.
func (c *Cluster) LogTails() string {
	var out strings.Builder
	for _, path := range c.logs {
		text, err := os.ReadFile(path)
		if err != nil {
			continue
		}
		const most = 2000 // bytes
		fmt.Fprintf(&out, "--- %s\n%s\n", filepath.Base(path), text[max(0, len(text)-most):])
	}
	return out.String()
}

// shims returns the processes that serve this cluster's containerd: their arguments name its socket.
func (c *Cluster) shims() []int {
	var pids []int
	files, _ := filepath.Glob("/proc/[0-9]*/cmdline")
	for _, file := range files {
		text, err := os.ReadFile(file)
		if err != nil || !strings.Contains(string(text), "-address\x00"+c.ContainerdSocket+"\x00") {
			continue
		}
		if pid, err := strconv.Atoi(filepath.Base(filepath.Dir(file))); err == nil {
			pids = append(pids, pid)
		}
	}
	return pids
}

func killAll(pids []int) {
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}
