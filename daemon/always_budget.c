/* SPDX-License-Identifier: Apache-2.0 */
/* What cprofd itself costs, read now and then, and what follows from it for continuous profiling. */
#include <string.h>
#include <sys/resource.h>

#include "clock.h"
#include "log.h"
#include "parts.h"

/* A capture that is being named takes no samples, but most of the CPU time. */
#define NAMING_WEIGHT 10

static uint64_t timeval_ns(struct timeval t)
{
	return (uint64_t)t.tv_sec * NSEC_PER_SEC + (uint64_t)t.tv_usec * NSEC_PER_USEC;
}

static uint64_t cost_ns(const struct engine *e)
{
	struct sampler_stats sampler;
	struct history_stats history;
	struct pool_stats pool;
	struct rusage usage;
	uint64_t sum;

	getrusage(RUSAGE_SELF, &usage);
	sampler_stats(e->sampler, -1, &sampler);
	pool_stats(e->pool, &pool);
	history_stats(e->history, &history);
	sum = timeval_ns(usage.ru_utime) + timeval_ns(usage.ru_stime) + pool.cpu_ns +
	      sampler.bpf_ns;
	/* what somebody asked for is not profiling's */
	return sum - MIN(sum, history.query_cpu_ns);
}

static void read_samples(struct engine *e, struct budget_reading *r)
{
	struct continuous_stats c;
	struct sessions_stats s;
	uint64_t more;

	continuous_stats(e->continuous, &c);
	sessions_stats(e->sessions, &s);
	r->continuous = c.samples;
	more = s.samples - MIN(s.samples, e->budget_captures_seen);
	e->budget_captures_seen = s.samples;
	if (more == 0 && s.captures > 0)
		more = NAMING_WEIGHT * (c.samples - MIN(c.samples, e->budget.last.continuous) + 1);
	r->captures = e->budget.last.captures + more;
}

static void describe(struct engine *e)
{
	const struct budget *b = &e->budget;

	e->budget_remark[0] = '\0';
	if (b->state == BUDGET_REDUCED)
		snprintf(e->budget_remark, sizeof(e->budget_remark),
			 "budget: %u Hz in place of %u Hz, as profiling used %.2f %% of the "
			 "machine and "
			 "[Budget] CPU= allows %.2f %%",
			 b->hz, b->configured_hz, b->used_ppm / 1e4, b->limit_ppm / 1e4);
}

/* was: the state before */
static void tell(const struct engine *e, enum budget_state was)
{
	const struct budget *b = &e->budget;

	switch (b->state) {
	case BUDGET_OK:
		log_info("inside the CPU budget again: %.2f %% of the machine", b->used_ppm / 1e4);
		break;
	case BUDGET_DEFERRING:
		if (was == BUDGET_OK)
			log_warning("over the CPU budget (%.2f %% of the machine, allowed are "
				    "%.2f %%): windows are named later",
				    b->used_ppm / 1e4, b->limit_ppm / 1e4);
		else
			log_info("inside the CPU budget (%.2f %% of the machine, allowed are "
				 "%.2f %%): %u Hz again, windows are still named later",
				 b->used_ppm / 1e4, b->limit_ppm / 1e4, b->hz);
		break;
	case BUDGET_REDUCED:
		log_warning("%s", e->budget_remark);
		break;
	}
}

static int on_reading(sd_event_source *source, _unused_ uint64_t usec, void *arg)
{
	struct engine *e = arg;
	struct budget_reading r = { .time_ns = clock_ns(CLOCK_MONOTONIC),
				    .cpus = (unsigned)MAX(sysconf(_SC_NPROCESSORS_ONLN), 1L) };
	enum budget_state was = e->budget.state;

	r.cpu_ns = cost_ns(e);
	read_samples(e, &r);
	if (budget_read(&e->budget, &r)) {
		describe(e);
		tell(e, was);
		continuous_defer(e->continuous, e->budget.state != BUDGET_OK);
		(void)continuous_set_hz(e->continuous, e->budget.hz);
	}
	sd_event_source_set_time_relative(source, budget_interval_ns(&e->budget) / NSEC_PER_USEC);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

int always_budget_new(struct engine *e)
{
	const struct config *c = e->options.config;

	budget_init(&e->budget, c->budget.cpu_ppm, c->budget.mean_ns, c->sampling.frequency_hz);
	return sd_event_add_time_relative(e->event, &e->budget_timer, CLOCK_MONOTONIC, 0, 100000,
					  on_reading, e);
}

/* After the session has been configured: it starts at its own frequency again. */
void always_budget_reload(struct engine *e)
{
	const struct config *c = e->options.config;

	budget_configure(&e->budget, c->budget.cpu_ppm, c->budget.mean_ns,
			 c->sampling.frequency_hz);
	describe(e);
	(void)continuous_set_hz(e->continuous, e->budget.hz);
}

const char *always_budget_remark(void *arg)
{
	const struct engine *e = arg;

	return e->budget_remark;
}

bool always_at_leisure(void *arg)
{
	const struct engine *e = arg;

	return e->budget.state == BUDGET_OK;
}
