package kernel

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strings"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"
)

// Feature is something that the running kernel may have. Reason says why not, or how.
type Feature struct {
	OK     bool   `json:"ok"`
	Reason string `json:"reason,omitempty"`
}

// Capabilities is what was found on this machine by trying each thing once.
type Capabilities struct {
	Kernel       string `json:"kernel"`
	Architecture string `json:"architecture"`

	Types          Feature `json:"types"`           // BTF of the kernel
	Overlay        Feature `json:"overlay"`         // its layout, and whether it is built in or a module
	RingBuffer     Feature `json:"ring_buffer"`     // 5.8
	RawTracepoints Feature `json:"raw_tracepoints"` // exec, fork, exit, cgroups
	Tracepoints    Feature `json:"tracepoints"`     // system calls
	CgroupHooks    Feature `json:"cgroup_hooks"`    // peers, and denying them
	Signal         Feature `json:"signal"`          // level kill
	Fanotify       Feature `json:"fanotify"`        // level deny-fanotify
	LSM            Feature `json:"lsm"`             // level deny-lsm: attached and seen to be called
	Tracing        Feature `json:"tracing"`         // fentry: opens also by io_uring; no level needs it

	// Level is the best that these allow. [Sensor.SelfTest] proves it.
	Level Level `json:"level"`
}

// Probe tries each thing that the sensor uses. Nothing that it attaches stays attached. Without the
// rights to load programs everything is reported as missing, with that reason.
func Probe() Capabilities {
	c := Capabilities{Kernel: release(), Architecture: runtime.GOARCH}
	memory := rlimit.RemoveMemlock()
	probes := []struct {
		into *Feature
		try  func() (string, error)
	}{
		{&c.Types, probeTypes},
		{&c.Overlay, probeOverlay},
		{&c.RingBuffer, probeRing},
		{&c.RawTracepoints, probeRawTracepoint},
		{&c.Tracepoints, probeTracepoint},
		{&c.CgroupHooks, probeCgroup},
		{&c.Signal, probeSignal},
		{&c.Fanotify, probeFanotify},
		{&c.LSM, probeLSM},
		{&c.Tracing, probeTracing},
	}
	for _, p := range probes {
		how, err := p.try()
		*p.into = Feature{OK: err == nil, Reason: how}
		if err != nil {
			p.into.Reason = reason(errors.Join(err, memory))
		}
	}
	c.Level = c.level()
	return c
}

func (c Capabilities) level() Level {
	switch {
	case !c.Types.OK || !c.RingBuffer.OK || !c.RawTracepoints.OK:
		return None
	case !c.Signal.OK:
		return Observe
	case c.LSM.OK:
		return DenyLSM
	case c.Fanotify.OK:
		return DenyFanotify
	default:
		return Kill
	}
}

// reason is the first line of an error: the verifier's log is no help to whoever reads this.
func reason(err error) string {
	text, _, _ := strings.Cut(err.Error(), "\n")
	text, _, _ = strings.Cut(text, " (MEMLOCK") // the library's guess at a cause, which was ruled out before
	if errors.Is(err, unix.EPERM) && os.Geteuid() != 0 {
		return "needs root: " + text
	}
	return text
}

func release() string {
	var name unix.Utsname
	if unix.Uname(&name) != nil {
		return ""
	}
	return unix.ByteSliceToString(name.Release[:])
}

func probeTypes() (string, error) {
	_, err := btf.LoadKernelSpec()
	return "", err
}

func probeOverlay() (string, error) {
	o, err := findOverlay()
	if err != nil {
		return "", err
	}
	return o.String(), nil
}

func probeRing() (string, error) {
	m, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.RingBuf, MaxEntries: uint32(os.Getpagesize())})
	if err != nil {
		return "", err
	}
	return "", m.Close()
}

// nothing is a program that returns a constant.
func nothing(spec ebpf.ProgramSpec, returns int32) (*ebpf.Program, error) {
	spec.Instructions = asm.Instructions{asm.Mov.Imm(asm.R0, returns), asm.Return()}
	spec.License = "Dual MIT/GPL"
	return ebpf.NewProgram(&spec)
}

func probeRawTracepoint() (string, error) {
	program, err := nothing(ebpf.ProgramSpec{Type: ebpf.RawTracepoint}, 0)
	if err != nil {
		return "", err
	}
	defer program.Close()
	l, err := link.AttachRawTracepoint(link.RawTracepointOptions{Name: "sched_process_exec", Program: program})
	if err != nil {
		return "", err
	}
	return "", l.Close()
}

func probeTracepoint() (string, error) {
	t, err := openTracefs()
	if err != nil {
		return "", err
	}
	defer t.Close()
	program, err := nothing(ebpf.ProgramSpec{Type: ebpf.TracePoint}, 0)
	if err != nil {
		return "", err
	}
	defer program.Close()
	event, err := t.attach("syscalls", "sys_exit_openat", program)
	if err != nil {
		return "", err
	}
	return "", event.Close()
}

func probeCgroup() (string, error) {
	root, err := CgroupRoot()
	if err != nil {
		return "", err
	}
	program, err := nothing(ebpf.ProgramSpec{Type: ebpf.CGroupSockAddr, AttachType: ebpf.AttachCGroupInet4Connect}, 1)
	if err != nil {
		return "", err
	}
	defer program.Close()
	l, err := link.AttachCgroup(link.CgroupOptions{Path: root, Attach: ebpf.AttachCGroupInet4Connect, Program: program})
	if err != nil {
		return "", err
	}
	return "on " + root, l.Close()
}

func probeSignal() (string, error) {
	program, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.RawTracepoint, License: "Dual MIT/GPL",
		Instructions: asm.Instructions{
			asm.Mov.Imm(asm.R1, 0), asm.FnSendSignal.Call(), asm.Mov.Imm(asm.R0, 0), asm.Return(),
		},
	})
	if err != nil {
		return "", err
	}
	return "", program.Close()
}

func probeFanotify() (string, error) {
	fd, err := unix.FanotifyInit(unix.FAN_CLASS_CONTENT|unix.FAN_CLOEXEC, unix.O_RDONLY|unix.O_CLOEXEC)
	if err != nil {
		return "", fmt.Errorf("fanotify_init: %w", err)
	}
	defer unix.Close(fd)
	// A file that nobody executes, so that nobody waits.
	file, err := os.CreateTemp("", "hullmark-probe-")
	if err != nil {
		return "", err
	}
	defer os.Remove(file.Name())
	defer file.Close()
	if err := unix.FanotifyMark(fd, unix.FAN_MARK_ADD, unix.FAN_OPEN_EXEC_PERM, unix.AT_FDCWD, file.Name()); err != nil {
		return "", fmt.Errorf("fanotify_mark: %w", err)
	}
	return "", nil
}

func probeLSM() (string, error) {
	return called(ebpf.ProgramSpec{Type: ebpf.LSM, AttachType: ebpf.AttachLSMMac, AttachTo: "file_open"},
		func(p *ebpf.Program) (link.Link, error) { return link.AttachLSM(link.LSMOptions{Program: p}) })
}

func probeTracing() (string, error) {
	return called(ebpf.ProgramSpec{Type: ebpf.Tracing, AttachType: ebpf.AttachTraceFEntry, AttachTo: "security_file_open"},
		func(p *ebpf.Program) (link.Link, error) { return link.AttachTracing(link.TracingOptions{Program: p}) })
}

// called attaches a program to the opening of files and tells whether it is called: kernels let a
// security hook be attached also where lsm= leaves BPF out, and then never call it.
func called(spec ebpf.ProgramSpec, attach func(*ebpf.Program) (link.Link, error)) (string, error) {
	count, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 1})
	if err != nil {
		return "", err
	}
	defer count.Close()
	spec.License = "Dual MIT/GPL"
	spec.Instructions = asm.Instructions{
		asm.StoreImm(asm.RFP, -4, 0, asm.Word),
		asm.LoadMapPtr(asm.R1, count.FD()),
		asm.Mov.Reg(asm.R2, asm.RFP),
		asm.Add.Imm(asm.R2, -4),
		asm.FnMapLookupElem.Call(),
		asm.JEq.Imm(asm.R0, 0, "end"),
		asm.Mov.Imm(asm.R1, 1),
		asm.StoreMem(asm.R0, 0, asm.R1, asm.DWord),
		asm.Mov.Imm(asm.R0, 0).WithSymbol("end"),
		asm.Return(),
	}
	program, err := ebpf.NewProgram(&spec)
	if err != nil {
		return "", err
	}
	defer program.Close()
	l, err := attach(program)
	if err != nil {
		return "", err
	}
	defer l.Close()
	if _, err := os.ReadFile("/proc/self/stat"); err != nil {
		return "", err
	}
	var calls uint64
	if err := count.Lookup(uint32(0), &calls); err != nil {
		return "", err
	}
	if calls == 0 {
		return "", errors.New("the hook can be attached but is not called: start the kernel with bpf in lsm=")
	}
	return "", nil
}
