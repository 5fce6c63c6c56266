/* SPDX-License-Identifier: Apache-2.0 */
#include "diff.h"

#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>

#include "clock.h"
#include "doc.h"
#include "filter.h"
#include "query.h"
#include "refuse.h"
#include "report.h"
#include "save.h"
#include "sides.h"
#include "stored.h"
#include "text.h"

#define DIFF_MAX_BYTES  (1ULL << 30)
#define DIFF_PATH_BYTES 65536
#define DIFF_ROWS       40

#define DIFF_ROWS_DEFAULT SIZE_MAX

DEFINE_CLEANUP(struct diff *, diff_free);
DEFINE_CLEANUP(struct profile *, profile_free);

struct diff_args {
	struct query query;
	struct stored stored;
	const char *before, *after; /* files; NULL: ranges */
	bool cum, json;
	size_t rows; /* DIFF_ROWS_DEFAULT: as many as the form has by default */
};

static int diff_set_rows(struct diff_args *a, const char *s)
{
	uint64_t rows;

	if (text_parse_u64(s, UINT32_MAX, &rows) < 0)
		return say_usage(&verb_diff, "'%s' is not a number of rows: 0 means all", s);
	a->rows = rows;
	return 0;
}

static int diff_option(struct diff_args *a, int opt, const char *arg)
{
	switch (opt) {
	case 'o':
		return stored_set_output(&a->stored, arg);
	case 'f':
		return stored_set_format(&a->stored, arg);
	case 'n':
		return diff_set_rows(a, arg);
	case 'c':
		a->cum = true;
		return 0;
	case 'j':
		a->json = true;
		return 0;
	default:
		return query_option(&a->query, &verb_diff, opt, arg);
	}
}

static int diff_options(struct diff_args *a, int argc, char **argv)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "output", required_argument, NULL, 'o' },
		{ "format", required_argument, NULL, 'f' },
		{ "rows", required_argument, NULL, 'n' },
		{ "cum", no_argument, NULL, 'c' },
		{ "json", no_argument, NULL, 'j' },
		{ "baseline", required_argument, NULL, QUERY_OPT_BASELINE },
		QUERY_OPTIONS,
		{ NULL },
	};
	int opt, r = 0;

	optind = 0;
	opterr = 0;
	while (r == 0 && (opt = getopt_long(argc, argv, ":ho:p:an:", options, NULL)) != -1) {
		if (opt == 'h') {
			verb_print_help(&verb_diff);
			return -1;
		}
		if (opt == ':' || opt == '?')
			return refuse_option(&verb_diff, opt, argv, options);
		r = diff_option(a, opt, optarg);
	}
	return r;
}

static int diff_parse(struct diff_args *a, int argc, char **argv)
{
	const struct query *q = &a->query;
	int r = diff_options(a, argc, argv), n = argc - optind;

	if (r != 0)
		return r;
	if (a->json && (a->stored.output || a->stored.format_given))
		return say_usage(&verb_diff,
				 "--json goes to standard output: not with -o or --format");
	/* a file is a profile, the terminal and a pipe get the table */
	if (!a->stored.format_given)
		a->stored.format = a->stored.output && strcmp(a->stored.output, "-") != 0
					   ? FORMAT_PPROF
					   : FORMAT_TEXT;
	output_format_settle(&a->stored.format, a->stored.format_given, a->stored.output);
	if (!a->stored.output && a->stored.format == FORMAT_TEXT)
		a->stored.output = "-";
	if (a->stored.format == FORMAT_SVG)
		return say_usage(&verb_diff,
				 "a flame graph has no place for less: pprof, text or folded");

	if (n == 2) {
		a->before = argv[optind];
		a->after = argv[optind + 1];
		if (q->since || q->until || q->baseline || q->n_filters)
			return say_usage(&verb_diff, "two files, or two ranges: not both");
		return 0;
	}
	if (n != 0)
		return say_usage(&verb_diff, "two files, BEFORE and AFTER, or two ranges: "
					     "--since, --until and --baseline");
	if (!q->baseline)
		return say_usage(&verb_diff,
				 "nothing to compare: give two files, or --since and --baseline");
	return query_finish(&a->query, &verb_diff, (int64_t)clock_ns(CLOCK_REALTIME));
}

static int diff_read(const char *file, struct profile **ret)
{
	_cleanup_(buf_done) struct buf data = BUF_INIT(DIFF_MAX_BYTES);
	_cleanup_close_ int fd = open(file, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	int r = fd < 0 ? -errno : buf_read_fd(&data, fd);

	if (r < 0)
		return say_error("cannot read %s: %s; check its name and mode", file, strerror(-r));
	r = profile_read(ret, data.data ? data.data : "", data.size);
	if (r == -EBADMSG)
		return say_error("%s is no profile: give files that `cprofctl get`, `capture` or "
				 "another pprof writer has made",
				 file);
	return r < 0 ? say_error("cannot read the profile %s: %s", file, strerror(-r)) : 0;
}

static int diff_of_files(const struct diff_args *a, struct sides *sides, struct profile **ret)
{
	_cleanup_(profile_freep) struct profile *before = NULL, *after = NULL;
	int r = diff_read(a->before, &before);

	if (r == 0)
		r = diff_read(a->after, &after);
	if (r != 0)
		return r;
	sides_of_file(a->before, before, &sides->before);
	sides_of_file(a->after, after, &sides->after);
	r = profile_merge_filtered(after, before, &(struct profile_filter){ .base = true }, NULL);
	if (r == -EINVAL)
		return say_error("%s and %s count different things: their sample types or periods "
				 "do not agree",
				 a->before, a->after);
	if (r < 0)
		return say_error("cannot compare %s and %s: %s", a->before, a->after, strerror(-r));
	*ret = TAKE_PTR(after);
	return 0;
}

static int diff_of_ranges(struct diff_args *a, const struct client *c, struct sides *sides,
			  struct profile **ret)
{
	_cleanup_(buf_done) struct buf path = BUF_INIT(DIFF_PATH_BYTES),
				       raw = BUF_INIT(DIFF_MAX_BYTES);
	_cleanup_(daemon_freep) struct daemon *d = NULL;
	int r;

	if (daemon_open(&d, c, 0) < 0)
		return EXIT_FAILURE;
	r = sides_of_ranges(d, &a->query, sides);
	if (r != 0)
		return r;

	buf_puts(&path, "/api/v1/profile");
	query_append(&a->query, &path);
	if (path.error)
		return say_error("that is too much to ask at once");
	if (stored_fetch(d, path.data, &raw) < 0)
		return EXIT_FAILURE;
	r = profile_read(ret, raw.data ? raw.data : "", raw.size);
	return r < 0 ? say_error("the daemon's answer is no profile: %s", strerror(-r)) : 0;
}

/* Two files may be two runs of one program: there, fewer seconds are the answer. */
static int diff_compare(const struct diff_args *a, const struct sides *sides,
			const struct profile *p, struct diff **ret)
{
	return diff_new(ret, p,
			&(struct diff_options){ .cum = a->cum,
						.scale = a->before ? 1 : sides_scale(sides) });
}

static const char *diff_unit(const struct profile *p)
{
	int type = profile_find_type(p, NULL);

	return type >= 0 ? profile_get_type(p, (size_t)type).unit : "";
}

static int diff_table(const struct diff_args *a, const struct sides *sides, const struct profile *p,
		      struct buf *out)
{
	bool terminal = strcmp(a->stored.output, "-") == 0 && isatty(STDOUT_FILENO);
	struct diff_print o = { .rows = a->rows == DIFF_ROWS_DEFAULT ? DIFF_ROWS : a->rows,
				.unit = diff_unit(p) };
	_cleanup_(diff_freep) struct diff *d = NULL;
	const char *term = getenv("TERM");
	struct winsize w = { 0 };
	int r = diff_compare(a, sides, p, &d);

	if (r < 0)
		return r;
	sides_tell(sides, !a->before, out);
	if (terminal && ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) == 0)
		o.columns = w.ws_col;
	o.dim = terminal && !(term && strcmp(term, "dumb") == 0) && !getenv("NO_COLOR");
	return diff_print(d, &o, out);
}

static json_t *diff_row_json(const struct diff *d, const struct diff_row *row)
{
	json_t *j = json_object();
	int64_t delta;

	if (__builtin_sub_overflow(row->after, row->before, &delta))
		delta = row->after > row->before ? INT64_MAX : INT64_MIN;
	json_object_set_new(j, "name", doc_string(row->name));
	json_object_set_new(j, "before", json_integer(row->before));
	json_object_set_new(j, "after", json_integer(row->after));
	json_object_set_new(j, "delta", json_integer(delta));
	json_object_set_new(j, "before_share", doc_share(row->before, d->before));
	json_object_set_new(j, "after_share", doc_share(row->after, d->after));
	json_object_set_new(j, "significant", json_boolean(!row->noise));
	return j;
}

static json_t *diff_side_json(const struct side *s, int64_t total, int64_t samples)
{
	json_t *j = side_json(s);

	json_object_set_new(j, "total", json_integer(total));
	json_object_set_new(j, "samples", json_integer(samples));
	return j;
}

static int diff_print_json(const struct diff_args *a, const struct sides *sides,
			   const struct profile *p)
{
	_cleanup_(json_decrefp) json_t *j = NULL;
	_cleanup_(diff_freep) struct diff *d = NULL;
	size_t most = a->rows == DIFF_ROWS_DEFAULT ? 0 : a->rows;
	int r = diff_compare(a, sides, p, &d);
	json_t *rows;

	if (r < 0)
		return say_error("cannot compare: %s", strerror(-r));
	rows = json_array();
	for (size_t i = 0; i < d->n && (most == 0 || i < most); i++)
		json_array_append_new(rows, diff_row_json(d, &d->rows[i]));
	j = json_pack("{s:o, s:f, s:o, s:o, s:o}", "unit", doc_string(diff_unit(p)), "scale",
		      d->scale, "before", diff_side_json(&sides->before, d->before, d->n_before),
		      "after", diff_side_json(&sides->after, d->after, d->n_after), "rows", rows);
	return doc_print(j) < 0 ? EXIT_FAILURE : 0;
}

/* Of a file, which holds the values as they were recorded. */
static void diff_tell_sides(const struct sides *sides)
{
	_cleanup_(buf_done) struct buf lines = BUF_INIT(DIFF_PATH_BYTES);
	char *rest = NULL;

	sides_tell(sides, false, &lines);
	buf_putc(&lines, '\0');
	for (char *s = lines.error ? NULL : strtok_r(lines.data, "\n", &rest); s;
	     s = strtok_r(NULL, "\n", &rest))
		say("%s", s);
}

static int diff_run_verb(const struct client *c, int argc, char **argv)
{
	struct diff_args a = { .stored = { .verb = &verb_diff, .name = "diff" },
			       .rows = DIFF_ROWS_DEFAULT };
	_cleanup_(buf_done) struct buf made = BUF_INIT(DIFF_MAX_BYTES);
	_cleanup_(profile_freep) struct profile *p = NULL;
	struct sides sides = {};
	int r = diff_parse(&a, argc, argv);

	if (r != 0)
		return r < 0 ? 0 : r;
	r = save_refuses_terminal(
		&(struct capture_options){ .output = a.stored.output, .format = a.stored.format });
	if (r == 0)
		r = a.before ? diff_of_files(&a, &sides, &p) : diff_of_ranges(&a, c, &sides, &p);
	if (r != 0)
		return r;

	if (a.json)
		return diff_print_json(&a, &sides, p);
	if (a.stored.format != FORMAT_TEXT)
		diff_tell_sides(&sides);
	r = a.stored.format == FORMAT_TEXT    ? diff_table(&a, &sides, p, &made)
	    : a.stored.format == FORMAT_PPROF ? profile_write(p, &made)
					      : profile_folded(p, &made);
	if (r < 0)
		return say_error("cannot compare: %s", strerror(-r));
	return stored_write(&a.stored, made.data, made.size) < 0 ? EXIT_FAILURE : 0;
}

const struct verb verb_diff = {
	.name = "diff",
	.run = diff_run_verb,
	.usage = "BEFORE AFTER | --since TIME [--until TIME] --baseline TIME|\"SPAN before\" "
		 "[FILTERS] [OPTIONS]",
	.summary = "what changed between two profiles or times",
	.help = "Compares two pprof files, or two ranges of what the daemon recorded, function by "
		"function:\n"
		"before, after and the difference in seconds, and the difference of the shares in "
		"points.\n"
		"Functions are matched by name without what compilers add (.isra.0, .cold, Rust's "
		"hashes).\n"
		"Differences within the error of sampling are dimmed, or marked ~.\n"
		"Above the table are the times that the two cover: windows are whole, none is on "
		"both sides.\n"
		"Where the lengths of ranges differ by more than 5 %, before's seconds are scaled "
		"to after's\n"
		"length; those of files and in pprof and folded output never are.\n\n"
		"  --since TIME, --until TIME\n"
		"                            02:00, \"yesterday 14:00\", \"10 min ago\", 2h, "
		"2026-11-23T02:00:00Z\n"
		"  --baseline TIME           when a range of the same length began; or \"1 day "
		"before\"\n"
		"  -p, --pid PID  --comm NAME  --unit UNIT  --cgroup PATH  --container ID\n"
		"  --exe PATH|NAME  --build-id ID  --user NAME\n"
		"                            of ranges, only what is of these\n\n"
		"  --cum                     with the time of all that a function called\n"
		"  -n, --rows N              so many rows, 40 by default; 0: all\n"
		"  -o, --output FILE         the difference as pprof: before negated and labelled "
		"pprof::base\n"
		"  --format text|pprof|folded\n"
		"  --json                    {unit, scale, before, after, rows}, all rows\n\n"
		"Examples:\n"
		"  cprofctl diff --since 02:00 --until 02:20 --baseline \"1 day before\"\n"
		"  cprofctl diff old.pb.gz new.pb.gz --cum\n",
};
