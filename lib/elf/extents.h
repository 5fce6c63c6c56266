/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Who speaks for which addresses: a sorted list of ranges that do not overlap. Sources are added
 * from the most to the least trusted; each gets what those before it left.
 */

#include <stddef.h>
#include <stdint.h>

#include "cleanup.h"

struct extent {
	uint64_t start, limit;
	uint32_t index; /* the source's own number for it */
	uint8_t source;
};

struct extents {
	struct extent *e;
	size_t n;
};

void extents_done(struct extents *x);

/* Adds a list sorted by start; parts that others cover are cut off. *ret_overlaps (may be NULL): how
 * many began inside an earlier, different range of the same list. -ENOMEM. */
int extents_add(struct extents *x, const struct extent *list, size_t n, size_t *ret_overlaps);
/* Index of the first extent that ends after addr; x->n when none does. */
size_t extents_after(const struct extents *x, uint64_t addr);
