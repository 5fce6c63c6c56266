/* SPDX-License-Identifier: Apache-2.0 */
#include "places.h"

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define PLACES_PAGE_BYTES 4096ULL
/* Where the search for a free place begins: nothing real lives below. */
#define PLACES_FIRST_PLACE 0x10000ULL

struct places_range {
	uint64_t start, limit;
};

static int places_compare_ranges(const void *a, const void *b)
{
	const struct places_range *x = a, *y = b;

	return x->start < y->start ? -1 : x->start > y->start;
}

/* The first range that ends behind address. */
static uint32_t places_find_range(const struct places *m, uint64_t address)
{
	uint32_t low = 0, high = m->ranges.n;

	while (low < high) {
		uint32_t mid = low + (high - low) / 2;

		if (MODEL_AT(const struct places_range, m->ranges, mid).limit > address)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

static bool places_is_free(const struct places *m, uint64_t start, uint64_t limit)
{
	uint32_t i = places_find_range(m, start);

	return i == m->ranges.n || MODEL_AT(const struct places_range, m->ranges, i).start >= limit;
}

/* The lowest place for size bytes that has the same offset in its page as start. */
static int places_find_place(const struct places *m, uint64_t start, uint64_t size, uint64_t *ret)
{
	uint64_t in_page = start % PLACES_PAGE_BYTES, place = PLACES_FIRST_PLACE + in_page, limit;

	for (uint32_t i = 0; i < m->ranges.n; i++) {
		const struct places_range *range = &MODEL_AT(const struct places_range, m->ranges,
							     i);

		if (__builtin_add_overflow(place, size, &limit))
			return -ENOSPC;
		if (limit <= range->start)
			break;
		if (range->limit > UINT64_MAX - 2 * PLACES_PAGE_BYTES)
			return -ENOSPC;
		if (range->limit > place)
			place = (range->limit + PLACES_PAGE_BYTES - 1) / PLACES_PAGE_BYTES *
					PLACES_PAGE_BYTES +
				in_page;
	}
	if (__builtin_add_overflow(place, size, &limit))
		return -ENOSPC;
	*ret = place;
	return 0;
}

static int places_insert_range(struct places *m, uint64_t start, uint64_t limit)
{
	struct places_range *ranges;
	uint32_t at;
	int r;

	if (limit <= start)
		return 0;
	r = vec_reserve(&m->ranges, 1, &m->p->bytes);
	if (r < 0)
		return r;

	at = places_find_range(m, start);
	ranges = m->ranges.items;
	memmove(&ranges[at + 1], &ranges[at], (m->ranges.n - at) * sizeof(*ranges));
	ranges[at] = (struct places_range){ start, limit };
	m->ranges.n++;
	return 0;
}

static uint64_t places_size(const struct profile_mapping *a)
{
	return a->limit > a->start ? a->limit - a->start : 0;
}

static uint64_t places_hash(const struct places *m, const struct profile_mapping *a)
{
	uint64_t key[] = { a->filename, a->build_id, a->offset, places_size(a) };

	return XXH3_64bits_withSeed(key, sizeof(key), m->p->seed);
}

int places_init(struct places *m, struct profile *p)
{
	struct places_range range;
	int r;

	*m = (struct places){ .p = p };
	vec_init(&m->ranges, sizeof(struct places_range), PROFILE_MAX_MAPPINGS);
	for (uint32_t id = 1; id <= p->mappings.n; id++) {
		const struct profile_mapping *a = model_mapping_at(p, id);

		r = index_reserve(&m->index, &p->bytes);
		if (r < 0)
			return r;
		index_insert(&m->index, places_hash(m, a), id - 1);

		range = (struct places_range){ a->start, a->limit };
		r = range.limit > range.start ? vec_append(&m->ranges, &range, 1, &p->bytes) : 0;
		if (r < 0)
			return r;
	}
	if (m->ranges.n > 0)
		qsort(m->ranges.items, m->ranges.n, sizeof(struct places_range),
		      places_compare_ranges);
	return 0;
}

void places_done(struct places *m)
{
	if (!m->p)
		return;
	m->p->bytes -= (uint64_t)m->ranges.allocated * m->ranges.item_bytes;
	vec_done(&m->ranges);
	if (m->index.slots)
		m->p->bytes -= ((uint64_t)m->index.mask + 1) * sizeof(uint64_t);
	index_done(&m->index);
	m->p = NULL;
}

/* The first of p's mappings that is the same piece of the same file. */
static struct profile_mapping *places_find_mapping(struct places *m,
						   const struct profile_mapping *a, uint64_t hash,
						   uint32_t *ret_id)
{
	struct index_walk w;

	for (int64_t i = index_first(&m->index, hash, &w); i >= 0; i = index_next(&m->index, &w)) {
		struct profile_mapping *have = &MODEL_AT(struct profile_mapping, m->p->mappings, i);

		if (have->filename == a->filename && have->build_id == a->build_id &&
		    have->offset == a->offset && places_size(have) == places_size(a)) {
			*ret_id = (uint32_t)i + 1;
			return have;
		}
	}
	return NULL;
}

static int places_add_mapping(struct places *m, struct profile_mapping *a, uint64_t hash,
			      uint32_t *ret_id)
{
	uint64_t size = places_size(a), id;
	int r;

	if (size > 0 && !places_is_free(m, a->start, a->limit)) {
		r = places_find_place(m, a->start, size, &a->start);
		if (r < 0)
			return r;
		a->limit = a->start + size;
	}

	r = index_reserve(&m->index, &m->p->bytes);
	if (r == 0)
		r = places_insert_range(m, a->start, a->limit);
	if (r == 0)
		r = profile_add_mapping(m->p, a, &id);
	if (r < 0)
		return r;

	index_insert(&m->index, hash, (uint32_t)id - 1);
	*ret_id = (uint32_t)id;
	return 0;
}

int places_mapping(struct places *m, struct profile_mapping *a, uint32_t *ret_id)
{
	uint64_t hash = places_hash(m, a);
	struct profile_mapping *have = places_find_mapping(m, a, hash, ret_id);

	if (!have)
		return places_add_mapping(m, a, hash, ret_id);

	have->has_functions &= a->has_functions;
	have->has_filenames &= a->has_filenames;
	have->has_line_numbers &= a->has_line_numbers;
	have->has_inline_frames &= a->has_inline_frames;
	return 0;
}
