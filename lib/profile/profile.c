/* SPDX-License-Identifier: Apache-2.0 */
/* The public face of the model: its life, its strings, its header fields and its counts. */
#include "model.h"

#include <string.h>
#include <sys/random.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "text.h"

DEFINE_CLEANUP(struct profile *, profile_free);

/* Where no randomness is to be had (a sandbox without the call), the address of the profile will do. */
static uint64_t profile_seed(const struct profile *p)
{
	uint64_t seed;

	if (getrandom(&seed, sizeof(seed), GRND_NONBLOCK) != sizeof(seed))
		seed = (uintptr_t)p * 0x9e3779b97f4a7c15ULL;
	return seed;
}

static void profile_init_tables(struct profile *p)
{
	vec_init(&p->strings, sizeof(struct model_string), PROFILE_MAX_STRINGS);
	vec_init(&p->mappings, sizeof(struct profile_mapping), PROFILE_MAX_MAPPINGS);
	vec_init(&p->functions, sizeof(struct model_function), PROFILE_MAX_STRINGS);
	vec_init(&p->locations, sizeof(struct model_location), PROFILE_MAX_STRINGS);
	vec_init(&p->lines, sizeof(struct model_line), PROFILE_MAX_POOL);
	vec_init(&p->stacks, sizeof(struct model_run), PROFILE_MAX_SAMPLES);
	vec_init(&p->stack_pool, sizeof(uint32_t), PROFILE_MAX_POOL);
	vec_init(&p->label_sets, sizeof(struct model_run), PROFILE_MAX_SAMPLES);
	vec_init(&p->label_pool, sizeof(struct model_label), PROFILE_MAX_POOL);
	vec_init(&p->samples, sizeof(struct model_sample), PROFILE_MAX_SAMPLES);
	vec_init(&p->values, sizeof(int64_t), PROFILE_MAX_SAMPLES * PROFILE_MAX_TYPES);
	vec_init(&p->comments, sizeof(uint32_t), PROFILE_MAX_COMMENTS);
}

int profile_new(struct profile **ret, const struct profile_value_type *types, size_t n_types)
{
	_cleanup_(profile_freep) struct profile *p = NULL;
	uint64_t type, unit;
	int r;

	if (n_types > PROFILE_MAX_TYPES)
		return -ENOSPC;

	p = calloc(1, sizeof(*p));
	if (!p)
		return -ENOMEM;
	p->seed = profile_seed(p);
	p->bytes = sizeof(*p);
	profile_init_tables(p);

	r = profile_string(p, "", &type);
	if (r < 0)
		return r;

	for (size_t i = 0; i < n_types; i++) {
		r = profile_string(p, types[i].type, &type);
		if (r == 0)
			r = profile_string(p, types[i].unit, &unit);
		if (r < 0)
			return r;
		p->types[p->n_types++] = (struct model_type){ (uint32_t)type, (uint32_t)unit };
	}

	*ret = TAKE_PTR(p);
	return 0;
}

struct profile *profile_free(struct profile *p)
{
	if (!p)
		return NULL;

	vec_done(&p->strings);
	vec_done(&p->mappings);
	vec_done(&p->functions);
	vec_done(&p->locations);
	vec_done(&p->lines);
	vec_done(&p->stacks);
	vec_done(&p->stack_pool);
	vec_done(&p->label_sets);
	vec_done(&p->label_pool);
	vec_done(&p->samples);
	vec_done(&p->values);
	vec_done(&p->comments);
	index_done(&p->string_index);
	index_done(&p->function_index);
	index_done(&p->location_index);
	index_done(&p->stack_index);
	index_done(&p->label_index);
	index_done(&p->sample_index);
	arena_done(&p->chunks);
	free(p);
	return NULL;
}

static int64_t profile_find_string(const struct profile *p, const char *s, size_t size,
				   uint64_t hash)
{
	struct index_walk w;

	for (int64_t i = index_first(&p->string_index, hash, &w); i >= 0;
	     i = index_next(&p->string_index, &w)) {
		const struct model_string *have = model_string_at(p, (uint32_t)i);

		if (have->size == size && memcmp(have->s, s, size) == 0)
			return i;
	}
	return -1;
}

/* s is valid UTF-8 and not there yet. */
static int profile_intern(struct profile *p, const char *s, size_t size, uint64_t hash,
			  uint32_t *ret)
{
	char *copy;
	int r;

	r = vec_reserve(&p->strings, 1, &p->bytes);
	if (r == 0)
		r = index_reserve(&p->string_index, &p->bytes);
	if (r < 0)
		return r;

	copy = arena_alloc(&p->chunks, size + 1, &p->bytes);
	if (!copy)
		return -ENOMEM;
	memcpy(copy, s, size);
	copy[size] = '\0';

	*ret = p->strings.n;
	index_insert(&p->string_index, hash, p->strings.n);
	MODEL_AT(struct model_string, p->strings,
		 p->strings.n++) = (struct model_string){ .s = copy, .size = (uint32_t)size };
	return 0;
}

int model_string(struct profile *p, const char *s, size_t size, uint32_t *ret)
{
	_cleanup_(buf_done) struct buf clean = BUF_INIT((size_t)PROFILE_MAX_STRING * 3);
	uint64_t hash;
	int64_t found;
	int r;

	if (size > PROFILE_MAX_STRING)
		return -ENOSPC;

	hash = XXH3_64bits_withSeed(s, size, p->seed);
	found = profile_find_string(p, s, size, hash);
	if (found >= 0) {
		*ret = (uint32_t)found;
		return 0;
	}
	if (text_is_utf8(s, size))
		return profile_intern(p, s, size, hash, ret);

	r = text_append_utf8(&clean, s, size);
	return r < 0 ? r : model_string(p, clean.data, clean.size, ret);
}

int profile_string_n(struct profile *p, const char *s, size_t size, uint64_t *ret_index)
{
	uint32_t index = 0;
	int r = model_string(p, s, size, &index);

	if (r < 0)
		return r;
	*ret_index = index;
	return 0;
}

int profile_string(struct profile *p, const char *s, uint64_t *ret_index)
{
	return profile_string_n(p, s, strlen(s), ret_index);
}

const char *profile_get_string(const struct profile *p, uint64_t index)
{
	return index < p->strings.n ? model_string_at(p, (uint32_t)index)->s : "";
}

int profile_set_period(struct profile *p, const char *type, const char *unit, int64_t period)
{
	uint64_t t, u;
	int r = profile_string(p, type, &t);

	if (r == 0)
		r = profile_string(p, unit, &u);
	if (r < 0)
		return r;

	p->period_type = (struct model_type){ (uint32_t)t, (uint32_t)u };
	p->period = period;
	return 0;
}

void profile_set_time(struct profile *p, int64_t time_ns, int64_t duration_ns)
{
	p->time_ns = time_ns;
	p->duration_ns = duration_ns;
}

int profile_set_default_type(struct profile *p, const char *type)
{
	uint64_t t;
	int r = profile_string(p, type, &t);

	if (r < 0)
		return r;
	p->default_type = (uint32_t)t;
	return 0;
}

int profile_add_comment(struct profile *p, const char *comment)
{
	uint64_t s;
	int r = profile_string(p, comment, &s);

	return r < 0 ? r : model_comment(p, (uint32_t)s);
}

size_t profile_n_samples(const struct profile *p)
{
	return p->samples.n;
}

size_t profile_n_mappings(const struct profile *p)
{
	return p->mappings.n;
}

size_t profile_n_locations(const struct profile *p)
{
	return p->locations.n;
}

size_t profile_n_functions(const struct profile *p)
{
	return p->functions.n;
}

size_t profile_n_types(const struct profile *p)
{
	return p->n_types;
}

size_t profile_bytes(const struct profile *p)
{
	return p->bytes;
}

int profile_copy_header(struct profile *p, const struct profile *from)
{
	int r = 0;

	if (from->period_type.type)
		r = profile_set_period(p, profile_get_string(from, from->period_type.type),
				       profile_get_string(from, from->period_type.unit),
				       from->period);
	if (r == 0 && from->default_type)
		r = profile_set_default_type(p, profile_get_string(from, from->default_type));
	profile_set_time(p, from->time_ns, from->duration_ns);
	for (size_t i = 0; r == 0 && i < profile_n_comments(from); i++)
		r = profile_add_comment(p, profile_get_comment(from, i));
	return r;
}
