/* SPDX-License-Identifier: Apache-2.0 */
/* Groups whose merge has failed: each waits by itself, ever longer, while the others are merged. */
#include "cleanup.h"
#include "compaction.h"

#define FIRST_RETRY_NS (3600 * NSEC_PER_SEC)
#define MAX_DOUBLINGS  5U /* about a day */

static struct store_aside *aside_find(struct store *s, uint32_t level, int64_t bucket)
{
	for (size_t i = 0; i < s->n_aside; i++)
		if (s->aside[i].level == level && s->aside[i].bucket == bucket)
			return &s->aside[i];
	return NULL;
}

static struct store_aside *aside_new(struct store *s)
{
	struct store_aside *first = s->aside;

	if (s->n_aside < STORE_MAX_ASIDE)
		return &s->aside[s->n_aside++];
	/* full: the one that would be tried next is */
	for (size_t i = 1; i < s->n_aside; i++)
		if (s->aside[i].retry_ns < first->retry_ns)
			first = &s->aside[i];
	return first;
}

void aside_add(struct store *s, uint32_t level, int64_t bucket)
{
	struct store_aside *a = aside_find(s, level, bucket);

	if (!a) {
		a = aside_new(s);
		*a = (struct store_aside){ .level = level, .bucket = bucket };
	}
	a->retry_ns = s->age.age_ns + (FIRST_RETRY_NS << MIN(a->failures, MAX_DOUBLINGS));
	a->failures++;
}

void aside_remove(struct store *s, uint32_t level, int64_t bucket)
{
	struct store_aside *a = aside_find(s, level, bucket);

	if (a)
		*a = s->aside[--s->n_aside];
}

bool aside_waits(struct store *s, uint32_t level, int64_t bucket)
{
	const struct store_aside *a = aside_find(s, level, bucket);

	return a && s->age.age_ns < a->retry_ns;
}
