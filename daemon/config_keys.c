/* SPDX-License-Identifier: Apache-2.0 */
#include "config_keys.h"

#include <stdlib.h>
#include <string.h>

#include "cprof/api.h"
#include "text.h"

#define MIB      (1024ULL * 1024)
#define DAY_NS   (86400 * NSEC_PER_SEC)
#define FIELD(f) offsetof(struct config, f), sizeof(((struct config *)0)->f)

static const char *const sections[] = { "Sampling", "Continuous", "Store",
					"Budget",   "Server",     "Symbols" };

static int parse_u32(const struct config_key *key, const char *value, void *field)
{
	uint64_t v;
	int r = text_parse_u64(value, key->max, &v);

	if (r < 0)
		return r;
	if (v < key->min)
		return -ERANGE;

	*(uint32_t *)field = (uint32_t)v;
	return 0;
}

static int parse_checked(const struct config_key *key, int r, uint64_t v, void *field)
{
	if (r < 0)
		return r;
	if (v < key->min || v > key->max)
		return -ERANGE;

	*(uint64_t *)field = v;
	return 0;
}

static int parse_bytes(const struct config_key *key, const char *value, void *field)
{
	uint64_t v = 0;
	int r = text_parse_bytes(value, &v);

	return parse_checked(key, r, v, field);
}

static int parse_span(const struct config_key *key, const char *value, void *field)
{
	uint64_t v = 0;
	int r = text_parse_span_ns(value, &v);

	return parse_checked(key, r, v, field);
}

static int parse_bool(const struct config_key *key _unused_, const char *value, void *field)
{
	static const char *const words[2][4] = { { "no", "false", "off", "0" },
						 { "yes", "true", "on", "1" } };

	for (size_t b = 0; b < 2; b++)
		for (size_t i = 0; i < ARRAY_SIZE(words[b]); i++)
			if (strcmp(value, words[b][i]) == 0) {
				*(bool *)field = b;
				return 0;
			}
	return -EINVAL;
}

/* "1%", "0.25%": to millionths, so that no rounding depends on the locale's decimal point. */
static int parse_percent(const struct config_key *key, const char *value, void *field)
{
	uint64_t ppm = 0, scale = 10000;
	const char *p = value;

	if (*p < '0' || *p > '9')
		return -EINVAL;
	for (; *p >= '0' && *p <= '9'; p++) {
		ppm = ppm * 10 + (uint64_t)(*p - '0') * scale;
		if (ppm > key->max)
			return -ERANGE;
	}
	if (*p == '.')
		for (p++; *p >= '0' && *p <= '9'; p++) {
			scale /= 10;
			ppm += (uint64_t)(*p - '0') * scale;
		}
	if (strcmp(p, "%") != 0)
		return -EINVAL;
	if (ppm < key->min || ppm > key->max)
		return -ERANGE;

	*(uint32_t *)field = (uint32_t)ppm;
	return 0;
}

static int parse_path(const struct config_key *key _unused_, const char *value, void *field)
{
	char **path = field, *copy;

	if (value[0] != '/')
		return -EINVAL;

	copy = strdup(value);
	if (!copy)
		return -ENOMEM;
	free(*path);
	*path = copy;
	return 0;
}

/* Appends the words of value to the list. */
static int parse_list(const struct config_key *key _unused_, const char *value, void *field)
{
	_cleanup_(buf_done) struct buf b = BUF_INIT(CONFIG_MAX_LIST_BYTES);
	char **list = field;

	if (*list)
		buf_puts(&b, *list);
	while (*(value += strspn(value, " \t"))) {
		size_t len = strcspn(value, " \t");

		if (b.size)
			buf_putc(&b, ' ');
		buf_append(&b, value, len);
		value += len;
	}
	if (b.error)
		return b.error == -ENOSPC ? -E2BIG : b.error;

	free(*list);
	*list = buf_take(&b, NULL);
	return 0;
}

#define RULES_EXPECTED "KIND:VALUE, of pid, comm, unit, cgroup, container or user"

/* Who is profiled, and who is not: a list whose words must have a kind that exists. */
static int parse_rules(const struct config_key *key, const char *value, void *field)
{
	static const char *const kinds[] = { "pid:",    "comm:",      "unit:",
					     "cgroup:", "container:", "user:" };

	for (const char *p = value; *(p += strspn(p, " \t")); p += strcspn(p, " \t")) {
		bool known = false;

		for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
			size_t len = strlen(kinds[i]);

			known |= strncmp(p, kinds[i], len) == 0 && p[len] && p[len] != ' ';
		}
		if (!known)
			return -EINVAL;
	}
	return parse_list(key, value, field);
}

static void format_u32(const void *field, struct buf *out)
{
	buf_printf(out, "%u", *(const uint32_t *)field);
}

static void format_bool(const void *field, struct buf *out)
{
	buf_puts(out, *(const bool *)field ? "yes" : "no");
}

/* In the largest unit that says it exactly. */
static void format_bytes(const void *field, struct buf *out)
{
	static const char *const units[] = { "", "K", "M", "G", "T" };
	uint64_t v = *(const uint64_t *)field;
	size_t u = 0;

	while (v && v % 1024 == 0 && u + 1 < ARRAY_SIZE(units)) {
		v /= 1024;
		u++;
	}
	buf_printf(out, "%llu%s", (unsigned long long)v, units[u]);
}

static void format_span(const void *field, struct buf *out)
{
	static const struct {
		const char *name;
		uint64_t ns;
	} units[] = {
		{ "d", DAY_NS },       { "h", 3600 * NSEC_PER_SEC }, { "min", 60 * NSEC_PER_SEC },
		{ "s", NSEC_PER_SEC }, { "ms", NSEC_PER_MSEC },      { "us", NSEC_PER_USEC },
		{ "ns", 1 },
	};
	uint64_t v = *(const uint64_t *)field;
	const char *blank = "";

	if (v == 0)
		buf_puts(out, "0");
	for (size_t i = 0; i < ARRAY_SIZE(units); i++) {
		if (v < units[i].ns)
			continue;
		buf_printf(out, "%s%llu%s", blank, (unsigned long long)(v / units[i].ns),
			   units[i].name);
		v %= units[i].ns;
		blank = " ";
	}
}

static void format_percent(const void *field, struct buf *out)
{
	uint32_t ppm = *(const uint32_t *)field, part = ppm % 10000, digits = 4;

	buf_printf(out, "%u", ppm / 10000);
	for (; part && part % 10 == 0; digits--)
		part /= 10;
	if (part)
		buf_printf(out, ".%0*u", (int)digits, part);
	buf_putc(out, '%');
}

static void format_string(const void *field, struct buf *out)
{
	const char *s = *(char *const *)field;

	buf_puts(out, s ? s : "");
}

static const struct config_type type_u32 = { parse_u32, format_u32, false, false };
static const struct config_type type_bool = { parse_bool, format_bool, false, false };
static const struct config_type type_bytes = { parse_bytes, format_bytes, false, false };
static const struct config_type type_span = { parse_span, format_span, false, false };
static const struct config_type type_percent = { parse_percent, format_percent, false, false };
static const struct config_type type_path = { parse_path, format_string, true, false };
static const struct config_type type_rules = { parse_rules, format_string, true, true };
static const struct config_type type_list = { parse_list, format_string, true, true };

static const struct config_key keys[] = {
	{ "Sampling", "Frequency", &type_u32, FIELD(sampling.frequency_hz), CPROF_MIN_HZ,
	  CPROF_MAX_HZ, "a number of hertz, 1 to 10000", CONFIG_AT_RELOAD },
	{ "Continuous", "Enabled", &type_bool, FIELD(continuous.enabled), 0, 0, "yes or no",
	  CONFIG_AT_RELOAD },
	{ "Continuous", "Window", &type_span, FIELD(continuous.window_ns), 5 * NSEC_PER_SEC,
	  3600 * NSEC_PER_SEC, "a time span, 5s to 1h", CONFIG_AT_RELOAD },
	{ "Continuous", "Include", &type_rules, FIELD(continuous.include), 0, 0, RULES_EXPECTED,
	  CONFIG_AT_RELOAD },
	{ "Continuous", "Exclude", &type_rules, FIELD(continuous.exclude), 0, 0, RULES_EXPECTED,
	  CONFIG_AT_RELOAD },
	{ "Store", "MaxBytes", &type_bytes, FIELD(store.max_bytes), MIB, UINT64_MAX,
	  "a size, 1M or more", CONFIG_AT_RELOAD },
	{ "Store", "MaxAge", &type_span, FIELD(store.max_age_ns), 60 * NSEC_PER_SEC, UINT64_MAX,
	  "a time span, 1min or more", CONFIG_AT_RELOAD },
	{ "Store", "KeepFree", &type_bytes, FIELD(store.keep_free_bytes), 0, UINT64_MAX, "a size",
	  CONFIG_AT_RELOAD },
	{ "Budget", "CPU", &type_percent, FIELD(budget.cpu_ppm), 100, 1000000,
	  "a share of the machine, 0.01% to 100%", CONFIG_AT_RELOAD },
	{ "Budget", "Mean", &type_span, FIELD(budget.mean_ns), 5 * NSEC_PER_SEC,
	  3600 * NSEC_PER_SEC, "a time span, 5s to 1h", CONFIG_AT_RELOAD },
	{ "Budget", "Memory", &type_bytes, FIELD(budget.memory_bytes), 32 * MIB, UINT64_MAX,
	  "a size, 32M or more" },
	{ "Server", "Listen", &type_list, FIELD(server.listen), 0, 0, "ADDR:PORT" },
	{ "Server", "TokenFile", &type_path, FIELD(server.token_file), 0, 0, "an absolute path",
	  CONFIG_AT_RELOAD },
	{ "Server", "AllowedHosts", &type_list, FIELD(server.allowed_hosts), 0, 0, "host names",
	  CONFIG_AT_RELOAD },
	{ "Server", "MaxConnections", &type_u32, FIELD(server.connections), 16, 4096,
	  "a number, 16 to 4096" },
	{ "Server", "MaxConnectionsPerUser", &type_u32, FIELD(server.connections_per_uid), 1, 4096,
	  "a number, 1 to 4096", CONFIG_AT_RELOAD },
	{ "Server", "MaxCaptures", &type_u32, FIELD(server.captures), 1, 120,
	  "a number, 1 to 120" },
	{ "Server", "MaxCapturesPerUser", &type_u32, FIELD(server.captures_per_uid), 0, 120,
	  "a number, 0 to 120", CONFIG_AT_RELOAD },
	{ "Server", "MaxFrequencyPerUser", &type_u32, FIELD(server.hz_per_user), CPROF_MIN_HZ,
	  CPROF_MAX_HZ, "a number of hertz, 1 to 10000", CONFIG_AT_RELOAD },
	{ "Server", "MaxDurationPerUser", &type_span, FIELD(server.duration_ns_per_user),
	  NSEC_PER_SEC, DAY_NS, "a time span, 1s to 1d", CONFIG_AT_RELOAD },
	{ "Server", "IdleTimeout", &type_span, FIELD(server.idle_timeout_ns), NSEC_PER_SEC,
	  3600 * NSEC_PER_SEC, "a time span, 1s to 1h", CONFIG_AT_RELOAD },
	{ "Symbols", "DebuginfodUrls", &type_list, FIELD(symbols.debuginfod_urls), 0, 0, "URLs" },
	{ "Symbols", "DebuginfodWait", &type_span, FIELD(symbols.debuginfod_wait_ns), 0,
	  600 * NSEC_PER_SEC, "a time span, 0 to 10min" },
	{ "Symbols", "CacheBytes", &type_bytes, FIELD(symbols.cache_bytes), 0, UINT64_MAX,
	  "a size" },
	{ "Symbols", "NamesBytes", &type_bytes, FIELD(symbols.names_bytes), 0, UINT64_MAX,
	  "a size" },
	{ "Symbols", "JvmAttach", &type_bool, FIELD(symbols.jvm_attach), 0, 0, "yes or no" },
};

void config_defaults(struct config *ret)
{
	*ret = (struct config){
		.sampling.frequency_hz = CPROF_DEFAULT_HZ,
		.continuous = { .enabled = true, .window_ns = 60 * NSEC_PER_SEC },
		.store = { .max_bytes = 1024 * MIB,
			   .max_age_ns = 7 * DAY_NS,
			   .keep_free_bytes = 1024 * MIB },
		.budget = { .cpu_ppm = 10000,
			    .mean_ns = 600 * NSEC_PER_SEC,
			    .memory_bytes = 256 * MIB },
		.server = { .connections = 256,
			    .connections_per_uid = 4,
			    .captures = 96,
			    .captures_per_uid = 1,
			    .hz_per_user = 1000,
			    .duration_ns_per_user = 600 * NSEC_PER_SEC,
			    .idle_timeout_ns = 60 * NSEC_PER_SEC },
		.symbols = { .cache_bytes = 512 * MIB,
			     .names_bytes = 128 * MIB,
			     .debuginfod_wait_ns = 20 * NSEC_PER_SEC },
	};
}

void config_done(struct config *c)
{
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++) {
		if (keys[i].type->owned)
			free(*(char **)config_key_field(&keys[i], c));
		free(c->origins[i]);
	}
	config_defaults(c);
}

const struct config_key *config_key_at(size_t i)
{
	_Static_assert(ARRAY_SIZE(keys) <= CONFIG_MAX_KEYS, "struct config has a place for each");
	return i < ARRAY_SIZE(keys) ? &keys[i] : NULL;
}

const struct config_key *config_key_find(const char *section, const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(keys); i++)
		if (strcmp(keys[i].section, section) == 0 && strcmp(keys[i].name, name) == 0)
			return &keys[i];
	return NULL;
}

size_t config_key_index(const struct config_key *key)
{
	return (size_t)(key - keys);
}

bool config_section_exists(const char *name)
{
	for (size_t i = 0; i < ARRAY_SIZE(sections); i++)
		if (strcmp(sections[i], name) == 0)
			return true;
	return false;
}

void config_key_reset(const struct config_key *key, struct config *c)
{
	void *field = config_key_field(key, c);
	struct config defaults;

	if (key->type->owned)
		free(*(char **)field);
	config_defaults(&defaults);
	memcpy(field, config_key_field(key, &defaults), key->field_bytes);
}
