/* SPDX-License-Identifier: Apache-2.0 */
/* The containers of the model: arrays that grow, hash indices over them, and memory for strings. */
#include "model.h"

#include <string.h>

#define VEC_FIRST_BYTES   1024
#define INDEX_FIRST_SLOTS 64
#define ARENA_CHUNK_BYTES 65536
#define ARENA_FIRST_BYTES 4096

struct arena_chunk {
	struct arena_chunk *next;
	size_t used, size;
	char data[];
};

static int table_charge(uint64_t *bytes, uint64_t more)
{
	if (more > PROFILE_MAX_MEMORY || *bytes > PROFILE_MAX_MEMORY - more)
		return -ENOSPC;
	*bytes += more;
	return 0;
}

void vec_init(struct vec *v, uint32_t item_bytes, uint32_t max)
{
	*v = (struct vec){ .item_bytes = item_bytes, .max = max };
}

void vec_done(struct vec *v)
{
	free(v->items);
	vec_init(v, v->item_bytes, v->max);
}

int vec_reserve(struct vec *v, uint32_t n, uint64_t *bytes)
{
	uint64_t allocated;
	void *items;
	int r;

	if (n > v->max || v->n > v->max - n)
		return -ENOSPC;
	if (v->n + n <= v->allocated)
		return 0;

	allocated = MAX((uint64_t)v->allocated * 2, (uint64_t)VEC_FIRST_BYTES / v->item_bytes);
	allocated = MIN(MAX(allocated, (uint64_t)v->n + n), (uint64_t)v->max);

	r = table_charge(bytes, (allocated - v->allocated) * v->item_bytes);
	if (r < 0)
		return r;

	items = realloc(v->items, allocated * v->item_bytes);
	if (!items) {
		*bytes -= (allocated - v->allocated) * v->item_bytes;
		return -ENOMEM;
	}

	v->items = items;
	v->allocated = (uint32_t)allocated;
	return 0;
}

int vec_append(struct vec *v, const void *items, uint32_t n, uint64_t *bytes)
{
	int r = vec_reserve(v, n, bytes);

	if (r < 0)
		return r;

	if (n > 0)
		memcpy((char *)v->items + (size_t)v->n * v->item_bytes, items,
		       (size_t)n * v->item_bytes);
	v->n += n;
	return 0;
}

static int64_t index_probe(const struct index *x, struct index_walk *w)
{
	for (;; w->slot = (w->slot + 1) & x->mask) {
		uint64_t e = x->slots[w->slot];

		if (e == 0)
			return -1;
		if (e >> 32 == w->tag)
			return (int64_t)(uint32_t)e - 1;
	}
}

int64_t index_first(const struct index *x, uint64_t hash, struct index_walk *w)
{
	if (!x->slots)
		return -1;
	*w = (struct index_walk){ .slot = (uint32_t)(hash >> 32) & x->mask,
				  .tag = (uint32_t)(hash >> 32) };
	return index_probe(x, w);
}

int64_t index_next(const struct index *x, struct index_walk *w)
{
	w->slot = (w->slot + 1) & x->mask;
	return index_probe(x, w);
}

static void index_put(uint64_t *slots, uint32_t mask, uint64_t entry)
{
	uint32_t slot = (uint32_t)(entry >> 32) & mask;

	while (slots[slot])
		slot = (slot + 1) & mask;
	slots[slot] = entry;
}

/* Three quarters full at most, so that probes stay short. */
int index_reserve_n(struct index *x, uint32_t n_more, uint64_t *bytes)
{
	uint64_t n = x->slots ? (uint64_t)x->mask + 1 : 0, more = n ? n : INDEX_FIRST_SLOTS;
	uint64_t *slots;
	int r;

	while ((uint64_t)x->used + n_more > more - more / 4)
		more *= 2;
	if (more == n)
		return 0;

	r = table_charge(bytes, (more - n) * sizeof(*slots));
	if (r < 0)
		return r;

	slots = calloc(more, sizeof(*slots));
	if (!slots) {
		*bytes -= (more - n) * sizeof(*slots);
		return -ENOMEM;
	}

	for (uint64_t i = 0; i < n; i++)
		if (x->slots[i])
			index_put(slots, (uint32_t)(more - 1), x->slots[i]);
	free(x->slots);
	x->slots = slots;
	x->mask = (uint32_t)(more - 1);
	return 0;
}

int index_reserve(struct index *x, uint64_t *bytes)
{
	if (x->slots && (uint64_t)x->used + 1 <= ((uint64_t)x->mask + 1) / 4 * 3)
		return 0;
	return index_reserve_n(x, 1, bytes);
}

void index_reset(struct index *x)
{
	if (x->used > 0)
		memset(x->slots, 0, ((size_t)x->mask + 1) * sizeof(*x->slots));
	x->used = 0;
}

void index_insert(struct index *x, uint64_t hash, uint32_t position)
{
	index_put(x->slots, x->mask, (hash >> 32) << 32 | (position + 1));
	x->used++;
}

void index_done(struct index *x)
{
	free(x->slots);
	*x = (struct index){};
}

void *arena_alloc(struct arena_chunk **chunks, size_t size, uint64_t *bytes)
{
	struct arena_chunk *c = *chunks;
	size_t chunk_size;
	void *p;

	if (!c || c->size - c->used < size) {
		chunk_size = MAX(size, (size_t)(c ? ARENA_CHUNK_BYTES : ARENA_FIRST_BYTES));
		if (table_charge(bytes, chunk_size) < 0)
			return NULL;
		c = malloc(sizeof(*c) + chunk_size);
		if (!c) {
			*bytes -= chunk_size;
			return NULL;
		}
		*c = (struct arena_chunk){ .next = *chunks, .size = chunk_size };
		*chunks = c;
	}

	p = c->data + c->used;
	c->used += size;
	return p;
}

void arena_done(struct arena_chunk **chunks)
{
	while (*chunks) {
		struct arena_chunk *c = *chunks;

		*chunks = c->next;
		free(c);
	}
}
