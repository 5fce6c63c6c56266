/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The tables behind struct profile, for the files of this room only. Ids and indices are kept in 32
 * bits: every table has fewer than 2^24 entries. Table i holds id i + 1; strings are the exception,
 * where the index is the position and entry 0 is "".
 *
 * A sample is a pair of a unified stack and a unified label set, so that the many samples that
 * differ only in one of them cost 8 bytes and their values.
 */

#include "profile.h"

#define PROFILE_MAX_POOL (1U << 28) /* entries of one pool: lines, stack entries, labels */

/* Hash → position, open addressing; the items stay in their own arrays. */
struct index {
	uint64_t *slots; /* high 32 bits of the hash, position + 1; 0 is free */
	uint32_t mask;
	uint32_t used;
};

/* A growing array of plain items; `max` is its named maximum. */
struct vec {
	void *items;
	uint32_t n, allocated, max, item_bytes;
};

struct model_string {
	const char *s;
	uint32_t size;
};

struct model_function {
	uint32_t name, system_name, filename;
	int64_t start_line;
};

struct model_line {
	int64_t line;
	uint32_t function;
	uint32_t column;
};

struct model_location {
	uint64_t address;
	uint32_t mapping;
	uint32_t first, n; /* in lines */
	uint32_t folded;
};

struct model_label {
	int64_t num;
	uint32_t key, str, num_unit, reserved;
};

/* A run of a pool: stack entries (location ids, leaf first) or labels (sorted). */
struct model_run {
	uint32_t first, n;
};

struct model_sample {
	uint32_t stack, labels; /* positions */
};

struct model_type {
	uint32_t type, unit;
};

struct arena_chunk;

struct profile {
	uint64_t seed; /* of the hashes: foreign names must not be able to choose their slots */
	uint64_t bytes;
	struct arena_chunk *chunks;

	struct vec strings, mappings, functions, locations, lines;
	struct vec stacks, stack_pool, label_sets, label_pool, samples, values, comments;
	struct index string_index, function_index, location_index, stack_index, label_index,
		sample_index;

	struct model_type types[PROFILE_MAX_TYPES];
	size_t n_types;
	struct model_type period_type;
	int64_t period, time_ns, duration_ns;
	uint32_t default_type, drop_frames, keep_frames;
};

#define MODEL_AT(type, vec, i) (((type *)(vec).items)[i])

static inline const struct model_string *model_string_at(const struct profile *p, uint32_t i)
{
	return &MODEL_AT(const struct model_string, p->strings, i);
}
static inline const struct model_function *model_function_at(const struct profile *p, uint32_t id)
{
	return &MODEL_AT(const struct model_function, p->functions, id - 1);
}
static inline const struct model_location *model_location_at(const struct profile *p, uint32_t id)
{
	return &MODEL_AT(const struct model_location, p->locations, id - 1);
}
static inline const struct profile_mapping *model_mapping_at(const struct profile *p, uint32_t id)
{
	return &MODEL_AT(const struct profile_mapping, p->mappings, id - 1);
}
static inline const struct model_line *model_lines_of(const struct profile *p,
						      const struct model_location *l)
{
	return &MODEL_AT(const struct model_line, p->lines, l->first);
}
static inline const struct model_run *model_stack_at(const struct profile *p, uint32_t i)
{
	return &MODEL_AT(const struct model_run, p->stacks, i);
}
static inline const uint32_t *model_stack_entries(const struct profile *p,
						  const struct model_run *s)
{
	return &MODEL_AT(const uint32_t, p->stack_pool, s->first);
}
static inline const struct model_run *model_labels_at(const struct profile *p, uint32_t i)
{
	return &MODEL_AT(const struct model_run, p->label_sets, i);
}
static inline const struct model_label *model_label_entries(const struct profile *p,
							    const struct model_run *s)
{
	return &MODEL_AT(const struct model_label, p->label_pool, s->first);
}
static inline const struct model_sample *model_sample_at(const struct profile *p, uint32_t i)
{
	return &MODEL_AT(const struct model_sample, p->samples, i);
}
static inline const int64_t *model_values_of(const struct profile *p, uint32_t sample)
{
	return &MODEL_AT(const int64_t, p->values, (size_t)sample * p->n_types);
}

/*
 * table.c. All return 0, -ENOMEM, or -ENOSPC when a maximum would be passed; *bytes is the memory
 * that the tables of one profile share, bounded by PROFILE_MAX_MEMORY.
 */
void vec_init(struct vec *v, uint32_t item_bytes, uint32_t max);
void vec_done(struct vec *v);
/* Room for n more items; v->n is not advanced. */
int vec_reserve(struct vec *v, uint32_t n, uint64_t *bytes);
int vec_append(struct vec *v, const void *items, uint32_t n, uint64_t *bytes);

/* A walk over the positions whose hash agrees (in 32 bits: the caller compares the items). */
struct index_walk {
	uint32_t slot, tag;
};
int64_t index_first(const struct index *x, uint64_t hash, struct index_walk *w); /* -1: none */
int64_t index_next(const struct index *x, struct index_walk *w);
/* Asks for the memory that index_first() is going to read. */
static inline void index_fetch(const struct index *x, uint64_t hash)
{
	if (x->slots)
		__builtin_prefetch(&x->slots[(uint32_t)(hash >> 32) & x->mask]);
}
/* Room for one more, so that an insert behind it cannot fail. */
int index_reserve(struct index *x, uint64_t *bytes);
int index_reserve_n(struct index *x, uint32_t n, uint64_t *bytes);
void index_insert(struct index *x, uint64_t hash, uint32_t position);
void index_reset(struct index *x); /* empty, keeps the memory */
void index_done(struct index *x);

/* size bytes that live as long as the profile, or NULL. */
void *arena_alloc(struct arena_chunk **chunks, size_t size, uint64_t *bytes);
void arena_done(struct arena_chunk **chunks);

/* profile.c: profile_string_n() for bytes that are valid UTF-8 or not: checked only when they are new. */
int model_string(struct profile *p, const char *s, size_t size, uint32_t *ret);

/* model.c: as the public functions, by index: every index and id must be one of p's. */
int model_function(struct profile *p, const struct model_function *f, uint32_t *ret_id);
int model_location(struct profile *p, const struct model_location *l,
		   const struct model_line *lines, uint32_t *ret_id);
int model_stack(struct profile *p, const uint32_t *locations, uint32_t n, uint32_t *ret);
/* The same in steps, for callers with many: ask for the memory of some before the first is needed. */
uint64_t model_hash_stack(const struct profile *p, const uint32_t *locations, uint32_t n);
void model_fetch_stack(const struct profile *p, uint64_t hash);
/* A stack of that hash, UINT32_MAX: none. */
uint32_t model_guess_stack(const struct profile *p, uint64_t hash);
int model_stack_hashed(struct profile *p, const uint32_t *locations, uint32_t n, uint64_t hash,
		       uint32_t *ret);
void model_fetch_sample(const struct profile *p, uint32_t stack, uint32_t labels);
/* Sorts labels in place. */
int model_labels(struct profile *p, struct model_label *labels, uint32_t n, uint32_t *ret);
int model_sample(struct profile *p, uint32_t stack, uint32_t labels, const int64_t *values);
int model_comment(struct profile *p, uint32_t comment);
/* The index of s, 0 where it is not in the table: then no label has it as its key. */
uint32_t model_find_string(const struct profile *p, const char *s);
