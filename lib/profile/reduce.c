/* SPDX-License-Identifier: Apache-2.0 */
#include "reduce.h"

#include <stdlib.h>
#include <string.h>

#include "model.h"

struct reduction {
	struct profile *p;
	const struct profile_detail *detail;
	uint32_t *locations; /* id - 1 → id that stands for it */
	uint32_t *stacks;    /* position → what it becomes, UINT32_MAX: not seen yet */
	uint32_t *sets;
	uint32_t thread_key, cut; /* cut: the location that says so */
	int64_t least;            /* what a sample needs to keep its stack */
};

/* --- locations: one a function --------------------------------------------- */

static int compare_chains(const void *x, const void *y, void *arg)
{
	const struct profile *p = arg;
	const struct model_location *a = model_location_at(p, *(const uint32_t *)x),
				    *b = model_location_at(p, *(const uint32_t *)y);
	const struct model_line *i = model_lines_of(p, a), *j = model_lines_of(p, b);

	if (a->mapping != b->mapping)
		return a->mapping < b->mapping ? -1 : 1;
	if (a->n != b->n)
		return a->n < b->n ? -1 : 1;
	for (uint32_t k = 0; k < a->n; k++)
		if (i[k].function != j[k].function)
			return i[k].function < j[k].function ? -1 : 1;
	return 0;
}

static int compare_places(const void *x, const void *y, void *arg)
{
	const struct profile *p = arg;
	uint64_t a = model_location_at(p, *(const uint32_t *)x)->address,
		 b = model_location_at(p, *(const uint32_t *)y)->address;
	int r = compare_chains(x, y, arg);

	if (r != 0)
		return r;
	return a < b ? -1 : a > b;
}

/* Lines that are not told apart any more would be one of them. */
static void forget_lines(struct profile *p, const struct model_location *l)
{
	for (uint32_t k = 0; k < l->n; k++) {
		struct model_line *line = &MODEL_AT(struct model_line, p->lines, l->first + k);

		line->line = model_function_at(p, line->function)->start_line;
		line->column = 0;
	}
}

static int unite_locations(struct reduction *r)
{
	struct profile *p = r->p;
	uint32_t n = p->locations.n, first = 0, *ids = malloc(MAX(n, 1U) * sizeof(*ids));

	if (!ids)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++)
		ids[i] = i + 1;
	qsort_r(ids, n, sizeof(*ids), compare_places, p);
	for (uint32_t i = 0; i < n; i++) {
		const struct model_location *l = model_location_at(p, ids[i]);

		/* without a function it is known by its address alone */
		if (i == 0 || l->n == 0 || compare_chains(&ids[first], &ids[i], p) != 0)
			first = i;
		r->locations[ids[i] - 1] = ids[first];
		if (l->n)
			forget_lines(p, l);
	}
	free(ids);
	return 0;
}

/* --- stacks and labels --------------------------------------------------- */

static int map_stack(struct reduction *r, uint32_t stack, uint32_t *ret)
{
	struct profile *p = r->p;
	struct model_run run = *model_stack_at(p, stack);
	uint32_t own[PROFILE_MAX_DEPTH];
	int q;

	if (r->stacks[stack] == UINT32_MAX) {
		const uint32_t *ids = model_stack_entries(p, &run);

		for (uint32_t i = 0; i < run.n; i++)
			own[i] = r->locations[ids[i] - 1];
		q = model_stack(p, own, run.n, &r->stacks[stack]);
		if (q < 0)
			return q;
	}
	*ret = r->stacks[stack];
	return 0;
}

/* Only the innermost frame, under the one that says so. */
static int cut_stack(struct reduction *r, uint32_t stack, uint32_t *ret)
{
	const struct model_run *run = model_stack_at(r->p, stack);
	uint32_t own[2];

	*ret = stack;
	if (run->n < 2)
		return 0;
	own[0] = model_stack_entries(r->p, run)[0];
	own[1] = r->cut;
	return model_stack(r->p, own, 2, ret);
}

static int map_set(struct reduction *r, uint32_t set, uint32_t *ret)
{
	const struct model_run *run = model_labels_at(r->p, set);
	const struct model_label *entries = model_label_entries(r->p, run);
	struct model_label labels[PROFILE_MAX_LABELS];
	uint32_t n = 0;
	int q;

	if (r->sets[set] == UINT32_MAX && (r->detail->threads || run->n > PROFILE_MAX_LABELS))
		r->sets[set] = set;
	if (r->sets[set] == UINT32_MAX) {
		for (uint32_t i = 0; i < run->n; i++)
			if (entries[i].key != r->thread_key)
				labels[n++] = entries[i];
		q = model_labels(r->p, labels, n, &r->sets[set]);
		if (q < 0)
			return q;
	}
	*ret = r->sets[set];
	return 0;
}

/* --- samples --------------------------------------------------------------- */

typedef int (*sample_map_t)(struct reduction *r, const struct model_sample *s,
			    const int64_t *values, struct model_sample *ret);

/* The tables of samples are filled anew, from the old ones. */
static int map_samples(struct reduction *r, sample_map_t map)
{
	struct profile *p = r->p;
	struct vec samples = p->samples, values = p->values;
	int q = 0;

	vec_init(&p->samples, samples.item_bytes, samples.max);
	vec_init(&p->values, values.item_bytes, values.max);
	index_done(&p->sample_index);
	p->sample_index = (struct index){};
	for (uint32_t i = 0; q == 0 && i < samples.n; i++) {
		const struct model_sample *s = &MODEL_AT(const struct model_sample, samples, i);
		const int64_t *v = &MODEL_AT(const int64_t, values, (size_t)i * p->n_types);
		struct model_sample to;

		q = map(r, s, v, &to);
		if (q == 0)
			q = model_sample(p, to.stack, to.labels, v);
	}
	vec_done(&samples);
	vec_done(&values);
	return q;
}

static int unite_sample(struct reduction *r, const struct model_sample *s,
			_unused_ const int64_t *values, struct model_sample *ret)
{
	int q = map_stack(r, s->stack, &ret->stack);

	return q < 0 ? q : map_set(r, s->labels, &ret->labels);
}

static int cut_sample(struct reduction *r, const struct model_sample *s, const int64_t *values,
		      struct model_sample *ret)
{
	*ret = *s;
	if (values[0] >= r->least)
		return 0;
	return cut_stack(r, s->stack, &ret->stack);
}

static int unite(struct reduction *r)
{
	struct profile *p = r->p;

	for (uint32_t i = 0; i < p->locations.n; i++)
		r->locations[i] = i + 1;
	memset(r->stacks, 0xff, p->stacks.n * sizeof(*r->stacks));
	memset(r->sets, 0xff, p->label_sets.n * sizeof(*r->sets));
	if (!r->detail->lines) {
		int q = unite_locations(r);

		if (q < 0)
			return q;
	}
	return map_samples(r, unite_sample);
}

static int by_value(const void *x, const void *y)
{
	int64_t a = *(const int64_t *)x, b = *(const int64_t *)y;

	return (a < b) - (a > b);
}

/* The value of the sample that is number `rows` by weight, and one more. */
static int find_least(struct reduction *r)
{
	const struct profile *p = r->p;
	int64_t *all = malloc(p->samples.n * sizeof(*all));

	if (!all)
		return -ENOMEM;
	for (uint32_t i = 0; i < p->samples.n; i++)
		all[i] = model_values_of(p, i)[0];
	qsort(all, p->samples.n, sizeof(*all), by_value);
	r->least = all[r->detail->rows] + 1;
	free(all);
	return 0;
}

static int cut_location(struct reduction *r)
{
	struct model_line line = {};
	struct model_function f = {};
	struct model_location l = { .n = 1 };
	int q = model_string(r->p, REDUCE_CUT, strlen(REDUCE_CUT), &f.name);

	f.system_name = f.name;
	if (q == 0)
		q = model_function(r->p, &f, &line.function);
	return q < 0 ? q : model_location(r->p, &l, &line, &r->cut);
}

static int cut(struct reduction *r)
{
	int q;

	if (!r->detail->rows || r->p->samples.n <= r->detail->rows)
		return 0;
	q = find_least(r);
	if (q == 0)
		q = cut_location(r);
	return q < 0 ? q : map_samples(r, cut_sample);
}

int profile_reduce(struct profile *p, const struct profile_detail *detail)
{
	struct reduction r = { .p = p,
			       .detail = detail,
			       .thread_key = model_find_string(p, "thread") };
	int q = -ENOMEM;

	r.locations = malloc(MAX(p->locations.n, 1U) * sizeof(*r.locations));
	r.stacks = malloc(MAX(p->stacks.n, 1U) * sizeof(*r.stacks));
	r.sets = malloc(MAX(p->label_sets.n, 1U) * sizeof(*r.sets));
	if (r.locations && r.stacks && r.sets)
		q = unite(&r);
	free(r.locations);
	free(r.stacks);
	free(r.sets);
	return q < 0 ? q : cut(&r);
}
