/* SPDX-License-Identifier: Apache-2.0 */
/* Processes that are told apart no longer. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#include "fold.h"

static const struct profile_value_type types[] = { { "samples", "count" },
						   { "cpu", "nanoseconds" } };

static void add(struct profile *p, uint64_t location, int64_t pid, const char *comm, int64_t n)
{
	struct profile_label labels[2] = { { .num = pid } };
	int64_t values[] = { n, n * 10 };

	assert_int_equal(profile_string(p, "pid", &labels[0].key), 0);
	assert_int_equal(profile_string(p, "comm", &labels[1].key), 0);
	assert_int_equal(profile_string(p, comm, &labels[1].str), 0);
	assert_int_equal(profile_add_sample(p, &location, 1, values, labels, 2), 0);
}

static void test_fold(void **state)
{
	struct profile_fold folds[] = { { .pid = 9, .to = 7, .comm = "cc" },
					{ .pid = 8, .to = 7, .comm = "cc" } };
	struct profile_sample s;
	struct profile *p;
	uint64_t function, locations[2];
	int64_t sum = 0;

	(void)state;
	assert_int_equal(profile_new(&p, types, 2), 0);
	assert_int_equal(profile_add_function(p, "f", "f", "", 0, &function), 0);
	for (uint64_t i = 0; i < 2; i++)
		assert_int_equal(profile_add_location(
					 p, 0, i, &(struct profile_line){ .function = function }, 1,
					 &locations[i]),
				 0);
	add(p, locations[0], 7, "cc", 1);
	add(p, locations[0], 8, "cc", 2);
	add(p, locations[0], 9, "cc", 4);
	add(p, locations[1], 9, "cc", 8);
	/* the same pid under another name is another process */
	add(p, locations[0], 9, "ld", 16);
	assert_int_equal(profile_n_samples(p), 5);

	assert_int_equal(profile_fold_pids(p, folds, 2), 0);
	assert_int_equal(profile_n_samples(p), 3);
	for (size_t i = 0; i < 3; i++) {
		assert_true(profile_get_sample(p, i, &s));
		sum += s.values[0];
		assert_int_equal(s.values[1], s.values[0] * 10);
	}
	assert_int_equal(sum, 31);
	assert_true(profile_get_sample(p, 0, &s));
	assert_int_equal(s.values[0], 7);
	/* and once more: nothing is left to fold; the tables are whole */
	assert_int_equal(profile_fold_pids(p, folds, 2), 0);
	add(p, locations[0], 7, "cc", 1);
	assert_int_equal(profile_n_samples(p), 3);
	profile_free(p);
}

int main(void)
{
	const struct CMUnitTest tests[] = { cmocka_unit_test(test_fold) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
