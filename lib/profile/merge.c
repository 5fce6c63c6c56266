/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Adding one profile to another. Each row of src is translated once: strings, functions, mappings,
 * locations, stacks and label sets have a table of their new positions, so that a sample costs two
 * look-ups and one addition.
 */
#include "filter_labels.h"
#include "model.h"
#include "places.h"

#include <string.h>

/* Instead of a label set's position: the filter does not want it. */
#define MERGE_UNWANTED UINT32_MAX

struct merge {
	struct profile *dst;
	const struct profile *src;
	int64_t sign;
	/* src position → dst position + 1, or id; 0 not yet */
	uint32_t *strings, *functions, *mappings, *locations, *stacks, *labels;
	struct places places;
	const struct profile_filter *filter; /* NULL: everything */
	struct model_line *lines;
	uint32_t *scratch;
	uint64_t n_passed;
};

static int merge_alloc(struct merge *m)
{
	struct {
		uint32_t **table;
		uint32_t n;
	} all[] = {
		{ &m->strings, m->src->strings.n },   { &m->functions, m->src->functions.n },
		{ &m->mappings, m->src->mappings.n }, { &m->locations, m->src->locations.n },
		{ &m->stacks, m->src->stacks.n },     { &m->labels, m->src->label_sets.n },
	};

	for (size_t i = 0; i < ARRAY_SIZE(all); i++) {
		*all[i].table = calloc((size_t)all[i].n + 1, sizeof(uint32_t));
		if (!*all[i].table)
			return -ENOMEM;
	}
	m->lines = calloc(PROFILE_MAX_LINES, sizeof(*m->lines));
	m->scratch = calloc(PROFILE_MAX_DEPTH, sizeof(*m->scratch));
	return m->lines && m->scratch ? 0 : -ENOMEM;
}

static void merge_done(struct merge *m)
{
	free(m->strings);
	free(m->functions);
	free(m->mappings);
	free(m->locations);
	free(m->stacks);
	free(m->labels);
	free(m->lines);
	free(m->scratch);
	places_done(&m->places);
}

static int merge_string(struct merge *m, uint32_t s, uint32_t *ret)
{
	uint64_t index;
	int r;

	if (!m->strings[s]) {
		const struct model_string *from = model_string_at(m->src, s);

		r = profile_string_n(m->dst, from->s, from->size, &index);
		if (r < 0)
			return r;
		m->strings[s] = (uint32_t)index + 1;
	}
	*ret = m->strings[s] - 1;
	return 0;
}

static int merge_mapping(struct merge *m, uint32_t src_id, uint32_t *ret)
{
	struct profile_mapping a = *model_mapping_at(m->src, src_id);
	uint32_t filename, build_id;
	int r;

	if (!m->mappings[src_id - 1]) {
		r = merge_string(m, (uint32_t)a.filename, &filename);
		if (r == 0)
			r = merge_string(m, (uint32_t)a.build_id, &build_id);
		if (r < 0)
			return r;
		a.filename = filename;
		a.build_id = build_id;
		r = places_mapping(&m->places, &a, &m->mappings[src_id - 1]);
		if (r < 0)
			return r;
	}
	*ret = m->mappings[src_id - 1];
	return 0;
}

static int merge_function(struct merge *m, uint32_t src_id, uint32_t *ret)
{
	struct model_function f = *model_function_at(m->src, src_id);
	int r;

	if (!m->functions[src_id - 1]) {
		r = merge_string(m, f.name, &f.name);
		if (r == 0)
			r = merge_string(m, f.system_name, &f.system_name);
		if (r == 0)
			r = merge_string(m, f.filename, &f.filename);
		if (r == 0)
			r = model_function(m->dst, &f, &m->functions[src_id - 1]);
		if (r < 0)
			return r;
	}
	*ret = m->functions[src_id - 1];
	return 0;
}

static int merge_location(struct merge *m, uint32_t src_id)
{
	struct model_location l = *model_location_at(m->src, src_id);
	uint32_t to;
	int r;

	for (uint32_t i = 0; i < l.n; i++) {
		m->lines[i] = model_lines_of(m->src, &l)[i];
		r = merge_function(m, m->lines[i].function, &m->lines[i].function);
		if (r < 0)
			return r;
	}
	if (l.mapping) {
		r = merge_mapping(m, l.mapping, &to);
		if (r < 0)
			return r;
		l.address += model_mapping_at(m->dst, to)->start -
			     model_mapping_at(m->src, l.mapping)->start;
		l.mapping = to;
	}
	return model_location(m->dst, &l, m->lines, &m->locations[src_id - 1]);
}

static int merge_stack(struct merge *m, uint32_t stack)
{
	const struct model_run *run = model_stack_at(m->src, stack);
	uint32_t to;
	int r;

	for (uint32_t i = 0; i < run->n; i++) {
		uint32_t location = model_stack_entries(m->src, run)[i];

		r = m->locations[location - 1] ? 0 : merge_location(m, location);
		if (r < 0)
			return r;
		m->scratch[i] = m->locations[location - 1];
	}
	r = model_stack(m->dst, m->scratch, run->n, &to);
	if (r < 0)
		return r;
	m->stacks[stack] = to + 1;
	return 0;
}

static bool merge_wants(const struct merge *m, const struct model_run *set)
{
	struct filter_labels labels = {};

	for (uint32_t i = 0; i < set->n; i++) {
		const struct model_label *l = &model_label_entries(m->src, set)[i];
		const struct model_string *key = model_string_at(m->src, l->key),
					  *str = model_string_at(m->src, l->str);

		filter_label(&labels, (struct filter_text){ key->s, key->size },
			     (struct filter_text){ str->s, str->size }, l->num);
	}
	return filter_wants(m->filter, &labels);
}

/* labels: room for one more than PROFILE_MAX_LABELS */
static int merge_add_base(struct merge *m, struct model_label *labels, uint32_t *n)
{
	uint64_t key, value;
	int r = profile_string(m->dst, PROFILE_BASE_KEY, &key);

	if (r == 0)
		r = profile_string(m->dst, PROFILE_BASE_VALUE, &value);
	if (r < 0)
		return r;
	if (*n == PROFILE_MAX_LABELS)
		return -ENOSPC;
	labels[(*n)++] = (struct model_label){ .key = (uint32_t)key, .str = (uint32_t)value };
	return 0;
}

static int merge_label_set(struct merge *m, uint32_t set)
{
	const struct model_run *run = model_labels_at(m->src, set);
	struct model_label labels[PROFILE_MAX_LABELS];
	uint32_t to, n = run->n;
	int r = 0;

	if (m->filter && !merge_wants(m, run)) {
		m->labels[set] = MERGE_UNWANTED;
		return 0;
	}

	for (uint32_t i = 0; i < run->n && r == 0; i++) {
		labels[i] = model_label_entries(m->src, run)[i];
		r = merge_string(m, labels[i].key, &labels[i].key);
		if (r == 0)
			r = merge_string(m, labels[i].str, &labels[i].str);
		if (r == 0)
			r = merge_string(m, labels[i].num_unit, &labels[i].num_unit);
	}
	if (r == 0 && m->filter && m->filter->base)
		r = merge_add_base(m, labels, &n);
	if (r == 0)
		r = model_labels(m->dst, labels, n, &to);
	if (r < 0)
		return r;
	m->labels[set] = to + 1;
	return 0;
}

static int merge_sample(struct merge *m, uint32_t i)
{
	const struct model_sample *s = model_sample_at(m->src, i);
	const int64_t *from = model_values_of(m->src, i);
	int64_t values[PROFILE_MAX_TYPES];
	int r = m->labels[s->labels] ? 0 : merge_label_set(m, s->labels);

	if (r == 0 && m->labels[s->labels] == MERGE_UNWANTED)
		return 0;
	if (r == 0 && !m->stacks[s->stack])
		r = merge_stack(m, s->stack);
	if (r < 0)
		return r;

	for (size_t j = 0; j < m->src->n_types; j++)
		values[j] = m->sign > 0 ? from[j] : from[j] == INT64_MIN ? INT64_MAX : -from[j];
	m->n_passed++;
	return model_sample(m->dst, m->stacks[s->stack] - 1, m->labels[s->labels] - 1, values);
}

/* The mapping that heads a profile which has none yet. */
static int merge_first_mapping(struct merge *m)
{
	const char *wanted = m->filter ? m->filter->first_mapping : NULL;
	uint32_t first = 1, to;

	if (m->dst->mappings.n > 0 || m->src->mappings.n == 0)
		return 0;
	for (uint32_t id = 1; wanted && id <= m->src->mappings.n; id++) {
		const struct profile_mapping *a = model_mapping_at(m->src, id);

		if (strcmp(model_string_at(m->src, (uint32_t)a->filename)->s, wanted) == 0) {
			first = id;
			break;
		}
	}
	return merge_mapping(m, first, &to);
}

/* All rows, whether samples need them or not. */
static int merge_all_rows(struct merge *m)
{
	uint32_t to;
	int r = 0;

	for (uint32_t id = 1; id <= m->src->mappings.n && r == 0; id++)
		r = merge_mapping(m, id, &to);
	for (uint32_t id = 1; id <= m->src->functions.n && r == 0; id++)
		r = merge_function(m, id, &to);
	for (uint32_t id = 1; id <= m->src->locations.n && r == 0; id++)
		r = merge_location(m, id);
	return r;
}

static int merge_tables(struct merge *m)
{
	int r = merge_alloc(m);

	if (r == 0)
		r = places_init(&m->places, m->dst);
	if (r == 0)
		r = merge_first_mapping(m);
	if (r == 0 && (!m->filter || !filter_is_selective(m->filter)))
		r = merge_all_rows(m);
	for (uint32_t i = 0; i < m->src->samples.n && r == 0; i++)
		r = merge_sample(m, i);
	return r;
}

static int merge_header(struct merge *m)
{
	struct profile *dst = m->dst;
	const struct profile *src = m->src;
	uint32_t s;
	int r;

	for (uint32_t i = 0; i < src->comments.n; i++) {
		r = merge_string(m, MODEL_AT(const uint32_t, src->comments, i), &s);
		if (r == 0)
			r = model_comment(dst, s);
		if (r < 0)
			return r;
	}
	if (!dst->period_type.type &&
	    (r = merge_string(m, src->period_type.type, &dst->period_type.type)) < 0)
		return r;
	if (!dst->period_type.unit &&
	    (r = merge_string(m, src->period_type.unit, &dst->period_type.unit)) < 0)
		return r;
	if (!dst->default_type && (r = merge_string(m, src->default_type, &dst->default_type)) < 0)
		return r;

	dst->period = MAX(dst->period, src->period);
	if (m->sign < 0)
		return 0;
	if (src->time_ns && (!dst->time_ns || src->time_ns < dst->time_ns))
		dst->time_ns = src->time_ns;
	if (__builtin_add_overflow(dst->duration_ns, src->duration_ns, &dst->duration_ns))
		dst->duration_ns = INT64_MAX;
	return 0;
}

static bool merge_same_type(const struct profile *a, const struct model_type *x,
			    const struct profile *b, const struct model_type *y)
{
	return strcmp(model_string_at(a, x->type)->s, model_string_at(b, y->type)->s) == 0 &&
	       strcmp(model_string_at(a, x->unit)->s, model_string_at(b, y->unit)->s) == 0;
}

static bool merge_is_compatible(const struct profile *dst, const struct profile *src)
{
	if (dst->n_types != src->n_types)
		return false;
	for (size_t i = 0; i < dst->n_types; i++)
		if (!merge_same_type(dst, &dst->types[i], src, &src->types[i]))
			return false;
	return !dst->period_type.type || !src->period_type.type ||
	       merge_same_type(dst, &dst->period_type, src, &src->period_type);
}

static int merge_run(struct profile *dst, const struct profile *src, int64_t sign,
		     const struct profile_filter *filter, uint64_t *ret_samples)
{
	struct merge m = { .dst = dst, .src = src, .sign = sign, .filter = filter };
	int r;

	if (dst == src || !merge_is_compatible(dst, src) || (filter && !filter_is_valid(filter)))
		return -EINVAL;

	r = merge_tables(&m);
	if (r == 0)
		r = merge_header(&m);
	merge_done(&m);
	if (r == 0 && ret_samples)
		*ret_samples = m.n_passed;
	return r;
}

int profile_merge(struct profile *dst, const struct profile *src)
{
	return merge_run(dst, src, 1, NULL, NULL);
}

int profile_subtract(struct profile *dst, const struct profile *src)
{
	return merge_run(dst, src, -1, NULL, NULL);
}

int profile_merge_filtered(struct profile *dst, const struct profile *src,
			   const struct profile_filter *filter, uint64_t *ret_samples)
{
	return merge_run(dst, src, filter && filter->base ? -1 : 1, filter, ret_samples);
}
