package kernel

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The objects were made by this release of clang; another one gives other bytes.
const clangRelease = "clang version 14."

func TestTheCommittedObjectsAreWhatTheSourcesGive(t *testing.T) {
	t.Parallel()
	program(t, "llvm-strip")
	version, err := exec.CommandContext(t.Context(), program(t, "clang"), "--version").Output()
	if err != nil {
		t.Fatal(err)
	}
	if !strings.Contains(string(version), clangRelease) {
		if os.Getenv("CI") == "true" {
			t.Fatalf("needs %s, found %s", clangRelease, version)
		}
		t.Skipf("needs %s, found %s", clangRelease, version)
	}
	// From a copy elsewhere, so that a path that gets into an object is seen.
	root, out := filepath.Join("..", "..", ".."), t.TempDir()
	if err := os.CopyFS(filepath.Join(out, "bpf"), os.DirFS(filepath.Join(root, "bpf"))); err != nil {
		t.Fatal(err)
	}
	makefile, err := os.ReadFile(filepath.Join(root, "Makefile"))
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(out, "Makefile"), makefile, 0o644); err != nil {
		t.Fatal(err)
	}
	if text, err := exec.CommandContext(t.Context(), program(t, "make"), "-C", out, "bpf", "BPF_OUT=.").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	for name, committed := range map[string][]byte{"layout.bpfel.o": layoutObject, "sensor.bpfel.o": sensorObject, "lsm.bpfel.o": lsmObject, "tracing.bpfel.o": tracingObject} {
		fresh, err := os.ReadFile(filepath.Join(out, name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(fresh, committed) {
			t.Errorf("%s is not what bpf/ gives: run make bpf", name)
		}
	}
}

// Kernels differ in how much they look at; a program that is near the limit on one is over it on another.
func TestProgramsAreFarFromTheVerifiersLimit(t *testing.T) {
	needsKernel(t)
	sensor, err := Load(Config{LSM: Probe().LSM.OK, Tracing: true})
	if err != nil {
		t.Fatal(err)
	}
	defer sensor.Close()
	for name, p := range sensor.programs() {
		info, err := p.Info()
		if err != nil {
			t.Fatal(err)
		}
		looked, ok := info.VerifiedInstructions()
		t.Logf("%s: %d instructions looked at", name, looked)
		if ok && looked > 300_000 {
			t.Errorf("%s: %d of a million instructions looked at", name, looked)
		}
	}
}
