/* SPDX-License-Identifier: Apache-2.0 */
#include "idmap.h"

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

static uint64_t idmap_hash(uint64_t id, uint64_t seed)
{
	return XXH3_64bits_withSeed(&id, sizeof(id), seed);
}

void idmap_init(struct idmap *m, uint32_t max)
{
	*m = (struct idmap){};
	vec_init(&m->entries, sizeof(uint64_t), max);
}

void idmap_reset(struct idmap *m)
{
	m->n = m->entries.n = 0;
	index_reset(&m->index);
}

void idmap_done(struct idmap *m, uint64_t *bytes)
{
	*bytes -= (uint64_t)m->entries.allocated * m->entries.item_bytes;
	vec_done(&m->entries);
	if (m->index.slots)
		*bytes -= ((uint64_t)m->index.mask + 1) * sizeof(*m->index.slots);
	index_done(&m->index);
	m->n = 0;
}

int64_t idmap_find_slow(const struct idmap *m, uint64_t id, uint64_t seed)
{
	struct index_walk w;

	for (int64_t i = index_first(&m->index, idmap_hash(id, seed), &w); i >= 0;
	     i = index_next(&m->index, &w))
		if (MODEL_AT(const uint64_t, m->entries, i) == id)
			return i;
	return -1;
}

static int idmap_put(struct idmap *m, uint64_t id, uint64_t seed, uint64_t *bytes)
{
	int r = index_reserve(&m->index, bytes);

	if (r == 0)
		r = vec_append(&m->entries, &id, 1, bytes);
	if (r == 0)
		index_insert(&m->index, idmap_hash(id, seed), m->entries.n - 1);
	return r;
}

int idmap_add(struct idmap *m, uint64_t id, uint64_t seed, uint64_t *bytes)
{
	int r = 0;

	if (id == 0 || idmap_find(m, id, seed) >= 0)
		return -EBADMSG;
	if (m->n == m->entries.max)
		return -ENOSPC;

	if (m->entries.n > 0 || id != (uint64_t)m->n + 1) {
		/* from here on each id is kept, those that came in order too */
		for (uint64_t early = m->entries.n + 1; early <= m->n && r == 0; early++)
			r = idmap_put(m, early, seed, bytes);
		if (r == 0)
			r = idmap_put(m, id, seed, bytes);
	}
	if (r == 0)
		m->n++;
	return r;
}
