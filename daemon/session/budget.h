/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The budget of continuous profiling: a share of all CPUs, as a mean. From readings of what daemon,
 * worker and BPF have used comes what is to be done: nothing; naming of windows waits; the frequency
 * goes down by halves; and back, one step at a time, as the load allows. Domain logic alone: no clocks,
 * no files.
 *
 * What captures cost is not continuous profiling's: a reading's cost is shared out by samples.
 */

#include <stdbool.h>
#include <stdint.h>

#define BUDGET_MAX_READINGS 128

struct budget_reading {
	uint64_t time_ns;    /* CLOCK_MONOTONIC */
	uint64_t cpu_ns;     /* used so far by daemon, worker and BPF */
	uint64_t continuous; /* samples so far that continuous profiling took */
	uint64_t captures;   /* that captures took, with those still to be named */
	unsigned cpus;       /* online */
};

enum budget_state { BUDGET_OK, BUDGET_DEFERRING, BUDGET_REDUCED };

struct budget {
	uint32_t limit_ppm; /* of all CPUs */
	uint64_t mean_ns;
	unsigned configured_hz;

	/* The result. */
	enum budget_state state;
	unsigned hz;
	uint32_t used_ppm;   /* mean over mean_ns */
	uint32_t recent_ppm; /* over the last tenth of it */
	uint64_t steps;      /* changes of the state so far */

	/* Its own. */
	struct budget_reading last;
	uint64_t changed_ns;
	struct {
		uint64_t time_ns, cost_ns; /* of one CPU */
		unsigned cpus;
	} spans[BUDGET_MAX_READINGS];
	unsigned n_spans, next;
};

void budget_init(struct budget *b, uint32_t limit_ppm, uint64_t mean_ns, unsigned hz);
/* The configuration changed: what has been read stays. */
void budget_configure(struct budget *b, uint32_t limit_ppm, uint64_t mean_ns, unsigned hz);
/* A reading, every budget_interval_ns(). True when state or hz changed. */
bool budget_read(struct budget *b, const struct budget_reading *r);
uint64_t budget_interval_ns(const struct budget *b);
const char *budget_state_name(enum budget_state state);
