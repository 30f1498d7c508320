package kernel

import "golang.org/x/sys/unix"

// calls are the system calls that are watched. The ones that newer architectures left out are here.
func calls() []call {
	return append(everywhere(numbers{
		renameat: unix.SYS_RENAMEAT, renameat2: unix.SYS_RENAMEAT2, unlinkat: unix.SYS_UNLINKAT,
		fchmod: unix.SYS_FCHMOD, fchmodat: unix.SYS_FCHMODAT, fchmodat2: unix.SYS_FCHMODAT2,
		setuid: unix.SYS_SETUID, setreuid: unix.SYS_SETREUID, setresuid: unix.SYS_SETRESUID,
		setns: unix.SYS_SETNS, unshare: unix.SYS_UNSHARE, ptrace: unix.SYS_PTRACE,
		initModule: unix.SYS_INIT_MODULE, finitModule: unix.SYS_FINIT_MODULE, bpf: unix.SYS_BPF,
	}),
		openCall("open"), openCall("creat"),
		pathCall(Rename, "rename", unix.SYS_RENAME, -1, 0, -1, 1, -1),
		pathCall(Unlink, "unlink", unix.SYS_UNLINK, -1, 0, -1, -1, -1),
		pathCall(Unlink, "rmdir", unix.SYS_RMDIR, -1, 0, -1, -1, -1),
		pathCall(Chmod, "chmod", unix.SYS_CHMOD, -1, 0, -1, -1, 1),
	)
}
