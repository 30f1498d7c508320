package process

import (
	"errors"

	"golang.org/x/sys/unix"
)

// Kill ends the process with that id and start time, and no other: a file descriptor holds the process
// while its start time is compared, so an id that was used again is left alone. It reports whether the
// signal was sent.
func Kill(proc string, pid uint32, started uint64) (bool, error) {
	fd, err := unix.PidfdOpen(int(pid), 0)
	if errors.Is(err, unix.ESRCH) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	defer unix.Close(fd)
	if now := StartOf(proc, pid); now == 0 || !same(now, started) {
		return false, nil
	}
	err = unix.PidfdSendSignal(fd, unix.SIGKILL, nil, 0)
	if errors.Is(err, unix.ESRCH) {
		return false, nil
	}
	return err == nil, err
}
