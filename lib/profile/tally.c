/* SPDX-License-Identifier: Apache-2.0 */
#include "tally.h"

#include <string.h>

#include "model.h"

static const char *const tally_names[] = { [TALLY_FUNCTION] = "function",
					   [TALLY_COMM] = "comm",
					   [TALLY_PID] = "pid",
					   [TALLY_UNIT] = "unit" };

/* Rows by the index of their name's string: those of the profile are unified. */
struct tally_work {
	const struct profile *p;
	size_t type;
	struct tally_row *by_string;
	uint32_t *stamps; /* the sample that counted it last, + 1 */
};

int tally_by_parse(const char *s, enum tally_by *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(tally_names); i++)
		if (strcmp(s, tally_names[i]) == 0) {
			*ret = (enum tally_by)i;
			return 0;
		}
	return -EINVAL;
}

const char *tally_by_name(enum tally_by by)
{
	return tally_names[by];
}

static void tally_sum(int64_t *sum, int64_t v)
{
	if (__builtin_add_overflow(*sum, v, sum))
		*sum = v > 0 ? INT64_MAX : INT64_MIN;
}

static int tally_compare(const void *a, const void *b)
{
	const struct tally_row *x = a, *y = b;

	if (x->flat != y->flat)
		return x->flat < y->flat ? 1 : -1;
	if (x->cum != y->cum)
		return x->cum < y->cum ? 1 : -1;
	if (x->pid != y->pid)
		return x->pid < y->pid ? -1 : 1;
	return strcmp(x->name, y->name);
}

static const struct model_label *tally_label(const struct profile *p, uint32_t set, const char *key)
{
	const struct model_run *run = model_labels_at(p, set);

	for (uint32_t i = 0; i < run->n; i++) {
		const struct model_label *l = &model_label_entries(p, run)[i];

		if (strcmp(model_string_at(p, l->key)->s, key) == 0)
			return l;
	}
	return NULL;
}

/* The name of a frame: of its function, or of its file where there is none. */
static uint32_t tally_frame(const struct profile *p, const struct model_location *l, uint32_t line)
{
	if (l->n > 0)
		return model_function_at(p, model_lines_of(p, l)[line].function)->name;
	return l->mapping ? (uint32_t)model_mapping_at(p, l->mapping)->filename : 0;
}

static void tally_functions(struct tally_work *w, uint32_t i, int64_t v)
{
	const struct model_run *stack = model_stack_at(w->p, model_sample_at(w->p, i)->stack);

	for (uint32_t j = 0; j < stack->n; j++) {
		const struct model_location *l =
			model_location_at(w->p, model_stack_entries(w->p, stack)[j]);

		for (uint32_t k = 0; k < MAX(l->n, 1U); k++) {
			uint32_t name = tally_frame(w->p, l, k);

			if (j == 0 && k == 0)
				tally_sum(&w->by_string[name].flat, v);
			if (w->stamps[name] != i + 1)
				tally_sum(&w->by_string[name].cum, v);
			w->stamps[name] = i + 1;
		}
	}
}

static void tally_strings(struct tally_work *w, struct tally *t, enum tally_by by)
{
	for (uint32_t i = 0; i < w->p->samples.n; i++) {
		uint32_t set = model_sample_at(w->p, i)->labels;
		int64_t v = model_values_of(w->p, i)[w->type];
		const struct model_label *l;

		tally_sum(&t->total, v);
		if (by == TALLY_FUNCTION) {
			tally_functions(w, i, v);
			continue;
		}
		l = tally_label(w->p, set, tally_names[by]);
		tally_sum(&w->by_string[l ? l->str : 0].flat, v);
	}
	for (uint32_t i = 0; i < w->p->strings.n; i++) {
		struct tally_row row = w->by_string[i];

		if (row.flat == 0 && row.cum == 0)
			continue;
		row.name = model_string_at(w->p, i)->s;
		if (by != TALLY_FUNCTION)
			row.cum = row.flat;
		t->rows[t->n++] = row;
	}
}

static int tally_compare_pids(const void *a, const void *b)
{
	const struct tally_row *x = a, *y = b;

	return x->pid < y->pid ? -1 : x->pid > y->pid;
}

/* One row a sample, then those of one process together: it is called what it was called last. */
static void tally_pids(struct tally_work *w, struct tally *t)
{
	size_t n = 0;

	for (uint32_t i = 0; i < w->p->samples.n; i++) {
		uint32_t set = model_sample_at(w->p, i)->labels;
		const struct model_label *pid = tally_label(w->p, set, "pid"),
					 *comm = tally_label(w->p, set, "comm");
		int64_t v = model_values_of(w->p, i)[w->type];

		tally_sum(&t->total, v);
		t->rows[n++] = (struct tally_row){
			.name = comm ? model_string_at(w->p, comm->str)->s : "",
			.flat = v,
			.pid = pid ? pid->num : 0,
		};
	}
	qsort(t->rows, n, sizeof(*t->rows), tally_compare_pids);
	for (size_t i = 0; i < n; i++) {
		if (t->n > 0 && t->rows[t->n - 1].pid == t->rows[i].pid)
			tally_sum(&t->rows[t->n - 1].flat, t->rows[i].flat);
		else
			t->rows[t->n++] = t->rows[i];
	}
	for (size_t i = 0; i < t->n; i++)
		t->rows[i].cum = t->rows[i].flat;
}

DEFINE_CLEANUP(struct tally *, tally_free);

int tally_new(struct tally **ret, const struct profile *p, enum tally_by by)
{
	_cleanup_(tally_freep) struct tally *t = calloc(1, sizeof(*t));
	_cleanup_free_ struct tally_row *by_string = calloc(p->strings.n, sizeof(*by_string));
	_cleanup_free_ uint32_t *stamps = calloc(p->strings.n, sizeof(*stamps));
	struct tally_work w = { .p = p, .by_string = by_string, .stamps = stamps };
	int type = profile_find_type(p, NULL);

	if (t)
		t->rows = calloc((size_t)MAX(p->samples.n, p->strings.n), sizeof(*t->rows));
	if (!t || !t->rows || !by_string || !stamps)
		return -ENOMEM;

	if (type >= 0) {
		w.type = (size_t)type;
		if (by == TALLY_PID)
			tally_pids(&w, t);
		else
			tally_strings(&w, t, by);
	}
	qsort(t->rows, t->n, sizeof(*t->rows), tally_compare);
	*ret = TAKE_PTR(t);
	return 0;
}

struct tally *tally_free(struct tally *t)
{
	if (!t)
		return NULL;

	free(t->rows);
	free(t);
	return NULL;
}
