/* SPDX-License-Identifier: Apache-2.0 */
/* One window: opened, filled, ended; named when all has come, built, and handed on. */
#include "cwindow.h"

#include <string.h>
#include <sys/utsname.h>

#include "build.h"
#include "cprof/api.h"

#define MAX_PROFILE_BYTES (256ULL << 20)
/* A window that would be shorter than this goes on to the next boundary. */
#define MIN_WINDOW_NS NSEC_PER_SEC
#define SNAP_NS       ((int64_t)(2 * NSEC_PER_MSEC))

static void unlink_window(struct cwindow *w)
{
	struct cwindow **at = &w->session->windows;

	while (*at && *at != w)
		at = &(*at)->next;
	if (*at)
		*at = w->next;
	w->next = NULL;
	if (w->session->open == w)
		w->session->open = NULL;
}

struct cwindow *window_unref(struct cwindow *w)
{
	if (!w || --w->refs > 0)
		return NULL;
	symbols_request_cancel(w->naming);
	aggregate_free(w->aggregate);
	free(w);
	return NULL;
}

/* What is left of the session's memory for one more window. */
bool windows_bytes_left(const struct continuous *c, size_t *ret)
{
	size_t used = 0;

	for (const struct cwindow *w = c->windows; w; w = w->next)
		used += w->aggregate ? aggregate_bytes(w->aggregate) : 0;
	*ret = c->options.memory_bytes > used ? c->options.memory_bytes - used : 0;
	return *ret > c->options.memory_bytes / 8;
}

/* The next multiple of the window's length by the wall clock, on CLOCK_MONOTONIC. */
static uint64_t next_boundary(const struct continuous *c, int64_t real_ns, uint64_t mono_ns)
{
	int64_t length = (int64_t)c->window_ns;
	uint64_t left = (uint64_t)(length - (real_ns % length + length) % length);

	if (left < MIN(MIN_WINDOW_NS, c->window_ns / 4))
		left += c->window_ns;
	return mono_ns + left;
}

/* A boundary that was met exactly is one also where the two clocks were read one after the other. */
static int64_t snap(const struct continuous *c, int64_t real_ns)
{
	int64_t length = (int64_t)c->window_ns, after = (real_ns % length + length) % length;

	if (after <= SNAP_NS)
		return real_ns - after;
	return length - after <= SNAP_NS ? real_ns + (length - after) : real_ns;
}

int window_open(struct continuous *c, uint64_t start_ns)
{
	uint64_t now_ns = clock_ns(CLOCK_MONOTONIC);
	struct aggregate_options options = {};
	struct cwindow *w, **at = &c->windows;
	int r;

	w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	w->session = c;
	w->refs = 1;
	w->open = true;
	w->serial = ++c->next_serial;
	w->start_ns = start_ns;
	w->start_real_ns = snap(c, (int64_t)clock_ns(CLOCK_REALTIME) -
					   (int64_t)(now_ns - MIN(now_ns, start_ns)));
	w->end_ns = next_boundary(c, w->start_real_ns, start_ns);
	w->hz = c->hz;
	/* where none is left it is still counted: what comes is lost, and said */
	windows_bytes_left(c, &options.max_bytes);
	options.max_bytes = MAX(options.max_bytes, (size_t)(c->options.memory_bytes / 8));
	r = aggregate_new(&w->aggregate, &options);
	if (r < 0) {
		free(w);
		return r;
	}
	while (*at)
		at = &(*at)->next;
	*at = c->open = w;
	(void)generation_lost(c);
	sd_event_source_set_time(c->boundary, w->end_ns / NSEC_PER_USEC + 1);
	return sd_event_source_set_enabled(c->boundary, SD_EVENT_ONESHOT);
}

void window_end(struct continuous *c, uint64_t end_ns)
{
	struct cwindow *w = c->open;

	if (!w)
		return;
	w->counts.lost_ticks += generation_lost(c);
	w->end_ns = MAX(end_ns, w->start_ns);
	w->open = false;
	c->open = NULL;
	sd_event_source_set_enabled(c->boundary, SD_EVENT_OFF);
}

void window_sample(struct cwindow *w, const struct sample *sample)
{
	struct continuous *c = w->session;

	if (aggregate_add(w->aggregate, sample, sample->frames, sample->n_frames) < 0) {
		w->counts.lost_full++;
		c->stats.lost_aggregate_full++;
		return;
	}
	c->stats.samples++;
	w->counts.samples++;
	w->counts.cpu_ns += sample->period_ns;
	w->counts.truncated += sample->end >= CPROF_END_NO_UNWIND_INFO;
}

int window_request(struct cwindow *w, void (*done)(void *arg), void *arg,
		   struct symbols_request **ret)
{
	_cleanup_free_ struct frame *frames = NULL;
	size_t n = 0;
	int r;

	r = aggregate_frames(w->aggregate, &frames, &n);
	if (r < 0)
		return r;
	return symbolizer_request(w->session->options.symbolizer, frames, n, SYMBOLS_FULL, false,
				  done, arg, ret);
}

static int comment(struct cwindow *w, char **ret)
{
	const struct window_counts *n = &w->counts;
	struct utsname u = {};

	uname(&u);
	if (asprintf(ret,
		     "cprofd %s on %s, Linux %s, %u Hz: samples taken %llu, lost %llu (ticks %llu, "
		     "aggregate_full %llu), excluded %llu, truncated stacks %llu",
		     CPROF_VERSION, u.nodename, u.release, w->hz, (unsigned long long)n->samples,
		     (unsigned long long)(n->lost_ticks + n->lost_full),
		     (unsigned long long)n->lost_ticks, (unsigned long long)n->lost_full,
		     (unsigned long long)n->excluded, (unsigned long long)n->truncated) < 0)
		return -ENOMEM;
	return 0;
}

static uint64_t duration_ns(const struct cwindow *w)
{
	uint64_t now_ns = clock_ns(CLOCK_MONOTONIC);

	return (w->open ? MIN(now_ns, w->end_ns) : w->end_ns) - w->start_ns;
}

int window_build(struct cwindow *w, size_t n_stacks, bool unnamed, struct buf *out)
{
	const struct continuous_options *o = &w->session->options;
	_cleanup_free_ char *text = NULL;
	int r = comment(w, &text);

	if (r < 0)
		return r;
	out->max = MAX_PROFILE_BYTES;
	return build_profile(w->aggregate, w->session->options.symbolizer,
			     &(struct build_options){
				     .hz = w->hz,
				     .time_ns = w->start_real_ns,
				     .duration_ns = (int64_t)duration_ns(w),
				     .comment = text,
				     .remark = o->remark ? o->remark(o->arg) : NULL,
				     .max_stacks = n_stacks,
				     .unnamed = unnamed,
			     },
			     out);
}

struct usage_table {
	struct continuous_usage *rows;
	uint32_t *slots;
	size_t n, n_slots;
};

static struct continuous_usage *usage_row(struct usage_table *t, const struct stack *s)
{
	size_t i = ((uintptr_t)s->process >> 4) * 0x9e3779b1U & (t->n_slots - 1);

	for (; t->slots[i]; i = (i + 1) & (t->n_slots - 1))
		if (t->rows[t->slots[i] - 1].process == s->process)
			return &t->rows[t->slots[i] - 1];
	t->rows[t->n] = (struct continuous_usage){ .process = s->process, .uid = s->uid };
	t->slots[i] = (uint32_t)++t->n;
	return &t->rows[t->n - 1];
}

static void take_build_id(struct cwindow *w, struct continuous_usage *row)
{
	struct object_symbols symbols = {};

	if (!row->process->exe)
		return;
	symbolizer_object(w->session->options.symbolizer, row->process->exe, false, &symbols);
	snprintf(row->build_id, sizeof(row->build_id), "%.64s", symbols.build_id ?: "");
}

int window_report(struct cwindow *w, size_t n_stacks, struct continuous_report *ret,
		  struct continuous_usage **ret_rows)
{
	size_t n = MIN(n_stacks, aggregate_n_stacks(w->aggregate)), n_slots = 64;
	struct usage_table t = {};
	int r = 0;

	while (n_slots < n * 2)
		n_slots *= 2;
	t.n_slots = n_slots;
	t.rows = calloc(MAX(n, (size_t)1), sizeof(*t.rows));
	t.slots = calloc(n_slots, sizeof(*t.slots));
	if (!t.rows || !t.slots)
		r = -ENOMEM;
	*ret = (struct continuous_report){
		.serial = w->serial,
		.open = w->open,
		.start_ns = w->start_real_ns,
		.duration_ns = duration_ns(w),
		.lost = w->counts.lost_ticks + w->counts.lost_full,
		.truncated = w->counts.truncated,
		.hz = w->hz,
	};
	for (size_t i = 0; r == 0 && i < n; i++) {
		const struct stack *s = aggregate_stack(w->aggregate, i);
		struct continuous_usage *row = usage_row(&t, s);

		row->samples += s->count;
		row->cpu_ns += s->cpu_ns;
		ret->samples += s->count;
		ret->cpu_ns += s->cpu_ns;
	}
	free(t.slots);
	if (r < 0) {
		free(t.rows);
		return r;
	}
	for (size_t i = 0; i < t.n; i++)
		take_build_id(w, &t.rows[i]);
	ret->usage = *ret_rows = t.rows;
	ret->n_usage = t.n;
	return 0;
}

void window_hand_on(struct cwindow *w, bool unnamed, int error)
{
	_cleanup_free_ struct continuous_usage *rows = NULL;
	_cleanup_(buf_done) struct buf profile = BUF_INIT(MAX_PROFILE_BYTES);
	struct continuous *c = w->session;
	struct continuous_report report;
	int r = window_report(w, SIZE_MAX, &report, &rows);

	if (r == 0)
		r = error ?: window_build(w, 0, unnamed, &profile);
	if (r < 0 && !rows)
		report = (struct continuous_report){ .serial = w->serial };
	report.error = r;
	report.profile = r < 0 ? NULL : &profile;
	c->stats.windows += r == 0;
	c->stats.failed += r < 0;
	unlink_window(w);
	c->options.window(c->options.arg, &report);
	window_unref(w);
}

static void on_named(void *arg)
{
	struct cwindow *w = arg;
	struct continuous *c = w->session;

	w->naming = NULL;
	window_hand_on(w, false, 0);
	windows_go_on(c);
}

void windows_go_on(struct continuous *c)
{
	size_t left;

	for (struct cwindow *w = c->windows; w; w = c->windows) {
		unsigned waiting = 0;
		int r;

		/* in their order, one at a time */
		if (w->naming || !w->complete)
			return;
		for (const struct cwindow *k = w; k && k->complete; k = k->next)
			waiting++;
		if (c->defer && !c->stopped && w->serial > c->wanted_serial &&
		    waiting <= CONTINUOUS_MAX_DEFERRED && windows_bytes_left(c, &left))
			return;
		r = window_request(w, on_named, w, &w->naming);
		if (r == 0)
			return;
		window_hand_on(w, false, r);
	}
}
