/* SPDX-License-Identifier: Apache-2.0 */
/*
 * pprof's text reports. The forms (columns, rounding, which rows are dropped) are those of `go tool
 * pprof`, so that numbers can be compared line by line and scripts read both.
 */
#include "report.h"

#include <regex.h>
#include <string.h>
#include <time.h>

#include "graph.h"
#include "scale.h"
#include "text.h"

#define REPORT_NODE_FRACTION 0.005
#define REPORT_EDGE_FRACTION 0.001
#define REPORT_TREE_ROWS     80
#define REPORT_MAX_BYTES     (1ULL << 32)

#define TRACE_SEPARATOR "-----------+-------------------------------------------------------\n"
#define TREE_SEPARATOR  "----------------------------------------------------------+-------------\n"

struct report {
	const struct profile *p;
	struct graph *g;
	struct buf *out;
	const char *from; /* unit of the values */
	const char *unit; /* that they are printed in */
	int64_t total;
};

DEFINE_CLEANUP(struct graph *, graph_free);

static const char *const report_kinds[] = {
	[REPORT_TOP] = "top",
	[REPORT_PEEK] = "peek",
	[REPORT_TREE] = "tree",
	[REPORT_TRACES] = "traces",
};

int report_kind_parse(const char *s, enum report_kind *ret)
{
	for (size_t i = 0; i < REPORT_MAX; i++)
		if (strcmp(report_kinds[i], s) == 0) {
			*ret = (enum report_kind)i;
			return 0;
		}
	return -EINVAL;
}

static const char *report_value(const struct report *r, char s[SCALE_TEXT_BYTES], int64_t v)
{
	return scale_value(s, v, r->from, r->unit);
}

static const char *report_percent(char s[SCALE_TEXT_BYTES], int64_t v, int64_t total)
{
	return scale_percent(s, v, total);
}

static void report_name(struct report *r, const char *name)
{
	text_append_printable(r->out, name, strlen(name));
}

static const char *report_base(const char *path)
{
	const char *slash = strrchr(path, '/');

	return slash && slash[1] ? slash + 1 : path;
}

static void report_line(struct report *r, const char *head, const char *text)
{
	buf_puts(r->out, head);
	report_name(r, text);
	buf_putc(r->out, '\n');
}

static void report_time(struct report *r)
{
	time_t t = (time_t)(r->p->time_ns / (int64_t)NSEC_PER_SEC);
	char s[SCALE_TEXT_BYTES];
	struct tm tm;

	if (r->p->time_ns != 0 && localtime_r(&t, &tm) &&
	    strftime(s, sizeof(s), "%Y-%m-%d %H:%M:%S %Z", &tm))
		buf_printf(r->out, "Time: %s\n", s);
}

/* What the profile is of. */
static void report_profile(struct report *r)
{
	char a[SCALE_TEXT_BYTES], b[SCALE_TEXT_BYTES], c[SCALE_TEXT_BYTES];
	const struct profile *p = r->p;
	double total_ns = scale_to_ns(r->total, r->from);

	if (p->mappings.n > 0) {
		const struct profile_mapping *m = model_mapping_at(p, 1);

		if (m->filename)
			report_line(r, "File: ", report_base(profile_get_string(p, m->filename)));
		if (m->build_id)
			report_line(r, "Build ID: ", profile_get_string(p, m->build_id));
	}
	for (size_t i = 0; i < profile_n_comments(p); i++)
		if (profile_get_comment(p, i)[0] != '#')
			report_line(r, "", profile_get_comment(p, i));
	report_line(r, "Type: ", profile_get_type(p, r->g->type).type);
	report_time(r);
	if (p->duration_ns == 0)
		return;

	buf_printf(r->out, "Duration: %s, Total samples = %s ",
		   scale_value(a, p->duration_ns, "ns", "auto"), report_value(r, b, r->total));
	if (total_ns >= 1 && total_ns < (double)INT64_MAX)
		buf_printf(r->out, "(%s)", report_percent(c, (int64_t)total_ns, p->duration_ns));
	buf_putc(r->out, '\n');
}

/* What of it is shown. */
static void report_shown(struct report *r, const struct graph_limits *l)
{
	char a[SCALE_TEXT_BYTES], b[SCALE_TEXT_BYTES], c[SCALE_TEXT_BYTES];
	int64_t shown = 0;
	const char *percent;

	for (uint32_t i = 0; i < r->g->n_order; i++)
		if (__builtin_add_overflow(shown, graph_node_at(r->g, r->g->order[i])->flat,
					   &shown))
			shown = INT64_MAX;

	percent = report_percent(b, shown, r->total);
	buf_printf(r->out, "Showing nodes accounting for %s, %s of %s total\n",
		   report_value(r, a, shown), percent + strspn(percent, " "),
		   report_value(r, c, r->total));
	if (r->total == 0)
		return;
	if (r->g->n_dropped > 0)
		buf_printf(r->out, "Dropped %u node%s (cum <= %s)\n", r->g->n_dropped,
			   r->g->n_dropped > 1 ? "s" : "",
			   report_value(r, a, (int64_t)((double)r->total * l->node_fraction)));
	if (r->g->n_order > 0 && r->g->n_order < r->g->n_before)
		buf_printf(r->out, "Showing top %u nodes out of %u\n", r->g->n_order,
			   r->g->n_before);
}

static int64_t report_abs(int64_t v)
{
	return v == INT64_MIN ? INT64_MAX : v < 0 ? -v : v;
}

/*
 * One unit for the whole table: that of the smallest value, or where the largest one would need
 * another and is a hundred times as large, the one in which the smallest is still 0.01.
 */
static const char *report_choose_unit(const struct report *r)
{
	int64_t least = 0, v;
	const char *unit;

	for (uint32_t i = 0; i < r->g->n_order; i++) {
		const struct graph_node *n = graph_node_at(r->g, r->g->order[i]);

		v = report_abs(n->flat ? n->flat : n->cum);
		if (v > 0 && (least == 0 || v < least))
			least = v;
	}
	if (r->g->n_order == 0)
		return "auto";
	if (least == 0)
		least = r->total;

	unit = scale_auto_unit(least, r->from);
	if (strcmp(unit, scale_auto_unit(r->total, r->from)) != 0 && least < r->total / 100)
		unit = scale_auto_unit(least * 100, r->from);
	return *unit ? unit : r->from;
}

static int report_open(struct report *r, const struct profile *p, const char *type, struct buf *out)
{
	int position = profile_find_type(p, type), rc;

	if (position < 0)
		return position;

	*r = (struct report){ .p = p, .out = out };
	rc = graph_new(&r->g, p, (size_t)position);
	if (rc < 0)
		return rc;
	r->from = profile_get_type(p, (size_t)position).unit;
	r->unit = "auto";
	r->total = r->g->total;
	return 0;
}

static int report_select(struct report *r, const struct graph_limits *l)
{
	int rc = graph_select(r->g, l);

	if (rc == 0)
		r->unit = report_choose_unit(r);
	return rc;
}

/* " (inline)" for a function that no caller calls, " (partial-inline)" where some do. */
static const char *report_inline_label(const struct graph *g, uint32_t node)
{
	bool inlined = false, called = false;

	for (uint32_t i = g->first_in[node]; i < g->first_in[node + 1]; i++) {
		if (graph_edge_at(g, g->in[i])->inlined)
			inlined = true;
		else
			called = true;
	}
	return !inlined ? "" : called ? " (partial-inline)" : " (inline)";
}

static void report_numbers(struct report *r, const struct graph_node *n, int64_t sum)
{
	char flat[SCALE_TEXT_BYTES], flat_percent[SCALE_TEXT_BYTES], sum_percent[SCALE_TEXT_BYTES];
	char cum[SCALE_TEXT_BYTES], cum_percent[SCALE_TEXT_BYTES];

	buf_printf(r->out, "%10s %s %s %10s %s", report_value(r, flat, n->flat),
		   report_percent(flat_percent, n->flat, r->total),
		   report_percent(sum_percent, sum, r->total), report_value(r, cum, n->cum),
		   report_percent(cum_percent, n->cum, r->total));
}

static int64_t report_sum(int64_t a, int64_t b)
{
	int64_t sum;

	return __builtin_add_overflow(a, b, &sum) ? INT64_MAX : sum;
}

int profile_text(const struct profile *p, const struct text_options *o, struct buf *out)
{
	static const struct text_options defaults = {};
	struct graph_limits limits = { REPORT_NODE_FRACTION, REPORT_EDGE_FRACTION, 0, false };
	_cleanup_(graph_freep) struct graph *g = NULL;
	struct report r;
	int64_t sum = 0;
	int rc;

	o = o ? o : &defaults;
	limits.rows = o->rows;
	limits.by_cum = o->by_cum;
	rc = report_open(&r, p, o->type, out);
	if (rc < 0)
		return rc;
	g = r.g;
	rc = report_select(&r, &limits);
	if (rc < 0)
		return rc;

	if (!o->bare) {
		report_profile(&r);
		report_shown(&r, &limits);
	}
	buf_printf(out, "%10s %5s%% %5s%% %10s %5s%%\n", "flat", "flat", "sum", "cum", "cum");
	for (uint32_t i = 0; i < g->n_order; i++) {
		const struct graph_node *n = graph_node_at(g, g->order[i]);

		sum = report_sum(sum, n->flat);
		report_numbers(&r, n, sum);
		buf_puts(out, "  ");
		report_name(&r, n->name);
		buf_puts(out, report_inline_label(g, g->order[i]));
		buf_putc(out, '\n');
	}
	return out->error;
}

static void report_edge(struct report *r, const struct graph_edge *e, uint32_t other, int64_t cum)
{
	char v[SCALE_TEXT_BYTES], percent[SCALE_TEXT_BYTES];

	buf_printf(r->out, "%50s %s |   ", report_value(r, v, e->weight),
		   report_percent(percent, e->weight, cum));
	report_name(r, graph_node_at(r->g, other)->name);
	buf_puts(r->out, e->inlined ? " (inline)\n" : "\n");
}

static void report_context(struct report *r, uint32_t node, int64_t sum)
{
	const struct graph *g = r->g;
	const struct graph_node *n = graph_node_at(g, node);

	buf_puts(r->out, TREE_SEPARATOR);
	for (uint32_t i = g->first_in[node]; i < g->first_in[node + 1]; i++) {
		const struct graph_edge *e = graph_edge_at(g, g->in[i]);

		report_edge(r, e, e->src, n->cum);
	}
	report_numbers(r, n, sum);
	buf_puts(r->out, "                | ");
	report_name(r, n->name);
	buf_putc(r->out, '\n');
	for (uint32_t i = g->first_out[node]; i < g->first_out[node + 1]; i++) {
		const struct graph_edge *e = graph_edge_at(g, g->out[i]);

		report_edge(r, e, e->dst, n->cum);
	}
}

/* The tree of the hottest functions, or with pattern the surroundings of what matches, untrimmed. */
static int report_tree(struct report *r, const regex_t *pattern)
{
	struct graph_limits limits = { REPORT_NODE_FRACTION, REPORT_EDGE_FRACTION, REPORT_TREE_ROWS,
				       false };
	bool matched = false;
	int64_t sum = 0;
	int rc;

	if (pattern)
		limits = (struct graph_limits){};
	rc = report_select(r, &limits);
	if (rc < 0)
		return rc;

	report_profile(r);
	report_shown(r, &limits);
	buf_puts(r->out, TREE_SEPARATOR);
	buf_puts(r->out,
		 "      flat  flat%   sum%        cum   cum%   calls calls% + context \t \t \n");
	for (uint32_t i = 0; i < r->g->n_order; i++) {
		const struct graph_node *n = graph_node_at(r->g, r->g->order[i]);

		if (pattern && regexec(pattern, n->name, 0, NULL, 0) != 0)
			continue;
		matched = true;
		sum = report_sum(sum, n->flat);
		report_context(r, r->g->order[i], sum);
	}
	if (r->g->n_order > 0)
		buf_puts(r->out, TREE_SEPARATOR);
	return pattern && !matched ? -ESRCH : r->out->error;
}

static int report_peek(struct report *r, const char *arg)
{
	regex_t pattern;
	int rc;

	if (!arg || regcomp(&pattern, arg, REG_EXTENDED | REG_NOSUB) != 0)
		return -EINVAL;
	rc = report_tree(r, &pattern);
	regfree(&pattern);
	return rc;
}

/* Texts first, then numbers, each in the order of the names: labels[] is in that of the string indices. */
static int report_compare_labels(const void *a, const void *b, void *arg)
{
	const struct model_label *x = a, *y = b;
	bool x_is_text = x->str != 0, y_is_text = y->str != 0;

	if (x_is_text != y_is_text)
		return x_is_text ? -1 : 1;
	return strcmp(profile_get_string(arg, x->key), profile_get_string(arg, y->key));
}

static void report_labels(struct report *r, uint32_t sample)
{
	const struct model_run *set = model_labels_at(r->p, model_sample_at(r->p, sample)->labels);
	struct model_label labels[PROFILE_MAX_LABELS];
	char s[SCALE_TEXT_BYTES];

	if (set->n == 0)
		return;
	memcpy(labels, model_label_entries(r->p, set), set->n * sizeof(*labels));
	qsort_r(labels, set->n, sizeof(*labels), report_compare_labels, (void *)(uintptr_t)r->p);

	for (uint32_t i = 0; i < set->n; i++) {
		const struct model_label *l = &labels[i];
		const char *key = profile_get_string(r->p, l->key),
			   *unit = profile_get_string(r->p, l->num_unit);
		bool again = i > 0 && labels[i - 1].key == l->key && !labels[i - 1].str == !l->str;
		size_t width = strlen(key);

		if (!again) {
			buf_printf(r->out, "%*s", width < 10 ? (int)(10 - width) : 0, "");
			report_name(r, key);
		}
		buf_puts(r->out, again ? " " : ":  ");
		report_name(r, l->str ? profile_get_string(r->p, l->str)
				      : scale_value(s, l->num, *unit ? unit : key, "auto"));
		if (i + 1 == set->n || labels[i + 1].key != l->key || !labels[i + 1].str != !l->str)
			buf_putc(r->out, '\n');
	}
}

static void report_trace(struct report *r, uint32_t sample)
{
	const struct model_run *stack = model_stack_at(r->p, model_sample_at(r->p, sample)->stack);
	char value[SCALE_TEXT_BYTES];

	if (stack->n == 0)
		return;
	buf_puts(r->out, TRACE_SEPARATOR);
	report_labels(r, sample);
	report_value(r, value, model_values_of(r->p, sample)[r->g->type]);
	for (uint32_t i = 0; i < stack->n; i++) {
		uint32_t location = model_stack_entries(r->p, stack)[i];
		uint32_t last = r->g->first_frame[location] - 1;

		for (uint32_t f = r->g->first_frame[location - 1]; f <= last; f++) {
			buf_printf(r->out, "%10s   ", value);
			value[0] = '\0';
			report_name(r,
				    graph_node_at(r->g, MODEL_AT(uint32_t, r->g->frames, f))->name);
			buf_puts(r->out, f != last ? " (inline)\n" : "\n");
		}
	}
}

static bool report_is_zero(const struct profile *p, uint32_t sample)
{
	for (size_t i = 0; i < p->n_types; i++)
		if (model_values_of(p, sample)[i] != 0)
			return false;
	return true;
}

/* Written out trace by trace: a profile has more of them than memory should hold. */
static int report_traces(struct report *r, FILE *f)
{
	report_profile(r);
	for (uint32_t i = 0; i < r->p->samples.n; i++) {
		if (report_is_zero(r->p, i))
			continue;
		report_trace(r, i);
		if (r->out->error)
			return r->out->error;
		if (fwrite(r->out->data, 1, r->out->size, f) != r->out->size)
			return -EIO;
		buf_reset(r->out);
	}
	buf_puts(r->out, TRACE_SEPARATOR);
	return r->out->error;
}

int report_print(const struct profile *p, enum report_kind kind, const char *arg, FILE *out)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT(REPORT_MAX_BYTES);
	_cleanup_(graph_freep) struct graph *g = NULL;
	struct report r;
	int rc;

	if (kind == REPORT_TOP) {
		rc = profile_text(p, NULL, &text);
	} else {
		rc = report_open(&r, p, NULL, &text);
		if (rc < 0)
			return rc;
		g = r.g;
		rc = kind == REPORT_PEEK     ? report_peek(&r, arg)
		     : kind == REPORT_TREE   ? report_tree(&r, NULL)
		     : kind == REPORT_TRACES ? report_traces(&r, out)
					     : -EINVAL;
	}
	if (rc < 0)
		return rc;
	if (text.size > 0 && fwrite(text.data, 1, text.size, out) != text.size)
		return -EIO;
	return fflush(out) == 0 ? 0 : -EIO;
}
