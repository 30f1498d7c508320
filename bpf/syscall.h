/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * System calls, at their exit only: then it is known that they succeeded, and one side of the path is
 * all that every other system call of the machine pays for. Arguments are in the saved registers.
 */
#ifndef HULLMARK_SYSCALL_H
#define HULLMARK_SYSCALL_H

#include "use.h"
#include "network.h"

#define PROT_EXEC 4
#define MAP_ANONYMOUS 0x20
#define AT_FDCWD -100
#define MAX_ERRNO 4095

/* call says what a system call's number means here; user space fills it for the architecture. */
struct call {
	u8 kind;
	u8 call;       /* of a PRIVILEGE event */
	s8 dir, path;  /* argument numbers, -1 where there is none */
	s8 dir2, path2;
	s8 code;
	u8 pad;
};

MAP(calls, ARRAY, u32, struct call, 512);

/* argument returns the nth argument of the system call that is ending. */
INLINE u64 argument(u32 n)
{
	void *regs;
	if (HAS_HELPER(BPF_FUNC_task_pt_regs)) {
		regs = (void *)bpf_task_pt_regs(bpf_get_current_task_btf());
	} else {
		struct task_struct *task = (void *)bpf_get_current_task();
		regs = READ(task, stack) + 16384 - TYPE_SIZE(struct pt_regs);
	}
	if (HAS_FIELD(struct pt_regs___x86, di)) {
		struct pt_regs___x86 *x86 = regs;
		switch (n) {
		case 0: return READ(x86, di);
		case 1: return READ(x86, si);
		case 2: return READ(x86, dx);
		case 3: return READ(x86, r10);
		case 4: return READ(x86, r8);
		default: return READ(x86, r9);
		}
	}
	struct pt_regs___arm64 *arm = regs;
	switch (n) {
	case 0: return READ(arm, orig_x0);
	case 1: return READ(arm, regs[1]);
	case 2: return READ(arm, regs[2]);
	case 3: return READ(arm, regs[3]);
	case 4: return READ(arm, regs[4]);
	default: return READ(arm, regs[5]);
	}
}

/* file_used is the end of open, and of a mapping, of a file by a followed process. */
INLINE int file_used(struct file *file, u8 kind, u64 cgroup, struct follow *f, struct stats *st)
{
	u32 zero = 0;
	struct use u;
	struct task_struct *task = (void *)bpf_get_current_task();
	if (!is_worth_telling(file, task, kind, cgroup, f, st, &u))
		return 0;
	struct scratch *s = bpf_map_lookup_elem(&scratches, &zero);
	if (!s)
		return 0;
	compose(&s->event.head, task, kind, cgroup, f, &u);
	name_file(s, task, file, &u.w);
	emit_bulk(st, &s->event.head, sized(&s->event));
	return 0;
}

SEC("tracepoint/sys_exit_open")
int call_open(struct syscall_exit *ctx)
{
	if (ctx->ret < 0)
		return 0;
	u64 cgroup = bpf_get_current_cgroup_id();
	struct follow *f = following(cgroup);
	if (!f)
		return 0;
	struct stats *st = counted();
	if (!st)
		return 0;
	struct file *file = file_of((void *)bpf_get_current_task(), ctx->ret);
	return file ? file_used(file, OPEN, cgroup, f, st) : 0;
}

SEC("tracepoint/sys_exit_mmap")
int call_mmap(struct syscall_exit *ctx)
{
	if (ctx->ret < 0 && ctx->ret >= -MAX_ERRNO)
		return 0;
	u64 cgroup = bpf_get_current_cgroup_id();
	struct follow *f = following(cgroup);
	if (!f || !(argument(2) & PROT_EXEC) || argument(3) & MAP_ANONYMOUS)
		return 0;
	struct stats *st = counted();
	if (!st)
		return 0;
	struct file *file = file_of((void *)bpf_get_current_task(), argument(4));
	return file ? file_used(file, MMAP, cgroup, f, st) : 0;
}

#define AF_INET 2
#define AF_INET6 10

SEC("tracepoint/sys_exit_accept")
int call_accept(struct syscall_exit *ctx)
{
	if (ctx->ret < 0)
		return 0;
	u64 cgroup = bpf_get_current_cgroup_id();
	struct follow *f = following(cgroup);
	if (!f)
		return 0;
	struct stats *st = counted();
	u64 now = bpf_ktime_get_boot_ns();
	struct task_struct *task = (void *)bpf_get_current_task();
	struct file *file = file_of(task, ctx->ret);
	if (!st || !file)
		return 0;
	struct socket *socket = READ(file, private_data);
	struct sock *sk = READ(socket, sk);
	u16 family = READ(sk, __sk_common.skc_family);
	struct address a = {.port = READ(sk, __sk_common.skc_dport)};
	if (family == AF_INET) {
		a.words[2] = MAPPED;
		a.words[3] = READ(sk, __sk_common.skc_daddr);
	} else if (family == AF_INET6) {
		bpf_probe_read_kernel(a.words, 16, &sk->__sk_common.skc_v6_daddr);
		a.v6 = 1;
	} else {
		return 0;
	}
	if (throttled(f, st, now))
		return 0;
	struct head h;
	fill(&h, task, ACCEPT, cgroup, now);
	put_address(&h, &a);
	emit_bulk(st, &h, sizeof(h));
	return 0;
}

/* base names the folder that a path of a call is relative to; nothing for one that is not on an overlay. */
INLINE int base(struct scratch *s, struct task_struct *task, s8 dir, int absolute)
{
	struct fs_struct *fs = READ(task, fs);
	struct dentry *dentry = READ(fs, pwd.dentry);
	s32 fd = dir < 0 ? AT_FDCWD : (s32)argument(dir);
	if (absolute) {
		dentry = READ(fs, root.dentry);
	} else if (fd != AT_FDCWD) {
		struct file *file = file_of(task, fd);
		dentry = READ(file, f_path.dentry);
	}
	struct inode *inode = READ(dentry, d_inode);
	struct super_block *sb = READ(inode, i_sb);
	if (READ(sb, s_magic) != OVERLAYFS_MAGIC)
		return -1;
	s->event.head.dev = READ(sb, s_dev);
	if (!absolute)
		name(s, task, dentry, 0);
	return 0;
}

/* append adds a string of the process to the event's strings, behind at, and returns its length. */
INLINE u64 append(struct event *e, u64 at, void *from)
{
	BOUND(at, 1535);
	long length = bpf_probe_read_user_str(&e->data[at], ARGS, from);
	if (length <= 1)
		return 0;
	u64 kept = length - 1;
	BOUND(kept, 511);
	return kept;
}

/*
 * Renames, removals and changes of mode. The path is the one that the process named, joined to the
 * folder it is relative to: user space cleans it. It is what was done, not what may be done.
 */
SEC("tracepoint/sys_exit_path")
int call_path(struct syscall_exit *ctx)
{
	if (ctx->ret != 0)
		return 0;
	u64 cgroup = bpf_get_current_cgroup_id();
	struct follow *f = following(cgroup);
	if (!f)
		return 0;
	u32 zero = 0, nr = ctx->nr;
	struct stats *st = counted();
	struct scratch *s = bpf_map_lookup_elem(&scratches, &zero);
	struct call *call = bpf_map_lookup_elem(&calls, &nr);
	if (!st || !s || !call)
		return 0;
	struct task_struct *task = (void *)bpf_get_current_task();
	u64 now = bpf_ktime_get_boot_ns();
	struct head *h = &s->event.head;
	fill(h, task, call->kind, cgroup, now);
	if (call->code >= 0)
		h->code = argument(call->code);
	if (call->path < 0) { /* by descriptor */
		struct file *file = file_of(task, argument(call->dir));
		struct where w;
		if (!file || locate(file, &w) || !on_overlay(&w))
			return 0;
		identify(file, &w);
		describe(h, &w);
		name_file(s, task, file, &w);
	} else {
		char first = 0;
		void *path = (void *)argument(call->path);
		bpf_probe_read_user(&first, 1, path);
		if (base(s, task, call->dir, first == '/'))
			return 0;
		u64 at = h->path_len, base_len = at;
		BOUND(at, 1023);
		if (at)
			s->event.data[at++] = '/';
		at += append(&s->event, at, path);
		h->path_len = at;
		if (call->path2 >= 0) {
			h->target_len = append(&s->event, at, (void *)argument(call->path2));
			/* Where the second path begins to be relative to; user space joins the two. */
			int same = call->dir < 0 || (s32)argument(call->dir) == (s32)argument(call->dir2);
			h->code = same ? base_len : ~0U;
		}
	}
	if (throttled(f, st, now))
		return 0;
	emit_bulk(st, h, sized(&s->event));
	return 0;
}

SEC("tracepoint/sys_exit_privilege")
int call_privilege(struct syscall_exit *ctx)
{
	if (ctx->ret < 0)
		return 0;
	u64 cgroup = bpf_get_current_cgroup_id();
	struct follow *f = following(cgroup);
	if (!f)
		return 0;
	u32 nr = ctx->nr;
	struct stats *st = counted();
	struct call *call = bpf_map_lookup_elem(&calls, &nr);
	u64 now = bpf_ktime_get_boot_ns();
	if (!st || !call || throttled(f, st, now))
		return 0;
	struct head h;
	fill(&h, (void *)bpf_get_current_task(), PRIVILEGE, cgroup, now);
	h.call = call->call;
	if (call->code >= 0)
		h.code = argument(call->code);
	emit_critical(st, &h, sizeof(h));
	return 0;
}

#endif
