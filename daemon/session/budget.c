/* SPDX-License-Identifier: Apache-2.0 */
#include "budget.h"

#include <string.h>

#include "cleanup.h"

/* A step is given this part of the mean to show its effect. */
#define SETTLE_PART   10
#define MIN_SETTLE_NS NSEC_PER_SEC
/* Twice the samples must fit into this part of the budget before there are twice as many. */
#define RETURN_PERCENT 80

void budget_init(struct budget *b, uint32_t limit_ppm, uint64_t mean_ns, unsigned hz)
{
	*b = (struct budget){ .hz = hz };
	budget_configure(b, limit_ppm, mean_ns, hz);
}

void budget_configure(struct budget *b, uint32_t limit_ppm, uint64_t mean_ns, unsigned hz)
{
	if (b->hz == b->configured_hz || b->hz > hz)
		b->hz = hz;
	b->limit_ppm = limit_ppm;
	b->mean_ns = mean_ns;
	b->configured_hz = hz;
	if (b->state == BUDGET_REDUCED && b->hz == hz)
		b->state = BUDGET_DEFERRING;
}

uint64_t budget_interval_ns(const struct budget *b)
{
	return MAX(b->mean_ns / (BUDGET_MAX_READINGS - 8), NSEC_PER_SEC);
}

const char *budget_state_name(enum budget_state state)
{
	static const char *const names[] = { "ok", "deferring", "reduced" };

	return names[state];
}

/* What of a reading's cost is continuous profiling's. */
static uint64_t share(const struct budget *b, const struct budget_reading *r)
{
	uint64_t cost = r->cpu_ns - MIN(r->cpu_ns, b->last.cpu_ns);
	uint64_t mine = r->continuous - MIN(r->continuous, b->last.continuous);
	uint64_t others = r->captures - MIN(r->captures, b->last.captures);

	if (others == 0)
		return cost;
	return (uint64_t)((double)cost * (double)mine / (double)(mine + others));
}

/* Of all CPUs, over the last span_ns; time of which nothing is known counts as idle. */
static uint32_t mean_ppm(const struct budget *b, uint64_t now_ns, uint64_t span_ns)
{
	double cost = 0, cpus = 1;

	for (unsigned i = 0; i < b->n_spans; i++) {
		uint64_t age_ns = now_ns - b->spans[i].time_ns;

		if (age_ns >= span_ns)
			continue;
		cost += (double)b->spans[i].cost_ns;
		cpus = MAX(cpus, (double)b->spans[i].cpus);
	}
	return (uint32_t)(cost / cpus / (double)span_ns * 1e6 + 0.5);
}

static void remember(struct budget *b, const struct budget_reading *r, uint64_t cost_ns)
{
	b->spans[b->next].time_ns = r->time_ns;
	b->spans[b->next].cost_ns = cost_ns;
	b->spans[b->next].cpus = MAX(r->cpus, 1U);
	b->next = (b->next + 1) % BUDGET_MAX_READINGS;
	b->n_spans = MIN(b->n_spans + 1, (unsigned)BUDGET_MAX_READINGS);
}

static void step_down(struct budget *b)
{
	if (b->state == BUDGET_OK) {
		b->state = BUDGET_DEFERRING;
	} else if (b->hz > 1) {
		b->state = BUDGET_REDUCED;
		b->hz /= 2;
	}
}

static void step_up(struct budget *b)
{
	if (b->state == BUDGET_REDUCED) {
		b->hz = MIN(b->hz * 2, b->configured_hz);
		/* the odd ones that halving loses */
		if (b->configured_hz - b->hz < b->hz / 2)
			b->hz = b->configured_hz;
		if (b->hz == b->configured_hz)
			b->state = BUDGET_DEFERRING;
	} else {
		b->state = BUDGET_OK;
	}
}

static bool decide(struct budget *b)
{
	bool over = b->used_ppm > b->limit_ppm && b->recent_ppm > b->limit_ppm;
	/* twice the samples cost about twice as much; an end of deferring costs what it costs */
	uint64_t then = (uint64_t)b->recent_ppm * (b->state == BUDGET_REDUCED ? 2 : 1);
	bool room = b->used_ppm <= b->limit_ppm &&
		    then <= (uint64_t)b->limit_ppm * RETURN_PERCENT / 100;
	enum budget_state state = b->state;
	unsigned hz = b->hz;

	if (over)
		step_down(b);
	else if (room && b->state != BUDGET_OK)
		step_up(b);
	return state != b->state || hz != b->hz;
}

bool budget_read(struct budget *b, const struct budget_reading *r)
{
	uint64_t settle_ns = MAX(b->mean_ns / SETTLE_PART, MIN_SETTLE_NS);
	bool first = b->last.time_ns == 0, changed;

	if (!first)
		remember(b, r, share(b, r));
	b->last = *r;
	if (first) {
		b->changed_ns = r->time_ns;
		return false;
	}
	b->used_ppm = mean_ppm(b, r->time_ns, b->mean_ns);
	b->recent_ppm = mean_ppm(b, r->time_ns, MAX(settle_ns, 2 * budget_interval_ns(b)));
	if (r->time_ns - b->changed_ns < settle_ns)
		return false;
	changed = decide(b);
	if (changed) {
		b->changed_ns = r->time_ns;
		b->steps++;
	}
	return changed;
}
