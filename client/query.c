/* SPDX-License-Identifier: Apache-2.0 */
#include "query.h"

#include <inttypes.h>
#include <string.h>

#include "clock.h"
#include "text.h"
#include "when.h"

static int query_add(struct query *q, const struct verb *v, const char *option, const char *key,
		     const char *value)
{
	if (!*value)
		return say_usage(v, "--%s needs a value", option);
	if (q->n_filters == ARRAY_SIZE(q->filters))
		return say_usage(v, "more than %d filters", CPROF_MAX_TARGETS);
	q->filters[q->n_filters++] = (struct query_filter){ key, value };
	return 0;
}

int query_pid(struct query *q, const struct verb *v, const char *arg)
{
	uint64_t pid;

	if (text_parse_u64(arg, INT32_MAX, &pid) < 0 || pid == 0)
		return say_usage(v,
				 "'%s' is not a pid: to choose by name, write --comm '%s' or "
				 "--unit '%s.service'",
				 arg, arg, arg);
	return query_add(q, v, "pid", "pid", arg);
}

int query_option(struct query *q, const struct verb *v, int opt, const char *arg)
{
	switch (opt) {
	case 'p':
		return query_pid(q, v, arg);
	case 'a':
		q->all = true;
		return 0;
	case QUERY_OPT_SINCE:
		q->since = arg;
		return 0;
	case QUERY_OPT_UNTIL:
		q->until = arg;
		return 0;
	case QUERY_OPT_BASELINE:
		q->baseline = arg;
		return 0;
	case QUERY_OPT_COMM:
		return query_add(q, v, "comm", "comm", arg);
	case QUERY_OPT_UNIT:
		return query_add(q, v, "unit", "unit", arg);
	case QUERY_OPT_CGROUP:
		return query_add(q, v, "cgroup", "cgroup", arg);
	case QUERY_OPT_CONTAINER:
		return query_add(q, v, "container", "container", arg);
	case QUERY_OPT_EXE:
		return query_add(q, v, "exe", "exe", arg);
	case QUERY_OPT_BUILD_ID:
		return query_add(q, v, "build-id", "build_id", arg);
	case QUERY_OPT_USER:
		return query_add(q, v, "user", "user", arg);
	default:
		return -1;
	}
}

static int query_time(const struct verb *v, const char *option, const char *s, int64_t now_ns,
		      int64_t *ret, enum when_kind *ret_kind)
{
	if (when_parse(s, now_ns, ret, ret_kind) == 0)
		return 0;
	if (*s && s[strspn(s, "0123456789.")] == '\0')
		return say_usage(v,
				 "'%s' is not a time for --%s: write @%s for seconds since 1970, "
				 "%ss for so long ago, 02:00 for a time of day",
				 s, option, s, s);
	return say_usage(v,
			 "'%s' is not a time for --%s: write 02:00, \"yesterday 14:00\", "
			 "\"10 min ago\", 2h or 2026-11-23T02:00:00Z",
			 s, option);
}

/* "1 day before": the same range, so much earlier; or the time at which one of the same length begins. */
static int query_baseline(struct query *q, const struct verb *v, int64_t now_ns)
{
	static const char *const words[] = { " before", " earlier" };
	int64_t length = (q->until_ns ? q->until_ns : now_ns) - q->since_ns;
	size_t n = strlen(q->baseline);

	for (size_t i = 0; i < ARRAY_SIZE(words); i++) {
		size_t end = strlen(words[i]);
		_cleanup_free_ char *span = NULL;
		uint64_t ns;

		if (n <= end || strcmp(q->baseline + n - end, words[i]) != 0)
			continue;
		span = strndup(q->baseline, n - end);
		if (!span || text_parse_span_ns(span, &ns) < 0 || ns == 0 ||
		    ns > (uint64_t)q->since_ns)
			return say_usage(v,
					 "'%s' is not a time span before: write \"1 day before\"",
					 q->baseline);
		q->baseline_since_ns = q->since_ns - (int64_t)ns;
		q->baseline_until_ns = q->baseline_since_ns + length;
		return 0;
	}

	if (query_time(v, "baseline", q->baseline, now_ns, &q->baseline_since_ns, NULL) != 0)
		return EXIT_USAGE;
	q->baseline_until_ns = q->baseline_since_ns + length;
	return 0;
}

int query_finish(struct query *q, const struct verb *v, int64_t now_ns)
{
	enum when_kind since = WHEN_POINT, until = WHEN_POINT;

	if (q->since && query_time(v, "since", q->since, now_ns, &q->since_ns, &since) != 0)
		return EXIT_USAGE;
	if (q->until && query_time(v, "until", q->until, now_ns, &q->until_ns, &until) != 0)
		return EXIT_USAGE;
	/* --since 23:00 --until 00:30 is one night, --since 12:00 --until 14:00 may end later */
	if (q->since && until != WHEN_POINT && (since != WHEN_POINT || q->until_ns <= q->since_ns))
		q->until_ns = when_clock_after(q->until_ns, until, q->since_ns);
	if (q->since && q->until && q->until_ns <= q->since_ns)
		return say_usage(v, "--until %s is not after --since %s", q->until, q->since);
	if (q->since && q->since_ns > now_ns)
		return say_usage(v, "--since %s is still to come", q->since);

	if (!q->baseline)
		return 0;
	if (!q->since)
		return say_usage(v, "--baseline needs --since: which range is it for?");
	return query_baseline(q, v, now_ns);
}

void query_encode(struct buf *b, const char *s)
{
	static const char plain[] =
		"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789._-~";

	for (; *s; s++) {
		if (strchr(plain, *s))
			buf_putc(b, *s);
		else
			buf_printf(b, "%%%02X", (unsigned char)*s);
	}
}

void query_append_pair(struct buf *path, const char *key, const char *value)
{
	buf_putc(path, path->data && strchr(path->data, '?') ? '&' : '?');
	buf_puts(path, key);
	buf_putc(path, '=');
	query_encode(path, value);
}

static void query_append_time(struct buf *path, const char *key, int64_t ns)
{
	char text[24];

	if (ns <= 0)
		return;
	snprintf(text, sizeof(text), "%" PRId64, ns);
	query_append_pair(path, key, text);
}

void query_append(const struct query *q, struct buf *path)
{
	query_append_time(path, "since", q->since_ns);
	query_append_time(path, "until", q->until_ns);
	query_append_time(path, "baseline_since", q->baseline_since_ns);
	query_append_time(path, "baseline_until", q->baseline_until_ns);
	for (size_t i = 0; i < q->n_filters; i++)
		query_append_pair(path, q->filters[i].key, q->filters[i].value);
}
