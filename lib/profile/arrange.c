/* SPDX-License-Identifier: Apache-2.0 */
#include "arrange.h"

#include <stdlib.h>
#include <string.h>

#include "model.h"

/* Places of old items, by the new order, and the way back. All are positions, not ids. */
struct arrange {
	struct profile *p;
	uint32_t *locations, *location_at; /* by new position; by old one, UINT32_MAX: unused */
	uint32_t *functions, *function_at;
	uint32_t *stacks, *stack_rank; /* unique ones by order; position → rank */
	uint32_t *sets, *set_rank;
	uint32_t *samples;
	uint32_t n_locations, n_functions, n_stacks;
	void *new_locations, *new_functions, *new_samples, *new_values;
};

static void arrange_done(struct arrange *a)
{
	void *const all[] = { a->locations, a->location_at,   a->functions,     a->function_at,
			      a->stacks,    a->stack_rank,    a->sets,          a->set_rank,
			      a->samples,   a->new_locations, a->new_functions, a->new_samples,
			      a->new_values };

	for (size_t i = 0; i < ARRAY_SIZE(all); i++)
		free(all[i]);
}

static void *items_new(uint32_t n, size_t item_bytes)
{
	return malloc(MAX((size_t)n, (size_t)1) * item_bytes);
}

static int arrange_new(struct arrange *a)
{
	struct profile *p = a->p;

	a->locations = items_new(p->locations.n, sizeof(uint32_t));
	a->location_at = items_new(p->locations.n, sizeof(uint32_t));
	a->functions = items_new(p->functions.n, sizeof(uint32_t));
	a->function_at = items_new(p->functions.n, sizeof(uint32_t));
	a->stacks = items_new(p->stacks.n, sizeof(uint32_t));
	a->stack_rank = items_new(p->stacks.n, sizeof(uint32_t));
	a->sets = items_new(p->label_sets.n, sizeof(uint32_t));
	a->set_rank = items_new(p->label_sets.n, sizeof(uint32_t));
	a->samples = items_new(p->samples.n, sizeof(uint32_t));
	/* all that can fail comes before the first change */
	a->new_locations = items_new(p->locations.n, sizeof(struct model_location));
	a->new_functions = items_new(p->functions.n, sizeof(struct model_function));
	a->new_samples = items_new(p->samples.n, sizeof(struct model_sample));
	a->new_values = items_new(p->samples.n, p->n_types * sizeof(int64_t));
	return a->locations && a->location_at && a->functions && a->function_at && a->stacks &&
			       a->stack_rank && a->sets && a->set_rank && a->samples &&
			       a->new_locations && a->new_functions && a->new_samples &&
			       a->new_values
		       ? 0
		       : -ENOMEM;
}

static int compare_locations(const void *x, const void *y, void *arg)
{
	const struct profile *p = arg;
	uint32_t i = *(const uint32_t *)x, j = *(const uint32_t *)y;
	const struct model_location *a = model_location_at(p, i + 1),
				    *b = model_location_at(p, j + 1);

	if (a->mapping != b->mapping)
		return a->mapping < b->mapping ? -1 : 1;
	if (a->address != b->address)
		return a->address < b->address ? -1 : 1;
	return i < j ? -1 : i > j;
}

/* Stacks and locations that samples refer to; the others get no place. */
static void order_locations(struct arrange *a)
{
	struct profile *p = a->p;

	memset(a->location_at, 0xff, p->locations.n * sizeof(uint32_t));
	memset(a->stack_rank, 0xff, p->stacks.n * sizeof(uint32_t));
	for (uint32_t i = 0; i < p->samples.n; i++) {
		uint32_t stack = model_sample_at(p, i)->stack;
		const struct model_run *run = model_stack_at(p, stack);
		const uint32_t *ids = model_stack_entries(p, run);

		if (a->stack_rank[stack] != UINT32_MAX)
			continue;
		a->stack_rank[stack] = 0;
		a->stacks[a->n_stacks++] = stack;
		for (uint32_t j = 0; j < run->n; j++) {
			if (a->location_at[ids[j] - 1] != UINT32_MAX)
				continue;
			a->location_at[ids[j] - 1] = 0;
			a->locations[a->n_locations++] = ids[j] - 1;
		}
	}
	qsort_r(a->locations, a->n_locations, sizeof(uint32_t), compare_locations, p);
	for (uint32_t i = 0; i < a->n_locations; i++)
		a->location_at[a->locations[i]] = i;
}

static void order_functions(struct arrange *a)
{
	const struct profile *p = a->p;

	memset(a->function_at, 0xff, p->functions.n * sizeof(uint32_t));
	for (uint32_t i = 0; i < a->n_locations; i++) {
		const struct model_location *l = model_location_at(p, a->locations[i] + 1);

		for (uint32_t j = 0; j < l->n; j++) {
			uint32_t f = model_lines_of(p, l)[j].function - 1;

			if (a->function_at[f] != UINT32_MAX)
				continue;
			a->function_at[f] = a->n_functions;
			a->functions[a->n_functions++] = f;
		}
	}
}

/* Root first, by the locations' new places. */
static int compare_stacks(const void *x, const void *y, void *arg)
{
	const struct arrange *a = arg;
	const struct model_run *s = model_stack_at(a->p, *(const uint32_t *)x),
			       *t = model_stack_at(a->p, *(const uint32_t *)y);
	const uint32_t *i = model_stack_entries(a->p, s), *j = model_stack_entries(a->p, t);
	uint32_t n = MIN(s->n, t->n);

	for (uint32_t k = 1; k <= n; k++) {
		uint32_t u = i[s->n - k], v = j[t->n - k];

		if (u != v)
			return a->location_at[u - 1] < a->location_at[v - 1] ? -1 : 1;
	}
	return s->n < t->n ? -1 : s->n > t->n;
}

static int compare_sets(const void *x, const void *y, void *arg)
{
	const struct profile *p = arg;
	const struct model_run *s = model_labels_at(p, *(const uint32_t *)x),
			       *t = model_labels_at(p, *(const uint32_t *)y);
	const struct model_label *i = model_label_entries(p, s), *j = model_label_entries(p, t);
	uint32_t n = MIN(s->n, t->n);

	for (uint32_t k = 0; k < n; k++) {
		if (i[k].key != j[k].key)
			return i[k].key < j[k].key ? -1 : 1;
		if (i[k].str != j[k].str)
			return i[k].str < j[k].str ? -1 : 1;
		if (i[k].num != j[k].num)
			return i[k].num < j[k].num ? -1 : 1;
	}
	return s->n < t->n ? -1 : s->n > t->n;
}

static int compare_samples(const void *x, const void *y, void *arg)
{
	const struct arrange *a = arg;
	const struct model_sample *s = model_sample_at(a->p, *(const uint32_t *)x),
				  *t = model_sample_at(a->p, *(const uint32_t *)y);
	uint32_t i = a->stack_rank[s->stack], j = a->stack_rank[t->stack];

	if (i != j)
		return i < j ? -1 : 1;
	i = a->set_rank[s->labels];
	j = a->set_rank[t->labels];
	return i < j ? -1 : i > j;
}

static void order_samples(struct arrange *a)
{
	struct profile *p = a->p;

	qsort_r(a->stacks, a->n_stacks, sizeof(uint32_t), compare_stacks, a);
	for (uint32_t i = 0; i < a->n_stacks; i++)
		a->stack_rank[a->stacks[i]] = i;
	for (uint32_t i = 0; i < p->label_sets.n; i++)
		a->sets[i] = i;
	qsort_r(a->sets, p->label_sets.n, sizeof(uint32_t), compare_sets, p);
	for (uint32_t i = 0; i < p->label_sets.n; i++)
		a->set_rank[a->sets[i]] = i;
	for (uint32_t i = 0; i < p->samples.n; i++)
		a->samples[i] = i;
	qsort_r(a->samples, p->samples.n, sizeof(uint32_t), compare_samples, a);
}

static void swap_items(struct vec *v, void **items, uint32_t n)
{
	void *old = v->items;

	v->items = *items;
	*items = old;
	v->n = v->allocated = n;
}

static void move_tables(struct arrange *a)
{
	struct profile *p = a->p;
	struct model_location *locations = a->new_locations;
	struct model_function *functions = a->new_functions;

	for (uint32_t i = 0; i < a->n_locations; i++) {
		locations[i] = *model_location_at(p, a->locations[i] + 1);
		for (uint32_t j = 0; j < locations[i].n; j++) {
			struct model_line *l = &MODEL_AT(struct model_line, p->lines,
							 locations[i].first + j);

			l->function = a->function_at[l->function - 1] + 1;
		}
	}
	for (uint32_t i = 0; i < a->n_functions; i++)
		functions[i] = *model_function_at(p, a->functions[i] + 1);
	for (uint32_t i = 0; i < p->stack_pool.n; i++) {
		uint32_t *id = &MODEL_AT(uint32_t, p->stack_pool, i);

		/* of a stack that no sample has: 0, also the next time */
		*id = *id ? a->location_at[*id - 1] + 1 : 0;
	}
	swap_items(&p->locations, &a->new_locations, a->n_locations);
	swap_items(&p->functions, &a->new_functions, a->n_functions);
}

static void move_samples(struct arrange *a)
{
	struct profile *p = a->p;
	struct model_sample *samples = a->new_samples;
	int64_t *values = a->new_values;

	for (uint32_t i = 0; i < p->samples.n; i++) {
		samples[i] = *model_sample_at(p, a->samples[i]);
		memcpy(&values[(size_t)i * p->n_types], model_values_of(p, a->samples[i]),
		       p->n_types * sizeof(*values));
	}
	swap_items(&p->samples, &a->new_samples, p->samples.n);
	swap_items(&p->values, &a->new_values, p->values.n);
}

int profile_arrange(struct profile *p)
{
	_cleanup_(arrange_done) struct arrange a = { .p = p };
	struct index *const indices[] = { &p->function_index, &p->location_index, &p->stack_index,
					  &p->sample_index };
	int r = arrange_new(&a);

	if (r < 0)
		return r;
	order_locations(&a);
	order_functions(&a);
	order_samples(&a);
	move_tables(&a);
	move_samples(&a);
	for (size_t i = 0; i < ARRAY_SIZE(indices); i++) {
		index_done(indices[i]);
		*indices[i] = (struct index){};
	}
	return 0;
}
