// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Denials, on kernels whose security modules include BPF: the call fails, and its caller goes on.
 * Maps are those of sensor.bpf.c.
 */
#include "slot.h"
#include "verdict.h"

#define EPERM 1

INLINE void tell(struct file *file, struct where *w, u8 kind, u8 action, u64 cgroup, int bad)
{
	struct task_struct *task = (void *)bpf_get_current_task();
	struct stats *st = counted();
	if (!st)
		return;
	struct slot *slot = take_slot();
	if (!slot) {
		st->dropped_critical++;
		return;
	}
	struct head *h = &slot->scratch.event.head;
	fill(h, task, kind, cgroup, bpf_ktime_get_boot_ns());
	describe(h, w);
	h->action = action;
	if (bad)
		taint(h);
	name_file(&slot->scratch, task, file, w);
	emit_critical(st, h, sized(&slot->scratch.event));
	give_back(slot);
}

/* Called for a program and again for its interpreter: a drifted script is refused as itself. */
SEC("lsm/bprm_check_security")
int deny_exec(u64 *ctx)
{
	u64 cgroup = bpf_get_current_cgroup_id();
	struct follow *f = following(cgroup);
	if (!f || !(f->flags & (KILL_DRIFT | KILL_RECALLED)))
		return 0;
	struct linux_binprm *bprm = (void *)ctx[0];
	struct file *file = READ(bprm, file);
	struct where w;
	if (locate(file, &w))
		return 0;
	identify(file, &w);
	int bad = f->flags & KILL_RECALLED && any_recalled() && recalled(&w) == BLOCKED;
	int drift = f->flags & KILL_DRIFT && drifted((void *)bpf_get_current_task(), &w);
	if (!bad && !drift)
		return 0;
	tell(file, &w, EXEC, DENIED, cgroup, bad);
	return -EPERM;
}

/* Opens of recalled files, by whatever way: io_uring passes no tracepoint of system calls. */
SEC("lsm/file_open")
int deny_open(u64 *ctx)
{
	if (!any_recalled())
		return 0;
	u64 cgroup = bpf_get_current_cgroup_id();
	struct follow *f = following(cgroup);
	if (!f || !(f->flags & KILL_RECALLED))
		return 0;
	struct file *file = (void *)ctx[0];
	struct where w;
	if (locate(file, &w))
		return 0;
	identify(file, &w);
	if (recalled(&w) != BLOCKED)
		return 0;
	tell(file, &w, OPEN, bpf_send_signal(9) == 0 ? KILLED : DENIED, cgroup, 1);
	return -EPERM;
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
