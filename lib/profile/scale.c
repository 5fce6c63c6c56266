/* SPDX-License-Identifier: Apache-2.0 */
#include "scale.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

#include "cleanup.h"

struct scale_unit {
	const char *name;
	const char *aliases[4];
	double factor;
};

static const struct scale_unit bytes_units[] = {
	{ "B", { "b", "byte" }, 1 },
	{ "kB", { "kb", "kbyte", "kilobyte" }, 1ULL << 10 },
	{ "MB", { "mb", "mbyte", "megabyte" }, 1ULL << 20 },
	{ "GB", { "gb", "gbyte", "gigabyte" }, 1ULL << 30 },
	{ "TB", { "tb", "tbyte", "terabyte" }, 1ULL << 40 },
	{ "PB", { "pb", "pbyte", "petabyte" }, 1ULL << 50 },
};

static const struct scale_unit time_units[] = {
	{ "ns", { "ns", "nanosecond" }, 1 },    { "us", { "us", "microsecond" }, 1e3 },
	{ "ms", { "ms", "millisecond" }, 1e6 }, { "s", { "s", "sec", "second" }, 1e9 },
	{ "hrs", { "hour", "hr" }, 3600e9 },
};

static const struct scale_kind {
	const struct scale_unit *units;
	size_t n;
	const struct scale_unit *fallback; /* where no unit leaves at least 1 */
} kinds[] = {
	{ bytes_units, ARRAY_SIZE(bytes_units), &bytes_units[0] },
	{ time_units, ARRAY_SIZE(time_units), &time_units[3] },
};

/* Case does not matter, nor does a plural's s. */
static const struct scale_unit *scale_find(const struct scale_kind *k, const char *unit)
{
	size_t len = strlen(unit);

	if (len > 2 && (unit[len - 1] | 0x20) == 's')
		len--;
	for (size_t i = 0; i < k->n; i++)
		for (size_t j = 0; j < ARRAY_SIZE(k->units[i].aliases) && k->units[i].aliases[j];
		     j++)
			if (strlen(k->units[i].aliases[j]) == len &&
			    strncasecmp(k->units[i].aliases[j], unit, len) == 0)
				return &k->units[i];
	return NULL;
}

static const struct scale_unit *scale_auto(const struct scale_kind *k, double v)
{
	const struct scale_unit *best = NULL;

	for (size_t i = 0; i < k->n; i++)
		if (v / k->units[i].factor >= 1.0)
			best = &k->units[i];
	return best ? best : k->fallback;
}

static double scale_convert(double v, const char *from, const char *to, const char **ret_unit)
{
	bool is_auto = strcmp(to, "auto") == 0;

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++) {
		const struct scale_unit *a = scale_find(&kinds[i], from), *b;

		if (!a)
			continue;
		b = is_auto ? scale_auto(&kinds[i], v * a->factor) : scale_find(&kinds[i], to);
		if (!b)
			b = kinds[i].fallback;
		*ret_unit = b->name;
		return v * a->factor / b->factor;
	}

	*ret_unit = is_auto || strcmp(to, "count") == 0 || strcmp(to, "sample") == 0 ||
				    strcmp(to, "unit") == 0
			    ? ""
			    : to;
	return v;
}

char *scale_value(char s[SCALE_TEXT_BYTES], int64_t value, const char *from, const char *to)
{
	double magnitude = value < 0 ? -(double)value : (double)value;
	const char *unit;
	double v = scale_convert(magnitude, from, to, &unit);
	int n = snprintf(s, SCALE_TEXT_BYTES, "%s%.2f", value < 0 ? "-" : "", v);

	if (n > 3 && strcmp(s + n - 3, ".00") == 0)
		s[n -= 3] = '\0';
	if (strcmp(s, "0") == 0 || strcmp(s, "-0") == 0)
		snprintf(s, SCALE_TEXT_BYTES, "0");
	else
		snprintf(s + n, SCALE_TEXT_BYTES - (size_t)n, "%s", unit);
	return s;
}

const char *scale_auto_unit(int64_t value, const char *from)
{
	const char *unit;

	scale_convert(value < 0 ? -(double)value : (double)value, from, "auto", &unit);
	return unit;
}

double scale_to_ns(int64_t value, const char *from)
{
	const struct scale_unit *u = scale_find(&kinds[1], from);

	return u ? (double)value * u->factor : 0;
}

char *scale_percent(char s[SCALE_TEXT_BYTES], int64_t value, int64_t total)
{
	double ratio = total ? (double)value / (double)total * 100 : 0;

	if (ratio < 0)
		ratio = -ratio;
	if (ratio >= 99.95 && ratio <= 100.05)
		snprintf(s, SCALE_TEXT_BYTES, "  100%%");
	else
		snprintf(s, SCALE_TEXT_BYTES, ratio >= 1.0 ? "%5.2f%%" : "%5.2g%%", ratio);
	return s;
}
