/* SPDX-License-Identifier: Apache-2.0 */
/* How much room windows of each age may take, so that all that MaxAge= asks for fits into MaxBytes=. */
#include "cleanup.h"
#include "compaction.h"

/* Of MaxBytes, in percent, by level; the index has the rest. */
static const unsigned shares[COMPACTION_LEVELS + 1] = { 25, 27, 40 };
/* Less than this is not asked for: a profile has names in it. */
#define MIN_BYTES (64 * 1024)
/* Where windows are to be kept for longer, or for ever, bytes alone decide. */
#define MAX_AGE_NS (31 * 86400 * NSEC_PER_SEC)

/* How much time the windows of a level cover. */
static uint64_t span_ns(const struct store_limits *l, uint32_t level)
{
	uint64_t from = level ? compaction_levels[level - 1].after_ns : 0,
		 to = MIN(l->max_age_ns, MAX_AGE_NS);

	if (level < COMPACTION_LEVELS)
		to = MIN(to, compaction_levels[level].after_ns);
	return to > from ? to - from : 0;
}

uint64_t compaction_share(const struct store_limits *l, uint32_t level)
{
	return l->max_bytes / 100 * shares[level];
}

double compaction_rate(const struct store_limits *l, uint32_t level)
{
	uint64_t span = span_ns(l, level);

	return span ? (double)compaction_share(l, level) / (double)span : 0;
}

uint64_t compaction_allowance(const struct store_limits *l, uint32_t level, uint64_t duration_ns)
{
	double rate = compaction_rate(l, level);

	return rate > 0 ? MAX((uint64_t)(rate * (double)duration_ns), (uint64_t)MIN_BYTES) : 0;
}
