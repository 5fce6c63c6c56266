/* SPDX-License-Identifier: Apache-2.0 */
#include <inttypes.h>
#include <string.h>
#include <sys/ioctl.h>

#include "cell.h"
#include "clock.h"
#include "daemon.h"
#include "doc.h"
#include "human.h"
#include "query.h"
#include "refuse.h"
#include "text.h"
#include "when.h"

#define LIST_PATH_BYTES  65536
#define LIST_LINE_BYTES  65536
#define LIST_BAR_CELLS   20
#define LIST_MAX_STEP_S  (366 * 86400ULL)
#define LIST_ID_COLUMNS  64
#define LIST_MAX_NAMES   16
#define LIST_LEAST_NAME  6
#define LIST_SHARE_BYTES 32
/* Before the names. */
#define LIST_FIXED_COLUMNS (35 + 10 + LIST_BAR_CELLS + 4)

enum list_sort { SORT_TIME, SORT_CPU, SORT_SAMPLES, SORT_LOST };

static const char *const list_sorts[] = {
	[SORT_TIME] = "time", [SORT_CPU] = "cpu", [SORT_SAMPLES] = "samples", [SORT_LOST] = "lost"
};

struct list_options {
	struct query query;
	const char *by;
	uint64_t step_ns; /* 0: a row a window */
	enum list_sort sort;
	bool json, ids;
};

struct list_row {
	json_t *json;
	double key; /* of the sort */
	size_t index;
	int64_t start_ns;
	double cpus; /* mean number in use */
};

static int list_set_step(struct list_options *o, const char *s)
{
	uint64_t ns;

	if (text_parse_span_ns(s, &ns) < 0 || ns < NSEC_PER_SEC ||
	    ns > LIST_MAX_STEP_S * NSEC_PER_SEC)
		return say_usage(&verb_list,
				 "'%s' is not a step: give a span of 1 s or more, such as 10m or "
				 "1h",
				 s);
	o->step_ns = ns;
	return 0;
}

static int list_set_sort(struct list_options *o, const char *s)
{
	for (size_t i = 0; i < ARRAY_SIZE(list_sorts); i++)
		if (strcmp(s, list_sorts[i]) == 0) {
			o->sort = (enum list_sort)i;
			return 0;
		}
	return say_usage(&verb_list, "cannot sort by '%s': time, cpu, samples or lost", s);
}

static int list_set_by(struct list_options *o, const char *s)
{
	static const char *const kinds[] = { "unit", "comm", "exe", "container", "pid" };

	for (size_t i = 0; i < ARRAY_SIZE(kinds); i++)
		if (strcmp(s, kinds[i]) == 0) {
			o->by = s;
			return 0;
		}
	return say_usage(&verb_list, "no list by '%s': unit, comm, exe, container or pid", s);
}

static int list_option(struct list_options *o, int opt, const char *arg)
{
	switch (opt) {
	case 's':
		return list_set_step(o, arg);
	case 'S':
		return list_set_sort(o, arg);
	case 'b':
		return list_set_by(o, arg);
	case 'j':
		o->json = true;
		return 0;
	case 'i':
		o->ids = true;
		return 0;
	default:
		return query_option(&o->query, &verb_list, opt, arg);
	}
}

static int list_parse(struct list_options *o, int argc, char **argv)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "step", required_argument, NULL, 's' },
		{ "sort", required_argument, NULL, 'S' },
		{ "by", required_argument, NULL, 'b' },
		{ "json", no_argument, NULL, 'j' },
		{ "ids", no_argument, NULL, 'i' },
		QUERY_OPTIONS,
		{ NULL },
	};
	int opt, r = 0;

	*o = (struct list_options){ .by = "unit" };
	optind = 0;
	opterr = 0;
	while (r == 0 && (opt = getopt_long(argc, argv, ":hp:a", options, NULL)) != -1) {
		if (opt == 'h') {
			verb_print_help(&verb_list);
			return -1;
		}
		if (opt == ':' || opt == '?')
			return refuse_option(&verb_list, opt, argv, options);
		r = list_option(o, opt, optarg);
	}
	if (r == 0 && optind < argc)
		return say_usage(&verb_list, "list does not take '%s'", argv[optind]);
	if (r == 0 && o->ids && o->step_ns)
		return say_usage(&verb_list, "--ids are of windows, the rows of --step have none");
	return r ? r : query_finish(&o->query, &verb_list, (int64_t)clock_ns(CLOCK_REALTIME));
}

/* Descending by key; the open window stays last among equals, as everything keeps its order. */
static int list_compare(const void *a, const void *b)
{
	const struct list_row *x = a, *y = b;

	if (x->key != y->key)
		return x->key < y->key ? 1 : -1;
	return x->index < y->index ? -1 : 1;
}

static void list_fill(struct list_row *row, const struct list_options *o, json_t *json, size_t i)
{
	static const char *const keys[] = { [SORT_TIME] = "",
					    [SORT_CPU] = "cpu_ns",
					    [SORT_SAMPLES] = "samples",
					    [SORT_LOST] = "lost" };
	double duration = doc_real(json, "duration_ns");

	*row = (struct list_row){ .json = json,
				  .index = i,
				  .key = *keys[o->sort] ? doc_real(json, keys[o->sort]) : 0,
				  .cpus = duration > 0 ? doc_real(json, "cpu_ns") / duration : 0 };
	when_parse(doc_text(json, "start"), 0, &row->start_ns, NULL);
	/* windows differ in length: a spike is much CPU at a time, not much time */
	if (o->sort == SORT_CPU)
		row->key = row->cpus;
}

static void list_when(struct buf *b, const struct list_row *row)
{
	time_t t = (time_t)(row->start_ns / (int64_t)NSEC_PER_SEC);
	char stamp[32], span[32];
	struct tm tm;

	localtime_r(&t, &tm);
	strftime(stamp, sizeof(stamp), "%Y-%m-%d %H:%M:%S", &tm);
	human_seconds(span, sizeof(span), doc_real(row->json, "duration_ns") / 1e9);
	buf_printf(b, "%s  ", stamp);
	cell_append(b, span, 12, 12);
}

static void list_bar(struct buf *b, double share)
{
	int full = (int)(share * LIST_BAR_CELLS + 0.5);

	buf_puts(b, "  ");
	for (int i = 0; i < LIST_BAR_CELLS; i++)
		buf_putc(b, i < full || (i == 0 && share > 0) ? '#' : ' ');
	buf_puts(b, "  ");
}

/* Of an executable the file's name: the folders are in --json. */
static const char *list_name(const char *by, const char *name)
{
	const char *slash = strcmp(by, "exe") == 0 ? strrchr(name, '/') : NULL;

	if (!*name)
		return "-";
	return slash && slash[1] ? slash + 1 : name;
}

/* Columns that a name takes when it is not cut. */
static int list_width(const char *name)
{
	_cleanup_(buf_done) struct buf b = BUF_INIT(LIST_LINE_BYTES);

	return cell_append(&b, name, 0, 0);
}

/*
 * What each of n names may take of the columns: as much as it needs, where all fit; else short names leave what
 * they do not need to the long ones.
 */
static int list_most(const int *widths, size_t n, int columns)
{
	int most = 0;

	for (;;) {
		int sum = 0;
		bool cut = false;

		for (size_t i = 0; i < n; i++) {
			sum += MIN(widths[i], most + 1);
			cut |= widths[i] > most;
		}
		if (sum > columns || !cut)
			return MAX(most, LIST_LEAST_NAME);
		most++;
	}
}

static void list_share(char s[LIST_SHARE_BYTES], const json_t *name, double all)
{
	double share = all > 0 ? doc_real(name, "cpu_ns") / all * 100 : 0;

	snprintf(s, LIST_SHARE_BYTES, " %.*f %%", share < 9.5, share);
}

/* "nginx.service 45 %, cron.service 3 %" */
static void list_top(struct buf *b, const json_t *row, const char *by, int columns)
{
	const json_t *top = json_object_get(row, "top"), *j;
	double all = doc_real(row, "cpu_ns");
	char share[LIST_SHARE_BYTES];
	int widths[LIST_MAX_NAMES], most = 0, shares = -2;
	size_t i, n = MIN(json_array_size(top), (size_t)LIST_MAX_NAMES);

	for (i = 0; columns && i < n; i++) {
		j = json_array_get(top, i);
		widths[i] = list_width(list_name(by, doc_text(j, "name")));
		list_share(share, j, all);
		shares += (int)strlen(share) + 2; /* a comma and a space between two */
	}
	if (columns)
		most = list_most(widths, n, columns - shares);

	json_array_foreach((json_t *)top, i, j)
	{
		buf_puts(b, i ? ", " : "");
		cell_append(b, list_name(by, doc_text(j, "name")), 0, most);
		list_share(share, j, all);
		buf_puts(b, share);
	}
}

/* Room for the names; 0: as much as they take, where no terminal cuts them. */
static int list_columns(int taken)
{
	struct winsize w = { 0 };

	if (!isatty(STDOUT_FILENO))
		return 0;
	if (ioctl(STDOUT_FILENO, TIOCGWINSZ, &w) < 0 || w.ws_col == 0)
		w.ws_col = 80;
	return MAX(w.ws_col - LIST_FIXED_COLUMNS - taken, 30);
}

static int list_id_columns(const struct list_row *rows, size_t n)
{
	size_t most = 2;

	for (size_t i = 0; i < n; i++)
		most = MAX(most, strlen(doc_text(rows[i].json, "id")));
	return (int)MIN(most, (size_t)LIST_ID_COLUMNS);
}

static int list_print_rows(const struct list_options *o, const struct list_row *rows, size_t n)
{
	int ids = o->ids ? list_id_columns(rows, n) : 0;
	int rest = list_columns(ids ? ids + 2 : 0);
	double most = 0;

	for (size_t i = 0; i < n; i++)
		most = MAX(most, rows[i].cpus);

	if (ids)
		printf("%-*s  ", ids, "ID");
	printf("%-19s  %-12s  %8s  %-*s  HEAVIEST BY %s\n", "WHEN", "FOR", "CPU", LIST_BAR_CELLS,
	       "", o->by);
	for (size_t i = 0; i < n; i++) {
		_cleanup_(buf_done) struct buf b = BUF_INIT(LIST_LINE_BYTES);
		bool open = json_is_true(json_object_get(rows[i].json, "open"));

		if (ids) {
			cell_append(&b, doc_text(rows[i].json, "id"), ids, 0);
			buf_puts(&b, "  ");
		}
		list_when(&b, &rows[i]);
		buf_printf(&b, "  %6.1f %%", rows[i].cpus * 100);
		list_bar(&b, most > 0 ? rows[i].cpus / most : 0);
		list_top(&b, rows[i].json, o->by, rest);
		buf_puts(&b, open ? "  (open)\n" : "\n");
		if (b.size > 0)
			fwrite(b.data, 1, b.size, stdout);
	}
	return 0;
}

/* Rows of zeros look like an idle service, a misspelt one has them, too. */
static void list_note_nothing(const struct list_options *o, const struct list_row *rows, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (doc_count(rows[i].json, "samples") > 0)
			return;
	if (o->query.n_filters > 0 && n > 0)
		say("note: nothing that was asked for ran in these windows; is the name right? "
		    "without filters, `cprofctl list --by unit` (or comm, exe, container, pid) "
		    "shows what did");
}

static int list_print(const struct list_options *o, const json_t *list)
{
	size_t n = json_array_size(list), i;
	_cleanup_free_ struct list_row *rows = calloc(n + 1, sizeof(*rows));
	_cleanup_(json_decrefp) json_t *sorted = json_array();
	json_t *j;

	if (!rows || !sorted)
		return say_error("out of memory");
	json_array_foreach(list, i, j) list_fill(&rows[i], o, j, i);
	qsort(rows, n, sizeof(*rows), list_compare);
	if (!o->json && n == 0) {
		say("no windows in this range: `cprofctl status` says since when there are any");
		return 0;
	}
	list_note_nothing(o, rows, n);
	if (!o->json)
		return list_print_rows(o, rows, n);

	for (i = 0; i < n; i++)
		json_array_append(sorted, rows[i].json);
	return doc_print(sorted) < 0 ? EXIT_FAILURE : 0;
}

static int list_run(const struct client *c, int argc, char **argv)
{
	_cleanup_(buf_done) struct buf path = BUF_INIT(LIST_PATH_BYTES);
	_cleanup_(daemon_freep) struct daemon *d = NULL;
	_cleanup_(json_decrefp) json_t *j = NULL;
	struct list_options o;
	char step[24];
	int r = list_parse(&o, argc, argv);

	if (r != 0)
		return r < 0 ? 0 : r;

	buf_puts(&path, "/api/v1/windows");
	query_append_pair(&path, "by", o.by);
	if (o.step_ns) {
		snprintf(step, sizeof(step), "%" PRIu64, o.step_ns);
		query_append_pair(&path, "step", step);
	}
	query_append(&o.query, &path);
	if (path.error)
		return say_error("that is too much to ask at once");

	if (daemon_open(&d, c, 0) < 0 || daemon_get_json(d, path.data, &j) < 0)
		return EXIT_FAILURE;
	if (!json_is_array(j))
		return say_error(
			"the daemon's list is none: are cprofd and cprofctl of one version?");
	return list_print(&o, j);
}

const struct verb verb_list = {
	.name = "list",
	.run = list_run,
	.usage = "[--since TIME] [--until TIME] [--step SPAN] [--sort KEY] [--by KIND] [FILTERS] "
		 "[--ids] [--json]",
	.summary = "what the daemon recorded, and when it was busy",
	.help = "Lists the windows of continuous profiling: when, for how long, how much CPU (100 "
		"% is one CPU\n"
		"all the time; the bar's length is the busiest row's), and what used most of it. "
		"The open\n"
		"window is last.\n\n"
		"  --since TIME, --until TIME\n"
		"                            02:00, \"yesterday 14:00\", \"10 min ago\", 2h, "
		"2026-11-23T02:00:00Z\n"
		"  --step SPAN               one row for each 10m, 1h, ...\n"
		"  --sort KEY                time (default), cpu, samples, lost; the most first\n"
		"  --by KIND                 the three heaviest by unit (default), comm, exe (file "
		"names;\n"
		"                            paths: --json), container, pid\n"
		"  --ids                     the id of each window in front, for `cprofctl get "
		"ID`\n"
		"  --json                    an array of {id, start, duration_ns, samples, cpu_ns, "
		"bytes, ...}\n\n"
		"Only what is of these; options repeat, and those of one group mean all of it "
		"together:\n"
		"  -p, --pid PID  --comm NAME  --unit UNIT  --cgroup PATH  --container ID\n"
		"  --exe PATH|NAME  --build-id ID  --user NAME\n\n"
		"Examples:\n"
		"  cprofctl list --since \"yesterday 18:00\" --step 10m\n"
		"  cprofctl list --sort cpu --by comm --unit cron.service\n",
};
