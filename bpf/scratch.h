/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#pragma once

/* What one CPU works with while it makes a record: a value of the array map `scratch`, by CPU. */

#include "cprof/control.h"
#include "walk_state.h"

/* The record lies in `words` as it goes into the ring. */
#define SCRATCH_HEADER_WORDS (sizeof(struct cprof_sample) / 8)
#define SCRATCH_FRAME_WORDS  (CPROF_MAX_KERNEL_FRAMES + CPROF_MAX_USER_FRAMES)
#define SCRATCH_FROM_WORDS   (sizeof(struct cprof_stack) / 8)
#define SCRATCH_STACK_WORDS  (CPROF_MAX_STACK_BYTES / 8)
/* One page more than a record can have, so that a whole page may be copied to any place in it. */
#define SCRATCH_WORDS                                                                            \
	(SCRATCH_HEADER_WORDS + SCRATCH_FRAME_WORDS + SCRATCH_FROM_WORDS + SCRATCH_STACK_WORDS + \
	 CPROF_PAGE_SIZE / 8)

#define SCRATCH_CACHE_ENTRIES 2048
#define SCRATCH_RECENT        2

/* (code address, space, generation) → rule. Generations are compared by 16 bits. */
struct scratch_rule {
	__u64 key; /* address | generation << 48 */
	__u32 space;
	__u32 rule;
};

/* A mapping that was looked up in this sample. */
struct scratch_mapping {
	__u64 start, size;
	__u64 bias;
	__u64 slot;
};

/* The head of Go's g. */
struct scratch_g {
	__u64 low, high; /* of its stack */
	__u64 guards[2];
	__u64 panic, defer;
	__u64 m;
};

struct walk_env {
	struct walk walk; /* first */
	__u64 busy;
	__u64 generation; /* << 48, as in scratch_rule.key */
	__u64 space_hash; /* of space, in the place of a rule in the cache */
	__u32 space;
	__u32 first_word; /* of the user frames in words */
	__u64 hits, misses;
	struct scratch_mapping recent[SCRATCH_RECENT];
	__u64 n_recent;
	__u64 idle_since_ns, idle_ns; /* of the CPU, as the cpu_idle trace point tells */
	__u64 copy_due_ns;            /* when the next stack copy is due, by its interval */
	__u64 wake_due_ns;            /* before then, a stack copy wakes nobody */
	/* the event's counter at its last tick, and the epoch that it belongs to */
	struct {
		__u64 counter, epoch, idle;
	} last[CPROF_MAX_CLOCKS * CPROF_EVENTS_PER_CLOCK];
	struct pt_regs regs;
	struct {
		__u64 start, bytes, limit, word;
		__u64 to_top; /* 0: the stack's end is not known */
	} copy;               /* of the stack, on its way into words */
	struct {
		struct scratch_g user, system;
		__u64 top, other_start, other_top;
	} go; /* gostack.h */
	__u64 window_start, window_bytes;
	__u8 window[CPROF_PAGE_SIZE + 8];
	struct scratch_rule cache[SCRATCH_CACHE_ENTRIES];
	__u64 words[SCRATCH_WORDS];
};
