/* SPDX-License-Identifier: Apache-2.0 */
/* The same questions as the catalog's, of windows that are not in it yet. */
#include <string.h>

#include "private.h"
#include "text.h"

#define MIN_PREFIX 6

static bool same_or_prefix(const char *s, const char *value)
{
	size_t size = strlen(value);

	return strcmp(s, value) == 0 || (size >= MIN_PREFIX && strncmp(s, value, size) == 0);
}

static bool unit_is(const char *unit, const char *value)
{
	size_t size = strlen(value);

	return strcmp(unit, value) == 0 ||
	       (!strchr(value, '.') && strncmp(unit, value, size) == 0 &&
		strcmp(unit + size, ".service") == 0);
}

static bool exe_is(const char *exe, const char *value)
{
	const char *slash = strrchr(exe, '/');

	return strcmp(exe, value) == 0 ||
	       (!strchr(value, '/') && slash && strcmp(slash + 1, value) == 0);
}

static const char *exe_of(const struct continuous_usage *u)
{
	return u->process->exe && u->process->exe->name ? u->process->exe->name : "";
}

static bool term_matches(const struct catalog_term *t, const struct continuous_usage *u)
{
	const struct process_info *p = u->process;
	uint64_t number = UINT64_MAX;

	switch (t->kind) {
	case CATALOG_PID:
		return text_parse_u64(t->value, UINT32_MAX, &number) == 0 && number == p->pid;
	case CATALOG_UID:
		return text_parse_u64(t->value, UINT32_MAX, &number) == 0 && number == u->uid;
	case CATALOG_COMM:
		return strncmp(p->comm ?: "", t->value, 15) == 0;
	case CATALOG_UNIT:
		return unit_is(p->unit ?: "", t->value);
	case CATALOG_CONTAINER:
		return same_or_prefix(p->container ?: "", t->value);
	case CATALOG_EXE:
		return exe_is(exe_of(u), t->value);
	case CATALOG_BUILD_ID:
		return same_or_prefix(u->build_id, t->value);
	}
	return false;
}

bool query_matches(const struct catalog_query *q, const struct continuous_usage *u)
{
	/* targets are one group, every other kind is one of its own */
	bool asked[CATALOG_UID + 1] = {}, met[CATALOG_UID + 1] = {};

	for (size_t i = 0; i < q->n_terms; i++) {
		enum catalog_kind group = q->terms[i].kind <= CATALOG_CONTAINER ? CATALOG_PID
										: q->terms[i].kind;

		asked[group] = true;
		met[group] |= term_matches(&q->terms[i], u);
	}
	for (size_t g = 0; g < ARRAY_SIZE(asked); g++)
		if (asked[g] && !met[g])
			return false;
	return true;
}

bool query_overlaps(const struct catalog_query *q, const struct continuous_report *report)
{
	return report->start_ns < q->until_ns &&
	       report->start_ns + (int64_t)report->duration_ns > q->since_ns;
}

struct named_sum {
	char *name;
	uint64_t cpu_ns;
};

static int name_of(enum catalog_by by, const struct continuous_usage *u, char **ret)
{
	const struct process_info *p = u->process;
	int r = 0;

	switch (by) {
	case BY_UNIT:
		*ret = strdup(p->unit && *p->unit ? p->unit : p->comm ?: "");
		break;
	case BY_COMM:
		*ret = strdup(p->comm ?: "");
		break;
	case BY_EXE:
		*ret = strdup(exe_of(u));
		break;
	case BY_CONTAINER:
		*ret = strdup(p->container ?: "");
		break;
	case BY_PID:
		r = asprintf(ret, "%s (%u)", p->comm ?: "", p->pid);
		break;
	}
	return r < 0 || !*ret ? -ENOMEM : 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct named_sum *)a)->name, ((const struct named_sum *)b)->name);
}

static int by_cpu(const void *a, const void *b)
{
	const struct named_sum *x = a, *y = b;

	return (x->cpu_ns < y->cpu_ns) - (x->cpu_ns > y->cpu_ns);
}

static void sums_free(struct named_sum *sums, size_t n)
{
	for (size_t i = 0; i < n; i++)
		free(sums[i].name);
	free(sums);
}

/* The heaviest of the report and of what the line has already. */
static int add_top(struct catalog_line *line, const struct catalog_query *q,
		   const struct continuous_report *report)
{
	struct named_sum *sums = calloc(report->n_usage + CATALOG_TOP, sizeof(*sums));
	size_t n = 0, distinct = 0;
	int r = 0;

	if (!sums)
		return -ENOMEM;
	for (size_t k = 0; k < CATALOG_TOP && line->top[k].name; k++) {
		sums[n++] = (struct named_sum){ line->top[k].name, line->top[k].cpu_ns };
		line->top[k].name = NULL;
	}
	for (size_t i = 0; r == 0 && i < report->n_usage; i++) {
		if (!query_matches(q, &report->usage[i]))
			continue;
		r = name_of(q->by, &report->usage[i], &sums[n].name);
		if (r == 0)
			sums[n++].cpu_ns = report->usage[i].cpu_ns;
	}
	if (r < 0) {
		sums_free(sums, n);
		return r;
	}
	qsort(sums, n, sizeof(*sums), by_name);
	for (size_t i = 0; i < n; i++) {
		if (distinct && strcmp(sums[distinct - 1].name, sums[i].name) == 0) {
			sums[distinct - 1].cpu_ns += sums[i].cpu_ns;
			free(sums[i].name);
		} else {
			sums[distinct++] = sums[i];
		}
	}
	qsort(sums, distinct, sizeof(*sums), by_cpu);
	for (size_t k = 0; k < CATALOG_TOP && k < distinct; k++) {
		line->top[k].name = sums[k].name;
		line->top[k].cpu_ns = sums[k].cpu_ns;
		sums[k].name = NULL;
	}
	sums_free(sums, distinct);
	return 0;
}

/* The heaviest of both; what was fourth in one of them is not known. */
static void merge_top(struct catalog_line *dst, struct catalog_line *src)
{
	struct named_sum sums[2 * CATALOG_TOP] = {};
	size_t n = 0;

	for (size_t k = 0; k < CATALOG_TOP && dst->top[k].name; k++) {
		sums[n++] = (struct named_sum){ dst->top[k].name, dst->top[k].cpu_ns };
		dst->top[k].name = NULL;
	}
	for (size_t k = 0; k < CATALOG_TOP && src->top[k].name; k++) {
		size_t i = 0;

		while (i < n && strcmp(sums[i].name, src->top[k].name) != 0)
			i++;
		if (i < n) {
			sums[i].cpu_ns += src->top[k].cpu_ns;
			free(src->top[k].name);
		} else {
			sums[n++] = (struct named_sum){ src->top[k].name, src->top[k].cpu_ns };
		}
		src->top[k].name = NULL;
	}
	qsort(sums, n, sizeof(*sums), by_cpu);
	for (size_t k = 0; k < n; k++) {
		if (k >= CATALOG_TOP) {
			free(sums[k].name);
			continue;
		}
		dst->top[k].name = sums[k].name;
		dst->top[k].cpu_ns = sums[k].cpu_ns;
	}
}

void line_merge(struct catalog_line *dst, struct catalog_line *src)
{
	dst->open |= src->open;
	dst->duration_ns += src->duration_ns;
	dst->samples += src->samples;
	dst->cpu_ns += src->cpu_ns;
	dst->bytes += src->bytes;
	dst->lost += src->lost;
	dst->truncated += src->truncated;
	if (!dst->hz || (src->hz && src->hz < dst->hz))
		dst->hz = src->hz;
	merge_top(dst, src);
}

static struct catalog_line *list_line(struct catalog_list *l, int64_t start_ns, bool step)
{
	struct catalog_line *p;

	if (step)
		for (size_t i = l->n; i-- > 0;)
			if (l->lines[i].start_ns == start_ns)
				return &l->lines[i];
	p = realloc(l->lines, (l->n + 1) * sizeof(*p));
	if (!p)
		return NULL;
	l->lines = p;
	l->allocated = l->n + 1;
	p[l->n] = (struct catalog_line){ .start_ns = start_ns };
	return &p[l->n++];
}

int list_add_report(struct catalog_list *l, const struct catalog_query *q,
		    const struct continuous_report *report)
{
	int64_t step = (int64_t)q->step_ns, start_ns = report->start_ns;
	struct catalog_line *line;

	if (step)
		start_ns -= (start_ns % step + step) % step;
	line = list_line(l, start_ns, step != 0);
	if (!line)
		return -ENOMEM;
	if (!step && report->open)
		snprintf(line->name, sizeof(line->name), "open");
	line->open = report->open;
	line->duration_ns += report->duration_ns;
	line->lost += report->lost;
	line->truncated += report->truncated;
	if (!line->hz || report->hz < line->hz)
		line->hz = report->hz;
	for (size_t i = 0; i < report->n_usage; i++)
		if (query_matches(q, &report->usage[i])) {
			line->samples += report->usage[i].samples;
			line->cpu_ns += report->usage[i].cpu_ns;
		}
	return add_top(line, q, report);
}
