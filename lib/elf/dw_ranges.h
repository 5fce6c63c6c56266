/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Which units an address may lie in. */

#include "dw_unit.h"

struct dw_unit_range {
	uint64_t low, high;
	uint32_t unit;  /* number */
	uint32_t group; /* the first range that may reach to this one */
};

struct dw_ranges {
	struct dw_unit_range *items; /* by low */
	size_t n, allocated;
	bool *listed;  /* by unit: .debug_aranges has it */
	bool complete; /* those that are not listed have been asked */
};

/* From .debug_aranges. -ENOMEM. */
int dw_ranges_init(struct dw_ranges *r, struct dw_file *f);
/* Asks all units that are not listed. */
int dw_ranges_complete(struct dw_ranges *r, struct dw_file *f);
void dw_ranges_done(struct dw_ranges *r);
/* Calls for each unit whose ranges hold vaddr, the last to begin first, until one returns not 0. */
int dw_ranges_each(const struct dw_ranges *r, uint64_t vaddr, int (*fn)(void *arg, uint32_t unit),
		   void *arg);
