package e2e

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/hullmark/hullmark/internal/digest"
	"github.com/hullmark/hullmark/internal/evidence"
	"github.com/hullmark/hullmark/internal/fleet/fleetv1"
	"github.com/hullmark/hullmark/internal/sensor"
	"github.com/hullmark/hullmark/internal/sensor/alert"
	"github.com/hullmark/hullmark/internal/sensor/cgroup"
	"github.com/hullmark/hullmark/internal/sensor/uplink/uplinktest"
)

// needsNode skips where the agent cannot run; under CI that is a failure.
func needsNode(t *testing.T, tools ...string) {
	t.Helper()
	missing := ""
	if os.Geteuid() != 0 {
		missing = "root"
	}
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			missing = tool
		}
	}
	switch {
	case missing == "":
	case os.Getenv("CI") == "true":
		t.Fatalf("%s is missing, and under CI nothing may skip", missing)
	default:
		t.Skipf("%s is missing", missing)
	}
}

// homemade is a container without an engine: two layers, an overlay mount and a control group.
type homemade struct {
	t                     *testing.T
	folder, merged, group string // group is the path below the hierarchy
	tree                  cgroup.Tree
}

const bundle = "app/node_modules/@acme/ui-kit/bundle.js"

func newHomemade(t *testing.T) *homemade {
	t.Helper()
	tree, err := cgroup.Open("/proc")
	if err != nil {
		t.Fatal(err)
	}
	c := &homemade{t: t, folder: t.TempDir(), tree: tree, group: fmt.Sprintf("/hullmark-e2e-%d-%s", os.Getpid(), strings.ToLower(t.Name()[len(t.Name())-6:]))}
	c.merged = filepath.Join(c.folder, "merged")
	for _, dir := range []string{"low/bin", "low/tmp", "high/" + filepath.Dir(bundle), "upper", "work", "merged"} {
		if err := os.MkdirAll(filepath.Join(c.folder, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	busybox, err := os.ReadFile(must1(exec.LookPath("busybox")))
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string][]byte{"low/bin/busybox": busybox, "low/bin/sh": busybox, "high/" + bundle: []byte("loaded=yes\n")} {
		if err := os.WriteFile(filepath.Join(c.folder, name), content, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	options := fmt.Sprintf("lowerdir=%s/high:%[1]s/low,upperdir=%[1]s/upper,workdir=%[1]s/work", c.folder)
	if err := unix.Mount("overlay", c.merged, "overlay", 0, options); err != nil {
		t.Fatal(err)
	}
	if err := os.Mkdir(filepath.Join(tree.Root, c.group), 0o755); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.close)
	return c
}

func must1(s string, err error) string {
	if err != nil {
		return ""
	}
	return s
}

func (c *homemade) close() {
	group := filepath.Join(c.tree.Root, c.group)
	// cgroup.kill is of Linux 5.14; before it the processes are few enough to be named.
	if os.WriteFile(filepath.Join(group, "cgroup.kill"), []byte("1"), 0) != nil {
		for _, pid := range c.tree.Processes(c.group) {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	for range 200 {
		if err := os.Remove(group); err == nil {
			break
		}
		time.Sleep(10 * time.Millisecond) // the kernel takes them out one by one
	}
	if err := unix.Unmount(c.merged, unix.MNT_DETACH); err != nil {
		c.t.Error(err)
	}
}

// command is a shell script in the container.
func (c *homemade) command(script string) *exec.Cmd {
	group, err := os.Open(filepath.Join(c.tree.Root, c.group))
	if err != nil {
		c.t.Fatal(err)
	}
	c.t.Cleanup(func() { _ = group.Close() })
	cmd := exec.Command("/bin/sh", "-c", script)
	cmd.Dir, cmd.Env = "/", []string{"PATH=/bin"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Chroot: c.merged, UseCgroupFD: true, CgroupFD: int(group.Fd()), Pdeathsig: syscall.SIGKILL}
	return cmd
}

// rule names the container to the agent.
func (c *homemade) rule() string {
	return fmt.Sprintf("%s=%s,namespace=store,kind=Deployment,name=shop,pod=shop-7d,reference=acme/shop:1,root=%s", c.group, digest.FromBytes([]byte("image")), c.merged)
}

// agent is a running hullmark agent and the lines that it has printed.
type agent struct {
	t     *testing.T
	cmd   *exec.Cmd
	log   strings.Builder
	ended chan struct{}

	mu    sync.Mutex
	lines []sensor.Line
	news  chan struct{}
}

func startAgent(t *testing.T, env []string, args ...string) *agent {
	t.Helper()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	a := &agent{t: t, news: make(chan struct{}, 1), ended: make(chan struct{})}
	a.cmd = exec.Command(program(t, root), append([]string{"agent", "--stdout", "--state", t.TempDir(), "--node", "node-7"}, args...)...)
	a.cmd.Env = append(os.Environ(), env...)
	ready := make(chan struct{})
	a.cmd.Stderr = &talk{agent: a, ready: sync.OnceFunc(func() { close(ready) })}
	out, err := a.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := a.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	go a.read(out)
	t.Cleanup(a.stop)
	select {
	case <-ready:
	case <-a.ended:
		t.Fatal("the agent ended")
	}
	return a
}

// talk is the agent's standard error: kept, and looked through for the word that it watches.
type talk struct {
	agent *agent
	ready func()
}

func (w *talk) Write(p []byte) (int, error) {
	w.agent.mu.Lock()
	defer w.agent.mu.Unlock()
	w.agent.log.Write(p)
	if strings.Contains(w.agent.log.String(), "watching node") {
		w.ready()
	}
	return len(p), nil
}

func (a *agent) read(out io.Reader) {
	defer close(a.ended)
	lines := bufio.NewScanner(out)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var l sensor.Line
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			a.t.Errorf("the agent printed %q: %v", lines.Text(), err)
			continue
		}
		a.mu.Lock()
		a.lines = append(a.lines, l)
		a.mu.Unlock()
		select {
		case a.news <- struct{}{}:
		default:
		}
	}
}

func (a *agent) stop() {
	_ = a.cmd.Process.Signal(syscall.SIGTERM)
	timer := time.AfterFunc(15*time.Second, func() { _ = a.cmd.Process.Kill() })
	defer timer.Stop()
	<-a.ended
	if err := a.cmd.Wait(); err != nil {
		a.t.Errorf("the agent ended with %v\n%s", err, a.log.String())
	}
}

// await returns the first line that is wanted.
func (a *agent) await(what string, wanted func(sensor.Line) bool) sensor.Line {
	a.t.Helper()
	bound := time.After(30 * time.Second)
	for seen := 0; ; {
		a.mu.Lock()
		for ; seen < len(a.lines); seen++ {
			if wanted(a.lines[seen]) {
				defer a.mu.Unlock()
				return a.lines[seen]
			}
		}
		a.mu.Unlock()
		select {
		case <-a.news:
		case <-a.ended:
			a.t.Fatalf("the agent ended; waited for %s", what)
		case <-bound:
			a.t.Fatalf("waited in vain for %s; it printed %d lines", what, seen)
		}
	}
}

func (a *agent) awaitContainer() {
	a.t.Helper()
	a.await("the container", func(l sensor.Line) bool { return l.Type == "container" && *l.Running })
}

func (a *agent) awaitAlert(code alert.Code, done alert.Done) *alert.Alert {
	a.t.Helper()
	return a.await(string(code)+" "+string(done), func(l sensor.Line) bool {
		return l.Type == "alert" && l.Alert.Code == code && l.Alert.Done == done
	}).Alert
}

func TestDriftInAContainerIsStoppedToldAndPosted(t *testing.T) {
	needsNode(t, "busybox")
	secret := filepath.Join(t.TempDir(), "secret")
	if err := os.WriteFile(secret, []byte("0123456789abcdef\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	posts := make(chan *http.Request, 16)
	bodies := make(chan []byte, 16)
	hook := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		posts <- r
		bodies <- body
	}))
	defer hook.Close()
	c := newHomemade(t)
	a := startAgent(t, nil, "--container", c.rule(), "--drift", "stop", "--webhook", hook.URL, "--webhook-secret-file", secret)
	a.awaitContainer()

	out, err := c.command("cp /bin/busybox /tmp/x; /tmp/x echo ran; echo $?").CombinedOutput()
	if err != nil || strings.Contains(string(out), "ran") {
		t.Errorf("the drifted program wrote %q, %v", out, err)
	}
	al := a.await("drift", func(l sensor.Line) bool { return l.Type == "alert" && l.Alert.Code == alert.ExecutedDrift }).Alert
	if al.Done == alert.Observed || al.File.Path != "/tmp/x" || al.File.Origin != "container" || al.Container.Pod != "shop-7d" || al.Node != "node-7" {
		t.Errorf("alert %+v", al)
	}
	r, body := <-posts, <-bodies
	if got := r.Header.Get(alert.SignatureHeader); got != alert.Sign([]byte("0123456789abcdef"), r.Header.Get(alert.TimestampHeader), body) {
		t.Errorf("signature %q", got)
	}
	var posted alert.Alert
	if err := json.Unmarshal(body, &posted); err != nil || posted.ID != al.ID {
		t.Errorf("posted %s, %v", body, err)
	}
}

// An image's file whose mode was changed is the image's file still; one whose content was changed is not.
func TestAFileThatWasCopiedUpIsComparedByContent(t *testing.T) {
	needsNode(t, "busybox")
	c := newHomemade(t)
	a := startAgent(t, nil, "--container", c.rule()+",layers="+string(digest.FromBytes([]byte("low")))+"+"+string(digest.FromBytes([]byte("high"))))
	a.awaitContainer()
	if out, err := c.command("chmod 700 /bin/busybox; /bin/busybox true").CombinedOutput(); err != nil {
		t.Fatalf("%s %v", out, err)
	}
	if out, err := c.command("echo >> /bin/busybox; /bin/busybox true").CombinedOutput(); err != nil {
		t.Fatalf("%s %v", out, err)
	}
	al := a.awaitAlert(alert.ExecutedDrift, alert.Observed)
	if al.File.Origin != "changed" || al.File.Path != "/bin/busybox" || al.File.DiffID != digest.FromBytes([]byte("low")) {
		t.Errorf("alert %+v", al)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, l := range a.lines {
		if l.Type == "alert" && l.Alert.ID != al.ID {
			t.Errorf("a further alert: %s", l.Alert.Sentence)
		}
	}
}

// image is what the record knows about the container's image.
func (c *homemade) image() []*fleetv1.ImageResponse {
	sum := func(name string) []byte {
		raw, err := os.ReadFile(filepath.Join(c.folder, name))
		if err != nil {
			c.t.Fatal(err)
		}
		s := sha256.Sum256(raw)
		return s[:]
	}
	low, high := string(digest.FromBytes([]byte("low"))), string(digest.FromBytes([]byte("high")))
	files := func(diffID string, list ...*fleetv1.LayerFile) *fleetv1.ImageResponse {
		return &fleetv1.ImageResponse{Part: &fleetv1.ImageResponse_Files{Files: &fleetv1.LayerFiles{DiffId: diffID, Files: list}}}
	}
	return []*fleetv1.ImageResponse{
		{Part: &fleetv1.ImageResponse_Image{Image: &fleetv1.Image{
			Digest: string(digest.FromBytes([]byte("image"))), DiffIds: []string{low, high},
			Components: []*fleetv1.Component{{Purl: "pkg:npm/%40acme/ui-kit@4.2.1", Publisher: "mallory", Credential: "token:tok_7", Label: "ci-7"}},
		}}},
		files(low, &fleetv1.LayerFile{Path: "bin/busybox", Sha256: sum("low/bin/busybox"), Component: -1}, &fleetv1.LayerFile{Path: "bin/sh", Sha256: sum("low/bin/sh"), Component: -1}),
		files(high, &fleetv1.LayerFile{Path: bundle, Sha256: sum("high/" + bundle)}),
	}
}

func TestARecallStopsTheProcessesThatHaveLoadedTheReleaseAndThoseThatTry(t *testing.T) {
	needsNode(t, "busybox")
	s := uplinktest.New(t)
	c := newHomemade(t)
	s.SetImage(string(digest.FromBytes([]byte("image"))), c.image()...)
	s.SetExceptions(fmt.Sprintf(`[{"id":12,"uses":[{"namespace":"store","kind":"Deployment","name":"shop","images":[%q]}]}]`, digest.FromBytes([]byte("image"))))
	a := startAgent(t, []string{"HULLMARK_AGENT_TOKEN=" + uplinktest.Token}, "--server", s.URL(), "--container", c.rule())
	a.awaitContainer()

	victim := c.command(". /" + bundle + "; /bin/busybox sleep 1000")
	bystander := c.command("/bin/busybox sleep 1000; true")
	for _, cmd := range []*exec.Cmd{victim, bystander} {
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		defer func() { _ = cmd.Process.Kill() }()
	}
	a.await("the bundle to be opened", func(l sensor.Line) bool {
		return l.Type == "event" && l.Event.Kind == "open" && l.Event.File != nil && l.Event.File.Path == "/"+bundle && l.Event.Release != nil
	})
	start := time.Now()
	s.SetRecalls(&fleetv1.Recall{Seq: 3, Reason: "worm", Subjects: []string{"pkg:npm/%40acme/ui-kit@4.2.1"}, Components: []string{"pkg:npm/%40acme/ui-kit@4.2.1"}})
	err := victim.Wait()
	if exit, ok := errors.AsType[*exec.ExitError](err); !ok || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		t.Errorf("the process that had loaded it ended with %v", err)
	}
	var receipt *evidence.Receipt
	s.Await("the receipt", func() bool {
		for _, d := range uplinktest.Drafts[evidence.Decision](s) {
			if d.Receipt != nil {
				receipt = d.Receipt
			}
		}
		return receipt != nil
	})
	t.Logf("recall to receipt: %s", time.Since(start))
	if receipt.Outcome != "enforced" || receipt.Stopped != 1 || receipt.Recall != 3 {
		t.Errorf("receipt %+v", receipt)
	}
	if err := bystander.Process.Signal(syscall.Signal(0)); err != nil {
		t.Errorf("a process that had nothing to do with it: %v", err)
	}
	al := a.awaitAlert(alert.RecalledContent, alert.Killed)
	if al.Exception != 12 || al.Release == nil || al.Release.Label != "ci-7" {
		t.Errorf("alert %+v", al)
	}

	// Who opens it from here on is killed by the kernel.
	out, err := c.command(". /" + bundle + "; echo ran").CombinedOutput()
	if err == nil || strings.Contains(string(out), "ran") {
		t.Errorf("a process that opened it after the recall wrote %q, %v", out, err)
	}
	s.SetRecalls()
	s.Await("the lifting", func() bool {
		out, err := c.command(". /" + bundle + "; echo ran").CombinedOutput()
		s.Poke()
		return err == nil && strings.Contains(string(out), "ran")
	})
}

func TestDriftInARealPodmanContainerNamesPodmansContainer(t *testing.T) {
	needsNode(t, "busybox", "podman", "runc")
	folder, err := os.MkdirTemp("", "hm") // podman refuses a long name
	if err != nil {
		t.Fatal(err)
	}
	defer os.RemoveAll(folder)
	podman := func(args ...string) (string, error) {
		ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
		defer cancel()
		out, err := exec.CommandContext(ctx, "podman", append([]string{
			"--root", filepath.Join(folder, "root"), "--runroot", filepath.Join(folder, "run"), "--storage-driver", "overlay", "--cgroup-manager", "cgroupfs", "--runtime", "runc",
		}, args...)...).CombinedOutput()
		return string(out), err
	}
	context := filepath.Join(folder, "context")
	if err := os.MkdirAll(context, 0o755); err != nil {
		t.Fatal(err)
	}
	busybox, err := os.ReadFile(must1(exec.LookPath("busybox")))
	if err != nil {
		t.Fatal(err)
	}
	for name, content := range map[string]string{"busybox": string(busybox), "Containerfile": "FROM scratch\nCOPY busybox /bin/sh\nCOPY busybox /bin/busybox\n"} {
		if err := os.WriteFile(filepath.Join(context, name), []byte(content), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	if out, err := podman("build", "--isolation", "chroot", "--network", "host", "-t", "acme/drift:1", context); err != nil {
		t.Fatalf("%s%v", out, err)
	}
	a := startAgent(t, nil, "--podman", filepath.Join(folder, "root"))
	defer func() {
		if out, err := podman("rm", "--all", "--force", "--time", "0"); err != nil {
			t.Errorf("%s%v", out, err)
		}
	}()
	out, err := podman("run", "--name", "drifter", "--network", "none", "--ulimit", "nofile=4096:4096", "--ulimit", "nproc=4096:4096",
		"acme/drift:1", "/bin/sh", "-c", "cp /bin/busybox /x; /x true; /bin/busybox true; printf '#!/bin/sh\\ntrue\\n' > /s; chmod +x /s; /s")
	if err != nil {
		t.Fatalf("%s%v", out, err)
	}
	al := a.awaitAlert(alert.ExecutedDrift, alert.Observed)
	if al.Container.Name != "drifter" || al.Container.Reference != "localhost/acme/drift:1" || al.Container.Image == "" || al.File.Path != "/x" {
		t.Errorf("alert %+v", al)
	}
	a.await("the script that was written in the container", func(l sensor.Line) bool {
		return l.Type == "alert" && l.Alert.Code == alert.ExecutedDrift && l.Alert.File.Path == "/s" && l.Alert.Process.Path == "/bin/sh"
	})
	l := a.await("an execution of a layer's file", func(l sensor.Line) bool {
		return l.Type == "event" && l.Event.Kind == "exec" && l.Event.File.Path == "/bin/busybox"
	})
	if l.Event.File.Origin != "layer" || l.Event.File.Layer != 1 || l.Event.File.DiffID == "" {
		t.Errorf("event %+v", l.Event.File)
	}
}
