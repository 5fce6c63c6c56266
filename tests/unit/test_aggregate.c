/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "aggregate.h"
#include "cleanup.h"

static struct object_table *objects;
static struct object *main_object, *lib_object;
static struct process_info *process;

static int setup(void **state)
{
	(void)state;
	assert_int_equal(object_table_new(&objects, 16), 0);
	assert_int_equal(object_special(objects, OBJECT_SYNTHETIC, "a", &main_object), 0);
	assert_int_equal(object_special(objects, OBJECT_SYNTHETIC, "b", &lib_object), 0);
	process = calloc(1, sizeof(*process));
	process->refs = 1;
	process->pid = 7;
	process->comm = strdup("x");
	process->cgroup = strdup("");
	process->unit = strdup("");
	process->container = strdup("");
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	process_info_unref(process);
	object_unref(main_object);
	object_unref(lib_object);
	/* every reference that the aggregates took is given back */
	assert_int_equal(object_table_count(objects), 0);
	object_table_free(objects);
	return 0;
}

static void add(struct aggregate *a, uint32_t tid, uint64_t address, int expect)
{
	struct frame frames[] = { { lib_object, address }, { main_object, 1 } };
	struct sample s = {
		.period_ns = 10,
		.tid = tid,
		.process = process,
		.thread = "t",
		.frames = frames,
		.n_frames = 2,
	};

	assert_int_equal(aggregate_add(a, &s, frames, 2), expect);
}

static void test_equal_samples_are_one_stack(void **state)
{
	struct aggregate *a;

	(void)state;
	assert_int_equal(aggregate_new(&a, &(struct aggregate_options){ .max_bytes = 1 << 20,
									.keep_tid = true }),
			 0);
	for (unsigned i = 0; i < 3000; i++)
		add(a, 1 + i % 3, i % 1000, 0);
	/* tid i % 3 and address i % 1000 are independent: 3 goes into 3000, not into 1000 */
	assert_int_equal(aggregate_n_stacks(a), 3000);
	for (unsigned i = 0; i < 3000; i++)
		add(a, 1 + i % 3, i % 1000, 0);
	assert_int_equal(aggregate_n_stacks(a), 3000);

	for (size_t i = 0; i < aggregate_n_stacks(a); i++) {
		assert_int_equal(aggregate_stack(a, i)->count, 2);
		assert_int_equal(aggregate_stack(a, i)->cpu_ns, 20);
	}
	aggregate_free(a);
}

static void test_without_tid_threads_are_one(void **state)
{
	struct aggregate *a;

	(void)state;
	assert_int_equal(aggregate_new(&a, &(struct aggregate_options){ .max_bytes = 1 << 20 }), 0);
	add(a, 1, 5, 0);
	add(a, 2, 5, 0);
	assert_int_equal(aggregate_n_stacks(a), 1);
	assert_int_equal(aggregate_stack(a, 0)->tid, 0);
	aggregate_free(a);
}

static void test_frames_are_distinct(void **state)
{
	struct frame *frames;
	struct aggregate *a;
	size_t n;

	(void)state;
	assert_int_equal(aggregate_new(&a, &(struct aggregate_options){ .max_bytes = 1 << 20 }), 0);
	for (unsigned i = 0; i < 100; i++)
		add(a, 1, i % 10, 0);
	assert_int_equal(aggregate_frames(a, &frames, &n), 0);
	assert_int_equal(n, 11);
	free(frames);
	aggregate_free(a);
}

static void test_full_refuses_new_and_counts_known(void **state)
{
	struct aggregate *a;
	size_t n;
	int r = 0;

	(void)state;
	assert_int_equal(aggregate_new(&a, &(struct aggregate_options){ .max_bytes = 100 << 10 }),
			 0);
	for (unsigned i = 0; i < 100000 && r == 0; i++) {
		struct frame f = { main_object, i };
		struct sample s = { .period_ns = 1,
				    .process = process,
				    .thread = "",
				    .frames = &f,
				    .n_frames = 1 };

		r = aggregate_add(a, &s, &f, 1);
	}
	assert_int_equal(r, -ENOSPC);
	n = aggregate_n_stacks(a);
	assert_true(n > 100);
	assert_true(aggregate_bytes(a) <= 100 << 10);

	struct frame f = { main_object, 0 };
	struct sample s = {
		.period_ns = 1, .process = process, .thread = "", .frames = &f, .n_frames = 1
	};

	assert_int_equal(aggregate_add(a, &s, &f, 1), 0);
	assert_int_equal(aggregate_stack(a, 0)->count, 2);
	assert_int_equal(aggregate_n_stacks(a), n);
	aggregate_free(a);
}

static int fill(struct aggregate *a)
{
	int r = 0;

	for (unsigned i = 0; i < 1000000 && r == 0; i++) {
		struct frame f = { main_object, i };
		struct sample s = { .period_ns = 1,
				    .process = process,
				    .thread = "",
				    .frames = &f,
				    .n_frames = 1 };

		r = aggregate_add(a, &s, &f, 1);
	}
	return r;
}

/* One may use what the others do not; what it gives back is there for the next. */
static void test_shared_budget(void **state)
{
	struct aggregate *a, *b;
	uint64_t shared = 0;
	struct aggregate_options o = { .max_bytes = 1 << 20,
				       .shared_bytes = &shared,
				       .shared_max_bytes = 600 << 10 };

	(void)state;
	assert_int_equal(aggregate_new(&a, &o), 0);
	assert_int_equal(fill(a), -ENOSPC);
	assert_int_equal(shared, aggregate_bytes(a));
	assert_true(shared > 300 << 10 && shared <= 600 << 10);

	/* root's may go further than the first */
	o.shared_max_bytes = 1 << 20;
	assert_int_equal(aggregate_new(&b, &o), 0);
	assert_int_equal(fill(b), -ENOSPC);
	assert_true(aggregate_n_stacks(b) > 100);
	assert_int_equal(shared, aggregate_bytes(a) + aggregate_bytes(b));
	assert_true(shared <= 1 << 20);
	aggregate_free(a);
	assert_int_equal(shared, aggregate_bytes(b));
	aggregate_free(b);
	assert_int_equal(shared, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_equal_samples_are_one_stack, setup, teardown),
		cmocka_unit_test_setup_teardown(test_without_tid_threads_are_one, setup, teardown),
		cmocka_unit_test_setup_teardown(test_frames_are_distinct, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full_refuses_new_and_counts_known, setup,
						teardown),
		cmocka_unit_test_setup_teardown(test_shared_budget, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
