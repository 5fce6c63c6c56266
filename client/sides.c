/* SPDX-License-Identifier: Apache-2.0 */
#include "sides.h"

#include <string.h>
#include <time.h>

#include "clock.h"
#include "doc.h"
#include "human.h"
#include "text.h"
#include "when.h"

#define SIDES_PATH_BYTES   65536
#define SIDES_ALIKE        0.05
#define SIDES_DAY_BYTES    11 /* "2026-11-28 " */
#define SIDES_STAMP_BYTES  32
#define SIDES_NUMBER_BYTES 32

static void side_add(struct side *s, const json_t *window)
{
	double ns = doc_real(window, "duration_ns");
	int64_t start_ns;

	if (when_parse(doc_text(window, "start"), 0, &start_ns, NULL) < 0)
		return;
	if (s->windows == 0 || start_ns < s->start_ns)
		s->start_ns = start_ns;
	s->end_ns = MAX(s->end_ns, start_ns + (int64_t)ns);
	s->covered_s += ns / 1e9;
	s->samples += doc_real(window, "samples");
	s->windows++;
}

static int side_ask(struct daemon *d, const struct query *q, struct side *ret)
{
	_cleanup_(buf_done) struct buf path = BUF_INIT(SIDES_PATH_BYTES);
	_cleanup_(json_decrefp) json_t *list = NULL;
	json_t *window;
	size_t i;

	buf_puts(&path, "/api/v1/windows");
	query_append(q, &path);
	if (path.error)
		return say_error("that is too much to ask at once");
	if (daemon_get_json(d, path.data, &list) < 0)
		return EXIT_FAILURE;
	*ret = (struct side){};
	json_array_foreach(list, i, window) side_add(ret, window);
	return 0;
}

/* The baseline's own question. */
static struct query side_of_baseline(const struct query *q)
{
	struct query base = *q;

	base.since_ns = q->baseline_since_ns;
	base.until_ns = q->baseline_until_ns;
	base.baseline_since_ns = base.baseline_until_ns = 0;
	return base;
}

/* What the range's windows reach into is not the baseline's. True: something was taken away. */
static bool sides_part(struct query *q, const struct side *after)
{
	if (q->baseline_since_ns < q->since_ns && q->baseline_until_ns > after->start_ns)
		q->baseline_until_ns = after->start_ns;
	else if (q->baseline_since_ns >= q->since_ns && q->baseline_since_ns < after->end_ns)
		q->baseline_since_ns = after->end_ns;
	else
		return false;
	return true;
}

static int side_check(const struct side *s, const struct query *q, const char *name)
{
	if (s->windows == 0)
		return say_error("no window is in the %s: `cprofctl list` shows which there are",
				 name);
	if (q->n_filters > 0 && s->samples <= 0)
		return say_error("nothing that was asked for is in the %s: `cprofctl list` with "
				 "the same filters shows when it ran",
				 name);
	return 0;
}

int sides_of_ranges(struct daemon *d, struct query *q, struct sides *ret)
{
	struct query only = *q, base;
	bool parted;
	int r;

	only.baseline_since_ns = only.baseline_until_ns = 0;
	r = side_ask(d, &only, &ret->after);
	if (r == 0)
		r = side_check(&ret->after, q, "range (--since, --until)");
	if (r != 0)
		return r;

	parted = sides_part(q, &ret->after);
	base = side_of_baseline(q);
	ret->before = (struct side){};
	if (base.since_ns < base.until_ns)
		r = side_ask(d, &base, &ret->before);
	if (r == 0 && parted && ret->before.windows == 0)
		return say_error("the range and its baseline are in the same windows, and no other "
				 "is in the baseline: windows are whole, old ones are merged into "
				 "longer ones (`cprofctl list`); give times further apart");
	return r ? r : side_check(&ret->before, q, "baseline");
}

void sides_of_file(const char *file, const struct profile *p, struct side *ret)
{
	*ret = (struct side){ .file = file,
			      .start_ns = profile_time_ns(p),
			      .covered_s = (double)profile_duration_ns(p) / 1e9 };
}

double sides_scale(const struct sides *s)
{
	double before = s->before.covered_s, after = s->after.covered_s;

	if (before <= 0 || after <= 0 ||
	    MAX(before, after) <= MIN(before, after) * (1 + SIDES_ALIKE))
		return 1;
	return after / before;
}

static void side_stamp(char s[SIDES_STAMP_BYTES], int64_t ns)
{
	time_t t = (time_t)(ns / (int64_t)NSEC_PER_SEC);
	struct tm tm;

	localtime_r(&t, &tm);
	strftime(s, SIDES_STAMP_BYTES, "%Y-%m-%d %H:%M:%S", &tm);
}

static void side_tell(const char *name, const struct side *s, struct buf *out)
{
	char from[SIDES_STAMP_BYTES], to[SIDES_STAMP_BYTES], span[SIDES_NUMBER_BYTES];

	buf_printf(out, "%-8s", name);
	if (s->file) {
		text_append_printable(out, s->file, strlen(s->file));
		buf_puts(out, ": ");
	}
	side_stamp(from, s->start_ns);
	side_stamp(to, s->end_ns);
	if (s->start_ns > 0)
		buf_printf(out, "%s%s", s->file ? "from " : "", from);
	if (s->end_ns > 0)
		buf_printf(out, " to %s",
			   to + (strncmp(from, to, SIDES_DAY_BYTES) == 0 ? SIDES_DAY_BYTES : 0));
	buf_puts(out, s->start_ns > 0 ? ", " : "");
	human_seconds(span, sizeof(span), s->covered_s);
	buf_printf(out, "%s", s->covered_s > 0 ? span : "of unknown length");
	if (s->windows > 0)
		buf_printf(out, " in %zu window%s", s->windows, s->windows == 1 ? "" : "s");
	buf_putc(out, '\n');
}

void sides_tell(const struct sides *s, bool scaled, struct buf *out)
{
	double scale = sides_scale(s);
	char before[SIDES_NUMBER_BYTES], after[SIDES_NUMBER_BYTES];

	side_tell("before", &s->before, out);
	side_tell("after", &s->after, out);
	if (scale == 1)
		return;
	human_seconds(before, sizeof(before), s->before.covered_s);
	human_seconds(after, sizeof(after), s->after.covered_s);
	if (scaled)
		buf_printf(out,
			   "note    lengths differ, rates are compared: before's %s are scaled to "
			   "%s (times %.3g)\n",
			   before, after, scale);
	else
		buf_printf(out,
			   "note    lengths differ, %s and %s: values are as recorded, not "
			   "scaled; compare shares\n",
			   before, after);
}

static json_t *side_time_json(int64_t ns)
{
	char text[WHEN_TEXT_BYTES];

	return ns > 0 ? json_string(when_rfc3339(text, ns)) : json_null();
}

json_t *side_json(const struct side *s)
{
	json_t *j = json_object();

	if (s->file)
		json_object_set_new(j, "file", doc_string(s->file));
	json_object_set_new(j, "start", side_time_json(s->start_ns));
	if (!s->file)
		json_object_set_new(j, "end", side_time_json(s->end_ns));
	json_object_set_new(j, "duration_ns",
			    s->covered_s > 0 ? json_integer((json_int_t)(s->covered_s * 1e9 + 0.5))
					     : json_null());
	if (!s->file)
		json_object_set_new(j, "windows", json_integer((json_int_t)s->windows));
	return j;
}
