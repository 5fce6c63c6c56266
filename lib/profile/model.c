/* SPDX-License-Identifier: Apache-2.0 */
/* What is unified as it is added: functions, locations, stacks, label sets and samples. */
#include "model.h"

#include <string.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

static uint64_t model_hash(const struct profile *p, const void *data, size_t size)
{
	return XXH3_64bits_withSeed(data, size, p->seed);
}

int model_function(struct profile *p, const struct model_function *f, uint32_t *ret_id)
{
	uint64_t key[] = { (uint64_t)f->name << 32 | f->system_name, f->filename,
			   (uint64_t)f->start_line };
	uint64_t hash = model_hash(p, key, sizeof(key));
	struct index_walk w;
	int r;

	for (int64_t i = index_first(&p->function_index, hash, &w); i >= 0;
	     i = index_next(&p->function_index, &w)) {
		const struct model_function *have = model_function_at(p, (uint32_t)i + 1);

		if (have->name == f->name && have->system_name == f->system_name &&
		    have->filename == f->filename && have->start_line == f->start_line) {
			*ret_id = (uint32_t)i + 1;
			return 0;
		}
	}

	r = index_reserve(&p->function_index, &p->bytes);
	if (r == 0)
		r = vec_append(&p->functions, f, 1, &p->bytes);
	if (r < 0)
		return r;

	index_insert(&p->function_index, hash, p->functions.n - 1);
	*ret_id = p->functions.n;
	return 0;
}

static bool model_same_location(const struct profile *p, const struct model_location *a,
				const struct model_location *b, const struct model_line *lines)
{
	return a->address == b->address && a->mapping == b->mapping && a->n == b->n &&
	       a->folded == b->folded &&
	       (a->n == 0 || memcmp(model_lines_of(p, a), lines, a->n * sizeof(*lines)) == 0);
}

int model_location(struct profile *p, const struct model_location *l,
		   const struct model_line *lines, uint32_t *ret_id)
{
	uint64_t key[] = { l->address, (uint64_t)l->mapping << 32 | l->folded << 16 | l->n };
	uint64_t hash = model_hash(p, key, sizeof(key)) ^
			(l->n ? model_hash(p, lines, l->n * sizeof(*lines)) : 0);
	struct model_location copy = *l;
	struct index_walk w;
	int r;

	for (int64_t i = index_first(&p->location_index, hash, &w); i >= 0;
	     i = index_next(&p->location_index, &w))
		if (model_same_location(p, model_location_at(p, (uint32_t)i + 1), l, lines)) {
			*ret_id = (uint32_t)i + 1;
			return 0;
		}

	r = index_reserve(&p->location_index, &p->bytes);
	if (r == 0)
		r = vec_reserve(&p->locations, 1, &p->bytes);
	if (r == 0)
		r = vec_append(&p->lines, lines, l->n, &p->bytes);
	if (r < 0)
		return r;

	copy.first = p->lines.n - l->n;
	vec_append(&p->locations, &copy, 1, &p->bytes);
	index_insert(&p->location_index, hash, p->locations.n - 1);
	*ret_id = p->locations.n;
	return 0;
}

static uint64_t model_hash_run(const struct profile *p, const void *items, size_t size)
{
	return size ? model_hash(p, items, size) : p->seed;
}

/* A run of n items of pool, unified among runs. */
static int model_run(struct profile *p, struct vec *runs, struct vec *pool, struct index *x,
		     const void *items, uint32_t n, uint64_t hash, uint32_t *ret)
{
	size_t size = (size_t)n * pool->item_bytes;
	struct model_run run = { .first = pool->n, .n = n };
	struct index_walk w;
	int r;

	for (int64_t i = index_first(x, hash, &w); i >= 0; i = index_next(x, &w)) {
		const struct model_run *have = &MODEL_AT(const struct model_run, *runs, i);

		if (have->n == n &&
		    (n == 0 || memcmp((char *)pool->items + (size_t)have->first * pool->item_bytes,
				      items, size) == 0)) {
			*ret = (uint32_t)i;
			return 0;
		}
	}

	r = index_reserve(x, &p->bytes);
	if (r == 0)
		r = vec_reserve(runs, 1, &p->bytes);
	if (r == 0)
		r = vec_append(pool, items, n, &p->bytes);
	if (r < 0)
		return r;

	vec_append(runs, &run, 1, &p->bytes);
	index_insert(x, hash, runs->n - 1);
	*ret = runs->n - 1;
	return 0;
}

uint64_t model_hash_stack(const struct profile *p, const uint32_t *locations, uint32_t n)
{
	return model_hash_run(p, locations, n * sizeof(*locations));
}

int model_stack_hashed(struct profile *p, const uint32_t *locations, uint32_t n, uint64_t hash,
		       uint32_t *ret)
{
	return model_run(p, &p->stacks, &p->stack_pool, &p->stack_index, locations, n, hash, ret);
}

int model_stack(struct profile *p, const uint32_t *locations, uint32_t n, uint32_t *ret)
{
	return model_stack_hashed(p, locations, n, model_hash_stack(p, locations, n), ret);
}

void model_fetch_stack(const struct profile *p, uint64_t hash)
{
	index_fetch(&p->stack_index, hash);
}

uint32_t model_guess_stack(const struct profile *p, uint64_t hash)
{
	struct index_walk w;
	int64_t i = index_first(&p->stack_index, hash, &w);

	return i < 0 ? UINT32_MAX : (uint32_t)i;
}

static int model_compare_labels(const struct model_label *a, const struct model_label *b)
{
	if (a->key != b->key)
		return a->key < b->key ? -1 : 1;
	if (a->str != b->str)
		return a->str < b->str ? -1 : 1;
	if (a->num != b->num)
		return a->num < b->num ? -1 : 1;
	return a->num_unit < b->num_unit ? -1 : a->num_unit > b->num_unit;
}

int model_labels(struct profile *p, struct model_label *labels, uint32_t n, uint32_t *ret)
{
	/* a handful, nearly always in order */
	for (uint32_t i = 1; i < n; i++)
		for (uint32_t j = i; j > 0 && model_compare_labels(&labels[j - 1], &labels[j]) > 0;
		     j--) {
			struct model_label swap = labels[j];

			labels[j] = labels[j - 1];
			labels[j - 1] = swap;
		}

	return model_run(p, &p->label_sets, &p->label_pool, &p->label_index, labels, n,
			 model_hash_run(p, labels, n * sizeof(*labels)), ret);
}

/* A sum that stops at the ends of the range: a wrapped count would be a lie of the other sign. */
static int64_t model_add(int64_t a, int64_t b)
{
	int64_t sum;

	if (!__builtin_add_overflow(a, b, &sum))
		return sum;
	return a > 0 ? INT64_MAX : INT64_MIN;
}

static uint64_t model_hash_sample(const struct profile *p, const struct model_sample *s)
{
	return model_hash(p, s, sizeof(*s));
}

void model_fetch_sample(const struct profile *p, uint32_t stack, uint32_t labels)
{
	struct model_sample s = { .stack = stack, .labels = labels };

	index_fetch(&p->sample_index, model_hash_sample(p, &s));
}

int model_sample(struct profile *p, uint32_t stack, uint32_t labels, const int64_t *values)
{
	struct model_sample s = { .stack = stack, .labels = labels };
	uint64_t hash = model_hash_sample(p, &s);
	struct index_walk w;
	int r;

	for (int64_t i = index_first(&p->sample_index, hash, &w); i >= 0;
	     i = index_next(&p->sample_index, &w)) {
		const struct model_sample *have = model_sample_at(p, (uint32_t)i);
		int64_t *sum = &MODEL_AT(int64_t, p->values, (size_t)i * p->n_types);

		if (have->stack != stack || have->labels != labels)
			continue;
		for (size_t j = 0; j < p->n_types; j++)
			sum[j] = model_add(sum[j], values[j]);
		return 0;
	}

	r = index_reserve(&p->sample_index, &p->bytes);
	if (r == 0)
		r = vec_reserve(&p->samples, 1, &p->bytes);
	if (r == 0)
		r = vec_append(&p->values, values, (uint32_t)p->n_types, &p->bytes);
	if (r < 0)
		return r;

	vec_append(&p->samples, &s, 1, &p->bytes);
	index_insert(&p->sample_index, hash, p->samples.n - 1);
	return 0;
}

int model_comment(struct profile *p, uint32_t comment)
{
	for (uint32_t i = 0; i < p->comments.n; i++)
		if (MODEL_AT(uint32_t, p->comments, i) == comment)
			return 0;
	return vec_append(&p->comments, &comment, 1, &p->bytes);
}

uint32_t model_find_string(const struct profile *p, const char *s)
{
	for (uint32_t i = 1; i < p->strings.n; i++)
		if (strcmp(model_string_at(p, i)->s, s) == 0)
			return i;
	return 0;
}

int profile_add_mapping(struct profile *p, const struct profile_mapping *m, uint64_t *ret_id)
{
	int r;

	if (m->filename >= p->strings.n || m->build_id >= p->strings.n)
		return -EINVAL;

	r = vec_append(&p->mappings, m, 1, &p->bytes);
	if (r < 0)
		return r;
	*ret_id = p->mappings.n;
	return 0;
}

struct profile_mapping *profile_get_mapping(struct profile *p, uint64_t id)
{
	if (id == 0 || id > p->mappings.n)
		return NULL;
	return &MODEL_AT(struct profile_mapping, p->mappings, id - 1);
}

int profile_add_function(struct profile *p, const char *name, const char *system_name,
			 const char *filename, int64_t start_line, uint64_t *ret_id)
{
	struct model_function f = { .start_line = start_line };
	uint64_t s[3];
	uint32_t id;
	int r = profile_string(p, name, &s[0]);

	if (r == 0)
		r = profile_string(p, system_name, &s[1]);
	if (r == 0)
		r = profile_string(p, filename, &s[2]);
	if (r < 0)
		return r;

	f.name = (uint32_t)s[0];
	f.system_name = (uint32_t)s[1];
	f.filename = (uint32_t)s[2];
	r = model_function(p, &f, &id);
	if (r < 0)
		return r;
	*ret_id = id;
	return 0;
}

int profile_add_location(struct profile *p, uint64_t mapping, uint64_t address,
			 const struct profile_line *lines, size_t n_lines, uint64_t *ret_id)
{
	struct model_location l = { .address = address, .n = (uint32_t)n_lines };
	struct model_line own[PROFILE_MAX_LINES];
	uint32_t id;
	int r;

	if (n_lines > PROFILE_MAX_LINES)
		return -ENOSPC;
	if (mapping > p->mappings.n)
		return -EINVAL;
	l.mapping = (uint32_t)mapping;

	for (size_t i = 0; i < n_lines; i++) {
		if (lines[i].function == 0 || lines[i].function > p->functions.n)
			return -EINVAL;
		own[i] = (struct model_line){
			.line = lines[i].line,
			.function = (uint32_t)lines[i].function,
			.column = (uint32_t)MAX(0, MIN(lines[i].column, (int64_t)UINT32_MAX))
		};
	}

	r = model_location(p, &l, own, &id);
	if (r < 0)
		return r;
	*ret_id = id;
	return 0;
}

int profile_add_sample(struct profile *p, const uint64_t *locations, size_t n_locations,
		       const int64_t *values, const struct profile_label *labels, size_t n_labels)
{
	struct model_label own_labels[PROFILE_MAX_LABELS];
	uint32_t own[PROFILE_MAX_DEPTH], stack, set;
	int r;

	if (n_locations > PROFILE_MAX_DEPTH || n_labels > PROFILE_MAX_LABELS)
		return -ENOSPC;

	for (size_t i = 0; i < n_locations; i++) {
		if (locations[i] == 0 || locations[i] > p->locations.n)
			return -EINVAL;
		own[i] = (uint32_t)locations[i];
	}
	for (size_t i = 0; i < n_labels; i++) {
		const struct profile_label *l = &labels[i];

		if (l->key >= p->strings.n || l->str >= p->strings.n || l->num_unit >= p->strings.n)
			return -EINVAL;
		own_labels[i] = (struct model_label){ .num = l->num,
						      .key = (uint32_t)l->key,
						      .str = (uint32_t)l->str,
						      .num_unit = (uint32_t)l->num_unit };
	}

	r = model_stack(p, own, (uint32_t)n_locations, &stack);
	if (r == 0)
		r = model_labels(p, own_labels, (uint32_t)n_labels, &set);
	return r < 0 ? r : model_sample(p, stack, set, values);
}
