/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "log.h"
#include "trouble.h"

/* The engine is not linked. */
void engine_stats(_unused_ const struct engine *e, struct engine_stats *ret)
{
	*ret = (struct engine_stats){};
}

static void test_line(void **state _unused_)
{
	struct engine_stats a = { .pool.crashed = 3, .sampler.lost_ring_full = 10 }, b = a;
	struct buf out = BUF_INIT(1024);

	b.sampler.taken = 1000;
	b.sampler.lost_missed_tick = 9; /* there always are some */
	trouble_line(&a, &b, &out);
	assert_int_equal(out.size, 0);

	b.sampler.lost_ring_full = 15;
	b.pool.crashed = 4;
	trouble_line(&a, &b, &out);
	assert_string_equal(out.data, "5 samples lost: ring full, 1 jobs of the worker crashed");
	buf_done(&out);
}

/* All at once still fits into a line of the log. */
static void test_all(void **state _unused_)
{
	struct buf out = BUF_INIT(960);
	struct engine_stats a = {}, b;

	memset(&b, 0x7f, sizeof(b));
	trouble_line(&a, &b, &out);
	assert_int_equal(out.error, 0);
	assert_non_null(strstr(out.data, "restarts of the worker"));
	buf_done(&out);
}

/* A burst passes, then nothing until the interval is over; what was left out is told once. */
static void test_limit(void **state _unused_)
{
	struct log_limit l = {};
	uint64_t left_out = 99, now = 5 * NSEC_PER_SEC;

	for (int i = 0; i < LOG_BURST; i++) {
		assert_true(log_limit_pass(&l, now, &left_out));
		assert_int_equal(left_out, 0);
	}
	for (int i = 0; i < 7; i++)
		assert_false(log_limit_pass(&l, now + i, &left_out));
	now += LOG_INTERVAL_NS;
	assert_true(log_limit_pass(&l, now, &left_out));
	assert_int_equal(left_out, 7);
	assert_true(log_limit_pass(&l, now, &left_out));
	assert_int_equal(left_out, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_line),
		cmocka_unit_test(test_all),
		cmocka_unit_test(test_limit),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
