/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Events as they cross into user space, the maps, and the filters that every program shares. The
 * layout is decoded by internal/sensor/kernel/decode.go; the two change together.
 */
#ifndef HULLMARK_EVENT_H
#define HULLMARK_EVENT_H

#include "kernel.h"

/* Kinds, origins and actions have the numbers of the Go side. */
enum {
	EXEC = 1,
	EXIT,
	FORK,
	OPEN,
	MMAP,
	CONNECT,
	BIND,
	ACCEPT,
	SENDTO,
	RENAME,
	UNLINK,
	CHMOD,
	PRIVILEGE,
	CGROUP_MADE,
	KINDS = 16,
};
enum { ORIGIN_UNKNOWN, ORIGIN_HOST, ORIGIN_LOWER, ORIGIN_COPIED_UP, ORIGIN_UPPER, ORIGIN_MEMFD };
enum { OBSERVED, KILLED, DENIED };
enum { DELETED = 1, WRITABLE = 2, UDP = 4, SENSITIVE = 8, IPV6 = 16, CODE = 32, RECALLED = 64 };
enum { KILL_DRIFT = 1, KILL_RECALLED = 2, DENY_EGRESS = 4, DENY_TAINTED = 8 };

#define PATH 1024
#define SLACK 256 /* behind a path that is written from its end; for the verifier */
#define TARGET 512
#define ARGS 512
#define MEANING_BITS 15 /* 256 KiB; what has no room is looked at again, see known_as */

struct head {
	u8 kind, action, origin, flags;
	u16 path_len, target_len, args_len, layer;
	u32 pid, tid, ppid, uid;
	u32 code;
	u64 time, started, cgroup;
	u64 inode, real_inode;
	u32 dev, real_dev;
	u8 addr[16];
	u16 port;
	u8 call, pad[5];
	char comm[16];
};

struct event {
	struct head head;
	char data[PATH + TARGET + ARGS];
};

/* follow is the policy of a cgroup, and its token bucket as the time until which it is spent. */
struct follow {
	u32 flags;
	u32 pad;
	u64 spent;
};

struct settings {
	u32 watch_all;
	u32 blocked; /* how many files are, so that nothing is looked up when none is */
};

struct stats {
	u64 seen, emitted, dropped_critical, dropped_bulk, throttled;
	u64 kinds[KINDS];
};

struct scratch {
	struct event event;
	char path[PATH + SLACK];
};

struct file_id {
	u64 inode;
	u32 dev;
	u32 pad;
};

struct seen_key {
	u64 cgroup, sb, inode; /* the superblock's address: it is at hand before its number is */
	u8 kind, origin, flags, pad[5];
};

struct peer_key {
	u32 pid;
	u32 port;
	u8 addr[16];
};

MAP(cgroups, HASH, u64, struct follow, 32768);
MAP(unnamed, ARRAY, u32, struct follow, 1);
MAP(settings, ARRAY, u32, struct settings, 1);
MAP(stats, PERCPU_ARRAY, u32, struct stats, 1);
MAP(scratches, PERCPU_ARRAY, u32, struct scratch, 1);
MAP(seen, LRU_HASH, struct seen_key, u64, 65536);
MAP(peers, LRU_HASH, struct peer_key, u64, 16384);
MAP(blocked, HASH, struct file_id, u8, 65536);
MAP(tainted, LRU_HASH, u32, u64, 65536);
MAP(scripts, LRU_HASH, u32, u64, 16384);
MAP(suffixes, HASH, u64, u8, 256);
MAP(names, HASH, u64, u8, 512);
MAP(meanings, ARRAY, u32, u64, 1 << MEANING_BITS);
RING(critical, 1 << 20);
RING(bulk, 8 << 20);

/* Set before loading. */
const volatile u32 self_pid = 0;
const volatile u32 host_mntns = 0;
const volatile u32 critical_size = 1 << 20;
const volatile u32 bulk_size = 8 << 20;
const volatile u64 event_cost_ns = 0; /* of a bulk event in its cgroup's bucket; 0 is no limit */
const volatile u64 burst_ns = 1000000000;
const volatile u64 seen_ns = 10000000000;

/* following returns the policy of the current cgroup, or nothing: then the event is nobody's. */
INLINE struct follow *following(u64 cgroup)
{
	u32 zero = 0;
	struct follow *f = bpf_map_lookup_elem(&cgroups, &cgroup);
	if (!f) {
		struct settings *s = bpf_map_lookup_elem(&settings, &zero);
		if (!s || !s->watch_all)
			return 0;
		f = bpf_map_lookup_elem(&unnamed, &zero);
	}
	if (f && bpf_get_current_pid_tgid() >> 32 == self_pid)
		return 0;
	return f;
}

INLINE struct stats *counted(void)
{
	u32 zero = 0;
	struct stats *s = bpf_map_lookup_elem(&stats, &zero);
	if (s)
		s->seen++;
	return s;
}

/* throttled takes an event from the cgroup's bucket; races between CPUs only blur the rate. */
INLINE int throttled(struct follow *f, struct stats *s, u64 now)
{
	if (!event_cost_ns)
		return 0;
	u64 spent = f->spent;
	if (spent + burst_ns < now)
		spent = now - burst_ns;
	if (spent + event_cost_ns > now) {
		s->throttled++;
		return 1;
	}
	f->spent = spent + event_cost_ns;
	return 0;
}

/* recently tells whether this file was reported in this cgroup lately, and notes that it now is. */
INLINE int recently(struct seen_key *key, u64 now)
{
	u64 *at = bpf_map_lookup_elem(&seen, key);
	if (at) {
		if (now - *at < seen_ns)
			return 1;
		*at = now;
		return 0;
	}
	bpf_map_update_elem(&seen, key, &now, 0);
	return 0;
}

INLINE void fill(struct head *h, struct task_struct *task, u8 kind, u64 cgroup, u64 now)
{
	__builtin_memset(h, 0, sizeof(*h));
	struct task_struct *leader = READ(task, group_leader);
	struct task_struct *parent = READ(task, real_parent);
	struct cred *cred = READ(task, cred);
	h->kind = kind;
	h->pid = READ(task, tgid);
	h->tid = READ(task, pid);
	h->ppid = READ(parent, tgid);
	h->uid = READ(cred, uid.val);
	h->started = READ(leader, start_boottime);
	h->time = now;
	h->cgroup = cgroup;
	bpf_probe_read_kernel(h->comm, sizeof(h->comm), &task->comm);
}

#define RB_NO_WAKEUP 1
#define RB_FORCE_WAKEUP 2
#define WAKE_WINDOW 65536

/*
 * wake decides whether user space is told. It polls every few milliseconds, so it is told only of
 * what was enforced, and when a quarter of the ring is taken; the window keeps one burst from
 * ringing for each of its events.
 */
INLINE u64 wake(void *ring, u32 size, u8 action)
{
	if (action != OBSERVED)
		return RB_FORCE_WAKEUP;
	u64 waiting = bpf_ringbuf_query(ring, 0);
	if (waiting > size / 4 && waiting < size / 4 + WAKE_WINDOW)
		return RB_FORCE_WAKEUP;
	return RB_NO_WAKEUP;
}

INLINE void emit_critical(struct stats *s, struct head *h, u64 size)
{
	if (bpf_ringbuf_output(&critical, h, size, wake(&critical, critical_size, h->action))) {
		s->dropped_critical++;
		return;
	}
	s->emitted++;
	s->kinds[h->kind & (KINDS - 1)]++;
}

INLINE void emit_bulk(struct stats *s, struct head *h, u64 size)
{
	if (bpf_ringbuf_output(&bulk, h, size, wake(&bulk, bulk_size, h->action))) {
		s->dropped_bulk++;
		return;
	}
	s->emitted++;
	s->kinds[h->kind & (KINDS - 1)]++;
}

/* sized is the length of an event with its strings; the bound is what the verifier sees. */
INLINE u64 sized(struct event *e)
{
	u64 length = (u64)e->head.path_len + e->head.target_len + e->head.args_len;
	BOUND(length, 2047);
	return sizeof(struct head) + length;
}

INLINE int is_tainted(u32 pid)
{
	return bpf_map_lookup_elem(&tainted, &pid) != 0;
}

#endif
