package kernel

import (
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"

	"github.com/hullmark/hullmark/internal/sensor/kernel/lab"
)

// An agent that starts while somebody asks doctor must not lose its proof to it.
func TestLabsOfOneNameFollowEachOther(t *testing.T) {
	needsKernel(t)
	root, err := CgroupRoot()
	if err != nil {
		t.Fatal(err)
	}
	var inside sync.Mutex
	errs := make(chan error)
	for range 4 {
		go func() {
			errs <- lab.In(root, "hullmark-test-one-name", func(l *lab.Lab) error {
				if !inside.TryLock() {
					return errors.New("two are in it at once")
				}
				defer inside.Unlock()
				if out, err := l.Run(t.Context(), l.Merged("lower")); err != nil || out != "!" {
					return fmt.Errorf("wrote %q: %w", out, err)
				}
				return nil
			})
		}()
	}
	for range 4 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
}

// What /proc/PID says of a process is what its first thread has: a lab there would hide all later mounts.
func TestALabLeavesTheFirstThreadOfTheProcessAlone(t *testing.T) {
	needsKernel(t)
	root, err := CgroupRoot()
	if err != nil {
		t.Fatal(err)
	}
	before, err := os.Readlink("/proc/self/ns/mnt")
	if err != nil {
		t.Fatal(err)
	}
	for range 50 {
		err := lab.In(root, "hullmark-test-first-thread", func(*lab.Lab) error {
			now, err := os.Readlink("/proc/self/ns/mnt")
			if err == nil && now != before {
				err = errors.New("the lab is on the first thread")
			}
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
	}
}
