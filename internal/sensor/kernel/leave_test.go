package kernel

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"

	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/sensor/kernel/lab"
)

// leaver is set for the process that TestAKilledSensorLeavesNothingBehind kills.
const leaver = "HULLMARK_TEST_LEAVER"

func TestMain(m *testing.M) {
	if given := os.Getenv(leaver); given != "" {
		fmt.Fprintln(os.Stderr, leave(given))
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// leave enforces all it can in a lab that its parent made, says by what, and waits to be killed.
func leave(given string) error {
	var overlay Overlay
	if err := json.Unmarshal([]byte(given), &overlay); err != nil {
		return err
	}
	sensor, err := Load(Config{LSM: Probe().LSM.OK, Tracing: true})
	if err != nil {
		return err
	}
	if err := sensor.Follow(overlay.Cgroup, Follow{KillDrift: true, DenyEgress: true}); err != nil {
		return err
	}
	deny, err := NewDeny(clock.System{})
	if err != nil {
		return err
	}
	go func() { _ = deny.Run(context.Background(), func(*Event) {}) }()
	if err := deny.Add(overlay); err != nil {
		return err
	}
	var ids []ebpf.ProgramID
	for _, p := range sensor.programs() {
		info, err := p.Info()
		if err != nil {
			return err
		}
		id, _ := info.ID()
		ids = append(ids, id)
	}
	if err := json.NewEncoder(os.Stdout).Encode(ids); err != nil {
		return err
	}
	select {}
}

func TestAKilledSensorLeavesNothingBehind(t *testing.T) {
	needsKernel(t)
	inTestLab(t, func(l *lab.Lab) error {
		drift, err := l.Drift("drift")
		if err != nil {
			return err
		}
		ids, err := killed(t.Context(), l, func() error {
			if out, err := shell(t, l, drift); err == nil || len(out) == 1 {
				return fmt.Errorf("drift was not stopped: %q", out)
			}
			return nil
		})
		if err != nil {
			return err
		}
		if out, err := shell(t, l, drift); err != nil || out != "!" {
			return fmt.Errorf("drift is still stopped: %q %w", out, err)
		}
		for _, id := range ids {
			if err := gone(id); err != nil {
				return err
			}
		}
		return nil
	})
}

// killed starts the leaver, lets check see that it enforces, kills it and returns its programs' numbers.
func killed(ctx context.Context, l *lab.Lab, check func() error) ([]ebpf.ProgramID, error) {
	given, err := json.Marshal(Overlay{Cgroup: l.ID, Merged: l.Merged(""), Upper: l.Path("upper")})
	if err != nil {
		return nil, err
	}
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	cmd := l.Command(ctx, self)
	cmd.SysProcAttr = nil // it is no part of the container
	cmd.Env = []string{leaver + "=" + string(given)}
	cmd.Stderr = os.Stderr
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	line, err := bufio.NewReader(out).ReadBytes('\n')
	if err == nil {
		err = check()
	}
	err = errors.Join(err, cmd.Process.Signal(unix.SIGKILL))
	_ = cmd.Wait() // killed, as it was meant to be
	var ids []ebpf.ProgramID
	return ids, errors.Join(err, json.Unmarshal(line, &ids))
}

// gone waits for the kernel to free a program, which it does some moments after its last user ended.
func gone(id ebpf.ProgramID) error {
	for end := time.Now().Add(10 * time.Second); time.Now().Before(end); unix.Poll(nil, 20) {
		program, err := ebpf.NewProgramFromID(id)
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		program.Close()
	}
	return fmt.Errorf("program %d is still loaded", id)
}
