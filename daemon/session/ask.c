/* SPDX-License-Identifier: Apache-2.0 */
/* What the windows that are not handed on yet have so far, for those who ask. */
#include "cwindow.h"

struct continuous_ask {
	struct continuous *session;
	struct continuous_ask *next;
	bool profiles, started;
	uint64_t until_ns; /* CLOCK_MONOTONIC: when it was asked */
	void (*fn)(void *arg, const struct continuous_report *report);
	void *arg;
	struct cwindow **windows; /* references */
	size_t n, at;
	size_t n_stacks; /* of the one that is being named, when it began */
	struct symbols_request *naming;
	sd_event_source *step;
};

static void unlink_ask(struct continuous_ask *a)
{
	struct continuous_ask **at = &a->session->asks;

	while (*at && *at != a)
		at = &(*at)->next;
	if (*at)
		*at = a->next;
}

struct continuous_ask *continuous_ask_cancel(struct continuous_ask *a)
{
	if (!a)
		return NULL;
	unlink_ask(a);
	symbols_request_cancel(a->naming);
	sd_event_source_disable_unref(a->step);
	for (size_t i = a->at; i < a->n; i++)
		window_unref(a->windows[i]);
	free(a->windows);
	free(a);
	return NULL;
}

void asks_free(struct continuous *c)
{
	while (c->asks)
		continuous_ask_cancel(c->asks);
}

/* Tells of one window; the references go with it. */
static void tell(struct continuous_ask *a, int error)
{
	_cleanup_free_ struct continuous_usage *rows = NULL;
	_cleanup_(buf_done) struct buf profile = {};
	struct cwindow *w = a->windows[a->at++];
	struct continuous_report report;
	int r = window_report(w, a->n_stacks, &report, &rows);

	if (r == 0 && a->profiles)
		r = error ?: window_build(w, a->n_stacks, a->n_stacks == 0, &profile);
	if (r < 0 && !rows)
		report = (struct continuous_report){ .serial = w->serial, .open = w->open };
	report.error = r;
	report.profile = r == 0 && a->profiles ? &profile : NULL;
	window_unref(w);
	a->fn(a->arg, &report);
}

static int on_step(sd_event_source *source, void *arg);

static void step_later(struct continuous_ask *a)
{
	sd_event_source_set_enabled(a->step, SD_EVENT_ONESHOT);
}

static void on_ask_named(void *arg)
{
	struct continuous_ask *a = arg;

	a->naming = NULL;
	step_later(a);
	/* may cancel the ask */
	tell(a, 0);
}

static int on_step(_unused_ sd_event_source *source, void *arg)
{
	struct continuous_ask *a = arg;
	struct cwindow *w;
	int r;

	if (a->at == a->n) {
		void (*fn)(void *arg, const struct continuous_report *report) = a->fn;
		void *fn_arg = a->arg;

		continuous_ask_cancel(a);
		fn(fn_arg, NULL);
		return 0;
	}
	w = a->windows[a->at];
	a->n_stacks = aggregate_n_stacks(w->aggregate);
	if (a->profiles) {
		r = window_request(w, on_ask_named, a, &a->naming);
		if (r == 0)
			return 0;
		step_later(a);
		tell(a, r);
		return 0;
	}
	step_later(a);
	tell(a, 0);
	return 0;
}

static int start(struct continuous_ask *a)
{
	size_t n = 0;

	for (struct cwindow *w = a->session->windows; w; w = w->next)
		n++;
	a->windows = calloc(MAX(n, (size_t)1), sizeof(struct cwindow *));
	if (!a->windows)
		return -ENOMEM;
	for (struct cwindow *w = a->session->windows; w; w = w->next) {
		/* one that began after the question is no part of the answer */
		if (w->start_ns >= a->until_ns)
			break;
		w->refs++;
		a->windows[a->n++] = w;
	}
	return 0;
}

void asks_advanced(struct continuous *c, uint64_t until_ns)
{
	for (struct continuous_ask *a = c->asks; a; a = a->next) {
		if (a->started || until_ns < a->until_ns)
			continue;
		a->started = true;
		/* without memory: an answer without windows */
		(void)start(a);
		step_later(a);
	}
}

int continuous_ask(struct continuous *c, bool profiles,
		   void (*fn)(void *arg, const struct continuous_report *report), void *arg,
		   struct continuous_ask **ret)
{
	struct continuous_ask *a = calloc(1, sizeof(*a));
	int r;

	if (!a)
		return -ENOMEM;
	a->session = c;
	a->profiles = profiles;
	a->until_ns = clock_ns(CLOCK_MONOTONIC);
	a->fn = fn;
	a->arg = arg;
	r = sd_event_add_defer(c->options.event, &a->step, on_step, a);
	if (r < 0) {
		free(a);
		return r;
	}
	sd_event_source_set_enabled(a->step, SD_EVENT_OFF);
	a->next = c->asks;
	c->asks = a;
	if (!c->windows) {
		a->started = true;
		step_later(a);
	} else if (c->options.kick) {
		c->options.kick(c->options.arg);
	}
	*ret = a;
	return 0;
}
