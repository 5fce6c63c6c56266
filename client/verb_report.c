/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <string.h>

#include "advice.h"
#include "doc.h"
#include "output.h"
#include "refuse.h"
#include "render.h"
#include "report.h"
#include "tally.h"
#include "when.h"

#define REPORT_MAX_BYTES (1ULL << 30)

struct report_args {
	const char *file;
	enum report_kind kind;
	const char *regexp;
	struct capture_options output; /* its file and its format */
	bool convert;                  /* --format was given */
	bool json;
};

static int report_options(struct report_args *a, int argc, char **argv)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "output", required_argument, NULL, 'o' },
		{ "format", required_argument, NULL, 'f' },
		{ "json", no_argument, NULL, 'j' },
		{ NULL },
	};
	int opt;

	optind = 0;
	opterr = 0;
	while ((opt = getopt_long(argc, argv, ":ho:", options, NULL)) != -1)
		switch (opt) {
		case 'h':
			verb_print_help(&verb_report);
			return -1;
		case 'o':
			a->output.output = optarg;
			break;
		case 'j':
			a->json = true;
			break;
		case 'f':
			a->convert = true;
			if (output_format_parse(optarg, &a->output.format) < 0 ||
			    a->output.format == FORMAT_PPROF)
				return say_usage(&verb_report,
						 "unknown format '%s': folded, svg or text",
						 optarg);
			break;
		default:
			return refuse_option(&verb_report, opt, argv, options);
		}
	return 0;
}

static int report_parse(struct report_args *a, int argc, char **argv)
{
	const char *kind = NULL;
	int r, n;

	*a = (struct report_args){ .kind = REPORT_TOP, .output.output = "-" };
	r = report_options(a, argc, argv);
	if (r != 0)
		return r;

	if (a->json && (a->convert || strcmp(a->output.output, "-") != 0))
		return say_usage(&verb_report,
				 "--json goes to standard output: not with -o or --format");
	output_format_settle(&a->output.format, a->convert, a->output.output);
	if (a->output.format != FORMAT_PPROF)
		a->convert = true;
	if (!a->convert && strcmp(a->output.output, "-") != 0)
		return say_usage(&verb_report,
				 "-o goes with --format, or a name that ends with .svg, .txt or "
				 ".folded; a report goes to standard output");

	n = argc - optind;
	if (n < 1)
		return say_usage(&verb_report, "no file: name a profile, or - for standard input");
	a->file = argv[optind];
	if (n > 1)
		kind = argv[optind + 1];
	if (kind && report_kind_parse(kind, &a->kind) < 0 && access(kind, F_OK) == 0)
		return say_usage(&verb_report,
				 "one file at a time: '%s' is one too many; `cprofctl diff BEFORE "
				 "AFTER` compares two",
				 kind);
	if (kind && report_kind_parse(kind, &a->kind) < 0)
		return say_usage(&verb_report, "unknown report '%s': top, peek RE, tree or traces",
				 kind);
	if (a->json && a->kind != REPORT_TOP)
		return say_usage(&verb_report, "--json is for the report `top`, not for %s", kind);
	if (kind && a->convert)
		return say_usage(&verb_report, "a report or --format, not both");
	if (a->kind == REPORT_PEEK && n < 3)
		return say_usage(&verb_report, "peek needs a regular expression of function names");
	if (n > (a->kind == REPORT_PEEK ? 3 : 2))
		return say_usage(&verb_report, "one file at a time: '%s' is one too many",
				 argv[argc - 1]);
	a->regexp = a->kind == REPORT_PEEK ? argv[optind + 2] : NULL;
	return 0;
}

static int report_read(const char *file, struct profile **ret)
{
	_cleanup_(buf_done) struct buf data = BUF_INIT(REPORT_MAX_BYTES);
	_cleanup_close_ int opened = -1;
	int fd = STDIN_FILENO, r;

	if (strcmp(file, "-") != 0)
		fd = opened = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	r = fd < 0 ? -errno : buf_read_fd(&data, fd);
	if (r < 0)
		return say_error("cannot read %s: %s; check its name and mode", file, strerror(-r));

	r = profile_read(ret, data.data ? data.data : "", data.size);
	if (r == -EBADMSG)
		return say_error(
			"%s is no profile: give a file that `cprofctl capture` or another pprof "
			"writer has made",
			file);
	if (r < 0)
		return say_error("cannot read the profile %s: %s", file, strerror(-r));
	return 0;
}

static int report_convert(const struct report_args *a, const struct profile *p)
{
	_cleanup_(buf_done) struct buf made = BUF_INIT(REPORT_MAX_BYTES);
	_cleanup_(output_freep) struct output *out = NULL;
	int r;

	if (output_open(&out, &a->output) < 0)
		return EXIT_FAILURE;
	r = render_profile(p, a->output.format, &made);
	if (r < 0)
		return say_error("cannot turn %s into that format: %s", a->file, strerror(-r));
	return output_write(out, made.data ? made.data : "", made.size, NULL, NULL) < 0
		       ? EXIT_FAILURE
		       : 0;
}

static json_t *report_row_json(const struct tally *t, const struct tally_row *row)
{
	json_t *j = json_object();

	json_object_set_new(j, "name", doc_string(row->name));
	json_object_set_new(j, "flat", json_integer(row->flat));
	json_object_set_new(j, "flat_share", doc_share(row->flat, t->total));
	json_object_set_new(j, "cum", json_integer(row->cum));
	json_object_set_new(j, "cum_share", doc_share(row->cum, t->total));
	return j;
}

static int report_print_json(const struct profile *p)
{
	_cleanup_(json_decrefp) json_t *j = NULL;
	int position = profile_find_type(p, NULL), r;
	struct profile_value_type type = { .type = "", .unit = "" };
	char start[WHEN_TEXT_BYTES];
	json_t *rows = json_array();
	struct tally *t;

	r = tally_new(&t, p, TALLY_FUNCTION);
	if (r < 0)
		return say_error("cannot report: %s", strerror(-r));
	if (position >= 0)
		type = profile_get_type(p, (size_t)position);
	for (size_t i = 0; i < t->n; i++)
		json_array_append_new(rows, report_row_json(t, &t->rows[i]));
	j = json_pack("{s:o, s:o, s:s?, s:I, s:I, s:o}", "type", doc_string(type.type), "unit",
		      doc_string(type.unit), "start",
		      profile_time_ns(p) > 0 ? when_rfc3339(start, profile_time_ns(p)) : NULL,
		      "duration_ns", (json_int_t)profile_duration_ns(p), "total",
		      (json_int_t)t->total, "rows", rows);
	tally_free(t);
	return doc_print(j) < 0 ? EXIT_FAILURE : 0;
}

static int report_print_to(const struct report_args *a, const struct profile *p, FILE *f)
{
	int r = report_print(p, a->kind, a->regexp, f);

	if (r == -EINVAL && a->regexp)
		return say_error("'%s' is no regular expression: see regex(7)", a->regexp);
	if (r == -ESRCH)
		return say_error("no function matches '%s': `cprofctl report %s` lists them",
				 a->regexp, a->file);
	if (r == -EIO)
		return EXIT_FAILURE; /* main() says it, for all verbs */
	if (r < 0)
		return say_error("cannot report on %s: %s", a->file, strerror(-r));
	return 0;
}

static int report_run(const struct client *c _unused_, int argc, char **argv)
{
	_cleanup_(profile_freep) struct profile *p = NULL;
	struct report_args a;
	int r;

	r = report_parse(&a, argc, argv);
	if (r != 0)
		return r < 0 ? 0 : r;

	r = report_read(a.file, &p);
	if (r != 0)
		return r;
	if (a.convert)
		return report_convert(&a, p);
	if (a.json)
		return report_print_json(p);
	r = report_print_to(&a, p, stdout);
	if (r == 0) {
		fflush(stdout);
		advice_print(p);
	}
	return r;
}

const struct verb verb_report = {
	.name = "report",
	.run = report_run,
	.usage = "FILE [top | peek RE | tree | traces] [--json] [--format folded|svg|text] "
		 "[-o FILE]",
	.summary = "print a profile",
	.help = "Prints a pprof file as `go tool pprof` does, without needing Go, or turns it into "
		"another\n"
		"format. FILE may come from any pprof writer; - is standard input.\n\n"
		"  top                       functions by their own time; the default\n"
		"  peek RE                   callers and callees of the functions that match\n"
		"  tree                      callers and callees of all\n"
		"  traces                    every stack\n"
		"  --json                    of top: {type, unit, start, duration_ns, total, "
		"rows}, "
		"all rows\n\n"
		"  --format folded|svg|text  another format, to standard output or to -o FILE\n"
		"  -o, --output FILE         the format is what FILE ends with, where none is "
		"given:\n"
		"                            .svg, .txt, .folded\n\n"
		"flat is the time that a function used itself, cum that of its callees too.\n\n"
		"Examples:\n"
		"  cprofctl report cprofd-1234-20261123-101500.pb.gz\n"
		"  cprofctl report cpu.pb.gz peek 'malloc|free'\n"
		"  cprofctl report cpu.pb.gz -o flame.svg\n",
};
