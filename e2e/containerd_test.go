package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// startContainerd starts a containerd of the transcript's own, with its own folders and socket,
// and sets CONTAINERD_ADDRESS, which ctr reads.
//
//	containerd
func startContainerd(ts *testscript.TestScript, neg bool, args []string) {
	d := devOf(ts, neg)
	dir := filepath.Join(d.env.WorkDir, "containerd")
	socket := filepath.Join(dir, "sock")
	config := filepath.Join(dir, "config.toml")
	ts.Check(os.MkdirAll(dir, 0o700))
	ts.Check(os.WriteFile(config, containerdConfig(dir, socket), 0o600))

	program, err := lookPath(d.env.Getenv("PATH"), "containerd")
	ts.Check(err)
	log, err := os.Create(filepath.Join(dir, "log"))
	ts.Check(err)
	cmd := exec.Command(program, "--config", config)
	cmd.Env, cmd.Stdout, cmd.Stderr = d.env.Vars, log, log
	ts.Check(cmd.Start())
	ts.Defer(func() { endContainerd(ts, cmd, log) })

	ts.Setenv("CONTAINERD_ADDRESS", socket)
	eventually(ts, false, []string{"20", "ctr", "version"})
}

func containerdConfig(dir, socket string) []byte {
	return fmt.Appendf(nil, `version = 2
root = %q
state = %q
disabled_plugins = ["io.containerd.grpc.v1.cri", "io.containerd.internal.v1.opt"]
[grpc]
  address = %q
`, filepath.Join(dir, "root"), filepath.Join(dir, "state"), socket)
}

func endContainerd(ts *testscript.TestScript, cmd *exec.Cmd, log *os.File) {
	_ = cmd.Process.Signal(syscall.SIGTERM)
	timer := time.AfterFunc(stopTimeout, func() { _ = cmd.Process.Kill() })
	defer timer.Stop()
	if err := cmd.Wait(); err != nil {
		ts.Logf("containerd ended with %v", err)
	}
	_ = log.Close()
}
