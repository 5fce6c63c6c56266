/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "args.h"
#include "daemon.h"
#include "human.h"
#include "doc.h"
#include "text.h"
#include "when.h"

/* What a key does not say by itself. */
enum label_as { AS_IT_IS, AS_COUNT, AS_BYTES, AS_PPM, AS_TIME };

struct label {
	const char *section, *key, *text; /* text: NULL is the key's */
	enum label_as as;
};

static const struct label labels[] = {
	{ "budget", "cpu_ppm_limit", "cpu limit", AS_PPM },
	{ "budget", "cpu_ppm_used", "cpu used", AS_PPM },
	{ "continuous", "open_since", NULL, AS_TIME },
	{ "continuous", "paused_until", NULL, AS_TIME },
	{ "store", "bytes", "size", AS_BYTES },
	{ "store", "deleted_for_age", "deleted for MaxAge=", AS_COUNT },
	{ "store", "deleted_for_bytes", "deleted for MaxBytes=", AS_COUNT },
	{ "store", "keep_free", "not stored for KeepFree=", AS_COUNT },
	{ "store", "newest", NULL, AS_TIME },
	{ "store", "oldest", NULL, AS_TIME },
	{ "store", "written", "profiles written", AS_COUNT },
	{ "store", "written_bytes", "bytes written", AS_BYTES },
};

static const struct label *label_find(const char *section, const char *key)
{
	static const struct label plain = {};

	for (size_t i = 0; i < ARRAY_SIZE(labels); i++)
		if (strcmp(labels[i].section, section) == 0 && strcmp(labels[i].key, key) == 0)
			return &labels[i];
	return &plain;
}

/* A value in the unit that its key names, or that its section implies. */
static void print_number(const char *section, const char *key, const json_t *value)
{
	enum label_as as = label_find(section, key)->as;
	double v = json_number_value(value);
	char text[64];

	if (as == AS_PPM)
		snprintf(text, sizeof(text), "%.2f %%", v / 1e4);
	else if (as == AS_BYTES || (as == AS_IT_IS && text_ends_with(key, "_bytes")) ||
		 strcmp(section, "memory") == 0)
		human_bytes(text, sizeof(text), v);
	else if (text_ends_with(key, "_ns"))
		human_seconds(text, sizeof(text), v / 1e9);
	else if (json_is_integer(value))
		human_count(text, sizeof(text), v > 0 ? (uint64_t)json_integer_value(value) : 0);
	else
		snprintf(text, sizeof(text), "%g", v);
	printf("%s", text);
}

/* "missed_tick" reads as "missed tick", "maps_bytes" as "maps". */
static void print_key(const char *key)
{
	_cleanup_free_ char *text = text_printable(key);
	size_t n;

	if (!text)
		return;
	n = strlen(text);
	if (text_ends_with(text, "_bytes"))
		text[n - 6] = '\0';
	else if (text_ends_with(text, "_ns"))
		text[n - 3] = '\0';
	for (char *p = text; *p; p++)
		if (*p == '_')
			*p = ' ';
	printf("%s", text);
}

static void print_value(const char *section, const char *key, const json_t *value)
{
	_cleanup_free_ char *text = NULL;
	char stamp[HUMAN_TIME_BYTES];
	int64_t ns;

	if (json_is_string(value) && label_find(section, key)->as == AS_TIME &&
	    when_parse(json_string_value(value), 0, &ns, NULL) == 0) {
		printf("%s", human_time(stamp, ns));
	} else if (json_is_string(value)) {
		text = text_printable(json_string_value(value));
		printf("%s", text ? text : "");
	} else if (json_is_number(value)) {
		print_number(section, key, value);
	} else if (json_is_boolean(value)) {
		printf("%s", json_is_true(value) ? "yes" : "no");
	} else if (json_is_array(value)) {
		printf("%zu", json_array_size(value));
	} else {
		printf("-");
	}
}

/* "lost   12 (0.1 %): missed tick 10, ring full 2". Reasons that never happened are left out. */
static void print_reasons(const char *name, const json_t *reasons, double of)
{
	const char *key, *separator = ": ";
	double sum = 0;
	char text[32];
	json_t *value;

	json_object_foreach((json_t *)reasons, key, value) sum += json_number_value(value);
	human_count(text, sizeof(text), (uint64_t)sum);
	printf("  %-12s %s", name, text);
	if (of > 0 && sum > 0)
		printf(sum * 10 < of ? " (%.2g %%)" : " (%.0f %%)", sum * 100 / of);

	json_object_foreach((json_t *)reasons, key, value)
	{
		if (json_number_value(value) <= 0)
			continue;
		printf("%s", separator);
		print_key(key);
		putchar(' ');
		print_number("", "", value);
		separator = ", ";
	}
	putchar('\n');
}

static void print_samples(const json_t *samples)
{
	double taken = doc_real(samples, "taken"), due = taken;
	const char *key;
	json_t *value, *lost = json_object_get(samples, "lost");

	json_object_foreach(lost, key, value) due += json_number_value(value);

	printf("samples\n");
	json_object_foreach((json_t *)samples, key, value)
	{
		if (json_is_object(value)) {
			_cleanup_free_ char *name = text_printable(key);

			print_reasons(name ? name : "", value,
				      strcmp(key, "lost") == 0 ? due : taken);
			continue;
		}
		printf("  ");
		print_key(key);
		printf("%*s ", (int)(strlen(key) < 12 ? 12 - strlen(key) : 0), "");
		print_value("samples", key, value);
		putchar('\n');
	}
}

/* Nested objects are few and small: one more level, on one line. */
static void print_section(const char *name, const json_t *section)
{
	const char *key, *inner_key;
	json_t *value, *inner;

	print_key(name);
	putchar('\n');
	json_object_foreach((json_t *)section, key, value)
	{
		const char *separator = "", *text = label_find(name, key)->text;

		printf("  ");
		if (text)
			printf("%s", text);
		else
			print_key(key);
		printf("  ");
		if (!json_is_object(value))
			print_value(name, key, value);
		json_object_foreach(value, inner_key, inner)
		{
			printf("%s", separator);
			print_key(inner_key);
			putchar(' ');
			print_value(name, inner_key, inner);
			separator = ", ";
		}
		putchar('\n');
	}
}

static void print_status(const json_t *status)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)status, key, value)
	{
		if (json_is_object(value))
			continue;
		print_key(key);
		printf("  ");
		print_value("", key, value);
		putchar('\n');
	}

	value = json_object_get(status, "samples");
	if (json_is_object(value))
		print_samples(value);
	json_object_foreach((json_t *)status, key,
			    value) if (json_is_object(value) && strcmp(key, "samples") != 0)
		print_section(key, value);
}

static int status_run(const struct client *c, int argc, char **argv)
{
	_cleanup_(daemon_freep) struct daemon *d = NULL;
	_cleanup_(json_decrefp) json_t *j = NULL;
	bool json;
	int r;

	r = args_parse(&verb_status, argc, argv, &json);
	if (r != 0)
		return r < 0 ? 0 : r;

	r = daemon_open(&d, c, 0);
	if (r < 0 || daemon_get_json(d, "/api/v1/status", &j) < 0)
		return EXIT_FAILURE;
	if (json)
		return doc_print(j) < 0 ? EXIT_FAILURE : 0;
	print_status(j);
	return 0;
}

const struct verb verb_status = {
	.name = "status",
	.run = status_run,
	.usage = "[--json]",
	.summary = "what the daemon does, costs and loses",
	.help = "Prints the daemon's own numbers: samples taken, lost and truncated by reason, "
		"memory by\n"
		"part, CPU time of daemon, worker and BPF programs, restarts of the worker, "
		"versions.\n"
		"Nothing that is lost is left out: a reason that is not shown has not happened.\n\n"
		"  --json    the same as one JSON document\n",
};
