/* SPDX-License-Identifier: Apache-2.0 */
#include "stored.h"

#include <string.h>
#include <time.h>

#include "human.h"
#include "render.h"
#include "save.h"
#include "summary.h"

#define STORED_MAX_BYTES (1ULL << 30)
#define STORED_ROWS      10

int stored_set_output(struct stored *s, const char *file)
{
	if (!*file)
		return say_usage(s->verb, "-o needs a file, or - for standard output");
	s->output = file;
	return 0;
}

int stored_set_format(struct stored *s, const char *format)
{
	if (output_format_parse(format, &s->format) < 0)
		return say_usage(s->verb, "unknown format '%s': pprof, folded, svg or text",
				 format);
	s->format_given = true;
	return 0;
}

int stored_fetch(struct daemon *d, const char *path, struct buf *ret)
{
	http_set_timeout(daemon_http(d), 0);
	return daemon_request(d, "GET", path, NULL, ret);
}

/* "of 2 min 40 s, the first from 2026-11-28 11:28:00" */
static void stored_windows(const struct profile *p, char *text, size_t size)
{
	time_t t = (time_t)(profile_time_ns(p) / 1000000000);
	char span[32], stamp[32];
	struct tm tm;

	human_seconds(span, sizeof(span), (double)profile_duration_ns(p) / 1e9);
	localtime_r(&t, &tm);
	strftime(stamp, sizeof(stamp), "%Y-%m-%d %H:%M:%S", &tm);
	snprintf(text, size, "of %s%s%s", span, t > 0 ? ", the first from " : "",
		 t > 0 ? stamp : "");
}

/* The daemon's account of a window is of all that ran in it, whatever the filters leave. */
static void stored_note(const char *comment)
{
	bool account = strncmp(comment, "cprofd ", 7) == 0;

	say("note     %s%s", account ? "all that was recorded then: " : "", comment);
}

static void stored_summary(const struct profile *p, const char *file, enum output_format format)
{
	char cpu[32], windows[96];
	int64_t sum = 0;
	struct profile_sample row;
	int type = profile_find_type(p, NULL);

	for (size_t i = 0; type >= 0 && profile_get_sample(p, i, &row); i++)
		sum += row.values[type];
	human_seconds(cpu, sizeof(cpu), (double)sum / 1e9);
	stored_windows(p, windows, sizeof(windows));
	say("%s", strcmp(file, "-") == 0 ? "profile written to standard output" : file);
	if (sum > 0)
		render_hottest(p, STORED_ROWS, stderr);
	say("cpu      %s in windows %s", cpu, windows);
	for (size_t i = 0; i < profile_n_comments(p) && i < STORED_ROWS; i++)
		stored_note(profile_get_comment(p, i));
	summary_next(file, format);
}

int stored_open(const struct stored *s, struct output **ret)
{
	struct capture_options o = { .output = s->output,
				     .format = s->format,
				     .n_targets = 1,
				     .targets = { { "", s->name } } };

	return output_open(ret, &o);
}

int stored_write(const struct stored *s, const char *data, size_t size)
{
	_cleanup_(output_freep) struct output *out = NULL;
	int r = stored_open(s, &out);

	if (r == 0)
		r = output_write(out, data, size, NULL, NULL);
	if (r == 0 && strcmp(output_name(out), "-") != 0)
		say("%s", output_name(out));
	return r;
}

int stored_save(const struct stored *s, struct output *out, const char *data, size_t size)
{
	_cleanup_(buf_done) struct buf made = BUF_INIT(STORED_MAX_BYTES);
	_cleanup_(profile_freep) struct profile *p = NULL;
	int r;

	/* what cannot be read can still be saved as it came */
	r = profile_read(&p, data, size);
	if (s->format != FORMAT_PPROF) {
		r = r < 0 ? r : render_profile(p, s->format, &made);
		if (r < 0)
			return say_error(
				"cannot turn the profile into that format: %s; --format pprof "
				"saves it as it is",
				strerror(-r));
		data = made.data ? made.data : "";
		size = made.size;
	}
	if (output_write(out, data, size, NULL, NULL) < 0)
		return EXIT_FAILURE;
	if (p)
		stored_summary(p, output_name(out), s->format);
	else
		say("%s", output_name(out));
	return 0;
}

int stored_fetch_and_save(const struct stored *s, const struct client *c, const char *path)
{
	_cleanup_(buf_done) struct buf raw = BUF_INIT(STORED_MAX_BYTES);
	_cleanup_(daemon_freep) struct daemon *d = NULL;
	_cleanup_(output_freep) struct output *out = NULL;
	struct capture_options o = { .output = s->output, .format = s->format };
	int r = save_refuses_terminal(&o);

	if (r != 0)
		return r;
	if (stored_open(s, &out) < 0 || daemon_open(&d, c, 0) < 0 ||
	    stored_fetch(d, path, &raw) < 0)
		return EXIT_FAILURE;
	return stored_save(s, out, raw.data ? raw.data : "", raw.size);
}
