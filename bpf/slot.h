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

/* give_back ends take_slot. Like all of this it needs no more than an addition that returns nothing, which is
 * all the atomics there are before 5.12. */
INLINE void give_back(struct slot *s)
{
	__sync_fetch_and_add(&s->taken, -1);
}

/*
 * take_slot counts itself in and has the slot if it is alone there. Whoever has one has counted itself in
 * and finds one; those who meet in a free one may both go on to the next, and never both stay.
 */
INLINE struct slot *take_slot(void)
{
	for (u32 i = 0; i < SLOTS; i++) {
		u32 key = i;
		struct slot *s = bpf_map_lookup_elem(&slots, &key);
		if (!s)
			continue;
		__sync_fetch_and_add(&s->taken, 1);
		if (*(volatile u32 *)&s->taken == 1)
			return s;
		give_back(s);
	}
	return 0;
}

#endif
