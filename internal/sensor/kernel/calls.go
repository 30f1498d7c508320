package kernel

import (
	"fmt"

	"github.com/cilium/ebpf"
)

// call is bpf/syscall.h's struct call: what a system call's number means on this architecture.
// Fields are numbers of its arguments, -1 where it has none.
type call struct {
	Kind         Kind
	Call         uint8
	Dir, Path    int8
	Dir2, Path2  int8
	Code         int8
	_            uint8
	name         string
	number       int
	withoutEntry bool // the program does not look at the number
	program      string
}

// The numbers of Event.Call.
const (
	callSetuid uint8 = iota + 1
	callSetns
	callUnshare
	callPtrace
	callModule
	callBPF
)

func callName(n uint8) string {
	names := [...]string{"", "setuid", "setns", "unshare", "ptrace", "init_module", "bpf"}
	if int(n) >= len(names) {
		return ""
	}
	return names[n]
}

func openCall(name string) call {
	return call{name: name, program: "call_open", withoutEntry: true}
}

// pathCall is a call that changes what a path leads to; code is the argument that Event.Code tells.
func pathCall(kind Kind, name string, number int, dir, path, dir2, path2, code int8) call {
	return call{name: name, number: number, program: "call_path", Kind: kind, Dir: dir, Path: path, Dir2: dir2, Path2: path2, Code: code}
}

func privilegeCall(which uint8, name string, number int, code int8) call {
	return call{name: name, number: number, program: "call_privilege", Kind: Privilege, Call: which, Code: code}
}

// attachCalls puts the programs on the system calls that this kernel has, and notes which it lacks.
func (s *Sensor) attachCalls() error {
	t, err := openTracefs()
	if err != nil {
		return err
	}
	defer t.Close()
	table := s.collection.Maps["calls"]
	for _, c := range calls() {
		program, ok := s.collection.Programs[c.program]
		if !ok || s.traced && (c.program == "call_open" || c.program == "call_mmap") {
			continue
		}
		if !c.withoutEntry {
			if err := putCall(table, c); err != nil {
				return err
			}
		}
		event, err := t.attach("syscalls", "sys_exit_"+c.name, program)
		if err != nil {
			s.lacks = append(s.lacks, c.name)
			continue
		}
		s.closers = append(s.closers, event)
	}
	return nil
}

func putCall(table *ebpf.Map, c call) error {
	value := [8]int8{int8(c.Kind), int8(c.Call), c.Dir, c.Path, c.Dir2, c.Path2, c.Code, 0}
	if err := table.Put(uint32(c.number), value); err != nil {
		return fmt.Errorf("kernel: describe %s: %w", c.name, err)
	}
	return nil
}

// everywhere are the calls that all architectures have, by the numbers of this one.
func everywhere(n numbers) []call {
	return []call{
		openCall("openat"), openCall("openat2"),
		{name: "mmap", program: "call_mmap", withoutEntry: true},
		{name: "accept", program: "call_accept", withoutEntry: true},
		{name: "accept4", program: "call_accept", withoutEntry: true},
		pathCall(Rename, "renameat", n.renameat, 0, 1, 2, 3, -1),
		pathCall(Rename, "renameat2", n.renameat2, 0, 1, 2, 3, -1),
		pathCall(Unlink, "unlinkat", n.unlinkat, 0, 1, -1, -1, -1),
		pathCall(Chmod, "fchmod", n.fchmod, 0, -1, -1, -1, 1),
		pathCall(Chmod, "fchmodat", n.fchmodat, 0, 1, -1, -1, 2),
		pathCall(Chmod, "fchmodat2", n.fchmodat2, 0, 1, -1, -1, 2),
		privilegeCall(callSetuid, "setuid", n.setuid, 0),
		privilegeCall(callSetuid, "setreuid", n.setreuid, 1),
		privilegeCall(callSetuid, "setresuid", n.setresuid, 1),
		privilegeCall(callSetns, "setns", n.setns, 1),
		privilegeCall(callUnshare, "unshare", n.unshare, 0),
		privilegeCall(callPtrace, "ptrace", n.ptrace, 0),
		privilegeCall(callModule, "init_module", n.initModule, -1),
		privilegeCall(callModule, "finit_module", n.finitModule, -1),
		privilegeCall(callBPF, "bpf", n.bpf, 0),
	}
}

type numbers struct {
	renameat, renameat2, unlinkat, fchmod, fchmodat, fchmodat2 int
	setuid, setreuid, setresuid, setns, unshare, ptrace        int
	initModule, finitModule, bpf                               int
}
