/* SPDX-License-Identifier: Apache-2.0 */
/* The pool: many jobs, files that are asked for, a zygote that goes, jobs that are given up. */
#include "pool_harness.h"

static void test_echo(void **state)
{
	struct fixture *f = *state;
	OUTCOME o = {};

	run(f, &o, "echo hello");
	assert_int_equal(o.error, 0);
	assert_int_equal(o.signal, 0);
	assert_string_equal(o.answer, "hello");
}

static void test_empty_answer(void **state)
{
	struct fixture *f = *state;
	OUTCOME o = {};

	run(f, &o, "env");
	assert_int_equal(o.error, 0);
	assert_int_equal(o.bytes, 0);
}

static void test_unknown_kind(void **state)
{
	struct fixture *f = *state;
	OUTCOME o = {};
	struct job_spec spec = { .kind = JOB_MERGE + 100, .done = on_done, .arg = &o };

	assert_int_equal(pool_submit(f->pool, &spec, NULL), 0);
	wait_for(f, &o.n_done, 1);
	assert_int_equal(o.error, -EOPNOTSUPP);
}

static void test_bad_specs(void **state)
{
	struct fixture *f = *state;
	OUTCOME o = {};
	int closed = 1000;
	int many[JOB_MAX_FDS + 1] = {};
	struct job_spec spec = { .kind = JOB_SELFTEST, .input = "env", .done = on_done, .arg = &o };

	spec.input_bytes = JOB_MAX_INPUT_BYTES + 1U;
	assert_int_equal(pool_submit(f->pool, &spec, NULL), -E2BIG);
	spec.input_bytes = 4;
	spec.fds = many;
	spec.n_fds = JOB_MAX_FDS + 1;
	assert_int_equal(pool_submit(f->pool, &spec, NULL), -EINVAL);
	spec.fds = &closed;
	spec.n_fds = 1;
	assert_int_equal(pool_submit(f->pool, &spec, NULL), -EBADF);
	spec.n_fds = 0;
	spec.done = NULL;
	assert_int_equal(pool_submit(f->pool, &spec, NULL), -EINVAL);
}

static void test_hang(void **state _unused_)
{
	struct pool_options options = { .max_parallel = 2,
					.max_waiting = 4,
					.memory_bytes = 64 << 20,
					.timeout_ns = 3 * NSEC_PER_SEC };
	struct fixture f = {};
	OUTCOME hang = {}, sleeps = {}, after = {};
	struct pool_stats stats;

	assert_int_equal(fixture_open(&f, &options), 0);
	submit(&f, &hang, "hang");
	submit(&f, &sleeps, "sleep");
	/* waits until one of them is gone */
	submit(&f, &after, "echo after");
	wait_for(&f, &after.n_done, 1);
	wait_for(&f, &hang.n_done, 1);
	wait_for(&f, &sleeps.n_done, 1);
	assert_int_equal(hang.error, -ETIME);
	assert_int_equal(hang.signal, 0);
	assert_true(hang.cpu_ns > 0);
	assert_int_equal(sleeps.error, -ETIME);
	assert_int_equal(after.error, 0);
	pool_stats(f.pool, &stats);
	assert_int_equal(stats.timed_out, 2);
	assert_true(stats.cpu_ns >= hang.cpu_ns);
	fixture_close(&f);
}

static void test_busy(void **state _unused_)
{
	struct pool_options options = { .max_parallel = 1,
					.max_waiting = 1,
					.memory_bytes = 64 << 20,
					.timeout_ns = 20 * NSEC_PER_SEC };
	struct fixture f = {};
	OUTCOME a = {}, b = {}, c = {};
	struct pool_stats stats;

	assert_int_equal(fixture_open(&f, &options), 0);
	submit(&f, &a, "echo a");
	submit(&f, &b, "echo b");
	assert_int_equal(submit_fds(&f, &c, "echo c", NULL, 0), -EBUSY);
	pool_stats(f.pool, &stats);
	assert_int_equal(stats.refused, 1);
	assert_int_equal(stats.waiting, 2);
	wait_for(&f, &b.n_done, 1);
	assert_int_equal(a.n_done, 1);
	assert_string_equal(b.answer, "b");
	fixture_close(&f);
}

static void test_broker(void **state)
{
	struct fixture *f = *state;
	_cleanup_close_ int fd = file_with("debug information");
	OUTCOME ask = { .open_fd = fd }, dwo = { .open_fd = fd }, none = { .open_fd = -ENOENT };
	OUTCOME without = {};

	run(f, &ask, "ask libfoo.debug");
	assert_int_equal(ask.error, 0);
	assert_int_equal(ask.n_opens, 1);
	assert_int_equal(ask.request.kind, JOB_OPEN_DEBUGLINK);
	assert_string_equal(ask.id, "libfoo.debug");
	assert_string_equal(ask.answer, "debug information");

	run(f, &dwo, "dwo /build/foo.dwo");
	assert_int_equal(dwo.error, 0);
	assert_int_equal(dwo.request.kind, JOB_OPEN_DWO);
	assert_string_equal(dwo.id, "/build/foo.dwo");
	assert_string_equal(dwo.answer, "debug information");

	run(f, &none, "ask libfoo.debug");
	assert_int_equal(none.error, -ENOENT);

	run(f, &without, "dwo /build/foo.dwo");
	assert_int_equal(without.error, -ENOENT);
}

/* Answered from the event loop, later; and not at all. */
static void test_broker_later(void **state)
{
	struct fixture *f = *state;
	_cleanup_close_ int fd = file_with("later");
	OUTCOME o = { .open_fd = fd, .open_later = true }, cut = o;

	submit(f, &o, "ask a");
	submit(f, &cut, "ask b");
	wait_for(f, &o.n_opens, 1);
	wait_for(f, &cut.n_opens, 1);
	cut.job = job_cancel(cut.job);
	pool_opened(o.job, fd);
	wait_for(f, &o.n_done, 1);
	assert_string_equal(o.answer, "later");
	assert_int_equal(cut.n_done, 0);
}

static void test_many(void **state)
{
	struct fixture *f = *state;
	unsigned fds = count_entries("/proc/self/fd");
	pid_t zygote = child_of(getpid());
	struct pool_stats stats;
	OUTCOME o = {};

	for (unsigned i = 0; i < 500; i++) {
		char command[32];

		snprintf(command, sizeof(command), "echo %u", i);
		o.n_done = 0;
		run(f, &o, command);
		assert_string_equal(o.answer, command + 5);
	}
	assert_int_equal(count_entries("/proc/self/fd"), fds);
	assert_int_equal(child_of(getpid()), zygote);
	assert_int_equal(child_of(zygote), 0);
	pool_stats(f->pool, &stats);
	assert_int_equal(stats.jobs, 500);
	assert_int_equal(stats.crashed, 0);
	assert_int_equal(stats.running + stats.waiting, 0);
}

static void test_many_at_once(void **state)
{
	struct fixture *f = *state;
	struct outcome *o = calloc(300, sizeof(*o));

	assert_non_null(o);
	for (unsigned i = 0; i < 300; i++)
		submit(f, &o[i], i % 3 == 0 ? "crash" : i % 3 == 1 ? "size 300000" : "echo x");
	for (unsigned i = 0; i < 300; i++) {
		wait_for(f, &o[i].n_done, 1);
		assert_int_equal(o[i].error, i % 3 == 0 ? -EPIPE : 0);
		assert_int_equal(o[i].bytes, i % 3 == 0 ? 0 : i % 3 == 1 ? 300000 : 1);
		free(o[i].answer);
	}
	free(o);
}

static void test_zygote_killed(void **state)
{
	struct fixture *f = *state;
	OUTCOME o = { .open_fd = -1, .open_later = true }, after = {};
	struct outcome waiting[3] = {};
	pid_t zygote = child_of(getpid()), job;
	struct pool_stats stats;

	submit(f, &o, "ask hold");
	wait_for(f, &o.n_opens, 1);
	job = child_of(zygote);
	for (unsigned i = 0; i < ARRAY_SIZE(waiting); i++)
		submit(f, &waiting[i], "echo waited");
	assert_int_equal(kill(zygote, SIGKILL), 0);

	wait_for(f, &o.n_done, 1);
	assert_int_equal(o.error, -EPIPE);
	for (unsigned i = 0; i < ARRAY_SIZE(waiting); i++)
		wait_for(f, &waiting[i].n_done, 1);
	/* the job dies with its zygote */
	wait_dead(job);

	run(f, &after, "echo after");
	assert_string_equal(after.answer, "after");
	pool_stats(f->pool, &stats);
	assert_int_equal(stats.zygote_restarts, 1);
	assert_int_not_equal(child_of(getpid()), zygote);
	for (unsigned i = 0; i < ARRAY_SIZE(waiting); i++)
		outcome_done(&waiting[i]);
}

/* One that is stopped does not obey; the pool replaces it. */
static void test_zygote_stopped(void **state _unused_)
{
	struct pool_options options = { .max_parallel = 1,
					.max_waiting = 4,
					.memory_bytes = 64 << 20,
					.timeout_ns = 3 * NSEC_PER_SEC,
					.kill_ns = NSEC_PER_SEC };
	struct fixture f = {};
	OUTCOME o = {}, after = {};
	struct pool_stats stats;

	assert_int_equal(fixture_open(&f, &options), 0);
	assert_int_equal(kill(child_of(getpid()), SIGSTOP), 0);
	run(&f, &o, "echo x");
	assert_int_equal(o.error, -ETIME);
	run(&f, &after, "echo after");
	assert_string_equal(after.answer, "after");
	pool_stats(f.pool, &stats);
	assert_int_equal(stats.zygote_restarts, 1);
	fixture_close(&f);
}

/* One that comes to its work late, because others have the CPU, is none that does not obey. */
static void test_zygote_late(void **state)
{
	struct fixture *f = *state;
	OUTCOME o = { .open_fd = -1, .open_later = true }, after = {};
	pid_t zygote = child_of(getpid());
	struct timespec now, end;
	struct pool_stats stats;

	submit(f, &o, "ask hold");
	wait_for(f, &o.n_opens, 1);
	assert_int_equal(kill(zygote, SIGSTOP), 0);
	assert_int_equal(kill(child_of(zygote), SIGABRT), 0);
	clock_gettime(CLOCK_MONOTONIC, &end);
	end.tv_sec += 3;
	do {
		assert_true(sd_event_run(f->event, 100 * NSEC_PER_MSEC / NSEC_PER_USEC) >= 0);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (now.tv_sec < end.tv_sec ||
		 (now.tv_sec == end.tv_sec && now.tv_nsec < end.tv_nsec));
	assert_int_equal(o.n_done, 0);
	assert_int_equal(kill(zygote, SIGCONT), 0);

	wait_for(f, &o.n_done, 1);
	assert_int_equal(o.error, -EPIPE);
	assert_int_equal(o.signal, SIGABRT);
	run(f, &after, "echo after");
	assert_string_equal(after.answer, "after");
	pool_stats(f->pool, &stats);
	assert_int_equal(stats.zygote_restarts, 0);
}

static void test_cancel(void **state)
{
	struct fixture *f = *state;
	OUTCOME running = { .open_fd = -1, .open_later = true }, after = {};
	struct outcome waiting[4] = {};
	struct pool_stats stats;

	submit(f, &running, "ask hold");
	wait_for(f, &running.n_opens, 1);
	for (unsigned i = 0; i < ARRAY_SIZE(waiting); i++)
		submit(f, &waiting[i], "hang");
	running.job = job_cancel(running.job);
	for (unsigned i = 0; i < ARRAY_SIZE(waiting); i++)
		waiting[i].job = job_cancel(waiting[i].job);
	assert_null(job_cancel(NULL));

	run(f, &after, "echo after");
	assert_string_equal(after.answer, "after");
	assert_int_equal(running.n_done, 0);
	for (unsigned i = 0; i < ARRAY_SIZE(waiting); i++)
		assert_int_equal(waiting[i].n_done, 0);
	do
		pool_stats(f->pool, &stats);
	while (stats.running > 0 && sd_event_run(f->event, UINT64_MAX) >= 0);
}

static void test_free_in_the_middle(void **state _unused_)
{
	unsigned fds = count_entries("/proc/self/fd");
	OUTCOME o = { .open_fd = -1, .open_later = true }, hang = {}, waiting = {};
	struct fixture f = {};
	pid_t zygote, job;

	assert_int_equal(fixture_open(&f, NULL), 0);
	zygote = child_of(getpid());
	submit(&f, &o, "ask hold");
	submit(&f, &hang, "hang");
	submit(&f, &waiting, "echo x");
	wait_for(&f, &o.n_opens, 1);
	job = child_of(zygote);
	fixture_close(&f);

	assert_int_equal(o.n_done + hang.n_done + waiting.n_done, 0);
	assert_int_equal(kill(zygote, 0), -1);
	wait_dead(job);
	assert_int_equal(count_entries("/proc/self/fd"), fds);
}

struct chain {
	struct fixture *f;
	struct outcome *other;
	struct job *self;
	unsigned n_done;
};

static void on_chain(void *arg, const struct job_result *result _unused_)
{
	struct chain *c = arg;

	c->n_done++;
	c->self = job_cancel(c->self);
	c->other->job = job_cancel(c->other->job);
	submit(c->f, c->other, "echo again");
}

/* A callback may cancel others and itself, and submit. */
static void test_from_callback(void **state)
{
	struct fixture *f = *state;
	OUTCOME other = {};
	struct chain c = { .f = f, .other = &other };
	struct job_spec spec = {
		.kind = JOB_SELFTEST, .input = "env", .input_bytes = 4, .done = on_chain, .arg = &c
	};

	submit(f, &other, "hang");
	assert_int_equal(pool_submit(f->pool, &spec, &c.self), 0);
	wait_for(f, &other.n_done, 1);
	assert_int_equal(c.n_done, 1);
	assert_string_equal(other.answer, "again");
}

static void test_no_program(void **state _unused_)
{
	struct pool_options options = { .worker_path = "/nonexistent/cprof-worker",
					.max_parallel = 1 };
	unsigned fds = count_entries("/proc/self/fd");
	struct pool *pool = NULL;
	sd_event *event;

	assert_true(sd_event_new(&event) >= 0);
	assert_int_equal(pool_new(&pool, event, &options), -ENOENT);
	options.worker_path = "/bin/true";
	assert_int_equal(pool_new(&pool, event, &options), -EPIPE);
	assert_null(pool);
	sd_event_unref(event);
	assert_int_equal(count_entries("/proc/self/fd"), fds);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		POOL_TEST(test_echo),
		POOL_TEST(test_empty_answer),
		POOL_TEST(test_unknown_kind),
		POOL_TEST(test_bad_specs),
		cmocka_unit_test(test_hang),
		cmocka_unit_test(test_busy),
		POOL_TEST(test_broker),
		POOL_TEST(test_broker_later),
		POOL_TEST(test_many),
		POOL_TEST(test_many_at_once),
		POOL_TEST(test_zygote_killed),
		cmocka_unit_test(test_zygote_stopped),
		POOL_TEST(test_zygote_late),
		POOL_TEST(test_cancel),
		cmocka_unit_test(test_free_in_the_middle),
		POOL_TEST(test_from_callback),
		cmocka_unit_test(test_no_program),
	};

	find_worker();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
