/* SPDX-License-Identifier: Apache-2.0 */
#include "diff.h"

#include <inttypes.h>
#include <string.h>

#include "filter.h"
#include "model.h"
#include "text.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

/* Of two independent counts n and m, n - m has the deviation sqrt(n + m); beyond twice that it is 1 in 20. */
#define DIFF_DEVIATIONS 2.0

#define DIFF_RUST_HASH 19 /* "::h" and 16 digits */

struct diff_work {
	const struct profile *p;
	size_t type;
	int count_type; /* samples/count, or -1 */
	bool cum;
	struct vec rows; /* struct diff_row; name: unterminated, see sizes */
	struct vec sizes, stamps;
	struct index index;
	uint32_t *by_function; /* row + 1, by id - 1 */
	uint64_t bytes;
};

/* --- names ---------------------------------------------------------------- */

static size_t diff_rust_hash(const char *s, size_t n)
{
	const char *h = s + n - DIFF_RUST_HASH;

	if (n <= DIFF_RUST_HASH || strncmp(h, "::h", 3) != 0)
		return n;
	for (size_t i = 3; i < DIFF_RUST_HASH; i++)
		if (!strchr("0123456789abcdef", h[i]))
			return n;
	return n - DIFF_RUST_HASH;
}

/* " [clone .isra.0]", as demanglers write suffixes. */
static size_t diff_clone(const char *s, size_t n)
{
	static const char open[] = " [clone ";
	size_t i = n;

	if (n == 0 || s[n - 1] != ']')
		return n;
	while (i > 0 && s[i - 1] != '[')
		i--;
	if (i < 2 || strncmp(s + i - 2, open, strlen(open)) != 0)
		return n;
	return i - 2;
}

/* ".isra", ".cold" and the numbers behind them, one at a time from the end. */
static size_t diff_suffix(const char *s, size_t n)
{
	static const char *const words[] = { "isra",     "constprop", "part",       "cold",
					     "lto_priv", "llvm",      "localalias", "clone",
					     "warm",     "hot",       "unlikely",   "resolver" };
	size_t dot = n, end = n;

	/* a number goes with the word before it */
	while (end > 0 && s[end - 1] >= '0' && s[end - 1] <= '9')
		end--;
	if (end == n || end == 0 || s[end - 1] != '.')
		end = n;
	else
		end--;
	dot = end;
	while (dot > 0 && ((s[dot - 1] | 0x20) >= 'a' || s[dot - 1] == '_') && s[dot - 1] < 0x7f)
		dot--;
	if (dot < 2 || s[dot - 1] != '.')
		return n;
	for (size_t i = 0; i < ARRAY_SIZE(words); i++)
		if (strlen(words[i]) == end - dot && strncmp(s + dot, words[i], end - dot) == 0)
			return dot - 1;
	return n;
}

size_t diff_name_bytes(const char *name)
{
	size_t n = strlen(name), before;

	/* synthetic frames are what they are */
	if (*name == '[')
		return n;
	do {
		before = n;
		n = diff_rust_hash(name, n);
		n = diff_clone(name, n);
		n = diff_suffix(name, n);
	} while (n < before && n > 0);
	return n > 0 ? n : before;
}

/* --- rows ----------------------------------------------------------------- */

static int diff_row_of(struct diff_work *w, const char *name, uint32_t *ret)
{
	size_t size = diff_name_bytes(name);
	uint64_t hash = XXH3_64bits_withSeed(name, size, w->p->seed);
	struct diff_row row = { .name = name };
	uint32_t size32 = (uint32_t)size, stamp = 0;
	struct index_walk walk;
	int r;

	for (int64_t i = index_first(&w->index, hash, &walk); i >= 0;
	     i = index_next(&w->index, &walk))
		if (MODEL_AT(uint32_t, w->sizes, i) == size &&
		    memcmp(MODEL_AT(struct diff_row, w->rows, i).name, name, size) == 0) {
			*ret = (uint32_t)i;
			return 0;
		}

	r = index_reserve(&w->index, &w->bytes);
	if (r == 0)
		r = vec_append(&w->rows, &row, 1, &w->bytes);
	if (r == 0)
		r = vec_append(&w->sizes, &size32, 1, &w->bytes);
	if (r == 0)
		r = vec_append(&w->stamps, &stamp, 1, &w->bytes);
	if (r < 0)
		return r;
	*ret = w->rows.n - 1;
	index_insert(&w->index, hash, *ret);
	return 0;
}

static int diff_row_of_function(struct diff_work *w, uint32_t id, uint32_t *ret)
{
	int r = 0;

	if (!w->by_function[id - 1]) {
		uint32_t row = 0;

		r = diff_row_of(w, model_string_at(w->p, model_function_at(w->p, id)->name)->s,
				&row);
		w->by_function[id - 1] = row + 1;
	}
	*ret = w->by_function[id - 1] - 1;
	return r;
}

/* A location without lines is its file. */
static int diff_row_of_bare(struct diff_work *w, const struct model_location *l, uint32_t *ret)
{
	const char *name = "<unknown>";

	if (l->mapping) {
		const struct profile_mapping *m = model_mapping_at(w->p, l->mapping);

		if (m->filename)
			name = model_string_at(w->p, (uint32_t)m->filename)->s;
	}
	return diff_row_of(w, name, ret);
}

struct diff_value {
	int64_t value, count;
	bool base;
};

static void diff_sum(int64_t *sum, int64_t v)
{
	if (__builtin_add_overflow(*sum, v, sum))
		*sum = v > 0 ? INT64_MAX : INT64_MIN;
}

static void diff_count(struct diff_work *w, uint32_t row, const struct diff_value *v,
		       uint32_t stamp)
{
	struct diff_row *d = &MODEL_AT(struct diff_row, w->rows, row);

	/* a recursive function counts once a sample */
	if (MODEL_AT(uint32_t, w->stamps, row) == stamp)
		return;
	MODEL_AT(uint32_t, w->stamps, row) = stamp;
	if (v->base) {
		diff_sum(&d->before, v->value);
		diff_sum(&d->n_before, v->count);
	} else {
		diff_sum(&d->after, v->value);
		diff_sum(&d->n_after, v->count);
	}
}

static int diff_count_location(struct diff_work *w, uint32_t id, const struct diff_value *v,
			       uint32_t stamp)
{
	const struct model_location *l = model_location_at(w->p, id);
	uint32_t row = 0;
	int r;

	if (l->n == 0) {
		r = diff_row_of_bare(w, l, &row);
		if (r == 0)
			diff_count(w, row, v, stamp);
		return r;
	}
	for (uint32_t i = 0; i < (w->cum ? l->n : 1); i++) {
		r = diff_row_of_function(w, model_lines_of(w->p, l)[i].function, &row);
		if (r < 0)
			return r;
		diff_count(w, row, v, stamp);
	}
	return 0;
}

static bool diff_is_base(const struct profile *p, const struct model_run *set)
{
	for (uint32_t i = 0; i < set->n; i++) {
		const struct model_label *l = &model_label_entries(p, set)[i];

		if (strcmp(model_string_at(p, l->key)->s, PROFILE_BASE_KEY) == 0 &&
		    strcmp(model_string_at(p, l->str)->s, PROFILE_BASE_VALUE) == 0)
			return true;
	}
	return false;
}

static int64_t diff_negated(int64_t v)
{
	return v == INT64_MIN ? INT64_MAX : -v;
}

static int diff_add_sample(struct diff_work *w, struct diff *d, uint32_t i)
{
	const struct model_sample *s = model_sample_at(w->p, i);
	const struct model_run *stack = model_stack_at(w->p, s->stack);
	const int64_t *values = model_values_of(w->p, i);
	struct diff_value v = { .value = values[w->type],
				.base = diff_is_base(w->p, model_labels_at(w->p, s->labels)) };
	int r = 0;

	v.count = w->count_type >= 0 ? values[w->count_type]
		  : w->p->period > 0 ? v.value / w->p->period
				     : v.value;
	if (v.base) {
		v.value = diff_negated(v.value);
		v.count = diff_negated(v.count);
		diff_sum(&d->before, v.value);
		diff_sum(&d->n_before, v.count);
	} else {
		diff_sum(&d->after, v.value);
		diff_sum(&d->n_after, v.count);
	}
	for (uint32_t j = 0; j < (w->cum ? stack->n : MIN(stack->n, 1U)) && r == 0; j++)
		r = diff_count_location(w, model_stack_entries(w->p, stack)[j], &v, i + 1);
	return r;
}

/* --- judgement ------------------------------------------------------------ */

static double diff_share(int64_t part, int64_t all)
{
	return all > 0 ? (double)part / (double)all : 0;
}

static bool diff_within(double difference, double variance)
{
	return difference * difference <= DIFF_DEVIATIONS * DIFF_DEVIATIONS * MAX(variance, 0.0);
}

/* The variance of k * n is k^2 * n. */
static bool diff_few(const struct diff *d, int64_t n_before, int64_t n_after)
{
	double variance = d->scale * d->scale * (double)MAX(n_before, 0) + (double)MAX(n_after, 0);

	return diff_within((double)n_after - d->scale * (double)n_before, variance);
}

static int64_t diff_scaled(const struct diff *d, int64_t v)
{
	double scaled = (double)v * d->scale;

	if (d->scale == 1)
		return v;
	if (scaled >= 0x1p62 || scaled <= -0x1p62)
		return scaled > 0 ? INT64_MAX : INT64_MIN;
	return (int64_t)(scaled + (scaled < 0 ? -0.5 : 0.5));
}

/*
 * A difference counts when the seconds or the share say so: a row may have the same share of a busier hour,
 * or the same seconds of a quieter one.
 */
static void diff_judge(const struct diff *d, struct diff_row *row)
{
	double before = diff_share(row->n_before, d->n_before),
	       after = diff_share(row->n_after, d->n_after);
	double variance = before * (1 - before) / (double)MAX(d->n_before, 1) +
			  after * (1 - after) / (double)MAX(d->n_after, 1);

	row->points = (diff_share(row->after, d->after) - diff_share(row->before, d->before)) * 100;
	row->noise = diff_few(d, row->n_before, row->n_after) &&
		     diff_within(after - before, variance);
}

static int64_t diff_distance(const struct diff_row *r)
{
	int64_t v;

	if (__builtin_sub_overflow(r->after, r->before, &v))
		return INT64_MAX;
	return v < 0 ? diff_negated(v) : v;
}

static int diff_compare(const void *a, const void *b)
{
	const struct diff_row *x = a, *y = b;
	int64_t dx = diff_distance(x), dy = diff_distance(y);

	if (dx != dy)
		return dx < dy ? 1 : -1;
	return strcmp(x->name, y->name);
}

/* The rows' names get a home of their own, where they end. */
static int diff_take_rows(struct diff_work *w, struct diff *d)
{
	size_t size = 1;
	char *at;

	for (uint32_t i = 0; i < w->rows.n; i++)
		size += MODEL_AT(uint32_t, w->sizes, i) + 1;
	d->names = at = malloc(size);
	d->rows = calloc((size_t)w->rows.n + 1, sizeof(*d->rows));
	if (!d->names || !d->rows)
		return -ENOMEM;

	for (uint32_t i = 0; i < w->rows.n; i++) {
		struct diff_row *row = &d->rows[d->n];
		uint32_t n = MODEL_AT(uint32_t, w->sizes, i);

		*row = MODEL_AT(struct diff_row, w->rows, i);
		if (row->before == 0 && row->after == 0)
			continue;
		memcpy(at, row->name, n);
		at[n] = '\0';
		row->name = at;
		at += n + 1;
		diff_judge(d, row);
		row->before = diff_scaled(d, row->before);
		d->n++;
	}
	d->before = diff_scaled(d, d->before);
	qsort(d->rows, d->n, sizeof(*d->rows), diff_compare);
	return 0;
}

static int diff_run(struct diff_work *w, struct diff *d)
{
	int r = 0;

	vec_init(&w->rows, sizeof(struct diff_row), PROFILE_MAX_STRINGS);
	vec_init(&w->sizes, sizeof(uint32_t), PROFILE_MAX_STRINGS);
	vec_init(&w->stamps, sizeof(uint32_t), PROFILE_MAX_STRINGS);
	w->by_function = calloc((size_t)w->p->functions.n + 1, sizeof(*w->by_function));
	if (!w->by_function)
		return -ENOMEM;
	for (uint32_t i = 0; i < w->p->samples.n && r == 0; i++)
		r = diff_add_sample(w, d, i);
	return r < 0 ? r : diff_take_rows(w, d);
}

DEFINE_CLEANUP(struct diff *, diff_free);

int diff_new(struct diff **ret, const struct profile *p, const struct diff_options *o)
{
	_cleanup_(diff_freep) struct diff *d = calloc(1, sizeof(*d));
	struct diff_work w = { .p = p, .cum = o->cum };
	int type = profile_find_type(p, o->type), r;

	if (!d)
		return -ENOMEM;
	if (type < 0 && p->samples.n > 0)
		return -ENOENT;
	d->scale = o->scale > 0 ? o->scale : 1;
	w.type = type < 0 ? 0 : (size_t)type;
	w.count_type = profile_find_type(p, "samples");

	r = diff_run(&w, d);
	vec_done(&w.rows);
	vec_done(&w.sizes);
	vec_done(&w.stamps);
	index_done(&w.index);
	free(w.by_function);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(d);
	return 0;
}

struct diff *diff_free(struct diff *d)
{
	if (!d)
		return NULL;

	free(d->rows);
	free(d->names);
	free(d);
	return NULL;
}

/* --- the table ------------------------------------------------------------ */

static void print_value(struct buf *out, int64_t v, bool sign, const char *unit)
{
	char text[32];

	if (strcmp(unit, "nanoseconds") == 0)
		snprintf(text, sizeof(text), sign ? "%+.2fs" : "%.2fs", (double)v / 1e9);
	else
		snprintf(text, sizeof(text), sign ? "%+" PRId64 : "%" PRId64, v);
	buf_printf(out, "%11s", text);
}

static void print_row(struct buf *out, const struct diff_row *row, const struct diff_print *o)
{
	_cleanup_(buf_done) struct buf name = BUF_INIT(PROFILE_MAX_STRING * 8);
	const char *unit = o->unit ? o->unit : "";
	int64_t delta;
	size_t room;

	if (__builtin_sub_overflow(row->after, row->before, &delta))
		delta = row->after > 0 ? INT64_MAX : INT64_MIN;
	text_append_printable(&name, row->name, strlen(row->name));
	room = o->columns > 50 ? o->columns - 48 : SIZE_MAX;

	buf_puts(out, row->noise && o->dim ? "\033[2m" : "");
	buf_puts(out, row->noise && !o->dim ? "~ " : "  ");
	print_value(out, row->before, false, unit);
	print_value(out, row->after, false, unit);
	print_value(out, delta, true, unit);
	buf_printf(out, "  %+8.2f  ", row->points);
	for (size_t i = 0; i < name.size; i++) {
		if (room == 0 && ((unsigned char)name.data[i] & 0xc0) != 0x80)
			break;
		room -= ((unsigned char)name.data[i] & 0xc0) != 0x80;
		buf_putc(out, name.data[i]);
	}
	buf_puts(out, row->noise && o->dim ? "\033[0m\n" : "\n");
}

int diff_print(const struct diff *d, const struct diff_print *o, struct buf *out)
{
	size_t n = o->rows && o->rows < d->n ? o->rows : d->n;
	struct diff_row total = { .name = "total",
				  .before = d->before,
				  .after = d->after,
				  .n_before = d->n_before,
				  .n_after = d->n_after };

	total.noise = diff_few(d, d->n_before, d->n_after);
	buf_printf(out, "  %11s%11s%11s  %8s  %s\n", "before", "after", "delta", "points",
		   "function");
	print_row(out, &total, o);
	for (size_t i = 0; i < n; i++)
		print_row(out, &d->rows[i], o);
	if (n < d->n)
		buf_printf(out, "  %zu more: --rows 0 shows all\n", d->n - n);
	if (!o->dim)
		buf_puts(out, "~ no larger than the error of sampling\n");
	return out->error;
}
