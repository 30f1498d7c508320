package kernel

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/hullmark/hullmark/internal/clock"
	"github.com/hullmark/hullmark/internal/sensor/kernel/lab"
)

func TestTheBestLevelOfThisMachineIsProved(t *testing.T) {
	needsKernel(t)
	found := Probe()
	text, err := json.MarshalIndent(found, "", "  ")
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s", text)
	sensor, err := Load(Config{LSM: found.Level == DenyLSM})
	if err != nil {
		t.Fatal(err)
	}
	defer sensor.Close()
	for level := Observe; level <= found.Level; level++ {
		if err := sensor.SelfTest(t.Context(), level); err != nil {
			t.Errorf("%s: %v", level, err)
		}
	}
}

func TestALevelThatIsNotThereIsNotProved(t *testing.T) {
	needsKernel(t)
	sensor, err := Load(Config{})
	if err != nil {
		t.Fatal(err)
	}
	defer sensor.Close()
	if err := sensor.SelfTest(t.Context(), DenyLSM); err == nil {
		t.Error("a sensor without security hooks proved that they deny")
	}
}

func TestFanotifyDeniesDriftAndNothingElse(t *testing.T) {
	needsKernel(t)
	d, err := NewDeny(clock.System{})
	if err != nil {
		t.Fatal(err)
	}
	told := make(chan Event, 16)
	ctx, stop := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- d.Run(ctx, func(e *Event) { told <- *e }) }()
	inTestLab(t, func(l *lab.Lab) error {
		if err := d.Add(Overlay{Cgroup: l.ID, Merged: l.Merged(""), Upper: l.Path("upper")}); err != nil {
			return err
		}
		if err := os.Chmod(l.Merged("changed"), 0o700); err != nil {
			return err
		}
		for _, name := range []string{"lower", "changed", "lower"} {
			// By way of a shell: Go's own fork must not wait for an answer of this process.
			if out, err := shell(t, l, l.Merged(name)); err != nil || out != "!" {
				return fmt.Errorf("%s wrote %q: %v", name, out, err)
			}
		}
		if _, err := l.Drift("drift"); err != nil {
			return err
		}
		if err := os.WriteFile(l.Merged("script"), []byte("#!/bin/sh\necho ran\n"), 0o755); err != nil {
			return err
		}
		// Over a file of the image, by the name that it has there.
		if err := os.Rename(l.Merged("drift"), l.Merged("lower")); err != nil {
			return err
		}
		for _, name := range []string{"lower", "script"} {
			out, err := shell(t, l, l.Merged(name))
			if err == nil || !strings.Contains(out, "not permitted") {
				return fmt.Errorf("drifted %s wrote %q: %v", name, out, err)
			}
			if e := <-told; e.Action != Denied || e.File.Path != "/"+name || e.Cgroup != l.ID || e.PID == 0 {
				return fmt.Errorf("told %+v", e)
			}
		}
		d.Remove(l.Merged(""))
		if out, err := shell(t, l, l.Merged("script")); err != nil || out != "ran\n" {
			return fmt.Errorf("after the end wrote %q: %v", out, err)
		}
		return nil
	})
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if err := d.Close(); err != nil {
		t.Error(err)
	}
}
