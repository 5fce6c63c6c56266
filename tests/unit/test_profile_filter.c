/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "filter.h"
#include "merger.h"
#include "profile_sample.h"

DEFINE_CLEANUP(struct profile_merger *, profile_merger_free);

static int64_t sum(const struct profile *p)
{
	struct profile_sample s;
	int64_t count = 0;

	for (size_t i = 0; profile_get_sample(p, i, &s); i++) {
		assert_int_equal(s.values[1], s.values[0] * SAMPLE_PERIOD_NS);
		count += s.values[0];
	}
	return count;
}

static void add(struct profile *p, int64_t count, int64_t pid, const char *key, const char *value)
{
	struct profile_label labels[2] = { { .num = pid } };
	uint64_t mapping, location;
	char name[32];

	snprintf(name, sizeof(name), "f%d", (int)pid);
	mapping = sample_mapping(p, name, 0x1000 * (uint64_t)pid, 0x1000);
	location = sample_frame(p, mapping, 0x1000 * (uint64_t)pid + 5, name);
	assert_int_equal(profile_string(p, "pid", &labels[0].key), 0);
	assert_int_equal(profile_string(p, "id", &labels[0].num_unit), 0);
	assert_int_equal(profile_string(p, key, &labels[1].key), 0);
	assert_int_equal(profile_string(p, value, &labels[1].str), 0);
	assert_int_equal(profile_add_sample(p, &location, 1,
					    (int64_t[]){ count, count * SAMPLE_PERIOD_NS }, labels,
					    2),
			 0);
}

/* Powers of two, so that a sum says which samples passed. */
static struct profile *mixed(void)
{
	struct profile *p = sample_empty();

	add(p, 1, 1, "comm", "nginx");
	add(p, 2, 2, "unit", "nginx.service");
	add(p, 4, 3, "unit", "nginx.socket");
	add(p, 8, 4, "container", "0123456789abcdef");
	add(p, 16, 5, "comm", "a-name-of-fifte");
	add(p, 32, 6, "thread", "nginx.service");
	add(p, 64, 7, "unit", "nginx.service.d");
	return p;
}

static int64_t passed(const struct profile_filter *f, uint64_t rows)
{
	_cleanup_(profile_freep) struct profile *dst = sample_empty(), *src = mixed();
	uint64_t n = 0;

	assert_int_equal(profile_merge_filtered(dst, src, f, &n), 0);
	assert_int_equal(n, rows);
	assert_int_equal(profile_n_samples(dst), rows);
	return sum(dst);
}

#define STRINGS(...) ((const char *const[]){ __VA_ARGS__ })
#define PIDS(...)    ((const int64_t[]){ __VA_ARGS__ })

static void test_kinds(void **state)
{
	(void)state;
	assert_int_equal(passed(NULL, 7), 127);
	assert_int_equal(passed(&(struct profile_filter){}, 7), 127);
	assert_int_equal(passed(&(struct profile_filter){ .pids = PIDS(1, 3, 9), .n_pids = 3 }, 2),
			 5);
	assert_int_equal(
		passed(&(struct profile_filter){ .comms = STRINGS("nginx"), .n_comms = 1 }, 1), 1);
	assert_int_equal(
		passed(&(struct profile_filter){ .units = STRINGS("nginx"), .n_units = 1 }, 1), 2);
	assert_int_equal(
		passed(&(struct profile_filter){ .units = STRINGS("nginx.service"), .n_units = 1 },
		       1),
		2);
	/* the empty name is nobody's */
	assert_int_equal(passed(&(struct profile_filter){ .units = STRINGS(""), .n_units = 1 }, 0),
			 0);
	assert_int_equal(passed(&(struct profile_filter){ .containers = STRINGS("012345"),
							  .n_containers = 1 },
				1),
			 8);
	assert_int_equal(passed(&(struct profile_filter){ .containers = STRINGS("01234"),
							  .n_containers = 1 },
				0),
			 0);
	/* the kernel cuts a name after 15 bytes, people do not */
	assert_int_equal(passed(&(struct profile_filter){ .comms = STRINGS("a-name-of-fifteen"),
							  .n_comms = 1 },
				1),
			 16);
}

static void test_union_and_only(void **state)
{
	struct profile_filter f = {
		.pids = PIDS(4), .n_pids = 1, .comms = STRINGS("nginx", "none"), .n_comms = 2
	};

	(void)state;
	assert_int_equal(passed(&f, 2), 9);
	f.only_pids = PIDS(1, 2, 3);
	f.n_only_pids = 3;
	assert_int_equal(passed(&f, 1), 1);
	f.n_only_pids = 0;
	assert_int_equal(passed(&f, 0), 0);
	assert_int_equal(
		passed(&(struct profile_filter){ .only_pids = PIDS(2, 7), .n_only_pids = 2 }, 2),
		66);
}

static void test_order_of_pids(void **state)
{
	_cleanup_(profile_freep) struct profile *dst = sample_empty(), *src = mixed();
	struct profile_filter f = { .pids = PIDS(3, 1), .n_pids = 2 };

	(void)state;
	assert_int_equal(profile_merge_filtered(dst, src, &f, NULL), -EINVAL);
	assert_int_equal(profile_n_samples(dst), 0);
}

/* Nothing comes along that no sample needs, but for the mapping that heads the profile. */
static void test_only_what_is_needed(void **state)
{
	_cleanup_(profile_freep) struct profile *dst = sample_empty(), *src = mixed();
	struct profile_filter f = { .pids = PIDS(3), .n_pids = 1 };

	(void)state;
	assert_int_equal(profile_merge_filtered(dst, src, &f, NULL), 0);
	assert_int_equal(profile_n_functions(dst), 1);
	assert_int_equal(profile_n_locations(dst), 1);
	assert_int_equal(profile_n_mappings(dst), 2);
	assert_string_equal(profile_get_string(dst, profile_get_mapping(dst, 1)->filename), "f1");
}

static void test_first_mapping(void **state)
{
	_cleanup_(profile_freep) struct profile *dst = sample_empty(), *src = mixed();
	struct profile_filter f = { .pids = PIDS(3, 5), .n_pids = 2, .first_mapping = "f5" };

	(void)state;
	assert_int_equal(profile_merge_filtered(dst, src, &f, NULL), 0);
	assert_int_equal(profile_n_mappings(dst), 2);
	assert_string_equal(profile_get_string(dst, profile_get_mapping(dst, 1)->filename), "f5");
	assert_string_equal(profile_get_string(dst, profile_get_mapping(dst, 2)->filename), "f3");
}

static void test_base(void **state)
{
	_cleanup_(profile_freep) struct profile *dst = sample_empty(), *src = mixed();
	int64_t duration = profile_duration_ns(dst);
	struct profile_label l;
	unsigned based = 0;

	(void)state;
	assert_int_equal(profile_merge_filtered(dst, src, NULL, NULL), 0);
	assert_int_equal(
		profile_merge_filtered(
			dst, src,
			&(struct profile_filter){ .base = true, .pids = PIDS(1, 2), .n_pids = 2 },
			NULL),
		0);
	/* before and after stay apart */
	assert_int_equal(profile_n_samples(dst), 9);
	assert_int_equal(sum(dst), 127 - 3);
	assert_int_equal(profile_duration_ns(dst), 2 * duration);
	for (size_t i = 0; i < profile_n_samples(dst); i++)
		for (size_t j = 0; profile_get_label(dst, i, j, &l); j++)
			based += strcmp(profile_get_string(dst, l.key), "pprof::base") == 0 &&
				 strcmp(profile_get_string(dst, l.str), "true") == 0;
	assert_int_equal(based, 2);
}

static void test_merger(void **state)
{
	_cleanup_(profile_merger_freep) struct profile_merger *m = NULL;
	_cleanup_(profile_freep) struct profile *src = mixed();
	_cleanup_(buf_done) struct buf file = BUF_INIT(1 << 20);
	struct profile_filter f = { .pids = PIDS(1, 2), .n_pids = 2 };
	uint64_t n;

	(void)state;
	assert_int_equal(profile_write(src, &file), 0);
	assert_int_equal(profile_merger_new(&m), 0);
	assert_null(profile_merger_profile(m));
	assert_int_equal(profile_merger_add(m, file.data, file.size / 2, NULL, &n), -EBADMSG);
	for (int i = 1; i <= 3; i++) {
		assert_int_equal(profile_merger_add(m, file.data, file.size, &f, &n), 0);
		assert_int_equal(n, 2);
		assert_int_equal(profile_merger_add(m, file.data, file.size - 9, &f, &n), -EBADMSG);
		assert_int_equal(sum(profile_merger_profile(m)), 3 * i);
	}
	assert_int_equal(profile_n_samples(profile_merger_profile(m)), 2);
	assert_int_equal(profile_duration_ns(profile_merger_profile(m)),
			 3 * profile_duration_ns(src));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_kinds),         cmocka_unit_test(test_union_and_only),
		cmocka_unit_test(test_order_of_pids), cmocka_unit_test(test_only_what_is_needed),
		cmocka_unit_test(test_first_mapping), cmocka_unit_test(test_base),
		cmocka_unit_test(test_merger),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
