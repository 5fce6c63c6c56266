/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The ids of a file → positions of its rows, for lib/profile only. Writers nearly always count 1, 2, 3 in
 * the order of the table: then an id is its position and nothing is kept.
 */

#include "model.h"

struct idmap {
	struct index index; /* of entries, once there are any */
	struct vec entries; /* ids by position; none as long as ids are positions + 1 */
	uint32_t n;
};

void idmap_init(struct idmap *m, uint32_t max);
/* Keeps the memory. */
void idmap_reset(struct idmap *m);
void idmap_done(struct idmap *m, uint64_t *bytes);
/* The next row has this id; seed: of the hashes. -EBADMSG: id is 0 or taken. -ENOMEM, -ENOSPC. */
int idmap_add(struct idmap *m, uint64_t id, uint64_t seed, uint64_t *bytes);
/* -1: no such row. */
int64_t idmap_find_slow(const struct idmap *m, uint64_t id, uint64_t seed);

static inline int64_t idmap_find(const struct idmap *m, uint64_t id, uint64_t seed)
{
	if (m->entries.n > 0)
		return idmap_find_slow(m, id, seed);
	return id - 1 < m->n ? (int64_t)(id - 1) : -1;
}
