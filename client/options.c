/* SPDX-License-Identifier: Apache-2.0 */
#include "options.h"

#include <string.h>

#include "refuse.h"
#include "text.h"

enum {
	OPT_COMM = 256,
	OPT_UNIT,
	OPT_CGROUP,
	OPT_CONTAINER,
	OPT_SECONDS,
	OPT_FORMAT,
	OPT_NO_CHILDREN,
	OPT_SYMBOLS,
	OPT_NAMES,
	OPT_USER,
};

static const struct option capture_long_options[] = {
	{ "pid", required_argument, NULL, 'p' },
	{ "all", no_argument, NULL, 'a' },
	{ "hz", required_argument, NULL, 'F' },
	{ "output", required_argument, NULL, 'o' },
	{ "help", no_argument, NULL, 'h' },
	{ "comm", required_argument, NULL, OPT_COMM },
	{ "unit", required_argument, NULL, OPT_UNIT },
	{ "cgroup", required_argument, NULL, OPT_CGROUP },
	{ "container", required_argument, NULL, OPT_CONTAINER },
	{ "seconds", required_argument, NULL, OPT_SECONDS },
	{ "format", required_argument, NULL, OPT_FORMAT },
	{ "no-children", no_argument, NULL, OPT_NO_CHILDREN },
	{ "symbols", required_argument, NULL, OPT_SYMBOLS },
	{ "names", required_argument, NULL, OPT_NAMES },
	{ "user", required_argument, NULL, OPT_USER },
	{ NULL },
};

static const struct {
	const char *name, *extension;
} output_formats[] = {
	[FORMAT_PPROF] = { "pprof", ".pb.gz" },
	[FORMAT_FOLDED] = { "folded", ".folded" },
	[FORMAT_SVG] = { "svg", ".svg" },
	[FORMAT_TEXT] = { "text", ".txt" },
};

int output_format_parse(const char *s, enum output_format *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(output_formats); i++)
		if (strcmp(s, output_formats[i].name) == 0) {
			*ret = (enum output_format)i;
			return 0;
		}
	return -EINVAL;
}

const char *output_format_extension(enum output_format format)
{
	return output_formats[format].extension;
}

int output_format_of_name(const char *file, enum output_format *ret)
{
	for (size_t i = 0; i < ARRAY_SIZE(output_formats); i++)
		/* of a file that is called ".svg" it is the name */
		if (text_ends_with(file, output_formats[i].extension) &&
		    strcmp(file, output_formats[i].extension) != 0) {
			*ret = (enum output_format)i;
			return 0;
		}
	return -ENOENT;
}

void output_format_settle(enum output_format *format, bool given, const char *file)
{
	enum output_format named;

	if (!file || output_format_of_name(file, &named) < 0 || named == *format)
		return;
	if (given)
		say("note: %s will hold %s, as --format says, and not %s, as its name says", file,
		    output_formats[*format].name, output_formats[named].name);
	else
		*format = named;
}

/* One that is named twice is taken once. */
static bool options_has_target(const struct capture_options *o, const char *kind, const char *value)
{
	for (size_t i = 0; i < o->n_targets; i++)
		if (strcmp(o->targets[i].kind, kind) == 0 &&
		    strcmp(o->targets[i].value, value) == 0)
			return true;
	return false;
}

static int options_add_target(struct capture_options *o, const struct verb *v, const char *kind,
			      const char *value)
{
	if (!*value && strcmp(kind, "all") != 0)
		return say_usage(v, "--%s needs a value", kind);
	if (options_has_target(o, kind, value))
		return 0;
	if (o->n_targets == ARRAY_SIZE(o->targets))
		return say_usage(v, "more than %d targets: use --all or --cgroup",
				 CPROF_MAX_TARGETS);

	o->targets[o->n_targets].kind = kind;
	o->targets[o->n_targets].value = value;
	o->n_targets++;
	return 0;
}

/* "1,2,3", as perf takes it. The copies live in o->pids, one NUL-terminated number each. */
static int options_add_pids(struct capture_options *o, const struct verb *v, const char *list,
			    char **pids)
{
	uint64_t pid;
	int r;

	for (;;) {
		size_t n = strcspn(list, ",");
		char *copy = *pids;

		memcpy(copy, list, n);
		copy[n] = '\0';
		if (text_parse_u64(copy, INT32_MAX, &pid) < 0 || pid == 0)
			return say_usage(v,
					 "'%s' is not a pid: give a number of 1 or more, as "
					 "`cprofctl targets` lists them",
					 copy);
		r = options_add_target(o, v, "pid", copy);
		if (r != 0)
			return r;

		*pids += n + 1;
		if (!list[n])
			return 0;
		list += n + 1;
	}
}

static int options_seconds(struct capture_options *o, const struct verb *v, const char *s)
{
	uint64_t ns;

	if (text_parse_span_ns(s, &ns) < 0)
		return say_usage(v,
				 "'%s' is not a time: give seconds, or a span such as 500ms, 2m or "
				 "\"1min 30s\"",
				 s);
	if (ns > CPROF_MAX_SECONDS * NSEC_PER_SEC)
		return say_usage(v, "--seconds %s is too long: at most %d s; 0 runs until Ctrl-C",
				 s, CPROF_MAX_SECONDS);

	o->duration_ns = ns;
	return 0;
}

static int options_hz(struct capture_options *o, const struct verb *v, const char *s)
{
	uint64_t hz;

	if (text_parse_u64(s, CPROF_MAX_HZ, &hz) < 0 || hz < CPROF_MIN_HZ)
		return say_usage(v, "'%s' is not a frequency: give %d to %d samples a second", s,
				 CPROF_MIN_HZ, CPROF_MAX_HZ);

	o->hz = (unsigned)hz;
	return 0;
}

static int options_symbols(struct capture_options *o, const struct verb *v, const char *s)
{
	if (strcmp(s, "fast") != 0 && strcmp(s, "full") != 0)
		return say_usage(
			v,
			"'%s' is not a way to find symbols: --symbols takes fast (names) or "
			"full (also lines and inlined functions)",
			s);

	o->fast_symbols = strcmp(s, "fast") == 0;
	return 0;
}

static int options_names(struct capture_options *o, const struct verb *v, const char *s)
{
	if (strcmp(s, "short") != 0 && strcmp(s, "full") != 0)
		return say_usage(
			v,
			"'%s' is not a kind of names: --names takes full or short (C++, Rust "
			"and D names without template arguments and parameters)",
			s);

	o->short_names = strcmp(s, "short") == 0;
	return 0;
}

static int options_one(struct capture_options *o, const struct verb *v, int opt, const char *arg,
		       char **pids)
{
	switch (opt) {
	case 'p':
		return options_add_pids(o, v, arg, pids);
	case 'a':
		return options_add_target(o, v, "all", "");
	case OPT_COMM:
		return options_add_target(o, v, "comm", arg);
	case OPT_UNIT:
		return options_add_target(o, v, "unit", arg);
	case OPT_CGROUP:
		return options_add_target(o, v, "cgroup", arg);
	case OPT_CONTAINER:
		return options_add_target(o, v, "container", arg);
	case 'F':
		return options_hz(o, v, arg);
	case OPT_SECONDS:
		return options_seconds(o, v, arg);
	case 'o':
		if (!*arg)
			return say_usage(v, "-o needs a file, or - for standard output");
		o->output = arg;
		return 0;
	case OPT_FORMAT:
		if (output_format_parse(arg, &o->format) < 0)
			return say_usage(v, "unknown format '%s': pprof, folded, svg or text", arg);
		o->format_given = true;
		return 0;
	case OPT_NO_CHILDREN:
		o->children = false;
		return 0;
	case OPT_SYMBOLS:
		return options_symbols(o, v, arg);
	case OPT_NAMES:
		return options_names(o, v, arg);
	default:
		o->user = arg;
		return 0;
	}
}

static int options_operands(struct capture_options *o, const struct verb *v, bool record, int argc,
			    char **argv, char **pids)
{
	uint64_t pid;

	if (record) {
		if (optind == argc)
			return say_usage(v, "no command: write it after --");
		o->command = argv + optind;
		return 0;
	}

	for (int i = optind; i < argc; i++) {
		int r;

		if (argv[i][strspn(argv[i], "0123456789,")] &&
		    text_parse_u64(argv[i], INT32_MAX, &pid) < 0)
			return say_usage(
				v,
				"'%s' is not a pid: to choose by name, write --comm '%s' or "
				"--unit '%s.service'",
				argv[i], argv[i], argv[i]);
		r = options_add_pids(o, v, argv[i], pids);
		if (r != 0)
			return r;
	}
	if (o->n_targets == 0)
		return say_usage(v, "nothing to capture: give a pid, --comm, --unit, --cgroup, "
				    "--container or --all");
	return 0;
}

int capture_options_parse(struct capture_options *o, const struct verb *v, int argc, char **argv)
{
	bool record = v == &verb_record;
	size_t bytes = 1;
	char *pids;
	int opt, r;

	*o = (struct capture_options){
		.duration_ns = record ? 0 : CPROF_DEFAULT_SECONDS * NSEC_PER_SEC,
		.hz = CPROF_DEFAULT_HZ,
		.children = true,
	};
	for (int i = 0; i < argc; i++)
		bytes += strlen(argv[i]) + 1;
	pids = o->pids = malloc(bytes);
	if (!pids)
		return say_error("out of memory");

	optind = 0;
	opterr = 0;
	while ((opt = getopt_long(argc, argv, record ? "+:p:aF:o:h" : ":p:aF:o:h",
				  capture_long_options, NULL)) != -1) {
		if (opt == 'h') {
			verb_print_help(v);
			return -1;
		}
		if (opt == OPT_USER && !record)
			return say_usage(v, "--user belongs to record: capture takes what runs");
		if (opt == ':' || opt == '?')
			return refuse_option(v, opt, argv, capture_long_options);
		r = options_one(o, v, opt, optarg, &pids);
		if (r != 0)
			return r;
	}
	r = options_operands(o, v, record, argc, argv, &pids);
	if (r == 0)
		output_format_settle(&o->format, o->format_given, o->output);
	return r;
}

void capture_options_done(struct capture_options *o)
{
	free(o->pids);
	o->pids = NULL;
}
