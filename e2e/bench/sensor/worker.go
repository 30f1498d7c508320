package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/hullmark/hullmark/internal/sensor/kernel/lab"
)

// worker is a process in the lab that does, batch by batch, what its standard input says. It lives
// through all rounds, so that those differ in nothing but the sensor.
type worker struct {
	cmd *exec.Cmd
	in  io.WriteCloser
	out *bufio.Reader
}

func startWorker(ctx context.Context, l *lab.Lab) (*worker, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	w := &worker{cmd: l.Command(ctx, self, "worker", "serve")}
	w.cmd.Stderr = os.Stderr
	if w.in, err = w.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	out, err := w.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	w.out = bufio.NewReader(out)
	return w, w.cmd.Start()
}

// batch has one batch of a row done, and returns what one of it took.
func (w *worker) batch(r *row) (took float64, err error) {
	if _, err := fmt.Fprintf(w.in, "%d %q\n", r.task, r.path); err != nil {
		return 0, err
	}
	if _, err := fmt.Fscan(w.out, &took); err != nil {
		return 0, fmt.Errorf("worker, at %s: %w", r.name, err)
	}
	return took, nil
}

func (w *worker) batches(r *row, count int) ([]float64, error) {
	var out []float64
	for range count {
		took, err := w.batch(r)
		if err != nil {
			return nil, err
		}
		out = append(out, took)
	}
	return out, nil
}

func (w *worker) end() error {
	w.in.Close()
	return w.cmd.Wait()
}

// task is what a batch is made of.
type task int

const (
	call task = iota
	open
	execute
)

// counted is how many are measured in a batch. It takes about a millisecond: most batches pass between two
// interruptions.
func (t task) counted() int { return [...]int{call: 5000, open: 400, execute: 30}[t] }

// warm is how many are done before, since it was somebody else's turn.
func (t task) warm() int { return [...]int{call: 100, open: 20, execute: 2}[t] }

func (t task) whole() int { return t.counted() + t.warm() }

func (t task) do(count int, path string) (time.Duration, error) {
	return [...]func(int, string) (time.Duration, error){call: calls, open: opens, execute: execs}[t](count, path)
}

// serve is the worker's side: it stays on one processor, and answers each line with what one of it took.
func serve() error {
	runtime.LockOSThread()
	if err := pin(); err != nil {
		return err
	}
	in := bufio.NewReader(os.Stdin)
	for {
		var t task
		var path string
		switch _, err := fmt.Fscanf(in, "%d %q\n", &t, &path); err {
		case nil:
		case io.EOF:
			return nil
		default:
			return err
		}
		if _, err := t.do(t.warm(), path); err != nil {
			return err
		}
		took, err := t.do(t.counted(), path)
		if err != nil {
			return err
		}
		fmt.Println(float64(took) / float64(t.counted()))
	}
}

// pin keeps this thread, and what it starts, on the last processor that it may use.
func pin() error {
	var may, last unix.CPUSet
	if err := unix.SchedGetaffinity(0, &may); err != nil {
		return err
	}
	for cpu := range 8 * int(unsafe.Sizeof(may)) {
		if may.IsSet(cpu) {
			last.Zero()
			last.Set(cpu)
		}
	}
	return unix.SchedSetaffinity(0, &last)
}

func calls(count int, _ string) (time.Duration, error) {
	begin := threadTime()
	for range count {
		unix.RawSyscall(unix.SYS_GETPPID, 0, 0, 0)
	}
	return threadTime() - begin, nil
}

// opens goes past Go's scheduler, which would look at each call twice.
func opens(count int, path string) (time.Duration, error) {
	name, err := unix.BytePtrFromString(path)
	if err != nil {
		return 0, err
	}
	here := unix.AT_FDCWD
	begin := threadTime()
	for range count {
		fd, _, errno := unix.RawSyscall6(unix.SYS_OPENAT, uintptr(here), uintptr(unsafe.Pointer(name)), unix.O_RDONLY|unix.O_CLOEXEC, 0, 0, 0)
		if errno != 0 {
			return 0, errno
		}
		unix.RawSyscall(unix.SYS_CLOSE, fd, 0, 0)
	}
	return threadTime() - begin, nil
}

// execs is one process that executes itself count times: what a fork and an exit vary by is not in it.
func execs(count int, path string) (time.Duration, error) {
	argv := make([]string, count)
	for i := range argv {
		argv[i] = path
	}
	pid, err := syscall.ForkExec(path, argv, &syscall.ProcAttr{})
	if err != nil {
		return 0, err
	}
	var status syscall.WaitStatus
	var usage syscall.Rusage
	if _, err := syscall.Wait4(pid, &status, 0, &usage); err != nil {
		return 0, err
	}
	if status.ExitStatus() != 0 {
		return 0, fmt.Errorf("%s did not execute itself", path)
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano()), nil
}

func threadTime() time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &ts); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	return time.Duration(ts.Nano())
}

// chain is a program that executes its second argument with the rest of its arguments while there is one.
func chain() []byte {
	return lab.Executable([]byte{
		0x48, 0x8b, 0x04, 0x24, // mov rax, [rsp] (argc)
		0x48, 0x83, 0xf8, 0x02, // cmp rax, 2
		0x72, 0x1a, // jb end
		0x48, 0x8b, 0x7c, 0x24, 0x10, // mov rdi, [rsp+16]
		0x48, 0x8d, 0x74, 0x24, 0x10, // lea rsi, [rsp+16]
		0x31, 0xd2, // xor edx, edx
		0xb8, 59, 0, 0, 0, // mov eax, 59 (execve)
		0x0f, 0x05, // syscall
		0xbf, 1, 0, 0, 0, // mov edi, 1
		0xeb, 0x02, // jmp past the next
		0x31, 0xff, // end: xor edi, edi
		0xb8, 60, 0, 0, 0, // mov eax, 60 (exit)
		0x0f, 0x05, // syscall
	}, lab.ARM64(
		0xf94003e9, // ldr x9, [sp] (argc)
		0xf100093f, // cmp x9, 2
		0x54000103, // b.lo end
		0xf9400be0, // ldr x0, [sp, 16]
		0x910043e1, // add x1, sp, 16
		0xd2800002, // mov x2, 0
		0xd2801ba8, // mov x8, 221 (execve)
		0xd4000001, // svc 0
		0xd2800020, // mov x0, 1
		0x14000002, // b past the next
		0xd2800000, // end: mov x0, 0
		0xd2800ba8, // mov x8, 93 (exit)
		0xd4000001, // svc 0
	))
}
