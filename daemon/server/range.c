/* SPDX-License-Identifier: Apache-2.0 */
#include "range.h"

#include <string.h>

#include "cgroup.h"
#include "clock.h"
#include "rules.h"
#include "spec.h"
#include "text.h"
#include "when.h"

#define MAX_PAIRS   256
#define MIN_STEP_NS NSEC_PER_SEC
#define COMM_BYTES  15

void range_done(struct range *r)
{
	for (size_t i = 0; i < r->n_values; i++)
		free(r->values[i]);
	r->n_values = 0;
}

static _printf_(2, 3) int refuse(char **ret_error, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(ret_error, fmt, ap);
	va_end(ap);
	if (n < 0)
		*ret_error = NULL;
	return n < 0 ? -ENOMEM : -EINVAL;
}

bool range_is_asked(const char *query)
{
	for (const char *p = query; p && *p; p = strchr(p, '&') ? strchr(p, '&') + 1 : NULL)
		if (strncmp(p, "since=", 6) == 0 || strncmp(p, "until=", 6) == 0)
			return true;
	return false;
}

/* Nanoseconds since 1970, or as people write times. */
static int parse_time(const char *key, const char *value, int64_t *ret, char **ret_error)
{
	uint64_t ns;

	if (text_parse_u64(value, INT64_MAX, &ns) == 0) {
		*ret = (int64_t)ns;
		return 0;
	}
	if (when_parse(value, (int64_t)clock_ns(CLOCK_REALTIME), ret, NULL) < 0)
		return refuse(ret_error,
			      "%s must be nanoseconds since 1970 or a time as in RFC 3339", key);
	return 0;
}

static int take_time(struct range *r, const char *key, const char *value, char **ret_error)
{
	struct history_query *q = &r->query;

	if (strcmp(key, "since") == 0)
		return parse_time(key, value, &q->range.since_ns, ret_error);
	if (strcmp(key, "until") == 0)
		return parse_time(key, value, &q->range.until_ns, ret_error);
	q->has_baseline = true;
	if (strcmp(key, "baseline_since") == 0)
		return parse_time(key, value, &q->baseline.since_ns, ret_error);
	return parse_time(key, value, &q->baseline.until_ns, ret_error);
}

static int take_by(struct range *r, const char *value, char **ret_error)
{
	static const char *const names[] = { [BY_UNIT] = "unit",
					     [BY_COMM] = "comm",
					     [BY_EXE] = "exe",
					     [BY_CONTAINER] = "container",
					     [BY_PID] = "pid" };

	for (size_t i = 0; i < ARRAY_SIZE(names); i++)
		if (strcmp(value, names[i]) == 0) {
			r->query.range.by = (enum catalog_by)i;
			return 0;
		}
	return refuse(ret_error, "by must be unit, comm, exe, container or pid");
}

static int take_step(struct range *r, const char *value, char **ret_error)
{
	uint64_t ns;

	if (text_parse_u64(value, INT64_MAX, &ns) < 0 && text_parse_span_ns(value, &ns) < 0)
		ns = 0;
	if (ns < MIN_STEP_NS || ns > INT64_MAX)
		return refuse(ret_error, "step must be nanoseconds or a time span, 1 s or more");
	r->query.range.step_ns = ns;
	return 0;
}

/* The value becomes the range's. */
static int add_term(struct range *r, enum catalog_kind kind, char *value, char **ret_error)
{
	struct catalog_query *q = &r->query.range;

	if (!value)
		return -ENOMEM;
	if (q->n_terms == CATALOG_MAX_TERMS) {
		free(value);
		return refuse(ret_error, "more than %d filters", CATALOG_MAX_TERMS);
	}
	if (kind == CATALOG_COMM && strlen(value) > COMM_BYTES)
		value[COMM_BYTES] = '\0'; /* the kernel keeps no more */
	r->values[r->n_values++] = value;
	q->terms[q->n_terms++] = (struct catalog_term){ kind, value };
	return 0;
}

/* Stored samples know their unit: that is what a cgroup's path says. */
static int take_cgroup(struct range *r, const char *value, char **ret_error)
{
	struct cgroup_names names;
	const char *path = strncmp(value, "/sys/fs/cgroup/", 15) == 0 ? value + 14 : value;

	cgroup_names(path, NULL, NULL, &names);
	if (!names.unit[0] && !names.user_unit[0])
		return refuse(ret_error,
			      "cgroup %.128s is no unit's: windows are kept by unit and container, "
			      "ask for one of these",
			      value);
	return add_term(r, CATALOG_UNIT, strdup(names.user_unit[0] ? names.user_unit : names.unit),
			ret_error);
}

static int take_user(struct range *r, const char *value, char **ret_error)
{
	char *number;
	uint32_t uid;

	if (rules_user(value, &uid) < 0)
		return refuse(ret_error, "there is no user %.64s in /etc/passwd", value);
	if (asprintf(&number, "%u", uid) < 0)
		return -ENOMEM;
	return add_term(r, CATALOG_UID, number, ret_error);
}

static int take_filter(struct range *r, const char *key, const char *value, char **ret_error)
{
	static const struct {
		const char *name;
		enum catalog_kind kind;
	} kinds[] = { { "pid", CATALOG_PID },   { "comm", CATALOG_COMM },
		      { "unit", CATALOG_UNIT }, { "container", CATALOG_CONTAINER },
		      { "exe", CATALOG_EXE },   { "build_id", CATALOG_BUILD_ID } };
	uint64_t pid;

	if (!*value || strlen(value) > SPEC_MAX_VALUE_BYTES)
		return refuse(ret_error, "%s needs a value of 1 to %d bytes", key,
			      SPEC_MAX_VALUE_BYTES);
	if (strcmp(key, "cgroup") == 0)
		return take_cgroup(r, value, ret_error);
	if (strcmp(key, "user") == 0)
		return take_user(r, value, ret_error);
	if (strcmp(key, "pid") == 0 && text_parse_u64(value, UINT32_MAX, &pid) < 0)
		return refuse(ret_error, "pid must be a number");
	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (strcmp(key, kinds[i].name) == 0)
			return add_term(r, kinds[i].kind, strdup(value), ret_error);
	return refuse(ret_error,
		      "unknown parameter %.64s: there are since, until, step, by, baseline_since, "
		      "baseline_until, pid, comm, unit, cgroup, container, exe, build_id, user",
		      key);
}

static int take_pair(struct range *r, const char *key, const char *value, char **ret_error)
{
	static const char *const times[] = { "since", "until", "baseline_since", "baseline_until" };
	bool list = r->query.what == HISTORY_LIST;

	for (size_t i = 0; i < (list ? 2 : ARRAY_SIZE(times)); i++)
		if (strcmp(key, times[i]) == 0)
			return take_time(r, key, value, ret_error);
	if (list && strcmp(key, "by") == 0)
		return take_by(r, value, ret_error);
	if (list && strcmp(key, "step") == 0)
		return take_step(r, value, ret_error);
	/* everybody's, as `all=1` of a capture; go tool pprof sends seconds and debug of its own */
	if (strcmp(key, "all") == 0 || strcmp(key, "seconds") == 0 || strcmp(key, "debug") == 0 ||
	    strcmp(key, "gc") == 0)
		return 0;
	return take_filter(r, key, value, ret_error);
}

/* The baseline is filtered as the range is. */
static int finish(struct range *r, char **ret_error)
{
	struct catalog_query *q = &r->query.range, *base = &r->query.baseline;

	if (q->since_ns >= q->until_ns)
		return refuse(ret_error, "since must be before until");
	if (!r->query.has_baseline)
		return 0;
	if (base->since_ns >= base->until_ns)
		return refuse(ret_error, "baseline_since must be before baseline_until");
	memcpy(base->terms, q->terms, sizeof(q->terms));
	base->n_terms = q->n_terms;
	return 0;
}

int range_parse(struct range *ret, const char *query, enum history_what what, char **ret_error)
{
	_cleanup_(buf_done) struct buf key = BUF_INIT(128),
				       value = BUF_INIT(SPEC_MAX_VALUE_BYTES + 2);
	unsigned n = 0;
	int r = 0;

	*ret = (struct range){ .query = { .what = what,
					  .range = { .until_ns = INT64_MAX },
					  .baseline = { .until_ns = INT64_MAX } } };
	while (query && (r = query_next(&query, &key, &value)) > 0) {
		if (n++ == MAX_PAIRS)
			return refuse(ret_error, "more than %d parameters", MAX_PAIRS);
		r = take_pair(ret, key.data, value.data, ret_error);
		if (r < 0)
			return r;
	}
	if (r == -EINVAL)
		return refuse(ret_error,
			      "malformed query: %%HH must be hexadecimal, UTF-8, not NUL");
	if (r == -ENOSPC)
		return refuse(ret_error, "a parameter is longer than %d bytes",
			      SPEC_MAX_VALUE_BYTES);
	return r < 0 ? r : finish(ret, ret_error);
}
