/* SPDX-License-Identifier: Apache-2.0 */
#include "continuous.h"

#include <string.h>

#include "cwindow.h"

#define BOUNDARY_ACCURACY_USEC 20000
#define SWEEP_USEC             2000000ULL

static int begin(struct continuous *c);

/* The open window has come to its end, and the next one begins there. */
static void roll(struct continuous *c, uint64_t end_ns)
{
	window_end(c, end_ns);
	if (c->current && !c->stopped)
		/* without memory: tried again at the next sample */
		(void)window_open(c, end_ns);
	if (c->options.kick)
		c->options.kick(c->options.arg);
}

static int on_boundary(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *arg)
{
	struct continuous *c = arg;

	if (c->open)
		roll(c, MIN(c->open->end_ns, clock_ns(CLOCK_MONOTONIC)));
	return 0;
}

static int on_resume(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *arg)
{
	(void)continuous_resume(arg);
	return 0;
}

/* New slots for rules that have changed; the window goes on. */
static int apply(struct continuous *c)
{
	uint64_t at_ns;

	return c->current ? generation_switch(c, c->hz, &at_ns) : 0;
}

static int on_sweep(sd_event_source *source, uint64_t usec, void *arg)
{
	struct continuous *c = arg;

	if (rules_sweep(&c->rules))
		(void)apply(c);
	sd_event_source_set_time(source, usec + SWEEP_USEC);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int add_timer(struct continuous *c, sd_event_source **ret, uint64_t usec, bool on,
		     sd_event_time_handler_t fn)
{
	int r = sd_event_add_time_relative(c->options.event, ret, CLOCK_MONOTONIC, usec,
					   BOUNDARY_ACCURACY_USEC, fn, c);

	return r < 0 ? r : sd_event_source_set_enabled(*ret, on ? SD_EVENT_ONESHOT : SD_EVENT_OFF);
}

DEFINE_CLEANUP(struct continuous *, continuous_free);

int continuous_new(struct continuous **ret, const struct continuous_options *options)
{
	_cleanup_(continuous_freep) struct continuous *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	c->options = *options;
	rules_init(&c->rules);
	r = add_timer(c, &c->boundary, 0, false, on_boundary);
	if (r >= 0)
		r = add_timer(c, &c->resume, 0, false, on_resume);
	if (r >= 0)
		r = add_timer(c, &c->sweep, SWEEP_USEC, true, on_sweep);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(c);
	return 0;
}

struct continuous *continuous_free(struct continuous *c)
{
	uint64_t at_ns;

	if (!c)
		return NULL;
	asks_free(c);
	(void)generation_switch(c, 0, &at_ns);
	for (struct cwindow *w = c->windows, *next; w; w = next) {
		next = w->next;
		window_unref(w);
	}
	sd_event_source_disable_unref(c->boundary);
	sd_event_source_disable_unref(c->resume);
	sd_event_source_disable_unref(c->sweep);
	rules_done(&c->rules);
	free(c);
	return NULL;
}

/* Sampling begins, and a window with it. */
static int begin(struct continuous *c)
{
	uint64_t at_ns;
	int r;

	if (c->paused || c->stopped || c->hz == 0)
		return 0;
	r = generation_switch(c, c->hz, &at_ns);
	if (r < 0)
		return r;
	if (c->open) {
		c->open->hz = MIN(c->open->hz, c->hz);
		return 0;
	}
	return window_open(c, at_ns);
}

/* Sampling ends, and the window with it. */
static void end(struct continuous *c)
{
	uint64_t at_ns;

	(void)generation_switch(c, 0, &at_ns);
	window_end(c, at_ns);
	if (c->options.kick)
		c->options.kick(c->options.arg);
}

static bool rules_same_list(const struct rule_list *a, const struct rule_list *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (a->items[i].kind != b->items[i].kind ||
		    strcmp(a->items[i].value, b->items[i].value) != 0)
			return false;
	return true;
}

static bool rules_same(const struct rules *a, const struct rules *b)
{
	return a->all == b->all && rules_same_list(&a->include, &b->include) &&
	       rules_same_list(&a->exclude, &b->exclude);
}

int continuous_configure(struct continuous *c, unsigned hz, uint64_t window_ns, struct rules *rules)
{
	bool same = c->configured_hz == hz && c->window_ns == window_ns &&
		    rules_same(&c->rules, rules);

	if (same) {
		rules_done(rules);
		return 0;
	}
	rules_done(&c->rules);
	c->rules = *rules;
	rules_init(rules);
	/* what a reload changes begins with a window of its own */
	if (c->current)
		end(c);
	c->hz = c->configured_hz = hz;
	c->window_ns = window_ns;
	return hz ? begin(c) : 0;
}

int continuous_set_hz(struct continuous *c, unsigned hz)
{
	hz = MIN(MAX(hz, 1U), c->configured_hz);
	if (hz == c->hz)
		return 0;
	c->hz = hz;
	return c->current ? begin(c) : 0;
}

void continuous_defer(struct continuous *c, bool defer)
{
	c->defer = defer;
	windows_go_on(c);
}

int continuous_pause(struct continuous *c, int64_t until_ns)
{
	int64_t now_ns = (int64_t)clock_ns(CLOCK_REALTIME);

	c->paused = true;
	c->paused_until_ns = until_ns;
	end(c);
	if (until_ns == 0)
		return sd_event_source_set_enabled(c->resume, SD_EVENT_OFF);
	sd_event_source_set_time_relative(c->resume, (uint64_t)MAX(until_ns - now_ns, (int64_t)1) /
							     NSEC_PER_USEC);
	return sd_event_source_set_enabled(c->resume, SD_EVENT_ONESHOT);
}

int continuous_resume(struct continuous *c)
{
	sd_event_source_set_enabled(c->resume, SD_EVENT_OFF);
	if (!c->paused)
		return 0;
	c->paused = false;
	c->paused_until_ns = 0;
	return begin(c);
}

const struct rules *continuous_rules(const struct continuous *c)
{
	return &c->rules;
}

int continuous_rule(struct continuous *c, bool add, const char *kind, const char *value,
		    char **ret_error)
{
	int r = add ? rules_add(&c->rules, kind, value, ret_error)
		    : rules_remove(&c->rules, kind, value, ret_error);

	if (r <= 0)
		return r;
	r = apply(c);
	return r < 0 ? r : 1;
}

/* What the rules say of a sample. */
static bool wanted(const struct continuous *c, const struct generation *g,
		   const struct sample *sample)
{
	if (generation_has(g->out, sample) ||
	    rules_match(&c->rules.exclude, sample->process, sample->uid))
		return false;
	return !g->filter_in || generation_has(g->in, sample) ||
	       rules_match(&c->rules.include, sample->process, sample->uid);
}

static struct cwindow *window_at(struct continuous *c, uint64_t time_ns)
{
	/* the timer is late: what belongs to the next window is not to be lost */
	while (c->open && time_ns >= c->open->end_ns)
		roll(c, c->open->end_ns);
	for (struct cwindow *w = c->windows; w; w = w->next)
		if (time_ns >= w->start_ns && time_ns < w->end_ns)
			return w;
	return NULL;
}

void continuous_sample(struct continuous *c, const struct sample *sample)
{
	const struct generation *g = generation_of(c, sample);
	struct cwindow *w;

	if (!g)
		return;
	if (!c->open && c->current == g && !c->stopped)
		(void)window_open(c, sample->time_ns);
	w = window_at(c, sample->time_ns);
	if (!w)
		return;
	if (!wanted(c, g, sample)) {
		c->stats.excluded++;
		w->counts.excluded++;
		return;
	}
	window_sample(w, sample);
}

void continuous_advanced(struct continuous *c, uint64_t until_ns)
{
	bool any = false;

	generations_forget(c, until_ns);
	for (struct cwindow *w = c->windows; w; w = w->next)
		if (!w->open && !w->complete && until_ns >= w->end_ns)
			any = w->complete = true;
	asks_advanced(c, until_ns);
	if (any)
		windows_go_on(c);
}

uint64_t continuous_close(struct continuous *c)
{
	uint64_t serial = c->open ? c->open->serial : 0;

	c->wanted_serial = MAX(c->wanted_serial, serial);
	if (c->open)
		roll(c, clock_ns(CLOCK_MONOTONIC));
	return serial;
}

void continuous_stop(struct continuous *c)
{
	c->stopped = true;
	end(c);
	windows_go_on(c);
}

void continuous_hurry(struct continuous *c)
{
	asks_free(c);
	while (c->windows) {
		struct cwindow *w = c->windows;

		w->naming = symbols_request_cancel(w->naming);
		window_hand_on(w, true, 0);
	}
}

unsigned continuous_pending(const struct continuous *c)
{
	unsigned n = 0;

	for (const struct cwindow *w = c->windows; w; w = w->next)
		n += !w->open;
	return n;
}

void continuous_stats(const struct continuous *c, struct continuous_stats *ret)
{
	*ret = c->stats;
	ret->running = c->current != NULL;
	ret->paused = c->paused;
	ret->deferring = c->defer;
	ret->paused_until_ns = c->paused_until_ns;
	ret->hz = c->hz;
	ret->configured_hz = c->configured_hz;
	ret->window_ns = c->window_ns;
	ret->open_since_ns = c->open ? c->open->start_real_ns : 0;
	ret->waiting = continuous_pending(c);
	for (const struct cwindow *w = c->windows; w; w = w->next)
		ret->bytes += w->aggregate ? aggregate_bytes(w->aggregate) : 0;
}
