/* SPDX-License-Identifier: GPL-2.0-only OR MIT */
/*
 * Scratch memory for programs that can be preempted by others of their kind on the same processor,
 * as security hooks and traced functions can: one of a few slots, taken until it is given back.
 */
#ifndef HULLMARK_SLOT_H
#define HULLMARK_SLOT_H

#include "event.h"

#define SLOTS 4

struct slot {
	u32 taken;
	u32 pad;
	struct scratch scratch;
};

MAP(slots, PERCPU_ARRAY, u32, struct slot, SLOTS);

INLINE struct slot *take_slot(void)
{
	for (u32 i = 0; i < SLOTS; i++) {
		u32 key = i;
		struct slot *s = bpf_map_lookup_elem(&slots, &key);
		if (s && __sync_val_compare_and_swap(&s->taken, 0, 1) == 0)
			return s;
	}
	return 0;
}

INLINE void give_back(struct slot *s)
{
	*(volatile u32 *)&s->taken = 0;
}

#endif
