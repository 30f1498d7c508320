// SPDX-License-Identifier: GPL-2.0-only OR MIT
/*
 * Opens and mappings where the kernel itself decides about them, on kernels that can trace functions:
 * in place of the tracepoints of system calls, past which io_uring and 32-bit programs go, and at no
 * cost to other calls. Maps are those of sensor.bpf.c.
 */
#include "slot.h"
#include "use.h"

#define PROT_EXEC 4
#define FMODE_NOACCOUNT 0x20000000

INLINE int used(struct file *file, u8 kind)
{
	u64 cgroup = bpf_get_current_cgroup_id();
	struct follow *f = following(cgroup);
	if (!f || READ(file, f_mode) & FMODE_NOACCOUNT) /* overlay's own, of the file below */
		return 0;
	struct stats *st = counted();
	if (!st)
		return 0;
	struct use u;
	struct task_struct *task = (void *)bpf_get_current_task();
	if (!is_worth_telling(file, task, kind, cgroup, f, st, &u))
		return 0;
	struct slot *slot = take_slot();
	if (!slot) {
		st->dropped_bulk++;
		return 0;
	}
	struct head *h = &slot->scratch.event.head;
	compose(h, task, kind, cgroup, f, &u);
	name_file(&slot->scratch, task, file, &u.w);
	emit_bulk(st, h, sized(&slot->scratch.event));
	give_back(slot);
	return 0;
}

SEC("fentry/security_file_open")
int opened(u64 *ctx)
{
	return used((void *)ctx[0], OPEN);
}

SEC("fentry/security_mmap_file")
int mapped(u64 *ctx)
{
	if (!ctx[0] || !(ctx[1] & PROT_EXEC))
		return 0;
	return used((void *)ctx[0], MMAP);
}

char LICENSE[] SEC("license") = "Dual MIT/GPL";
