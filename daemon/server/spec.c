/* SPDX-License-Identifier: Apache-2.0 */
#include <jansson.h>
#include <string.h>

#include "spec.h"
#include "text.h"

#define MAX_PID 4194304 /* PID_MAX_LIMIT */

static const char *const kind_names[] = {
	[CAPTURE_ALL] = "all",   [CAPTURE_PID] = "pid",       [CAPTURE_COMM] = "comm",
	[CAPTURE_UNIT] = "unit", [CAPTURE_CGROUP] = "cgroup", [CAPTURE_CONTAINER] = "container",
};

void spec_done(struct capture_spec *spec)
{
	for (size_t i = 0; i < spec->n_targets; i++)
		free(spec->targets[i].value);
	spec->n_targets = 0;
}

static _printf_(2, 3) int refuse(char **ret_error, const char *fmt, ...)
{
	va_list ap;
	int n;

	va_start(ap, fmt);
	n = vasprintf(ret_error, fmt, ap);
	va_end(ap);
	if (n < 0) {
		*ret_error = NULL;
		return -ENOMEM;
	}
	return -EINVAL;
}

static void spec_init(struct capture_spec *spec)
{
	*spec = (struct capture_spec){
		.duration_ns = CPROF_DEFAULT_SECONDS * NSEC_PER_SEC,
		.hz = CPROF_DEFAULT_HZ,
		.children = true,
	};
}

static int kind_parse(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(kind_names); i++)
		if (strcmp(kind_names[i], name) == 0)
			return (int)i;
	return -EINVAL;
}

static int add_target(struct capture_spec *spec, int kind, const char *value, char **ret_error)
{
	size_t size = strlen(value);
	char *copy = NULL;
	uint64_t pid;

	if (spec->n_targets == CPROF_MAX_TARGETS)
		return refuse(ret_error,
			      "more than %d targets: ask for fewer, or for a unit or cgroup",
			      CPROF_MAX_TARGETS);
	if (kind == CAPTURE_PID && (text_parse_u64(value, MAX_PID, &pid) < 0 || pid == 0))
		return refuse(ret_error, "pid must be a number from 1 to %d", MAX_PID);
	if (kind != CAPTURE_ALL && (size == 0 || size > SPEC_MAX_VALUE_BYTES))
		return refuse(ret_error, "%s needs a value of 1 to %d bytes", kind_names[kind],
			      SPEC_MAX_VALUE_BYTES);
	if (kind != CAPTURE_ALL && !text_is_utf8(value, size))
		return refuse(ret_error, "%s is not valid UTF-8", kind_names[kind]);

	if (kind != CAPTURE_ALL) {
		copy = strdup(value);
		if (!copy)
			return -ENOMEM;
	}
	spec->targets[spec->n_targets++] = (struct capture_target){ .kind = kind, .value = copy };
	return 0;
}

static int finish(struct capture_spec *spec, char **ret_error)
{
	return spec->n_targets ? 0 : add_target(spec, CAPTURE_ALL, "", ret_error);
}

static int set_hz(struct capture_spec *spec, uint64_t hz, char **ret_error)
{
	if (hz < CPROF_MIN_HZ || hz > CPROF_MAX_HZ)
		return refuse(ret_error, "hz must be a number from %d to %d", CPROF_MIN_HZ,
			      CPROF_MAX_HZ);
	spec->hz = (unsigned)hz;
	return 0;
}

/* As net/http/pprof: strconv.ParseInt, and 30 for an error or what is not positive. */
static int set_seconds_text(struct capture_spec *spec, const char *value, char **ret_error)
{
	uint64_t seconds;

	if (*value == '+')
		value++;
	if (text_parse_u64(value, INT64_MAX, &seconds) < 0 || seconds == 0)
		seconds = CPROF_DEFAULT_SECONDS;
	if (seconds > CPROF_MAX_SECONDS)
		return refuse(ret_error, "seconds must be at most %d", CPROF_MAX_SECONDS);
	spec->duration_ns = seconds * NSEC_PER_SEC;
	return 0;
}

static int flag_parse(const char *value)
{
	if (strcmp(value, "1") == 0 || strcmp(value, "true") == 0 || *value == '\0')
		return 1;
	return strcmp(value, "0") == 0 || strcmp(value, "false") == 0 ? 0 : -EINVAL;
}

static int take_pair(struct capture_spec *spec, const char *key, const char *value,
		     char **ret_error)
{
	int kind = kind_parse(key), flag;
	uint64_t hz = 0;

	if (strcmp(key, "seconds") == 0)
		return set_seconds_text(spec, value, ret_error);
	if (strcmp(key, "hz") == 0) {
		(void)text_parse_u64(value, CPROF_MAX_HZ, &hz);
		return set_hz(spec, hz, ret_error);
	}
	/* go tool pprof and scrapers send these to every endpoint */
	if (strcmp(key, "debug") == 0 || strcmp(key, "gc") == 0)
		return 0;
	if (strcmp(key, "symbols") == 0) {
		spec->fast_symbols = strcmp(value, "fast") == 0;
		return spec->fast_symbols || strcmp(value, "full") == 0
			       ? 0
			       : refuse(ret_error, "symbols must be full or fast");
	}
	if (strcmp(key, "names") == 0) {
		spec->short_names = strcmp(value, "short") == 0;
		return spec->short_names || strcmp(value, "full") == 0
			       ? 0
			       : refuse(ret_error, "names must be full or short");
	}
	if (strcmp(key, "children") != 0 && kind != CAPTURE_ALL)
		return kind < 0 ? refuse(ret_error,
					 "unknown parameter %.64s: there are seconds, hz, pid, "
					 "comm, unit, cgroup, container, all, children, symbols, "
					 "names",
					 key)
				: add_target(spec, kind, value, ret_error);

	flag = flag_parse(value);
	if (flag < 0)
		return refuse(ret_error, "%s must be 0 or 1", key);
	if (kind == CAPTURE_ALL)
		return flag ? add_target(spec, CAPTURE_ALL, "", ret_error) : 0;
	spec->children = flag;
	return 0;
}

int spec_from_query(struct capture_spec *ret, const char *query, char **ret_error)
{
	_cleanup_(buf_done) struct buf key = BUF_INIT(128),
				       value = BUF_INIT(SPEC_MAX_VALUE_BYTES + 2);
	_cleanup_(spec_done) struct capture_spec spec;
	unsigned n = 0;
	int r = 0;

	spec_init(&spec);
	while (query && (r = query_next(&query, &key, &value)) > 0) {
		if (n++ == SPEC_MAX_PAIRS)
			return refuse(ret_error, "more than %d parameters", SPEC_MAX_PAIRS);
		r = take_pair(&spec, key.data, value.data, ret_error);
		if (r < 0)
			return r;
	}
	if (r == -EINVAL)
		return refuse(ret_error,
			      "malformed query: %%HH must be hexadecimal, UTF-8, not NUL");
	if (r == -ENOSPC)
		return refuse(ret_error, "a parameter is longer than %d bytes",
			      SPEC_MAX_VALUE_BYTES);
	if (r < 0)
		return r;

	r = finish(&spec, ret_error);
	if (r < 0)
		return r;
	*ret = spec;
	spec.n_targets = 0;
	return 0;
}

static int take_json_target(struct capture_spec *spec, const json_t *target, char **ret_error)
{
	const json_t *kind_json = json_object_get(target, "kind");
	const json_t *value = json_object_get(target, "value");
	char number[32] = "";
	int kind;

	if (!json_is_object(target) || !json_is_string(kind_json))
		return refuse(ret_error, "a target must be {\"kind\":..., \"value\":...}");
	kind = kind_parse(json_string_value(kind_json));
	if (kind < 0)
		return refuse(ret_error,
			      "a target's kind must be pid, comm, unit, cgroup, container "
			      "or all");
	if (json_object_size(target) > (value ? 2U : 1U))
		return refuse(ret_error, "a target has only kind and value");

	if (json_is_integer(value))
		snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT,
			 json_integer_value(value));
	else if (value && !json_is_string(value))
		return refuse(ret_error, "a target's value must be a string");
	return add_target(spec, kind, json_is_string(value) ? json_string_value(value) : number,
			  ret_error);
}

static int take_json_targets(struct capture_spec *spec, const json_t *targets, char **ret_error)
{
	const json_t *target;
	size_t i;

	if (!json_is_array(targets))
		return refuse(ret_error, "targets must be an array");
	json_array_foreach(targets, i, target)
	{
		int r = take_json_target(spec, target, ret_error);

		if (r < 0)
			return r;
	}
	return 0;
}

static int take_json_seconds(struct capture_spec *spec, const json_t *value, char **ret_error)
{
	double seconds = json_number_value(value);

	if (!json_is_number(value) || !(seconds >= 0 && seconds <= CPROF_MAX_SECONDS))
		return refuse(ret_error, "seconds must be a number from 0 (until stopped) to %d",
			      CPROF_MAX_SECONDS);
	spec->duration_ns = (uint64_t)(seconds * (double)NSEC_PER_SEC);
	/* nobody who asks for next to nothing means "until stopped" */
	if (seconds > 0 && spec->duration_ns < NSEC_PER_MSEC)
		spec->duration_ns = NSEC_PER_MSEC;
	return 0;
}

static int take_member(struct capture_spec *spec, const char *key, const json_t *value,
		       char **ret_error)
{
	if (strcmp(key, "targets") == 0)
		return take_json_targets(spec, value, ret_error);
	if (strcmp(key, "seconds") == 0)
		return take_json_seconds(spec, value, ret_error);
	if (strcmp(key, "hz") == 0) {
		json_int_t hz = json_integer_value(value);

		return set_hz(spec, hz > 0 ? (uint64_t)hz : 0, ret_error);
	}
	if (strcmp(key, "children") == 0) {
		if (!json_is_boolean(value))
			return refuse(ret_error, "children must be true or false");
		spec->children = json_is_true(value);
		return 0;
	}
	if (strcmp(key, "symbols") == 0) {
		const char *symbols = json_is_string(value) ? json_string_value(value) : "";

		spec->fast_symbols = strcmp(symbols, "fast") == 0;
		if (!spec->fast_symbols && strcmp(symbols, "full") != 0)
			return refuse(ret_error, "symbols must be \"full\" or \"fast\"");
		return 0;
	}
	if (strcmp(key, "names") == 0) {
		const char *names = json_is_string(value) ? json_string_value(value) : "";

		spec->short_names = strcmp(names, "short") == 0;
		if (!spec->short_names && strcmp(names, "full") != 0)
			return refuse(ret_error, "names must be \"full\" or \"short\"");
		return 0;
	}
	return refuse(ret_error,
		      "unknown member %.64s: there are targets, seconds, hz, children, "
		      "symbols, names",
		      key);
}

int spec_from_json(struct capture_spec *ret, const char *body, size_t size, char **ret_error)
{
	_cleanup_(spec_done) struct capture_spec spec;
	json_auto_t *json = NULL;
	json_error_t error;
	const char *key;
	json_t *value;
	int r;

	spec_init(&spec);
	json = json_loadb(body ? body : "", size, JSON_REJECT_DUPLICATES, &error);
	if (!json)
		return refuse(ret_error, "the body is not valid JSON: line %d column %d",
			      error.line, error.column);
	if (!json_is_object(json))
		return refuse(ret_error, "the body must be a JSON object");

	json_object_foreach(json, key, value)
	{
		r = take_member(&spec, key, value, ret_error);
		if (r < 0)
			return r;
	}
	r = finish(&spec, ret_error);
	if (r < 0)
		return r;
	*ret = spec;
	spec.n_targets = 0;
	return 0;
}

int spec_limit(struct capture_spec *spec, const struct peer *peer,
	       const struct server_limits *limits, char **ret_error)
{
	int r = 0;

	spec->uid = peer->uid;
	spec->gid = peer->gid;
	spec->privileged = peer->privileged;
	if (peer->privileged)
		return 0;

	if (spec->duration_ns == 0)
		spec->duration_ns = limits->duration_ns_per_user;
	if (spec->hz > limits->hz_per_user)
		r = refuse(ret_error,
			   "%u Hz is over the limit of %u Hz for ordinary users: ask for "
			   "less, or become root or a member of group " CPROF_GROUP,
			   spec->hz, limits->hz_per_user);
	else if (spec->duration_ns > limits->duration_ns_per_user)
		r = refuse(ret_error,
			   "%.0f s is over the limit of %.0f s for ordinary users: ask for "
			   "less, or become root or a member of group " CPROF_GROUP,
			   (double)spec->duration_ns / (double)NSEC_PER_SEC,
			   (double)limits->duration_ns_per_user / (double)NSEC_PER_SEC);
	return r == -EINVAL ? -EDQUOT : r;
}
