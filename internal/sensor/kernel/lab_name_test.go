package kernel

import (
	"errors"
	"fmt"
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
