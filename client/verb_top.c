/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "cell.h"
#include "clock.h"
#include "doc.h"
#include "human.h"
#include "query.h"
#include "refuse.h"
#include "remote.h"
#include "screen.h"
#include "tally.h"
#include "text.h"
#include "when.h"

#define TOP_MAX_BYTES     (1ULL << 30)
#define TOP_PAGE_BYTES    (1U << 20)
#define TOP_POLL_MS       100
#define TOP_HZ            100
#define TOP_DELAY_NS      (2 * NSEC_PER_SEC)
#define TOP_MIN_DELAY_NS  (100 * NSEC_PER_MSEC)
#define TOP_MAX_DELAY_NS  (600 * NSEC_PER_SEC)
#define TOP_PLAIN_ROWS    20
#define TOP_PLAIN_COLUMNS 160
#define TOP_HEAD_ROWS     3

struct top {
	struct query query; /* targets only */
	struct capture_options capture;
	enum tally_by by;
	uint64_t n; /* 0: until it is told to end */
	bool n_given, json;
	uint64_t rows;
	struct signals signals;
	struct screen screen;
	struct daemon *daemon;
	struct remote remote;
	struct remote_progress progress;
	struct buf page; /* what is on the screen */
	uint64_t drawn;
};

static void top_done(struct top *t)
{
	if (t->daemon && t->remote.id[0])
		remote_drop(&t->remote);
	screen_done(&t->screen);
	t->daemon = daemon_free(t->daemon);
	signals_done(&t->signals);
	buf_done(&t->page);
}

/* --- what was asked for --------------------------------------------------- */

static int top_set_delay(struct top *t, const char *s)
{
	if (text_parse_span_ns(s, &t->capture.duration_ns) < 0 ||
	    t->capture.duration_ns < TOP_MIN_DELAY_NS || t->capture.duration_ns > TOP_MAX_DELAY_NS)
		return say_usage(&verb_top,
				 "'%s' is not a delay: give seconds, or a span, of 100ms to 10min",
				 s);
	return 0;
}

static int top_set_rows(struct top *t, const char *s)
{
	if (text_parse_u64(s, UINT32_MAX, &t->rows) < 0 || t->rows == 0)
		return say_usage(&verb_top, "'%s' is not a number for --rows: give 1 or more", s);
	return 0;
}

static int top_set_iterations(struct top *t, const char *s)
{
	if (text_parse_u64(s, UINT32_MAX, &t->n) < 0)
		return say_usage(&verb_top, "'%s' is not a number for -n: 0 means until Ctrl-C", s);
	t->n_given = true;
	return 0;
}

static int top_option(struct top *t, int opt, const char *arg)
{
	uint64_t hz;

	switch (opt) {
	case 'd':
		return top_set_delay(t, arg);
	case 'n':
		return top_set_iterations(t, arg);
	case 'r':
		return top_set_rows(t, arg);
	case 'j':
		t->json = true;
		return 0;
	case 'b':
		if (tally_by_parse(arg, &t->by) < 0)
			return say_usage(&verb_top, "no table by '%s': function, comm, pid or unit",
					 arg);
		return 0;
	case 'F':
		if (text_parse_u64(arg, CPROF_MAX_HZ, &hz) < 0 || hz < CPROF_MIN_HZ)
			return say_usage(&verb_top,
					 "'%s' is not a frequency: give %d to %d samples a second",
					 arg, CPROF_MIN_HZ, CPROF_MAX_HZ);
		t->capture.hz = (unsigned)hz;
		return 0;
	default:
		return query_option(&t->query, &verb_top, opt, arg);
	}
}

static int top_parse(struct top *t, int argc, char **argv)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "delay", required_argument, NULL, 'd' },
		{ "iterations", required_argument, NULL, 'n' },
		{ "rows", required_argument, NULL, 'r' },
		{ "by", required_argument, NULL, 'b' },
		{ "hz", required_argument, NULL, 'F' },
		{ "json", no_argument, NULL, 'j' },
		QUERY_FILTER_OPTIONS,
		{ NULL },
	};
	int opt, r = 0;

	optind = 0;
	opterr = 0;
	while (r == 0 && (opt = getopt_long(argc, argv, ":hd:n:F:p:a", options, NULL)) != -1) {
		if (opt == 'h') {
			verb_print_help(&verb_top);
			return -1;
		}
		if (opt == ':' || opt == '?')
			return refuse_option(&verb_top, opt, argv, options);
		r = top_option(t, opt, optarg);
	}
	for (; r == 0 && optind < argc; optind++)
		r = query_pid(&t->query, &verb_top, argv[optind]);
	/* one document, where nothing else was asked for */
	if (t->json && !t->n_given)
		t->n = 1;
	return r;
}

static void top_targets(struct top *t)
{
	struct capture_options *o = &t->capture;

	for (size_t i = 0; i < t->query.n_filters; i++)
		o->targets[o->n_targets++] = (struct capture_option_target){
			t->query.filters[i].key, t->query.filters[i].value
		};
	if (o->n_targets == 0 || t->query.all) {
		o->targets[0] = (struct capture_option_target){ "all", "" };
		o->n_targets = 1;
	}
}

/* --- the page ------------------------------------------------------------- */

static uint64_t top_lost(const struct top *t)
{
	uint64_t lost = 0;

	for (size_t i = 0; i < t->progress.n_lost; i++)
		lost += t->progress.lost[i].count;
	return lost;
}

static void top_head(struct top *t, double seconds)
{
	static const char *const columns[] = {
		[TALLY_FUNCTION] = "    CPU%    SELF%   WITH CALLEES  FUNCTION",
		[TALLY_COMM] = "    CPU%   SHARE%  COMMAND",
		[TALLY_PID] = "     PID     CPU%   SHARE%  COMMAND",
		[TALLY_UNIT] = "    CPU%   SHARE%  UNIT",
	};
	double cpu = (double)t->progress.cpu_ns / 1e9;
	char stamp[32], samples[32];
	time_t now = time(NULL);
	uint64_t lost = top_lost(t);
	struct tm tm;

	localtime_r(&now, &tm);
	strftime(stamp, sizeof(stamp), "%H:%M:%S", &tm);
	human_count(samples, sizeof(samples), t->progress.samples);
	buf_printf(&t->page, "cprofctl top  %s  %.1f %% CPU in %.1f s, %s samples", stamp,
		   seconds > 0 ? cpu / seconds * 100 : 0.0, seconds, samples);
	if (lost) {
		human_count(samples, sizeof(samples), lost);
		buf_printf(&t->page, ", %s lost", samples);
	}
	buf_printf(&t->page, "%s\n\n%s\n", t->screen.on ? "  (q ends)" : "", columns[t->by]);
}

static void top_row(struct top *t, const struct tally *tally, const struct tally_row *row,
		    double seconds)
{
	double share = tally->total > 0 ? 100.0 / (double)tally->total : 0,
	       cpu = seconds > 0 ? 100.0 / seconds / 1e9 : 0;
	unsigned columns = t->screen.on ? t->screen.columns : TOP_PLAIN_COLUMNS;

	if (t->by == TALLY_PID)
		buf_printf(&t->page, "%8lld ", (long long)row->pid);
	buf_printf(&t->page, "%8.1f %8.1f  ", (double)row->flat * cpu, (double)row->flat * share);
	if (t->by == TALLY_FUNCTION)
		buf_printf(&t->page, "%13.1f  ", (double)row->cum * share);
	cell_append(&t->page, *row->name ? row->name : "-", 0,
		    (int)(columns > 60 ? columns - 34 : columns));
	buf_putc(&t->page, '\n');
}

static json_t *top_row_json(const struct top *t, const struct tally *tally,
			    const struct tally_row *row)
{
	double elapsed = (double)t->progress.elapsed_ns;
	json_t *j = json_object();

	if (t->by == TALLY_PID)
		json_object_set_new(j, "pid", json_integer(row->pid));
	json_object_set_new(j, "name", doc_string(row->name));
	json_object_set_new(j, "cpu", json_real(elapsed > 0 ? (double)row->flat / elapsed : 0));
	json_object_set_new(j, "flat_ns", json_integer(row->flat));
	json_object_set_new(j, "flat_share", doc_share(row->flat, tally->total));
	if (t->by == TALLY_FUNCTION) {
		json_object_set_new(j, "cum_ns", json_integer(row->cum));
		json_object_set_new(j, "cum_share", doc_share(row->cum, tally->total));
	}
	return j;
}

static int top_print_json(const struct top *t, const struct tally *tally, int64_t start_ns)
{
	const struct remote_progress *p = &t->progress;
	_cleanup_(json_decrefp) json_t *j = NULL;
	json_t *rows = json_array();
	char start[WHEN_TEXT_BYTES];

	for (size_t i = 0; i < tally->n && (t->rows == 0 || i < t->rows); i++)
		json_array_append_new(rows, top_row_json(t, tally, &tally->rows[i]));
	j = json_pack("{s:s, s:I, s:I, s:I, s:I, s:s, s:o}", "start", when_rfc3339(start, start_ns),
		      "duration_ns", (json_int_t)p->elapsed_ns, "samples", (json_int_t)p->samples,
		      "cpu_ns", (json_int_t)p->cpu_ns, "lost", (json_int_t)top_lost(t), "by",
		      tally_by_name(t->by), "rows", rows);
	return doc_print_line(j);
}

static void top_fill_page(struct top *t, const struct tally *tally)
{
	double seconds = (double)t->progress.elapsed_ns / 1e9;
	size_t rows;

	rows = t->rows         ? t->rows
	       : !t->screen.on ? TOP_PLAIN_ROWS
			       : MAX(t->screen.rows, TOP_HEAD_ROWS + 1U) - TOP_HEAD_ROWS;
	buf_reset(&t->page);
	top_head(t, seconds);
	for (size_t i = 0; i < tally->n && i < rows; i++)
		top_row(t, tally, &tally->rows[i], seconds);
	if (tally->n == 0)
		buf_puts(&t->page,
			 t->progress.not_permitted
				 ? "nothing of yours ran: what ran belongs to other users, or may "
				   "not be traced; see it with sudo\n"
				 : "nothing ran\n");
	if (!t->screen.on)
		buf_putc(&t->page, '\n');
}

static int top_show(struct top *t, const struct profile *p)
{
	struct tally *tally;
	int r = tally_new(&tally, p, t->by);

	if (r < 0) {
		say_error("cannot read the daemon's profile: %s", strerror(-r));
		return r;
	}
	if (t->json) {
		r = top_print_json(t, tally, profile_time_ns(p));
	} else {
		top_fill_page(t, tally);
		screen_draw(&t->screen, t->page.data ? t->page.data : "", t->page.size);
	}
	tally_free(tally);
	return r;
}

/* --- round after round ---------------------------------------------------- */

/* Until the capture is over: 0; 1: it is time to end. Negative errno, said. */
static int top_wait(struct top *t)
{
	for (;;) {
		enum screen_event event;
		int r = remote_poll(&t->remote, &t->progress);

		if (r < 0)
			return r;
		if (t->progress.state == REMOTE_DONE)
			return 0;
		event = screen_wait(&t->screen, &t->signals, TOP_POLL_MS);
		if (event == SCREEN_QUIT)
			return 1;
		if (event == SCREEN_RESIZED && t->page.size > 0)
			screen_draw(&t->screen, t->page.data, t->page.size);
	}
}

static int top_round(struct top *t)
{
	_cleanup_(buf_done) struct buf raw = BUF_INIT(TOP_MAX_BYTES);
	struct profile *p;
	int r = 0;

	if (!t->remote.id[0])
		r = remote_start(&t->remote, t->daemon, &t->capture, 0);
	if (r == 0)
		r = top_wait(t);
	if (r == 0)
		r = remote_fetch(&t->remote, &raw);
	if (r != 0)
		return r == -ECANCELED ? 1 : r;
	/* an ordinary user has one capture at a time */
	remote_drop(&t->remote);
	t->remote.id[0] = '\0';

	r = profile_read(&p, raw.data ? raw.data : "", raw.size);
	if (r < 0) {
		say_error("cannot read the daemon's profile: %s", strerror(-r));
		return r;
	}
	r = top_show(t, p);
	profile_free(p);
	return ferror(stdout) ? 1 : r;
}

static int top_loop(struct top *t, const struct client *c)
{
	int r = daemon_open(&t->daemon, c, DAEMON_MAY_START);

	if (r < 0)
		return EXIT_FAILURE;
	http_set_cancel(daemon_http(t->daemon), t->signals.fd, signals_give_up, &t->signals);
	/* who may not is told before there is a screen to lose it on */
	r = remote_start(&t->remote, t->daemon, &t->capture, 0);
	if (r < 0)
		return EXIT_FAILURE;
	if (!t->json)
		screen_init(&t->screen);
	if (t->screen.on) {
		static const char wait[] = "cprofctl top: the first samples are on their way\n";

		screen_draw(&t->screen, wait, strlen(wait));
	}
	do {
		r = top_round(t);
		t->drawn++;
	} while (r == 0 && (t->n == 0 || t->drawn < t->n));
	return r < 0 ? EXIT_FAILURE : 0;
}

static int top_run(const struct client *c, int argc, char **argv)
{
	_cleanup_(top_done) struct top t = { .signals.fd = -1,
					     .screen = SCREEN_INIT,
					     .page = BUF_INIT(TOP_PAGE_BYTES),
					     .capture = { .duration_ns = TOP_DELAY_NS,
							  .hz = TOP_HZ,
							  .children = true,
							  .fast_symbols = true } };
	int r = top_parse(&t, argc, argv);

	if (r != 0)
		return r < 0 ? 0 : r;
	top_targets(&t);
	r = signals_init(&t.signals, false);
	if (r < 0)
		return say_error("cannot take signals: %s", strerror(-r));
	return top_loop(&t, c);
}

const struct verb verb_top = {
	.name = "top",
	.run = top_run,
	.usage = "[PID... | TARGETS] [--by KIND] [-d DELAY] [-n N] [--rows N] [--hz N] "
		 "[--json]",
	.summary = "what uses the CPU now, live",
	.help = "A table of what uses the CPU, again and again: each time of the samples of the "
		"last two\n"
		"seconds. q ends. Where standard output is no terminal, plain lines. Ordinary "
		"users see\n"
		"what is theirs.\n\n"
		"  PID, -p, --pid PID  --comm NAME  --unit UNIT  --cgroup PATH  --container ID\n"
		"                            only of these, with their children; default: all\n"
		"  --by KIND                 function (default), comm, pid, unit\n"
		"  -d, --delay SPAN          how long each time: 2s by default, 100ms to 10min\n"
		"  -n, --iterations N        end after so many; 0: until Ctrl-C\n"
		"  --rows N                  so many rows: by default what fits, 20 without a "
		"terminal\n"
		"  -F, --hz N                samples a second of CPU time: 100 (default), 1 to "
		"10000\n"
		"  --json                    {start, duration_ns, samples, cpu_ns, lost, by, "
		"rows}, "
		"all rows;\n"
		"                            once, or with -n each time, on a line\n\n"
		"CPU% is a share of one CPU; SELF% what the function used itself, of all samples; "
		"WITH\n"
		"CALLEES what it used with all that it called.\n\n"
		"Examples:\n"
		"  cprofctl top\n"
		"  cprofctl top --by pid -n 1\n"
		"  cprofctl top --unit postgresql@15-main.service -d 5\n",
};
