/* SPDX-License-Identifier: Apache-2.0 */
/* The merger of files, against reading and merging one by one. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <stdio.h>

#include "comments.h"
#include "merger.h"
#include "profile_sample.h"

DEFINE_CLEANUP(struct profile_merger *, profile_merger_free);

#define MAX_BYTES (4U << 20)

/* Some hundred stacks, with addresses, files and names that the number shifts. */
static struct profile *numbered(unsigned number)
{
	struct profile *p = sample_empty();
	uint64_t stack[40], mappings[4];
	char name[32];

	profile_set_time(p, 1700000000000000000 + number * 60000000000LL, 60000000000);
	for (unsigned i = 0; i < 4; i++) {
		snprintf(name, sizeof(name), "/lib/%u.so", (i + number) % 6);
		mappings[i] = sample_mapping(p, name, 0x700000000000 + 0x100000 * (i + number % 3),
					     0x80000);
	}
	for (unsigned i = 0; i < 300; i++) {
		unsigned n = 1 + i % 40;

		for (unsigned j = 0; j < n; j++) {
			uint64_t start = profile_get_mapping(p, mappings[j % 4])->start +
					 16 * (i + j);
			char inlined[32];

			snprintf(name, sizeof(name), "f%u", (i * 7 + j) % 500);
			snprintf(inlined, sizeof(inlined), "inlined%u", (i + number) % 9);
			stack[j] = sample_location(p, mappings[j % 4], start,
						   (const char *const[]){ inlined, name, NULL });
		}
		snprintf(name, sizeof(name), "comm%u", i % 5);
		assert_int_equal(sample_add(p, stack, n, 1 + i % 3, i % 2 ? 1 : number, name), 0);
	}
	return p;
}

static void write_to(const struct profile *p, struct buf *out)
{
	buf_reset(out);
	assert_int_equal(profile_write(p, out), 0);
}

/* What a profile says, whatever the order of its tables: folded stacks with sums, sorted by the caller's eye. */
static void same(const struct profile *a, const struct profile *b)
{
	int64_t sums[2][2] = {};
	const struct profile *both[2] = { a, b };
	struct profile_sample s;

	assert_non_null(a);
	assert_int_equal(profile_n_samples(a), profile_n_samples(b));
	assert_int_equal(profile_n_mappings(a), profile_n_mappings(b));
	assert_int_equal(profile_n_locations(a), profile_n_locations(b));
	assert_int_equal(profile_n_functions(a), profile_n_functions(b));
	assert_int_equal(profile_time_ns(a), profile_time_ns(b));
	assert_int_equal(profile_duration_ns(a), profile_duration_ns(b));
	for (int i = 0; i < 2; i++)
		for (size_t j = 0; profile_get_sample(both[i], j, &s); j++) {
			sums[i][0] += s.values[0];
			sums[i][1] += s.values[1];
		}
	assert_int_equal(sums[0][0], sums[1][0]);
	assert_int_equal(sums[0][1], sums[1][1]);
}

/* Sum of values whose stack begins with this function in this file of this process. */
static int64_t of(const struct profile *p, const char *function, const char *file, int64_t pid)
{
	struct profile_location l;
	struct profile_function f;
	struct profile_sample s;
	struct profile_label label;
	struct profile_line line;
	int64_t sum = 0;

	for (size_t i = 0; profile_get_sample(p, i, &s); i++) {
		const struct profile_mapping *m;
		bool wanted = false;

		assert_true(profile_get_location(p, s.locations[0], &l));
		assert_true(profile_get_line(p, s.locations[0], l.n_lines - 1, &line));
		assert_true(profile_get_function(p, line.function, &f));
		m = profile_get_mapping((struct profile *)p, l.mapping);
		assert_true(l.address >= m->start && l.address < m->limit);
		for (size_t j = 0; profile_get_label(p, i, j, &label); j++)
			wanted |= strcmp(profile_get_string(p, label.key), "pid") == 0 &&
				  label.num == pid;
		if (wanted && strcmp(f.name, function) == 0 &&
		    strcmp(profile_get_string(p, m->filename), file) == 0)
			sum += s.values[0];
	}
	return sum;
}

static void compare(const struct profile_filter *filter)
{
	_cleanup_(profile_merger_freep) struct profile_merger *m = NULL;
	_cleanup_(profile_freep) struct profile *sum = sample_empty(), *taken = NULL, *again = NULL;
	_cleanup_(buf_done) struct buf file = BUF_INIT(MAX_BYTES);
	uint64_t n, passed;
	char name[32], so[32];

	profile_set_time(sum, 0, 0);
	assert_int_equal(profile_merger_new(&m), 0);
	for (unsigned i = 1; i <= 12; i++) {
		_cleanup_(profile_freep) struct profile *p = numbered(i);

		write_to(p, &file);
		assert_int_equal(profile_merge_filtered(sum, p, filter, &n), 0);
		assert_int_equal(profile_merger_add(m, file.data, file.size, filter, &passed), 0);
		assert_int_equal(n, passed);
	}
	same(profile_merger_profile(m), sum);
	for (unsigned i = 0; i < 500; i += 7)
		for (unsigned j = 0; j < 6; j++)
			for (int64_t pid = 1; pid <= 3; pid++) {
				snprintf(name, sizeof(name), "f%u", i);
				snprintf(so, sizeof(so), "/lib/%u.so", j);
				assert_int_equal(of(sum, name, so, pid),
						 of(profile_merger_profile(m), name, so, pid));
			}

	taken = profile_merger_take(m);
	assert_null(profile_merger_profile(m));
	write_to(taken, &file);
	assert_int_equal(profile_read(&again, file.data, file.size), 0);
	same(taken, again);
}

static void test_as_one_by_one(void **state)
{
	(void)state;
	compare(NULL);
}

static void test_filtered(void **state)
{
	(void)state;
	compare(&(struct profile_filter){ .pids = (const int64_t[]){ 1, 2, 7 },
					  .n_pids = 3,
					  .comms = (const char *const[]){ "comm3" },
					  .n_comms = 1 });
	compare(&(struct profile_filter){ .only_pids = (const int64_t[]){ 77 }, .n_only_pids = 1 });
	compare(&(struct profile_filter){ .base = true });
}

/* What is torn is passed over, at whatever byte. */
static void test_torn(void **state)
{
	_cleanup_(profile_merger_freep) struct profile_merger *m = NULL;
	_cleanup_(profile_freep) struct profile *p = numbered(1), *sum = NULL;
	_cleanup_(buf_done) struct buf file = BUF_INIT(MAX_BYTES);
	static const struct profile_value_type heap[] = { { "objects", "count" } };
	_cleanup_(profile_freep) struct profile *other = NULL;

	(void)state;
	write_to(p, &file);
	assert_int_equal(profile_merger_new(&m), 0);
	for (size_t size = 0; size < file.size; size += 1 + file.size / 97)
		assert_int_equal(profile_merger_add(m, file.data, size, NULL, NULL), -EBADMSG);
	assert_null(profile_merger_profile(m));
	assert_int_equal(profile_merger_add(m, file.data, file.size, NULL, NULL), 0);
	for (size_t size = 0; size < file.size; size += 1 + file.size / 97)
		assert_int_equal(profile_merger_add(m, file.data, size, NULL, NULL), -EBADMSG);
	same(profile_merger_profile(m), p);

	assert_int_equal(profile_new(&other, heap, 1), 0);
	write_to(other, &file);
	assert_int_equal(profile_merger_add(m, file.data, file.size, NULL, NULL), -EINVAL);
	assert_int_equal(profile_merger_add(m, "", 0, NULL, NULL), -EBADMSG);
	sum = profile_merger_take(m);
	same(sum, p);
}

static void line(const struct comments *c, size_t i, const char *expected)
{
	_cleanup_(buf_done) struct buf b = BUF_INIT(4096);

	assert_int_equal(comments_line(c, i, &b), 0);
	assert_string_equal(b.data ? b.data : "", expected);
}

static void add(struct comments *c, const char *s)
{
	assert_int_equal(comments_add(c, s, strlen(s)), 0);
}

static void test_comments(void **state)
{
	_cleanup_(comments_done) struct comments c = {};

	(void)state;
	add(&c, "cprofd 0.1.0 on h7, Linux 6.1, 100 Hz: samples taken 12, lost 3 (missed_tick 3)");
	add(&c, "cprofd 0.1.0 on h7, Linux 6.1, 100 Hz: samples taken 8, lost 0 (missed_tick 0)");
	add(&c, "cprofd 0.1.0 on h7, Linux 6.1, 50 Hz: samples taken 1, lost 0 (missed_tick 0)");
	add(&c, "somebody else: 12");
	add(&c, "somebody else: 13");
	add(&c, "somebody else: 12");
	add(&c, "cprofd x: 99999999999999999999 a1 1.5 18446744073709551615");
	add(&c, "cprofd x: 99999999999999999999 a1 1.5 5");
	add(&c, "");
	assert_int_equal(c.n, 6);
	line(&c, 0,
	     "cprofd 0.1.0 on h7, Linux 6.1, 100 Hz: samples taken 20, lost 3 (missed_tick 3)");
	line(&c, 1,
	     "cprofd 0.1.0 on h7, Linux 6.1, 50 Hz: samples taken 1, lost 0 (missed_tick 0)");
	line(&c, 2, "somebody else: 12");
	line(&c, 3, "somebody else: 13");
	line(&c, 4, "cprofd x: 99999999999999999999 a1 1.5 18446744073709551615");
	line(&c, 5, "");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_as_one_by_one),
		cmocka_unit_test(test_filtered),
		cmocka_unit_test(test_torn),
		cmocka_unit_test(test_comments),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
