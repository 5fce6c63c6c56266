/* SPDX-License-Identifier: Apache-2.0 */
/* The always-on part of the engine: the continuous session, and where its windows go. */
#include <malloc.h>
#include <string.h>

#include "log.h"
#include "parts.h"

/* Of [Budget] Memory=. */
#define CONTINUOUS_PERCENT 10
/* What the heap may keep for the next window. */
#define TRIM_KEEP_BYTES (1 << 20)
/* From the order to stop to the last window, named or not: SIGTERM has 5 s. */
#define STOP_USEC (2500 * 1000ULL)

static void maybe_stopped(struct engine *e)
{
	if (e->stop_deadline && continuous_pending(e->continuous) == 0)
		sd_event_exit(e->event, 0);
}

static void on_window(void *arg, const struct continuous_report *report)
{
	struct engine *e = arg;

	history_window(e->history, report);
	/* what the window held lay between names that stay: its pages go back only when asked for */
	(void)malloc_trim(TRIM_KEEP_BYTES);
	maybe_stopped(e);
}

static void on_trouble(_unused_ void *arg, int error, const char *what)
{
	if (error == 0)
		log_info("the store works again");
	else if (error == -ENOSPC)
		log_warning(
			"%s cannot be stored: the disk is full, or less than [Store] KeepFree= is "
			"free; profiling goes on",
			what);
	else if (error == -EFBIG)
		log_warning("%s cannot be stored: it is larger than [Store] MaxBytes= allows",
			    what);
	else
		log_warning("the store fails (%s): %s; profiling goes on", what, strerror(-error));
}

static void store_limits_of(const struct config *c, struct store_limits *ret)
{
	*ret = (struct store_limits){ .max_bytes = c->store.max_bytes,
				      .max_age_ns = c->store.max_age_ns,
				      .keep_free_bytes = c->store.keep_free_bytes };
}

static int configure(struct engine *e)
{
	const struct config *c = e->options.config;
	_cleanup_free_ char *error = NULL, *key = NULL;
	struct rules rules;
	int r;

	/* what was added and removed at run time stays as long as the file says the same */
	if (asprintf(&key, "%d %u %llu %s|%s", c->continuous.enabled, c->sampling.frequency_hz,
		     (unsigned long long)c->continuous.window_ns, c->continuous.include ?: "",
		     c->continuous.exclude ?: "") < 0)
		return -ENOMEM;
	if (e->continuous_key && strcmp(e->continuous_key, key) == 0)
		return 0;
	free(e->continuous_key);
	e->continuous_key = TAKE_PTR(key);

	r = rules_parse(&rules, c->continuous.include, c->continuous.exclude, &error);
	if (error)
		log_warning("[Continuous] %s: left out", error);
	if (r < 0)
		return r;
	r = continuous_configure(e->continuous,
				 c->continuous.enabled ? c->sampling.frequency_hz : 0,
				 c->continuous.window_ns, &rules);
	rules_done(&rules);
	if (r < 0)
		log_error(
			"continuous profiling does not start: %u Hz: %s", c->sampling.frequency_hz,
			r == -E2BIG ? "is over kernel.perf_event_max_sample_rate, lower [Sampling] "
				      "Frequency="
				    : strerror(-r));
	return r;
}

int always_new(struct engine *e)
{
	const struct config *c = e->options.config;
	struct continuous_options continuous = {
		.event = e->event,
		.sampler = e->sampler,
		.symbolizer = e->symbolizer,
		.memory_bytes = c->budget.memory_bytes / 100 * CONTINUOUS_PERCENT,
		.window = on_window,
		.kick = engine_kick,
		.remark = always_budget_remark,
		.arg = e,
	};
	struct history_options history = {
		.event = e->event,
		.pool = e->pool,
		.state_dir = e->options.state_dir,
		.trouble = on_trouble,
		.at_leisure = always_at_leisure,
		.arg = e,
	};
	int r;

	if (!e->options.state_dir)
		return 0;
	r = continuous_new(&e->continuous, &continuous);
	if (r < 0)
		return r;
	history.continuous = e->continuous;
	store_limits_of(c, &history.limits);
	r = history_new(&e->history, &history);
	return r < 0 ? r : always_budget_new(e);
}

/* Last of all, when everything that samples need is there. A clock that cannot be had is said, and no
 * reason not to serve captures. */
void always_start(struct engine *e)
{
	if (e->continuous)
		(void)configure(e);
}

void always_reload(struct engine *e)
{
	struct store_limits limits;

	if (!e->continuous)
		return;
	store_limits_of(e->options.config, &limits);
	history_set_limits(e->history, &limits);
	(void)configure(e);
	always_budget_reload(e);
}

bool always_runs(const struct engine *e)
{
	struct continuous_stats s;

	if (!e->continuous)
		return false;
	continuous_stats(e->continuous, &s);
	return s.running || s.waiting;
}

void always_free(struct engine *e)
{
	if (e->continuous && e->stop_deadline)
		continuous_hurry(e->continuous);
	e->history = history_free(e->history);
	e->continuous = continuous_free(e->continuous);
	e->budget_timer = sd_event_source_disable_unref(e->budget_timer);
	e->stop_deadline = sd_event_source_disable_unref(e->stop_deadline);
	free(e->continuous_key);
}

static int on_stop_deadline(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *arg)
{
	struct engine *e = arg;

	continuous_hurry(e->continuous);
	return sd_event_exit(e->event, 0);
}

void engine_stop(struct engine *e)
{
	int r;

	if (e->stop_deadline)
		return;
	r = e->continuous ? sd_event_add_time_relative(e->event, &e->stop_deadline, CLOCK_MONOTONIC,
						       STOP_USEC, 1000, on_stop_deadline, e)
			  : -ENOENT;
	if (r < 0) {
		sd_event_exit(e->event, 0);
		return;
	}
	continuous_stop(e->continuous);
	maybe_stopped(e);
}
