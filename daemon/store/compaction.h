/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What compaction makes of a group of windows; for the files of the store. */

#include "store_private.h"

/* What is merged once it is how old, by level - 1. */
extern const struct compaction_level {
	uint64_t bucket_ns, after_ns;
} compaction_levels[COMPACTION_LEVELS];

static inline int64_t compaction_bucket(const struct catalog_row *row, uint32_t level)
{
	int64_t ns = (int64_t)compaction_levels[level - 1].bucket_ns;

	return row->start_ns / ns - (row->start_ns % ns < 0);
}

/* allowance.c: bytes that the windows of a level may take together; a nanosecond of them; a window of this
 * duration (0: any). */
uint64_t compaction_share(const struct store_limits *l, uint32_t level);
double compaction_rate(const struct store_limits *l, uint32_t level);
uint64_t compaction_allowance(const struct store_limits *l, uint32_t level, uint64_t duration_ns);

/* aside.c: a group has failed, is done, is not to be tried yet. */
void aside_add(struct store *s, uint32_t level, int64_t bucket);
void aside_remove(struct store *s, uint32_t level, int64_t bucket);
bool aside_waits(struct store *s, uint32_t level, int64_t bucket);

/* Fills in what the merged window will know, and the folds. */
int compaction_prepare(struct store *s, struct store_selection *sel);
