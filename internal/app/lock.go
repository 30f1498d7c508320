package app

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"

	"github.com/hullmark/hullmark/internal/durable"
	"github.com/hullmark/hullmark/internal/fault"
)

// lock makes sure that one process at a time works on a data folder: two sequencers would fork
// the log. The lock goes with the process, however it ends.
func lock(folder string) (*os.File, error) {
	if err := durable.MkdirAll(folder); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(filepath.Join(folder, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("lock %s: %w", folder, err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fault.New(fault.Conflict, "data-in-use",
			"another hullmark process works on %s; stop it first, or choose another folder with --data", folder).Because(err)
	}
	return f, nil
}
