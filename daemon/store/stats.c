/* SPDX-License-Identifier: Apache-2.0 */
#include "cleanup.h"
#include "compaction.h"
#include "store_private.h"

/* What an hour takes as it is, in windows of ten minutes, and in one: as far as there are some; else
 * from how much compaction has been seen to save. */
#define SAVED_BY_10MIN 0.40
#define SAVED_BY_HOUR  0.55
#define DAY            86400.0

struct rates {
	double bytes[COMPACTION_LEVELS + 1], seconds[COMPACTION_LEVELS + 1];
};

static int add_row(void *arg, const struct catalog_row *row)
{
	struct rates *r = arg;
	uint32_t level = MIN(row->level, (uint32_t)COMPACTION_LEVELS);

	r->bytes[level] += (double)files_rounded(row->bytes);
	r->seconds[level] += (double)row->duration_ns / 1e9;
	return 0;
}

double store_days(struct store *s)
{
	const double saved[] = { 0, SAVED_BY_10MIN, SAVED_BY_HOUR };
	double max = (double)s->options.limits.max_bytes, rate[COMPACTION_LEVELS + 1], days, fresh,
	       left;
	double max_days = (double)s->options.limits.max_age_ns / 1e9 / DAY;
	struct rates r = {};

	if (!s->catalog || catalog_each(s->catalog, add_row, &r) < 0)
		return 0;
	for (uint32_t i = 0; i <= COMPACTION_LEVELS; i++)
		rate[i] = r.seconds[i] > 0 ? r.bytes[i] / r.seconds[i]
					   : (i ? rate[i - 1] * saved[i] : 0);
	/* what there is none of yet will be reduced to its share */
	for (uint32_t i = 1; i <= COMPACTION_LEVELS; i++)
		if (r.seconds[i] <= 0)
			rate[i] = MIN(rate[i], compaction_rate(&s->options.limits, i) * 1e9);
	if (rate[0] <= 0)
		rate[0] = rate[1] > 0 ? rate[1] : rate[2];
	if (rate[0] <= 0)
		return 0;
	/* the index grows with the files */
	if (s->files_bytes)
		max /= 1 + (double)catalog_bytes(s->catalog) / (double)s->files_bytes;

	/* windows that take more than their share are merged as soon as ten minutes are over */
	fresh = rate[0] * 3600 > (double)compaction_share(&s->options.limits, 0) ? 1200 : 3600;
	left = max - rate[0] * fresh;
	if (left <= 0)
		return MIN(max / rate[0] / DAY, max_days);
	if (left <= rate[1] * (DAY - fresh))
		return MIN((fresh + left / rate[1]) / DAY, max_days);
	days = 1 + (left - rate[1] * (DAY - fresh)) / rate[2] / DAY;
	return MIN(days, max_days);
}
