package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// server is a running process that is measured.
type server struct {
	name  string
	url   string // without a final slash
	npm   string // of the npm registry, with a final slash
	token string // for Authorization: Bearer; empty for none
	ready time.Duration
	cmd   *exec.Cmd
	out   *os.File
}

// startOurs starts a fresh `hullmark dev` in which the organisation bench owns npm's @bench and
// OCI's bench/, both public.
func (b *bench) startOurs(ctx context.Context, name string, flags ...string) (*server, error) {
	s, err := b.startEmpty(ctx, name, flags...)
	if err != nil {
		return nil, err
	}
	err = b.tell(ctx, s,
		[]string{"org", "create", "bench"},
		[]string{"namespace", "claim", "npm", "@bench", "--org", "bench", "--public"},
		[]string{"namespace", "claim", "oci", "bench", "--org", "bench", "--public"})
	if err != nil {
		s.stop()
		return nil, err
	}
	return s, nil
}

// tell runs commands of hullmark's against a server.
func (b *bench) tell(ctx context.Context, s *server, commands ...[]string) error {
	for _, args := range commands {
		cmd := exec.CommandContext(ctx, b.hullmark, args...)
		cmd.Env = append(os.Environ(), "HULLMARK_URL="+s.url, "HULLMARK_TOKEN="+s.token)
		if out, err := cmd.CombinedOutput(); err != nil {
			return fmt.Errorf("hullmark %s: %w: %s", strings.Join(args, " "), err, out)
		}
	}
	return nil
}

// startEmpty starts a fresh `hullmark dev` in which nobody owns anything.
func (b *bench) startEmpty(ctx context.Context, name string, flags ...string) (*server, error) {
	began := time.Now()
	s, stdout, err := b.spawn(ctx, "hullmark-"+name, nil,
		b.hullmark, append([]string{"dev", "--data", filepath.Join(b.scratch, name), "--listen", "127.0.0.1:0", "-o", "json"}, flags...)...)
	if err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		s.stop()
		return nil, fmt.Errorf("hullmark dev: %w", err)
	}
	s.ready = time.Since(began)
	drain(stdout)
	var ready struct{ URL, NPM, Token string }
	if err := json.Unmarshal([]byte(line), &ready); err != nil {
		s.stop()
		return nil, fmt.Errorf("hullmark dev: %w", err)
	}
	s.url, s.npm, s.token = ready.URL, ready.NPM, ready.Token
	return s, nil
}

// startVerdaccio starts the npm peer with everything open and no upstream.
func (b *bench) startVerdaccio(ctx context.Context) (*server, error) {
	dir := filepath.Join(b.scratch, "verdaccio")
	config := fmt.Sprintf("storage: %s\nauth: {htpasswd: {file: %s}}\nuplinks: {}\nmax_body_size: 300mb\n"+
		"packages: {\"**\": {access: $all, publish: $all, unpublish: $all}}\nlog: {type: stdout, format: json, level: error}\n",
		filepath.Join(dir, "storage"), filepath.Join(dir, "htpasswd"))
	address, err := writeConfig(dir, config)
	if err != nil {
		return nil, err
	}
	tools := b.tools()
	s, stdout, err := b.spawn(ctx, "verdaccio", nil, filepath.Join(tools, "bin", "node22"),
		filepath.Join(tools, "verdaccio", "node_modules", "verdaccio", "bin", "verdaccio"),
		"--config", filepath.Join(dir, "config.yaml"), "--listen", address)
	if err != nil {
		return nil, err
	}
	drain(stdout)
	s.url = "http://" + address
	s.npm = s.url + "/"
	return s, s.await(ctx, s.url+"/-/ping")
}

// startDistribution starts the OCI peer, storing in a folder, with its default of nobody logged in.
func (b *bench) startDistribution(ctx context.Context) (*server, error) {
	dir := filepath.Join(b.scratch, "distribution")
	address, err := writeConfig(dir, "")
	if err != nil {
		return nil, err
	}
	config := fmt.Sprintf("version: 0.1\nlog: {level: error, accesslog: {disabled: true}}\n"+
		"storage: {filesystem: {rootdirectory: %s}}\nhttp: {addr: %s}\n", filepath.Join(dir, "storage"), address)
	if err := os.WriteFile(filepath.Join(dir, "config.yaml"), []byte(config), 0o600); err != nil {
		return nil, err
	}
	s, stdout, err := b.spawn(ctx, "distribution", []string{"OTEL_TRACES_EXPORTER=none"},
		filepath.Join(b.tools(), "bin", "registry"), "serve", filepath.Join(dir, "config.yaml"))
	if err != nil {
		return nil, err
	}
	drain(stdout)
	s.url = "http://" + address
	return s, s.await(ctx, s.url+"/v2/")
}

// tools is where scripts/tools put the peers.
func (b *bench) tools() string { return filepath.Join(filepath.Dir(b.cache), "tools") }

// writeConfig makes a peer's folder with its configuration and returns a free loopback address.
func writeConfig(dir, config string) (address string, err error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), os.WriteFile(filepath.Join(dir, "config.yaml"), []byte(config), 0o600)
}

// spawn starts a process whose standard error goes to a file of its name.
func (b *bench) spawn(ctx context.Context, name string, env []string, program string, args ...string) (*server, io.Reader, error) {
	log, err := os.Create(filepath.Join(b.scratch, name+".log"))
	if err != nil {
		return nil, nil, err
	}
	cmd := exec.CommandContext(ctx, program, args...)
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 10 * time.Second
	cmd.Dir, cmd.Stderr, cmd.Env = b.scratch, log, append(os.Environ(), env...)
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, err
	}
	return &server{name: name, cmd: cmd, out: log}, stdout, nil
}

// drain reads what a process prints, so that it never waits for a reader; it ends with the process.
func drain(stdout io.Reader) {
	go func() { _, _ = io.Copy(io.Discard, stdout) }()
}

// await returns when the server answers.
func (s *server) await(ctx context.Context, url string) error {
	for end := time.Now().Add(30 * time.Second); ; {
		resp, err := http.Get(url)
		if err == nil {
			resp.Body.Close()
			return nil
		}
		if time.Now().After(end) || ctx.Err() != nil {
			s.stop()
			return fmt.Errorf("%s does not answer: %w; see %s", s.name, err, s.out.Name())
		}
		time.Sleep(50 * time.Millisecond)
	}
}

// stop ends the process and waits for it.
func (s *server) stop() {
	_ = s.cmd.Process.Signal(syscall.SIGTERM)
	_ = s.cmd.Wait()
	_ = s.out.Close()
}

// memory returns a field of /proc/PID/status in MB: VmRSS now, VmHWM the most so far.
func (s *server) memory(field string) (float64, error) {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, field+":"); ok {
			kib, err := strconv.ParseFloat(strings.Fields(rest)[0], 64)
			return kib * 1024 / 1e6, err
		}
	}
	return 0, fmt.Errorf("no %s in the process status", field)
}
