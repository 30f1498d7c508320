package cluster

import "syscall"

// endsWithParent has the kernel end a child when the thread that started it ends, so that a test
// which is killed leaves no cluster behind. Ctrl-C at a terminal reaches us alone: we end the parts in order.
func endsWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}
}
