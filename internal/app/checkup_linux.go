package app

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/fault"
	"github.com/hullmark/hullmark/internal/sensor/cgroup"
	"github.com/hullmark/hullmark/internal/sensor/container"
	"github.com/hullmark/hullmark/internal/sensor/kernel"
	"github.com/hullmark/hullmark/internal/sensor/uplink"
)

// Check is one thing that an agent needs, or can use.
type Check struct {
	Name   string `json:"name"`
	Needed bool   `json:"needed"` // it cannot work without
	OK     bool   `json:"ok"`
	Text   string `json:"text"` // what was found, or what to do
}

// checkWithin bounds each question to somebody else.
const checkWithin = 5 * time.Second

// Checkup looks at what an agent with this configuration would find. It changes nothing.
func Checkup(ctx context.Context, c AgentConfig) []Check {
	if err := c.applyDefaults(); err != nil {
		return []Check{{Name: "host name", Needed: true, Text: err.Error()}}
	}
	checks := []Check{checkKernel(), checkCgroups()}
	checks = append(checks, c.checkRuntimes(ctx)...)
	checks = append(checks, checkFolder(c.State))
	if c.Server != "" {
		checks = append(checks, c.checkServer(ctx))
	}
	return checks
}

func checkKernel() Check {
	found := kernel.Probe()
	text := fmt.Sprintf("%s can do %s; overlay: %s", found.Kernel, found.Level, found.Overlay.Reason)
	if found.Level < kernel.Observe {
		for _, f := range []kernel.Feature{found.Types, found.RingBuffer, found.RawTracepoints} {
			if !f.OK {
				text = f.Reason
				break
			}
		}
	}
	return Check{Name: "kernel", Needed: true, OK: found.Level >= kernel.Observe, Text: text + " ('hullmark agent --probe' says more)"}
}

func checkCgroups() Check {
	tree, err := cgroup.Open(proc)
	if err != nil {
		return Check{Name: "control groups", Needed: true, Text: fault.As(err).Text}
	}
	return Check{Name: "control groups", Needed: true, OK: true, Text: "version 2 at " + tree.Root}
}

func (c *AgentConfig) checkRuntimes(ctx context.Context) []Check {
	cri := Check{Name: "container runtime", Text: "no socket at " + DefaultCRI + "; name it with --cri"}
	if c.CRI != "" {
		cri.OK, cri.Text = askCRI(ctx, c.CRI)
	}
	podman := Check{Name: "podman", Text: "no storage at " + DefaultPodman}
	if c.Podman != "" {
		_, err := os.Stat(filepath.Join(c.Podman, "overlay-containers"))
		podman.OK, podman.Text = err == nil, "storage at "+c.Podman
		if err != nil {
			podman.Text = c.Podman + " is no storage with the overlay driver"
		}
	}
	return []Check{cri, podman}
}

func askCRI(ctx context.Context, socket string) (bool, string) {
	ctx, cancel := context.WithTimeout(ctx, checkWithin)
	defer cancel()
	runtime, err := container.NewCRI(socket, "")
	if err != nil {
		return false, err.Error()
	}
	defer runtime.Close()
	version, err := runtime.Version(ctx)
	if err != nil {
		return false, "nothing answers at " + socket
	}
	return true, version + " at " + socket
}

func checkFolder(folder string) Check {
	check := Check{Name: "state folder", Needed: true, OK: true, Text: folder}
	for at := folder; ; at = filepath.Dir(at) {
		info, err := os.Stat(at)
		if err != nil && filepath.Dir(at) != at {
			continue // it will be made
		}
		if err != nil || !info.IsDir() {
			check.OK, check.Text = false, folder+" cannot be made; name another with --state"
		}
		return check
	}
}

// checkServer tries the server and the token, with a spool of its own that is thrown away.
func (c *AgentConfig) checkServer(ctx context.Context) Check {
	check := Check{Name: "server", Needed: true}
	folder, err := os.MkdirTemp("", "hullmark-doctor-*")
	if err != nil {
		check.Text = err.Error()
		return check
	}
	defer os.RemoveAll(folder)
	line, err := uplink.New(uplink.Config{
		Server: c.Server, Token: c.Token, TokenFile: c.TokenFile, State: folder, Clock: clock.System{},
		Logger: slog.New(slog.DiscardHandler), Unique: unique(nil),
	})
	if err != nil {
		check.Text = fault.As(err).Text
		return check
	}
	ctx, cancel := context.WithTimeout(ctx, checkWithin)
	defer cancel()
	if err := line.Ping(ctx); err != nil {
		check.Text = c.Server + ": " + strings.TrimPrefix(err.Error(), "watch: ")
		return check
	}
	check.OK, check.Text = true, c.Server+" answers and takes the token"
	return check
}
