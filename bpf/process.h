/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* The life of processes and cgroups: raw tracepoints, whose cost falls on nothing else. */
#ifndef HULLMARK_PROCESS_H
#define HULLMARK_PROCESS_H

#include "verdict.h"

/* remember_script notes the script that an interpreter was started for: its own inode is seen when it is opened. */
INLINE void remember_script(struct event *e, struct linux_binprm *bprm)
{
	const char *filename = READ(bprm, filename);
	if (filename == READ(bprm, interp))
		return;
	u64 at = e->head.path_len;
	BOUND(at, 1023);
	long length = bpf_probe_read_kernel_str(&e->data[at], TARGET, filename);
	if (length <= 1)
		return;
	u64 kept = length - 1;
	BOUND(kept, 511);
	e->head.target_len = kept;
}

/* await_script lets the open of a drifted script end its interpreter, see is_awaited_script. */
INLINE void await_script(struct event *e)
{
	u64 at = e->head.path_len, length = e->head.target_len;
	BOUND(at, 1023);
	BOUND(length, 511);
	u64 skip = length > TAIL_OF_NAME ? length - TAIL_OF_NAME : 0;
	u64 hash = name_hash(&e->data[at + skip], length - skip);
	u32 pid = e->head.pid;
	if (length)
		bpf_map_update_elem(&scripts, &pid, &hash, 0);
	else
		bpf_map_delete_elem(&scripts, &pid);
}

INLINE void arguments(struct event *e, struct task_struct *task)
{
	struct mm_struct *mm = READ(task, mm);
	unsigned long start = READ(mm, arg_start);
	u64 length = READ(mm, arg_end) - start;
	if (length > ARGS - 1)
		length = ARGS - 1;
	BOUND(length, 511);
	u64 path = e->head.path_len, target = e->head.target_len;
	BOUND(path, 1023);
	BOUND(target, 511);
	if (bpf_probe_read_user(&e->data[path + target], length, (void *)start) == 0)
		e->head.args_len = length;
}

SEC("raw_tp/sched_process_exec")
int process_exec(struct bpf_raw_tracepoint_args *ctx)
{
	u64 cgroup = bpf_get_current_cgroup_id();
	struct follow *f = following(cgroup);
	if (!f)
		return 0;
	u32 zero = 0;
	struct stats *st = counted();
	struct scratch *s = bpf_map_lookup_elem(&scratches, &zero);
	if (!st || !s)
		return 0;
	struct task_struct *task = (void *)ctx->args[0];
	struct linux_binprm *bprm = (void *)ctx->args[2];
	struct file *file = READ(bprm, file);
	struct where w;
	if (locate(file, &w))
		return 0;
	struct head *h = &s->event.head;
	fill(h, task, EXEC, cgroup, bpf_ktime_get_boot_ns());
	identify(file, &w);
	describe(h, &w);
	u8 held = any_recalled() ? recalled(&w) : 0;
	if (held)
		taint(h);
	if (held == BLOCKED && f->flags & KILL_RECALLED)
		kill(h);
	if (f->flags & KILL_DRIFT && h->action == OBSERVED && drifted(task, &w))
		kill(h);
	name_file(s, task, file, &w);
	remember_script(&s->event, bprm);
	if (f->flags & KILL_DRIFT)
		await_script(&s->event);
	arguments(&s->event, task);
	emit_critical(st, h, sized(&s->event));
	return 0;
}

SEC("raw_tp/sched_process_fork")
int process_fork(struct bpf_raw_tracepoint_args *ctx)
{
	u64 cgroup = bpf_get_current_cgroup_id();
	struct follow *f = following(cgroup);
	if (!f)
		return 0;
	struct task_struct *child = (void *)ctx->args[1];
	struct stats *st = counted();
	if (!st || READ(child, pid) != READ(child, tgid))
		return 0;
	struct head h;
	fill(&h, child, FORK, cgroup, bpf_ktime_get_boot_ns());
	if (is_tainted(h.ppid))
		taint(&h);
	emit_critical(st, &h, sizeof(h));
	return 0;
}

SEC("raw_tp/sched_process_exit")
int process_exit(struct bpf_raw_tracepoint_args *ctx)
{
	u64 cgroup = bpf_get_current_cgroup_id();
	struct follow *f = following(cgroup);
	if (!f)
		return 0;
	struct task_struct *task = (void *)ctx->args[0];
	struct signal_struct *signal = READ(task, signal);
	struct stats *st = counted();
	if (!st || READ(signal, live.counter) != 0)
		return 0;
	struct head h;
	fill(&h, task, EXIT, cgroup, bpf_ktime_get_boot_ns());
	h.code = READ(signal, group_exit_code);
	if (!h.code)
		h.code = READ(task, exit_code);
	bpf_map_delete_elem(&tainted, &h.pid);
	if (f->flags & KILL_DRIFT)
		bpf_map_delete_elem(&scripts, &h.pid);
	emit_critical(st, &h, sizeof(h));
	return 0;
}

INLINE u64 cgroup_id(struct cgroup *cgroup)
{
	struct kernfs_node *node = READ(cgroup, kn);
	return READ(node, id);
}

/* A cgroup inherits what its parent was given, so that a container cannot leave by making one. */
SEC("raw_tp/cgroup_mkdir")
int cgroup_made(struct bpf_raw_tracepoint_args *ctx)
{
	struct cgroup *cgroup = (void *)ctx->args[0];
	struct cgroup_root *root = READ(cgroup, root);
	u32 zero = 0;
	struct stats *st = counted();
	struct scratch *s = bpf_map_lookup_elem(&scratches, &zero);
	if (!st || !s || READ(root, hierarchy_id) != 0) /* 0 is cgroup v2 */
		return 0;
	u64 id = cgroup_id(cgroup);
	struct cgroup_subsys_state *above = READ(cgroup, self.parent);
	u64 parent = cgroup_id(READ(above, cgroup));
	struct follow *f = bpf_map_lookup_elem(&cgroups, &parent);
	if (f) {
		struct follow copy = {.flags = f->flags};
		bpf_map_update_elem(&cgroups, &id, &copy, 0);
	}
	fill(&s->event.head, (void *)bpf_get_current_task(), CGROUP_MADE, id, bpf_ktime_get_boot_ns());
	long length = bpf_probe_read_kernel_str(s->event.data, TARGET, (void *)ctx->args[1]);
	if (length > 1) {
		u64 kept = length - 1;
		BOUND(kept, 511);
		s->event.head.target_len = kept;
	}
	emit_critical(st, &s->event.head, sized(&s->event));
	return 0;
}

SEC("raw_tp/cgroup_rmdir")
int cgroup_removed(struct bpf_raw_tracepoint_args *ctx)
{
	u64 id = cgroup_id((void *)ctx->args[0]);
	bpf_map_delete_elem(&cgroups, &id);
	return 0;
}

#endif
