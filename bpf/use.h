/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* Files that are opened and mapped: which of them are told, and what is done about them. */
#ifndef HULLMARK_USE_H
#define HULLMARK_USE_H

#include "verdict.h"

/* is_awaited_script tells whether the file is the script that the process was started for. */
INLINE int is_awaited_script(u32 pid, struct where *w)
{
	u64 *script = bpf_map_lookup_elem(&scripts, &pid);
	if (!script)
		return 0;
	u64 length = READ(w->dentry, d_name.len);
	const unsigned char *text = READ(w->dentry, d_name.name);
	u64 skip = length > TAIL_OF_NAME ? length - TAIL_OF_NAME : 0;
	return name_hash(text + skip, length - skip) == *script;
}

/* interesting tells whether an opened file is worth an event, by what it is called and where it lies. */
INLINE u8 interesting(struct task_struct *task, struct where *w)
{
	u8 flags = 0, meaning = known_as(w->dentry);
	if (on_overlay(w)) {
		if (meaning & IS_CODE)
			flags |= CODE;
		else if (w->origin == ORIGIN_UPPER && (w->mode & 0111 || is_interpreter(task)))
			flags |= CODE;
	}
	if (meaning & IS_SENSITIVE)
		flags |= SENSITIVE;
	return flags;
}

/* reported tells whether the same was told of this file lately, from the little that is known by then. */
INLINE int reported(struct file *file, struct where *w, u8 kind, u8 flags, u64 cgroup, u64 now)
{
	struct seen_key key = {.cgroup = cgroup, .sb = (u64)w->sb, .inode = READ(w->inode, i_ino)};
	key.kind = kind;
	key.origin = w->origin;
	key.flags = flags;
	if (READ(file, f_mode) & FMODE_WRITE)
		key.flags |= WRITABLE;
	return recently(&key, now);
}

/* use is what was found about a file that is being used. */
struct use {
	struct where w;
	u64 now;
	u8 flags;
	u8 recalled, script;
};

INLINE int is_worth_telling(struct file *file, struct task_struct *task, u8 kind, u64 cgroup,
			    struct follow *f, struct stats *st, struct use *u)
{
	if (locate(file, &u->w))
		return 0;
	u32 pid = bpf_get_current_pid_tgid() >> 32;
	u->script = kind == OPEN && u->w.origin == ORIGIN_UPPER && f->flags & KILL_DRIFT && is_awaited_script(pid, &u->w);
	u->flags = kind == OPEN ? interesting(task, &u->w) : CODE;
	u->recalled = 0;
	if (any_recalled()) {
		identify(file, &u->w);
		u->recalled = recalled(&u->w);
	}
	if (!u->flags && !u->script && !u->recalled)
		return 0;
	u->now = bpf_ktime_get_boot_ns();
	if (!u->recalled && !u->script)
		if (reported(file, &u->w, kind, u->flags, cgroup, u->now) || throttled(f, st, u->now))
			return 0;
	if (!u->w.number)
		identify(file, &u->w);
	return 1;
}

INLINE void compose(struct head *h, struct task_struct *task, u8 kind, u64 cgroup, struct follow *f, struct use *u)
{
	fill(h, task, kind, cgroup, u->now);
	describe(h, &u->w);
	h->flags |= u->flags;
	if (u->recalled)
		taint(h);
	if (u->script || (u->recalled == BLOCKED && f->flags & KILL_RECALLED))
		kill(h);
}

#endif
