/* SPDX-License-Identifier: Apache-2.0 */
#include "extents.h"

#include <stdbool.h>

void extents_done(struct extents *x)
{
	free(x->e);
	*x = (struct extents){};
}

size_t extents_after(const struct extents *x, uint64_t addr)
{
	size_t lo = 0, hi = x->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;

		if (x->e[mid].limit <= addr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo;
}

struct merge {
	const struct extents *old;
	size_t at; /* in old */
	struct extent *out;
	size_t n, allocated;
};

static int put(struct merge *m, struct extent e)
{
	if (m->n == m->allocated) {
		size_t n = m->allocated ? m->allocated * 2 : m->old->n + 64;
		struct extent *p = reallocarray(m->out, n, sizeof(*p));

		if (!p)
			return -ENOMEM;
		m->out = p;
		m->allocated = n;
	}
	m->out[m->n++] = e;
	return 0;
}

/* Puts what is free of [e.start, e.limit), and the old extents that lie before its end. */
static int put_free(struct merge *m, struct extent e)
{
	uint64_t limit = e.limit;
	int r;

	while (e.start < limit) {
		const struct extent *old = m->at < m->old->n ? &m->old->e[m->at] : NULL;

		if (old && old->start <= e.start) {
			e.start = MAX(e.start, old->limit);
			m->at++;
			r = put(m, *old);
			if (r < 0)
				return r;
			continue;
		}

		e.limit = old ? MIN(limit, old->start) : limit;
		r = put(m, e);
		if (r < 0)
			return r;
		e.start = e.limit;
	}
	return 0;
}

int extents_add(struct extents *x, const struct extent *list, size_t n, size_t *ret_overlaps)
{
	struct merge m = { .old = x };
	uint64_t covered = 0, last_start = 0;
	size_t overlaps = 0;
	int r = 0;

	for (size_t i = 0; i < n && r == 0; i++) {
		struct extent e = list[i];

		if (e.start < covered) {
			overlaps += e.start != last_start || e.limit != covered;
			e.start = covered;
		} else {
			last_start = e.start;
		}
		if (e.start >= e.limit)
			continue;
		covered = e.limit;
		r = put_free(&m, e);
	}
	for (; m.at < x->n && r == 0; m.at++)
		r = put(&m, x->e[m.at]);
	if (r < 0) {
		free(m.out);
		return r;
	}

	extents_done(x);
	*x = (struct extents){ .e = m.out, .n = m.n };
	if (ret_overlaps)
		*ret_overlaps = overlaps;
	return 0;
}
