package e2e

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// How long a server may take. Ready is held to its target by the benchmarks; here a busy machine
// must not fail a test about something else.
const (
	readyTimeout = 20 * time.Second
	stopTimeout  = 15 * time.Second
)

type devKey struct{}

// dev is the server of one transcript.
type dev struct {
	env    *testscript.Env
	data   string // its folder
	listen string // its address, the same after a restart; empty before the first start
	cmd    *exec.Cmd
	exited chan error // receives once
	log    *os.File
}

// ready is the line that `hullmark dev -o json` prints when it serves.
type ready struct {
	URL    string `json:"url"`
	NPM    string `json:"npm"`
	OCI    string `json:"oci"`
	Token  string `json:"token"` // at the first start only
	LogKey string `json:"logKey"`
}

// startDev starts the transcript's server, again where it was if it ran before. It sets URL, NPM,
// NPMHOST, OCI, PYPI, TOKEN and LOGKEY, logs the command line in (HULLMARK_URL, HULLMARK_TOKEN) and points the
// npm clients at it.
//
//	hullmark-dev [FLAG...]
func startDev(ts *testscript.TestScript, neg bool, args []string) {
	d := devOf(ts, neg)
	if d.cmd != nil {
		ts.Fatalf("the server runs already")
	}
	line, err := d.start(args)
	ts.Check(err)
	d.listen = line.OCI
	if line.Token != "" {
		ts.Setenv("TOKEN", line.Token)
		ts.Setenv("HULLMARK_TOKEN", line.Token)
	}
	ts.Setenv("URL", line.URL)
	ts.Setenv("HULLMARK_URL", line.URL)
	ts.Setenv("NPM", line.NPM)
	ts.Setenv("NPMHOST", strings.TrimPrefix(line.NPM, "http:")) // as .npmrc keys begin
	ts.Setenv("OCI", line.OCI)
	ts.Setenv("PYPI", line.URL+"/pypi/")
	ts.Setenv("LOGKEY", line.LogKey)
	ts.Check(d.writeClientConfig(line, ts.Getenv("TOKEN")))
	ts.Defer(func() { d.end(ts) })
}

func devOf(ts *testscript.TestScript, neg bool) *dev {
	if neg {
		ts.Fatalf("this command cannot be negated")
	}
	return ts.Value(devKey{}).(*dev)
}

// start runs the server and waits until it is ready.
func (d *dev) start(args []string) (ready, error) {
	listen := d.listen
	if listen == "" {
		listen = "127.0.0.1:0"
	}
	program, err := lookPath(d.env.Getenv("PATH"), "hullmark")
	if err != nil {
		return ready{}, err
	}
	d.cmd = exec.Command(program, append([]string{"dev", "--data", d.data, "--listen", listen, "-o", "json"}, args...)...)
	d.cmd.Dir = d.env.WorkDir
	d.cmd.Env = d.env.Vars
	if d.log, err = os.OpenFile(d.logPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600); err != nil {
		return ready{}, err
	}
	d.cmd.Stderr = d.log
	stdout, err := d.cmd.StdoutPipe()
	if err != nil {
		return ready{}, err
	}
	if err := d.cmd.Start(); err != nil {
		return ready{}, err
	}
	return d.awaitReady(stdout)
}

// awaitReady reads the ready line; the goroutine that reads ends with the process.
func (d *dev) awaitReady(stdout io.Reader) (ready, error) {
	d.exited = make(chan error, 1)
	lines := make(chan string, 1)
	go func() {
		r := bufio.NewReader(stdout)
		line, _ := r.ReadString('\n')
		lines <- line
		_, _ = io.Copy(d.log, r)
		d.exited <- d.cmd.Wait()
	}()
	var out ready
	select {
	case line := <-lines:
		if err := json.Unmarshal([]byte(line), &out); err != nil {
			return out, fmt.Errorf("the ready line %q: %w\n%s", line, err, d.tail())
		}
		return out, nil
	case <-time.After(readyTimeout):
		return out, fmt.Errorf("the server was not ready after %s\n%s", readyTimeout, d.tail())
	}
}

// writeClientConfig points npm, pnpm, bun, yarn, twine and pip at the server.
func (d *dev) writeClientConfig(line ready, token string) error {
	home := d.env.Getenv("HOME")
	_, bare, _ := strings.Cut(line.NPM, ":")
	npmrc := fmt.Sprintf("registry=%s\n%s:_authToken=%s\n", line.NPM, bare, token)
	if err := os.WriteFile(filepath.Join(home, ".npmrc"), []byte(npmrc), 0o600); err != nil {
		return err
	}
	yarnrc := fmt.Sprintf("npmRegistryServer: %q\nnpmAuthToken: %q\nunsafeHttpWhitelist: [\"127.0.0.1\"]\n"+
		"enableTelemetry: false\nnodeLinker: node-modules\nnpmMinimalAgeGate: 0\n", strings.TrimSuffix(line.NPM, "/"), token)
	if err := os.WriteFile(filepath.Join(home, ".yarnrc.yml"), []byte(yarnrc), 0o600); err != nil {
		return err
	}
	pypirc := fmt.Sprintf("[distutils]\nindex-servers = hullmark\n[hullmark]\nrepository = %s/pypi/legacy/\nusername = __token__\npassword = %s\n", line.URL, token)
	if err := os.WriteFile(filepath.Join(home, ".pypirc"), []byte(pypirc), 0o600); err != nil {
		return err
	}
	pip := fmt.Sprintf("[global]\nindex-url = %s/pypi/simple/\nno-cache-dir = true\ndisable-pip-version-check = true\nroot-user-action = ignore\n", line.URL)
	if err := os.MkdirAll(filepath.Join(home, ".config", "pip"), 0o700); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(home, ".config", "pip", "pip.conf"), []byte(pip), 0o600)
}

// stopDev ends the server as Ctrl-C does; it must end by itself and report no error.
func stopDev(ts *testscript.TestScript, neg bool, args []string) {
	d := devOf(ts, neg)
	ts.Check(d.signal(os.Interrupt))
	select {
	case err := <-d.exited:
		d.gone()
		ts.Check(err)
	case <-time.After(stopTimeout):
		ts.Fatalf("the server did not end within %s of the interrupt\n%s", stopTimeout, d.tail())
	}
}

// killDev ends the server as a power cut would.
func killDev(ts *testscript.TestScript, neg bool, args []string) {
	d := devOf(ts, neg)
	ts.Check(d.signal(syscall.SIGKILL))
	<-d.exited
	d.gone()
}

// end ends whatever still runs when the transcript is over, and leaves the log's end in the output.
func (d *dev) end(ts *testscript.TestScript) {
	if d.cmd == nil {
		return
	}
	_ = d.signal(syscall.SIGTERM)
	select {
	case <-d.exited:
	case <-time.After(stopTimeout):
		ts.Logf("the server did not end within %s of SIGTERM", stopTimeout)
		_ = d.signal(syscall.SIGKILL)
		<-d.exited
	}
	ts.Logf("the server's log ends with:\n%s", d.tail())
	d.gone()
}

func (d *dev) signal(s os.Signal) error {
	if d.cmd == nil {
		return fmt.Errorf("the server does not run")
	}
	return d.cmd.Process.Signal(s)
}

// gone forgets the ended process.
func (d *dev) gone() {
	_ = d.log.Close()
	d.cmd = nil
}

func (d *dev) logPath() string { return filepath.Join(d.env.WorkDir, "hullmark.log") }

// tail returns the last lines of the server's log.
func (d *dev) tail() string {
	b, err := os.ReadFile(d.logPath())
	if err != nil {
		return err.Error()
	}
	const most = 4000 // bytes
	return string(b[max(0, len(b)-most):])
}

func lookPath(path, name string) (string, error) {
	for _, dir := range filepath.SplitList(path) {
		if p := filepath.Join(dir, name); isProgram(p) {
			return p, nil
		}
	}
	return "", fmt.Errorf("no %s on the path", name)
}

func isProgram(path string) bool {
	info, err := os.Stat(path)
	return err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0
}
