/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Less detail, for profiles of long ago that have to be small. What each process, unit, container and
 * innermost function used stays exact, and so do all totals.
 */

#include <stdbool.h>

#include "profile.h"

/* Root of a stack of which only the innermost frame was kept. */
#define REDUCE_CUT "[truncated: compacted]"

struct profile_detail {
	/* Tell the instructions of a function apart; else all are the first of them that is known, on
	 * the function's first line. */
	bool lines;
	bool threads;  /* keep the label thread */
	uint32_t rows; /* so many samples keep their stacks, the heaviest; 0: all */
};

/* In place. 0, -ENOMEM, -ENOSPC; after a failure p is good for nothing but profile_free. */
int profile_reduce(struct profile *p, const struct profile_detail *detail);

/*
 * Arranges p (arrange.h) and writes it as profile_write() does, in no more than max_bytes where that can be
 * had (0: of any size): first instructions go, then threads, then the stacks of the samples with the least
 * weight. A comment says so. p is good for reading and profile_free() afterwards.
 */
int profile_write_within(struct profile *p, uint64_t max_bytes, struct buf *out);
