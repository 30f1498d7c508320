package e2e

import (
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// background is a process that a transcript started by a name.
type background struct {
	cmd    *exec.Cmd
	exited chan error // receives once
}

type backgroundKey struct{}

// start runs a command beside the transcript, with its output in NAME.out and its errors in NAME.log. Whatever still
// runs at the end is ended, and the end of its log shown.
//
//	start NAME COMMAND ARG...
func start(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: start NAME COMMAND ARG...")
	}
	d, name := devOf(ts, neg), args[0]
	program, err := lookPath(d.env.Getenv("PATH"), args[1])
	ts.Check(err)
	stdout, err := os.OpenFile(ts.MkAbs(name+".out"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	ts.Check(err)
	stderr, err := os.OpenFile(ts.MkAbs(name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	ts.Check(err)
	cmd := exec.Command(program, args[2:]...)
	cmd.Dir, cmd.Stdout, cmd.Stderr = ts.MkAbs("."), stdout, stderr
	for _, name := range []string{"PATH", "HOME", "KUBECONFIG", "HULLMARK_URL", "NO_COLOR"} {
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	ts.Check(cmd.Start())
	b := &background{cmd: cmd, exited: make(chan error, 1)}
	go func() {
		b.exited <- cmd.Wait()
		_ = stdout.Close()
		_ = stderr.Close()
	}()
	running := ts.Value(backgroundKey{}).(map[string]*background)
	if running[name] != nil {
		ts.Fatalf("%s runs already", name)
	}
	running[name] = b
	ts.Defer(func() {
		if running[name] == b {
			ts.Logf("%s ended with %v", name, b.end())
		}
		text, _ := os.ReadFile(stderr.Name())
		ts.Logf("the end of %s.log:\n%s", name, text[max(0, len(text)-4000):])
	})
}

// finish ends a process as an operator does; it must end by itself and report no error.
//
//	finish NAME
func finish(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: finish NAME")
	}
	running := ts.Value(backgroundKey{}).(map[string]*background)
	b := running[args[0]]
	if b == nil {
		ts.Fatalf("no %s runs", args[0])
	}
	delete(running, args[0])
	ts.Check(b.end())
}

func (b *background) end() error {
	_ = b.cmd.Process.Signal(syscall.SIGTERM)
	timer := time.AfterFunc(stopTimeout, func() { _ = b.cmd.Process.Kill() })
	defer timer.Stop()
	return <-b.exited
}
