// Command agentmix measures what the agent costs a node under a steady mix of work, and how long an alert takes
// to a webhook. The mix is 1,000 opens, 100 HTTP requests, 10 executions and 10 connections a second in one
// container; it runs without the agent first, and then with it, in the same run.
//
// It prints the agent's CPU and memory, and the CPU that the work itself takes with and without it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/sensor/alert"
	"github.com/hullmark/hullmark/internal/sensor/cgroup"
)

func main() {
	program := flag.String("hullmark", "bin/hullmark", "the program to measure")
	length := flag.Duration("for", 30*time.Second, "how long each half takes")
	work := flag.String("work", "", "internal: do the mix in this folder")
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if *work != "" {
		mix(ctx, *work)
		return
	}
	if err := measure(ctx, *program, *length); err != nil {
		fmt.Fprintln(os.Stderr, "agentmix:", err)
		stop()
		os.Exit(1)
	}
}

// measure runs both halves and prints them.
func measure(ctx context.Context, program string, length time.Duration) error {
	c, err := newContainer()
	if err != nil {
		return err
	}
	defer c.close()
	bare, err := c.load(ctx, length)
	if err != nil {
		return err
	}
	hook := newHook()
	defer hook.Close()
	a, err := startAgent(program, c, hook.URL)
	if err != nil {
		return err
	}
	defer a.stop()
	before := a.cpu()
	loaded, err := c.loadWithDrift(ctx, length)
	if err != nil {
		return err
	}
	cores := (a.cpu() - before).Seconds() / length.Seconds()
	fmt.Printf("the work itself    %.4f core bare, %.4f core watched (both halves %s)\n", bare, loaded, length)
	fmt.Printf("the agent          %.4f core, %.1f MiB resident (target: 0.02 core, 80 MiB)\n", cores, a.resident())
	hook.print()
	return nil
}

// container is an overlay mount and a control group; what runs in it sees the host's files, and works on the
// overlay's.
type container struct {
	folder, merged, group string
	tree                  cgroup.Tree
	fd                    *os.File
}

func newContainer() (_ *container, err error) {
	c := &container{group: fmt.Sprintf("/agentmix-%d", os.Getpid())}
	if c.tree, err = cgroup.Open("/proc"); err != nil {
		return nil, err
	}
	if c.folder, err = os.MkdirTemp("", "agentmix"); err != nil {
		return nil, err
	}
	c.merged = filepath.Join(c.folder, "merged")
	for _, dir := range []string{"low/bin", "low/app", "upper", "work", "merged"} {
		if err := os.MkdirAll(filepath.Join(c.folder, dir), 0o755); err != nil {
			return nil, err
		}
	}
	name, err := exec.LookPath("busybox")
	if err != nil {
		return nil, err
	}
	busybox, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	if err := os.WriteFile(filepath.Join(c.folder, "low/bin/busybox"), busybox, 0o755); err != nil {
		return nil, err
	}
	for i := range 2000 {
		if err := os.WriteFile(filepath.Join(c.folder, "low/app", fmt.Sprintf("%d.js", i)), nil, 0o644); err != nil {
			return nil, err
		}
	}
	options := fmt.Sprintf("lowerdir=%s/low,upperdir=%[1]s/upper,workdir=%[1]s/work", c.folder)
	if err := unix.Mount("overlay", c.merged, "overlay", 0, options); err != nil {
		return nil, fmt.Errorf("mount: %w", err)
	}
	if err := os.Mkdir(filepath.Join(c.tree.Root, c.group), 0o755); err != nil {
		return nil, err
	}
	c.fd, err = os.Open(filepath.Join(c.tree.Root, c.group))
	return c, err
}

func (c *container) close() {
	_ = c.fd.Close()
	_ = unix.Unmount(c.merged, unix.MNT_DETACH)
	_ = os.Remove(filepath.Join(c.tree.Root, c.group))
	_ = os.RemoveAll(c.folder)
}

func (c *container) command(ctx context.Context, name string, args ...string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, name, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.SysProcAttr = &syscall.SysProcAttr{UseCgroupFD: true, CgroupFD: int(c.fd.Fd()), Pdeathsig: syscall.SIGKILL}
	return cmd
}

// load does the mix in the container and returns the cores that it took.
func (c *container) load(ctx context.Context, length time.Duration) (float64, error) {
	self, err := os.Executable()
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	cmd := c.command(ctx, self, "-work", c.merged)
	cmd.Stderr = os.Stderr
	if err := cmd.Run(); err != nil && ctx.Err() == nil {
		return 0, err
	}
	return (cmd.ProcessState.SystemTime() + cmd.ProcessState.UserTime()).Seconds() / length.Seconds(), nil
}

// loadWithDrift is load with five drifted executions a second beside it.
func (c *container) loadWithDrift(ctx context.Context, length time.Duration) (float64, error) {
	drifting, cancel := context.WithTimeout(ctx, length)
	defer cancel()
	var wait sync.WaitGroup
	wait.Go(func() {
		busybox, err := os.ReadFile(filepath.Join(c.merged, "bin/busybox"))
		for i := 0; err == nil && tick(drifting, 200*time.Millisecond); i++ {
			name := filepath.Join(c.merged, fmt.Sprintf("drift-%d", i))
			if os.WriteFile(name, busybox, 0o755) == nil {
				_ = c.command(ctx, name, "true").Run() // "applet not found" is as good an execution as any
			}
		}
	})
	defer wait.Wait()
	return c.load(ctx, length)
}

func tick(ctx context.Context, d time.Duration) bool {
	select {
	case <-ctx.Done():
		return false
	case <-time.After(d):
		return true
	}
}

// mix is the work: it runs in the container's control group until it is told to end.
func mix(ctx context.Context, merged string) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "ok") }))
	defer server.Close()
	address := strings.TrimPrefix(server.URL, "http://")
	var wait sync.WaitGroup
	every := func(d time.Duration, do func(i int)) {
		wait.Go(func() {
			t := time.NewTicker(d)
			defer t.Stop()
			for i := 0; ; i++ {
				select {
				case <-ctx.Done():
					return
				case <-t.C:
					do(i)
				}
			}
		})
	}
	every(10*time.Millisecond, func(i int) { // ten at a time: a thousand a second
		for n := range 10 {
			if f, err := os.Open(filepath.Join(merged, "app", strconv.Itoa((i*10+n)%2000)+".js")); err == nil {
				_ = f.Close()
			}
		}
	})
	every(10*time.Millisecond, func(int) {
		if r, err := http.Get(server.URL); err == nil {
			_, _ = io.Copy(io.Discard, r.Body)
			_ = r.Body.Close()
		}
	})
	every(100*time.Millisecond, func(int) { _ = exec.Command(filepath.Join(merged, "bin/busybox"), "true").Run() })
	every(100*time.Millisecond, func(int) {
		if c, err := net.Dial("tcp", address); err == nil {
			_ = c.Close()
		}
	})
	wait.Wait()
}

// agent is the agent that is measured.
type agent struct{ cmd *exec.Cmd }

func startAgent(program string, c *container, hook string) (*agent, error) {
	rule := fmt.Sprintf("%s=%s,root=%s,layers=%s", c.group, digest.FromBytes([]byte("i")), c.merged, digest.FromBytes([]byte("l")))
	a := &agent{exec.Command(program, "agent", "--webhook", hook, "--container", rule, "--state", filepath.Join(c.folder, "state"), "--podman", c.folder, "--node", "bench")}
	out, err := a.cmd.StderrPipe()
	if err != nil {
		return nil, err
	}
	if err := a.cmd.Start(); err != nil {
		return nil, err
	}
	text := make([]byte, 4096)
	n, err := out.Read(text)
	if err != nil || !strings.Contains(string(text[:n]), "watching") {
		return nil, errors.Join(fmt.Errorf("the agent said %q", text[:n]), err)
	}
	go func() { _, _ = io.Copy(os.Stderr, out) }()
	time.Sleep(2 * time.Second) // what it does once, at its start, is not the steady state
	return a, nil
}

func (a *agent) stop() {
	_ = a.cmd.Process.Signal(syscall.SIGTERM)
	_ = a.cmd.Wait()
}

// cpu is what the agent has taken so far.
func (a *agent) cpu() time.Duration {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", a.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(raw[strings.LastIndexByte(string(raw), ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * 10 * time.Millisecond
}

// resident is in MiB.
func (a *agent) resident() float64 {
	raw, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", a.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(raw)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kib, _ := strconv.Atoi(strings.Fields(rest)[0])
			return float64(kib) / 1024
		}
	}
	return 0
}

// hook is a webhook that takes the time.
type hook struct {
	*httptest.Server
	mu   sync.Mutex
	took []time.Duration
}

func newHook() *hook {
	h := &hook{}
	h.Server = httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		now := time.Now()
		var a alert.Alert
		if json.NewDecoder(r.Body).Decode(&a) == nil && a.Count == 1 {
			h.mu.Lock()
			h.took = append(h.took, now.Sub(a.Time))
			h.mu.Unlock()
		}
	}))
	return h
}

func (h *hook) print() {
	h.mu.Lock()
	defer h.mu.Unlock()
	slices.Sort(h.took)
	if len(h.took) == 0 {
		fmt.Println("no alert arrived")
		return
	}
	at := func(q float64) time.Duration {
		return h.took[int(q*float64(len(h.took)-1))].Round(10 * time.Microsecond)
	}
	fmt.Printf("event to webhook   p50 %s, p99 %s, of %d (target: p99 250ms)\n", at(0.5), at(0.99), len(h.took))
}
