package kernel

import (
	"fmt"
	"io"
	"os"
	"strconv"
	"strings"

	"github.com/cilium/ebpf"
	"golang.org/x/sys/unix"
)

// tracefs is the tracing file system, as an open folder. Where nobody has mounted it, it is opened
// as a detached mount, which no path leads to and which ends with the process.
type tracefs struct {
	dir int
}

func openTracefs() (*tracefs, error) {
	for _, at := range []string{"/sys/kernel/tracing", "/sys/kernel/debug/tracing"} {
		if _, err := os.Stat(at + "/events/syscalls"); err != nil {
			continue
		}
		dir, err := unix.Open(at, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
		if err == nil {
			return &tracefs{dir: dir}, nil
		}
	}
	config, err := unix.Fsopen("tracefs", unix.FSOPEN_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("kernel: open tracefs: %w", err)
	}
	defer unix.Close(config)
	if err := unix.FsconfigCreate(config); err != nil {
		return nil, fmt.Errorf("kernel: make tracefs: %w", err)
	}
	dir, err := unix.Fsmount(config, unix.FSMOUNT_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("kernel: mount tracefs: %w", err)
	}
	return &tracefs{dir: dir}, nil
}

func (t *tracefs) Close() error { return unix.Close(t.dir) }

// id returns the number by which perf knows a tracepoint.
func (t *tracefs) id(group, name string) (uint64, error) {
	fd, err := unix.Openat(t.dir, "events/"+group+"/"+name+"/id", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, fmt.Errorf("kernel: tracepoint %s: %w", name, err)
	}
	f := os.NewFile(uintptr(fd), name)
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, 32))
	if err != nil {
		return 0, fmt.Errorf("kernel: tracepoint %s: %w", name, err)
	}
	return strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
}

// perfEvent holds a program on a tracepoint for as long as it is open. The older way, without a BPF
// link, is the one that every supported kernel has.
type perfEvent int

func (p perfEvent) Close() error { return unix.Close(int(p)) }

// attach puts a program on a tracepoint of system calls, for all processors.
func (t *tracefs) attach(group, name string, program *ebpf.Program) (perfEvent, error) {
	id, err := t.id(group, name)
	if err != nil {
		return -1, err
	}
	attr := unix.PerfEventAttr{
		Type:        unix.PERF_TYPE_TRACEPOINT,
		Config:      id,
		Sample_type: unix.PERF_SAMPLE_RAW,
		Sample:      1,
		Wakeup:      1,
	}
	fd, err := unix.PerfEventOpen(&attr, -1, 0, -1, unix.PERF_FLAG_FD_CLOEXEC)
	if err != nil {
		return -1, fmt.Errorf("kernel: perf event of %s: %w", name, err)
	}
	if err := unix.IoctlSetInt(fd, unix.PERF_EVENT_IOC_SET_BPF, program.FD()); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("kernel: attach to %s: %w", name, err)
	}
	if err := unix.IoctlSetInt(fd, unix.PERF_EVENT_IOC_ENABLE, 0); err != nil {
		unix.Close(fd)
		return -1, fmt.Errorf("kernel: enable %s: %w", name, err)
	}
	return perfEvent(fd), nil
}
