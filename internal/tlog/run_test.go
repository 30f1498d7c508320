package tlog

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestRunCoversNewEntriesWithinItsInterval(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		leaves := &entries{}
		leaves.grow(3)
		l := open(t, leaves, newFiles())
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- l.Run(ctx, 0) }()
		synctest.Wait()
		if c := l.Checkpoint(); c.Size != 3 {
			t.Errorf("size %d at once, want 3", c.Size)
		}
		leaves.grow(10)
		time.Sleep(DefaultInterval)
		synctest.Wait()
		if c := l.Checkpoint(); c.Size != 10 {
			t.Errorf("size %d after an interval, want 10", c.Size)
		}
		stop()
		if err := <-done; err != nil {
			t.Errorf("Run ended with %v", err)
		}
	})
}

func TestRunRepeatsFailuresAndEndsWhenTheLogContradictsItself(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		leaves, objects := &entries{}, newFiles()
		l := open(t, leaves, objects)
		leaves.grow(10)
		objects.allow(0) // the disk is full
		done := make(chan error)
		go func() { done <- l.Run(t.Context(), time.Second) }()
		synctest.Wait()
		if c := l.Checkpoint(); c.Size != 0 {
			t.Fatalf("size %d on a full disk", c.Size)
		}
		objects.allow(-1) // somebody made room
		time.Sleep(time.Second)
		synctest.Wait()
		if c := l.Checkpoint(); c.Size != 10 {
			t.Errorf("size %d after there is room again, want 10", c.Size)
		}
		leaves.cut(5) // the database was rolled back
		wantCode(t, "Run", <-done, "log-inconsistent")
	})
}
