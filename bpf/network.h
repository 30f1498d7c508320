/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Peers: hooks of the cgroup tree, which see an address only after it was copied from the process
 * and may refuse it. They can be preempted, so their events are on the stack and carry no strings.
 */
#ifndef HULLMARK_NETWORK_H
#define HULLMARK_NETWORK_H

#include "event.h"

#define SOCK_DGRAM 2
#define ALLOW 1
#define DENY 0

/* address is a peer as IPv6 has it; IPv4 addresses are mapped. All parts are in network order. */
struct address {
	u32 words[4];
	u16 port;
	u8 udp, v6;
};

#define MAPPED 0xffff0000u /* ::ffff:0:0/96, its third word, on a little-endian machine */

INLINE int is_local(struct address *a)
{
	if (a->words[0] || a->words[1])
		return 0;
	if (a->words[2] == MAPPED)
		return (a->words[3] & 0xff) == 127 || a->words[3] == 0;
	return a->words[2] == 0 && (a->words[3] == 0x01000000 || a->words[3] == 0);
}

INLINE void put_address(struct head *h, struct address *a)
{
	__builtin_memcpy(h->addr, a->words, 16);
	h->port = a->port;
	h->flags |= (a->udp ? UDP : 0) | (a->v6 ? IPV6 : 0);
}

INLINE int is_new_peer(u32 pid, struct address *a, u64 now)
{
	struct peer_key key = {.pid = pid, .port = a->port};
	__builtin_memcpy(key.addr, a->words, 16);
	u64 *at = bpf_map_lookup_elem(&peers, &key);
	if (at && now - *at < seen_ns)
		return 0;
	bpf_map_update_elem(&peers, &key, &now, 0);
	return 1;
}

INLINE int address_used(struct address *a, u8 kind)
{
	u64 cgroup = bpf_get_current_cgroup_id();
	struct follow *f = following(cgroup);
	if (!f)
		return ALLOW;
	struct stats *st = counted();
	if (!st)
		return ALLOW;
	u32 pid = bpf_get_current_pid_tgid() >> 32;
	u64 now = bpf_ktime_get_boot_ns();
	int verdict = ALLOW;
	if (kind != BIND && !is_local(a))
		if (f->flags & DENY_EGRESS || (f->flags & DENY_TAINTED && is_tainted(pid)))
			verdict = DENY;
	if (kind == SENDTO && !is_new_peer(pid, a, now))
		return verdict;
	if (throttled(f, st, now))
		return verdict;
	struct head h;
	fill(&h, (void *)bpf_get_current_task(), kind, cgroup, now);
	put_address(&h, a);
	h.action = verdict == DENY ? DENIED : OBSERVED;
	if (kind == CONNECT || verdict == DENY)
		emit_critical(st, &h, sizeof(h));
	else
		emit_bulk(st, &h, sizeof(h));
	return verdict;
}

INLINE int used4(struct bpf_sock_addr *ctx, u8 kind)
{
	struct address a = {.words = {0, 0, MAPPED, ctx->user_ip4}, .port = ctx->user_port, .udp = ctx->type == SOCK_DGRAM};
	return address_used(&a, kind);
}

INLINE int used6(struct bpf_sock_addr *ctx, u8 kind)
{
	struct address a = {.port = ctx->user_port, .udp = ctx->type == SOCK_DGRAM, .v6 = 1};
	a.words[0] = ctx->user_ip6[0];
	a.words[1] = ctx->user_ip6[1];
	a.words[2] = ctx->user_ip6[2];
	a.words[3] = ctx->user_ip6[3];
	return address_used(&a, kind);
}

SEC("cgroup/connect4")
int connect4(struct bpf_sock_addr *ctx)
{
	return used4(ctx, CONNECT);
}

SEC("cgroup/connect6")
int connect6(struct bpf_sock_addr *ctx)
{
	return used6(ctx, CONNECT);
}

SEC("cgroup/sendmsg4")
int sendmsg4(struct bpf_sock_addr *ctx)
{
	return used4(ctx, SENDTO);
}

SEC("cgroup/sendmsg6")
int sendmsg6(struct bpf_sock_addr *ctx)
{
	return used6(ctx, SENDTO);
}

SEC("cgroup/bind4")
int bind4(struct bpf_sock_addr *ctx)
{
	return used4(ctx, BIND);
}

SEC("cgroup/bind6")
int bind6(struct bpf_sock_addr *ctx)
{
	return used6(ctx, BIND);
}

#endif
