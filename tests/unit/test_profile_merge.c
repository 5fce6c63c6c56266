/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "profile_sample.h"

static void sums(const struct profile *p, int64_t *ret_count, int64_t *ret_cpu)
{
	struct profile_sample s;

	*ret_count = *ret_cpu = 0;
	for (size_t i = 0; profile_get_sample(p, i, &s); i++) {
		*ret_count += s.values[0];
		*ret_cpu += s.values[1];
	}
}

static void test_same_twice(void **state)
{
	_cleanup_(profile_freep) struct profile *a = sample_profile(), *b = sample_profile();
	size_t bytes = profile_bytes(a);
	int64_t count, cpu;

	(void)state;
	assert_int_equal(profile_merge(a, b), 0);
	assert_int_equal(profile_n_samples(a), 5);
	assert_int_equal(profile_n_locations(a), 5);
	assert_int_equal(profile_n_functions(a), 6);
	assert_int_equal(profile_n_mappings(a), 3);
	assert_int_equal(profile_n_comments(a), 1);
	assert_int_equal(profile_bytes(a), bytes);
	assert_int_equal(profile_duration_ns(a), 2000000000);
	sums(a, &count, &cpu);
	assert_int_equal(count, 200);
	assert_int_equal(cpu, 200 * (int64_t)SAMPLE_PERIOD_NS);
}

static void test_into_empty(void **state)
{
	_cleanup_(profile_freep) struct profile *a = sample_empty(), *b = sample_profile();
	int64_t count, cpu;

	(void)state;
	profile_set_time(a, 0, 0);
	assert_int_equal(profile_merge(a, b), 0);
	assert_int_equal(profile_time_ns(a), profile_time_ns(b));
	assert_int_equal(profile_duration_ns(a), profile_duration_ns(b));
	assert_int_equal(profile_n_samples(a), 5);
	sums(a, &count, &cpu);
	assert_int_equal(count, 100);
	assert_string_equal(profile_get_comment(a, 0), "cprofd on host");
}

/* The same library at another address, and another library where the first one was. */
static void test_rebases(void **state)
{
	_cleanup_(profile_freep) struct profile *a = sample_empty(), *b = sample_empty();
	struct profile_location l, moved;
	const struct profile_mapping *m;
	struct profile_sample s;
	uint64_t lib, other;

	(void)state;
	lib = sample_mapping(a, "lib.so", 0x700000000000, 0x4000);
	other = sample_frame(a, lib, 0x700000001234, "f");
	assert_int_equal(sample_add(a, &other, 1, 1, 1, "a"), 0);

	lib = sample_mapping(b, "lib.so", 0x710000000000, 0x4000);
	other = sample_frame(b, lib, 0x710000001234, "f");
	assert_int_equal(sample_add(b, &other, 1, 2, 1, "a"), 0);
	lib = sample_mapping(b, "other.so", 0x700000002000, 0x4000);
	other = sample_frame(b, lib, 0x700000003456, "g");
	assert_int_equal(sample_add(b, &other, 1, 4, 1, "a"), 0);

	assert_int_equal(profile_merge(a, b), 0);
	assert_int_equal(profile_n_mappings(a), 2);
	assert_int_equal(profile_n_locations(a), 2);
	assert_int_equal(profile_n_samples(a), 2);
	assert_true(profile_get_sample(a, 0, &s));
	assert_int_equal(s.values[0], 3);
	assert_true(profile_get_location(a, s.locations[0], &l));
	assert_int_equal(l.address, 0x700000001234);

	assert_true(profile_get_sample(a, 1, &s));
	assert_true(profile_get_location(a, s.locations[0], &moved));
	m = profile_get_mapping(a, moved.mapping);
	assert_int_equal(m->limit - m->start, 0x4000);
	assert_int_equal(m->start % 4096, 0);
	assert_int_equal(moved.address - m->start, 0x1456);
	assert_true(m->limit <= 0x700000000000 || m->start >= 0x700000004000);
	assert_true(m->start > 0);
}

static void test_many_moved(void **state)
{
	_cleanup_(profile_freep) struct profile *a = sample_empty();
	char name[32];

	(void)state;
	for (unsigned i = 0; i < 100; i++) {
		_cleanup_(profile_freep) struct profile *b = sample_empty();
		uint64_t lib;

		snprintf(name, sizeof(name), "lib%u.so", i);
		lib = sample_mapping(b, name, 0x10000 + (i % 7) * 0x1000, 0x1000 * (1 + i % 5));
		sample_frame(b, lib, 0x10010, "f");
		assert_int_equal(profile_merge(a, b), 0);
	}
	assert_int_equal(profile_n_mappings(a), 100);
	for (uint64_t i = 1; i <= 100; i++)
		for (uint64_t j = 1; j < i; j++) {
			const struct profile_mapping *x = profile_get_mapping(a, i),
						     *y = profile_get_mapping(a, j);

			assert_true(x->limit <= y->start || y->limit <= x->start);
		}
}

static void test_incompatible(void **state)
{
	static const struct profile_value_type heap[] = { { "objects", "count" },
							  { "space", "bytes" } };
	_cleanup_(profile_freep) struct profile *a = sample_profile(), *b = NULL,
						*c = sample_empty();

	(void)state;
	assert_int_equal(profile_new(&b, heap, 2), 0);
	assert_int_equal(profile_merge(a, b), -EINVAL);
	assert_int_equal(profile_merge(a, a), -EINVAL);
	assert_int_equal(profile_set_period(c, "cycles", "count", 1), 0);
	assert_int_equal(profile_merge(a, c), -EINVAL);
	assert_int_equal(profile_n_samples(a), 5);
}

static void test_header(void **state)
{
	_cleanup_(profile_freep) struct profile *a = sample_profile(), *b = sample_profile();

	(void)state;
	profile_set_time(b, 1600000000000000000, 5);
	assert_int_equal(profile_add_comment(b, "second"), 0);
	assert_int_equal(profile_merge(a, b), 0);
	assert_int_equal(profile_time_ns(a), 1600000000000000000);
	assert_int_equal(profile_duration_ns(a), 1000000005);
	assert_int_equal(profile_n_comments(a), 2);
	assert_string_equal(profile_get_comment(a, 1), "second");
}

static void test_subtract(void **state)
{
	_cleanup_(profile_freep) struct profile *a = sample_profile(), *b = sample_profile();
	struct profile_sample s;
	int64_t count, cpu;

	(void)state;
	assert_int_equal(sample_add(a, (uint64_t[]){ 2, 1 }, 2, 7, 100, "prog"), 0);
	assert_int_equal(profile_subtract(a, b), 0);
	sums(a, &count, &cpu);
	assert_int_equal(count, 7);
	assert_true(profile_get_sample(a, 0, &s));
	assert_int_equal(s.values[0], 7);
	assert_int_equal(profile_duration_ns(a), profile_duration_ns(b));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_same_twice),   cmocka_unit_test(test_into_empty),
		cmocka_unit_test(test_rebases),      cmocka_unit_test(test_many_moved),
		cmocka_unit_test(test_incompatible), cmocka_unit_test(test_header),
		cmocka_unit_test(test_subtract),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
