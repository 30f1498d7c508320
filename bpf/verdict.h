/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/* What is held against a file, and what is done about it. */
#ifndef HULLMARK_VERDICT_H
#define HULLMARK_VERDICT_H

#include "file.h"

/*
 * drifted tells whether what is executed did not come with the image. Anonymous and deleted files are
 * excused while the process is still in the host's mount namespace: that is the container runtime,
 * which starts itself from sealed memory inside the new container's cgroup.
 */
INLINE int drifted(struct task_struct *task, struct where *w)
{
	if (w->origin == ORIGIN_UPPER)
		return 1;
	if (w->origin != ORIGIN_MEMFD && !(w->flags & DELETED && w->origin != ORIGIN_LOWER))
		return 0;
	struct nsproxy *proxy = READ(task, nsproxy);
	struct mnt_namespace *ns = READ(proxy, mnt_ns);
	return READ(ns, ns.inum) != host_mntns;
}

INLINE void taint(struct head *h)
{
	u32 pid = h->pid; /* on the stack: older kernels take no key from a ring's memory */
	u64 started = h->started;
	h->flags |= RECALLED;
	bpf_map_update_elem(&tainted, &pid, &started, 0);
}

INLINE void kill(struct head *h)
{
	if (bpf_send_signal(9) == 0)
		h->action = KILLED;
}

#endif
