/* SPDX-License-Identifier: Apache-2.0 */
/* The budget's logic, on a machine that is made up. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "budget.h"
#include "cleanup.h"

#define MEAN_NS (600 * NSEC_PER_SEC)

/* What profiling costs here: some nanoseconds of CPU a sample, and some a second in any case. */
struct machine {
	struct budget budget;
	struct budget_reading now;
	unsigned cpus;
	uint64_t sample_ns, base_ns;
};

static void start(struct machine *m, uint64_t sample_ns)
{
	*m = (struct machine){ .cpus = 2, .sample_ns = sample_ns, .base_ns = 500000 };
	budget_init(&m->budget, 10000, MEAN_NS, 100);
	m->now.time_ns = NSEC_PER_SEC;
	m->now.cpus = m->cpus;
	assert_false(budget_read(&m->budget, &m->now));
}

/* Seconds pass with all CPUs busy; a capture takes capture_hz beside. Returns changes. */
static unsigned run(struct machine *m, unsigned seconds, unsigned capture_hz)
{
	uint64_t interval_s = budget_interval_ns(&m->budget) / NSEC_PER_SEC;
	unsigned changes = 0;

	for (unsigned s = 0; s < seconds; s++) {
		uint64_t mine = (uint64_t)m->budget.hz * m->cpus;
		uint64_t others = (uint64_t)capture_hz * m->cpus;

		m->now.time_ns += NSEC_PER_SEC;
		m->now.continuous += mine;
		m->now.captures += others;
		m->now.cpu_ns += m->base_ns + (mine + others) * m->sample_ns;
		if (s % interval_s == 0)
			changes += budget_read(&m->budget, &m->now);
	}
	return changes;
}

static void test_inside(void **state)
{
	struct machine m;

	(void)state;
	/* 200 samples a second at 40 us: 0.4 % of two CPUs */
	start(&m, 40000);
	assert_int_equal(run(&m, 3600, 0), 0);
	assert_int_equal(m.budget.state, BUDGET_OK);
	assert_int_equal(m.budget.hz, 100);
	assert_in_range(m.budget.used_ppm, 3500, 4700);
}

static void test_over_and_back(void **state)
{
	unsigned lowest;
	struct machine m;

	(void)state;
	/* 4 % of the machine: naming waits first, then the frequency goes down by halves */
	start(&m, 400000);
	while (m.budget.state == BUDGET_OK)
		assert_true(run(&m, 5, 0) <= 1 && m.now.time_ns < 2 * MEAN_NS);
	assert_int_equal(m.budget.state, BUDGET_DEFERRING);
	assert_int_equal(m.budget.hz, 100);
	while (m.budget.state == BUDGET_DEFERRING)
		run(&m, 5, 0);
	assert_int_equal(m.budget.hz, 50);
	run(&m, 1800, 0);
	lowest = m.budget.hz;
	assert_true(lowest < 50 && lowest >= 12);
	/* the mean is inside again, and stays there */
	assert_true(m.budget.used_ppm <= 10500);

	/* the load goes: back in steps, and naming at once */
	m.sample_ns = 10000;
	while (m.budget.state == BUDGET_REDUCED)
		run(&m, 5, 0);
	assert_int_equal(m.budget.hz, 100);
	run(&m, 1200, 0);
	assert_int_equal(m.budget.state, BUDGET_OK);
	assert_int_equal(m.budget.hz, 100);
}

/* A burst is no load: what counts is the mean. */
static void test_burst(void **state)
{
	struct machine m;

	(void)state;
	start(&m, 40000);
	run(&m, 1200, 0);
	m.now.cpu_ns += 5 * NSEC_PER_SEC;
	assert_int_equal(run(&m, 1200, 0), 0);
	assert_int_equal(m.budget.state, BUDGET_OK);
}

/* A capture at 1,000 Hz costs ten times as much: its owner's affair. */
static void test_captures_apart(void **state)
{
	struct machine m;

	(void)state;
	start(&m, 40000);
	assert_int_equal(run(&m, 1800, 1000), 0);
	assert_int_equal(m.budget.state, BUDGET_OK);
	assert_in_range(m.budget.used_ppm, 3500, 5000);
}

/* It does not go up and down for ever where the load lies between two frequencies. */
static void test_settles(void **state)
{
	struct machine m;
	unsigned changes;

	(void)state;
	start(&m, 130000);
	run(&m, 7200, 0);
	changes = run(&m, 3600, 0);
	assert_true(changes <= 2);
	assert_true(m.budget.used_ppm <= 10500);
}

static void test_configure(void **state)
{
	struct machine m;

	(void)state;
	start(&m, 400000);
	run(&m, 1800, 0);
	assert_int_equal(m.budget.state, BUDGET_REDUCED);
	/* more is allowed now */
	budget_configure(&m.budget, 1000000, MEAN_NS, 100);
	run(&m, 1200, 0);
	assert_int_equal(m.budget.state, BUDGET_OK);
	assert_int_equal(m.budget.hz, 100);
	/* an odd frequency comes back whole */
	budget_configure(&m.budget, 1000, MEAN_NS, 99);
	run(&m, 600, 0);
	assert_true(m.budget.hz < 99);
	budget_configure(&m.budget, 1000000, MEAN_NS, 99);
	run(&m, 2400, 0);
	assert_int_equal(m.budget.hz, 99);
	assert_string_equal(budget_state_name(m.budget.state), "ok");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_inside),  cmocka_unit_test(test_over_and_back),
		cmocka_unit_test(test_burst),   cmocka_unit_test(test_captures_apart),
		cmocka_unit_test(test_settles), cmocka_unit_test(test_configure),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
