/* SPDX-License-Identifier: Apache-2.0 */
/* Profiles in the order in which they are small, and with less detail: every sum that is promised stays. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "arrange.h"
#include "profile_sample.h"
#include "reduce.h"

#define N_FUNCTIONS 40
#define N_PIDS      5
#define N_ROWS      4000
#define MAX_BYTES   (16U << 20)

/* What stays: the total, by process, by innermost function, by command. */
struct sums {
	int64_t total, cpu, by_pid[N_PIDS], by_leaf[N_FUNCTIONS];
	size_t n_locations, n_threads, n_cut;
};

static uint32_t state;

static uint32_t draw(uint32_t n)
{
	state = state * 1664525 + 1013904223;
	return (state >> 8) % n;
}

static uint64_t function_location(struct profile *p, uint64_t mapping, uint32_t f)
{
	char name[16];

	snprintf(name, sizeof(name), "f%u", f);
	return sample_location(p, mapping, 0x1000 + f * 64 + draw(16),
			       (const char *[]){ name, NULL });
}

static void add_row(struct profile *p, uint64_t mapping)
{
	struct profile_label labels[2] = { { .num = 1 + draw(N_PIDS) } };
	uint64_t locations[12];
	size_t depth = 1 + draw(12);
	int64_t n = 1 + draw(3), values[] = { n, n * SAMPLE_PERIOD_NS };
	char thread[16];

	snprintf(thread, sizeof(thread), "t%u", draw(4));
	assert_int_equal(profile_string(p, "pid", &labels[0].key), 0);
	assert_int_equal(profile_string(p, "thread", &labels[1].key), 0);
	assert_int_equal(profile_string(p, thread, &labels[1].str), 0);
	for (size_t i = 0; i < depth; i++)
		locations[i] = function_location(p, mapping, draw(N_FUNCTIONS));
	assert_int_equal(profile_add_sample(p, locations, depth, values, labels, 2), 0);
}

static struct profile *busy(void)
{
	struct profile *p = sample_empty();
	uint64_t mapping = sample_mapping(p, "/bin/a", 0x1000, 0x10000);

	state = 1;
	/* what no sample refers to is left out */
	sample_location(p, mapping, 0x9000, (const char *[]){ "nobody", NULL });
	for (int i = 0; i < N_ROWS; i++)
		add_row(p, mapping);
	return p;
}

static const char *frame_name(const struct profile *p, uint64_t location)
{
	struct profile_function f;
	struct profile_line l;

	assert_true(profile_get_line(p, location, 0, &l));
	assert_true(profile_get_function(p, l.function, &f));
	return f.name;
}

static struct sums sums_of(const struct profile *p)
{
	struct sums sums = { .n_locations = profile_n_locations(p) };
	struct profile_sample s;
	struct profile_label l;

	for (size_t i = 0; profile_get_sample(p, i, &s); i++) {
		const char *root = frame_name(p, s.locations[s.n_locations - 1]);
		unsigned leaf;

		sums.total += s.values[0];
		sums.cpu += s.values[1];
		assert_int_equal(sscanf(frame_name(p, s.locations[0]), "f%u", &leaf), 1);
		sums.by_leaf[leaf] += s.values[0];
		for (size_t j = 0; profile_get_label(p, i, j, &l); j++) {
			if (l.num)
				sums.by_pid[l.num - 1] += s.values[0];
			else
				sums.n_threads++;
		}
		if (strcmp(root, REDUCE_CUT) == 0) {
			assert_int_equal(s.n_locations, 2);
			sums.n_cut++;
		}
	}
	return sums;
}

static void assert_same_sums(const struct sums *a, const struct sums *b)
{
	assert_int_equal(a->total, b->total);
	assert_int_equal(a->cpu, b->cpu);
	assert_memory_equal(a->by_pid, b->by_pid, sizeof(a->by_pid));
	assert_memory_equal(a->by_leaf, b->by_leaf, sizeof(a->by_leaf));
}

/* Through a file, as every reader sees it. */
static struct sums written_sums(const struct buf *out)
{
	struct profile *p;
	struct sums sums;

	assert_int_equal(profile_read(&p, out->data, out->size), 0);
	sums = sums_of(p);
	profile_free(p);
	return sums;
}

static void test_arrange(void **unused)
{
	struct buf before = BUF_INIT(MAX_BYTES), after = BUF_INIT(MAX_BYTES),
		   again = BUF_INIT(MAX_BYTES);
	struct profile *p = busy();
	struct sums was = sums_of(p), is;

	(void)unused;
	assert_int_equal(profile_write(p, &before), 0);
	assert_int_equal(profile_arrange(p), 0);
	assert_int_equal(profile_write(p, &after), 0);
	is = written_sums(&after);
	assert_same_sums(&was, &is);
	assert_int_equal(is.n_locations, was.n_locations - 1);
	assert_int_equal(is.n_threads, was.n_threads);
	assert_true(after.size < before.size);
	/* what is in order stays */
	assert_int_equal(profile_arrange(p), 0);
	assert_int_equal(profile_write(p, &again), 0);
	assert_int_equal(again.size, after.size);
	assert_memory_equal(again.data, after.data, after.size);
	profile_free(p);
	buf_done(&before);
	buf_done(&after);
	buf_done(&again);
}

static void test_reduce(void **unused)
{
	struct profile *p = busy();
	struct sums was = sums_of(p), is;

	(void)unused;
	assert_int_equal(profile_reduce(p, &(struct profile_detail){ .threads = true }), 0);
	assert_int_equal(profile_arrange(p), 0);
	is = sums_of(p);
	assert_same_sums(&was, &is);
	assert_int_equal(is.n_locations, N_FUNCTIONS);
	assert_true(is.n_threads > 0);
	assert_int_equal(is.n_cut, 0);

	assert_int_equal(profile_reduce(p, &(struct profile_detail){ .rows = 100 }), 0);
	is = sums_of(p);
	assert_same_sums(&was, &is);
	assert_int_equal(is.n_threads, 0);
	/* the heaviest keep theirs; the others are a row for each process and function, and short ones */
	assert_true(is.n_cut > 0 && is.n_cut <= N_FUNCTIONS * N_PIDS);
	profile_free(p);
}

static void test_within(void **unused)
{
	struct buf whole = BUF_INIT(MAX_BYTES);
	struct profile *p = busy();
	struct sums was = sums_of(p);

	(void)unused;
	assert_int_equal(profile_write_within(p, 0, &whole), 0);
	profile_free(p);
	for (size_t part = 1; part <= 16; part *= 2) {
		struct buf out = BUF_INIT(MAX_BYTES);
		struct sums is;

		p = busy();
		assert_int_equal(buf_append(&out, "before", 6), 0);
		assert_int_equal(profile_write_within(p, whole.size / part, &out), 0);
		assert_true(out.size - 6 <= whole.size / part);
		assert_int_equal(profile_n_comments(p), part > 1);
		assert_memory_equal(out.data, "before", 6);
		memmove(out.data, out.data + 6, out.size - 6);
		out.size -= 6;
		is = written_sums(&out);
		assert_same_sums(&was, &is);
		profile_free(p);
		buf_done(&out);
	}
	/* where nothing fits, what is left is whole and true */
	p = busy();
	buf_reset(&whole);
	assert_int_equal(profile_write_within(p, 1, &whole), 0);
	was = written_sums(&whole);
	assert_true(was.total > 0 && was.cpu == was.total * SAMPLE_PERIOD_NS);
	profile_free(p);
	buf_done(&whole);
}

static void test_empty(void **unused)
{
	struct buf out = BUF_INIT(MAX_BYTES);
	struct profile *p = sample_empty();

	(void)unused;
	assert_int_equal(profile_write_within(p, 1, &out), 0);
	profile_free(p);
	assert_int_equal(profile_read(&p, out.data, out.size), 0);
	assert_int_equal(profile_n_samples(p), 0);
	profile_free(p);
	buf_done(&out);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_arrange),
		cmocka_unit_test(test_reduce),
		cmocka_unit_test(test_within),
		cmocka_unit_test(test_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
