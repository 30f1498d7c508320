package kernel

import "golang.org/x/sys/unix"

// calls are the system calls that are watched.
func calls() []call {
	return everywhere(numbers{
		renameat: unix.SYS_RENAMEAT, renameat2: unix.SYS_RENAMEAT2, unlinkat: unix.SYS_UNLINKAT,
		fchmod: unix.SYS_FCHMOD, fchmodat: unix.SYS_FCHMODAT, fchmodat2: unix.SYS_FCHMODAT2,
		setuid: unix.SYS_SETUID, setreuid: unix.SYS_SETREUID, setresuid: unix.SYS_SETRESUID,
		setns: unix.SYS_SETNS, unshare: unix.SYS_UNSHARE, ptrace: unix.SYS_PTRACE,
		initModule: unix.SYS_INIT_MODULE, finitModule: unix.SYS_FINIT_MODULE, bpf: unix.SYS_BPF,
	})
}
