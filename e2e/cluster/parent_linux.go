package cluster

import "syscall"

// endsWithParent has the kernel end a child when the thread that started it ends, so that a test
// which is killed leaves no cluster behind.
func endsWithParent() *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
}
