/* SPDX-License-Identifier: Apache-2.0 */

/*
 * The kernel side on the running kernel: needs root, is skipped without. Samples are held against
 * the CPU time that the kernel accounts to the children themselves.
 */

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "cleanup.h"
#include "hurry.h"
#include "sampler.h"

#define RING_BYTES (4U << 20)
#define DRAIN_USEC 50000
#define MAX_PIDS   4096
/*
 * Where a process has a CPU for only part of the time, the number of its samples is a draw, whose mean
 * is exact. A share that is off is drawn again and judged over all rounds: that finds a bias, and
 * forgives what other work on the machine does.
 */
#define MAX_ROUNDS 4

/* What came out of the ring. */
struct seen {
	uint64_t samples, weight_ns, no_user, ownable, syscalls, copies;
	uint64_t per_session[4];
	uint64_t last_ns, until_ns, late;
	uint32_t pids[MAX_PIDS]; /* distinct ones */
	size_t n_pids;
	struct cprof_sample last;
	uint64_t max_user;
};

struct fixture {
	sd_event *event;
	struct sampler *sampler;
	struct seen seen;
};

static uint64_t now_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * NSEC_PER_SEC + (uint64_t)ts.tv_nsec;
}

static void on_record(void *arg, const struct cprof_sample *s)
{
	struct seen *seen = arg;
	size_t i;

	assert_true(s->record_bytes >= sizeof(*s) + 8U * (s->n_kernel + s->n_user));
	assert_true(s->end < CPROF_END_MAX);
	seen->samples++;
	seen->weight_ns += s->period_ns;
	seen->no_user += !s->n_user;
	seen->ownable += !!(s->flags & CPROF_SAMPLE_OWNABLE);
	seen->syscalls += !!(s->flags & CPROF_SAMPLE_SYSCALL);
	seen->copies += !!(s->flags & CPROF_SAMPLE_STACK);
	seen->late += s->time_ns < seen->until_ns;
	for (unsigned b = 0; b < ARRAY_SIZE(seen->per_session); b++)
		seen->per_session[b] += s->sessions[0] >> b & 1;
	if (s->n_user > seen->max_user)
		seen->max_user = s->n_user;
	seen->last = *s;
	for (i = 0; i < seen->n_pids && seen->pids[i] != s->pid; i++)
		;
	if (i == seen->n_pids && i < MAX_PIDS)
		seen->pids[seen->n_pids++] = s->pid;
}

static int on_drain(sd_event_source *source, uint64_t usec, void *arg)
{
	struct fixture *f = arg;

	sampler_drain(f->sampler, &f->seen.until_ns);
	sd_event_source_set_time(source, usec + DRAIN_USEC);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct sampler_options options = {
		.ring_bytes = RING_BYTES,
		.record = on_record,
		.arg = &f->seen,
	};
	_cleanup_free_ char *detail = NULL;
	enum sampler_problem problem;

	*state = f;
	if (geteuid() != 0)
		return 0;
	assert_int_equal(sd_event_new(&f->event), 0);
	if (sampler_new(&f->sampler, f->event, &options, &problem, &detail) < 0)
		fail_msg("sampler: problem %d: %s", problem, detail ? detail : "");
	sd_event_add_time_relative(f->event, NULL, CLOCK_MONOTONIC, DRAIN_USEC, 0, on_drain, f);
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	sampler_free(f->sampler);
	sd_event_unref(f->event);
	free(f);
	return 0;
}

static struct fixture *need_root(void **state)
{
	struct fixture *f = *state;

	if (!f->sampler)
		skip();
	return f;
}

static void run_for(struct fixture *f, uint64_t ns)
{
	uint64_t end = now_ns(CLOCK_MONOTONIC) + ns;

	while (now_ns(CLOCK_MONOTONIC) < end)
		sd_event_run(f->event, 10000);
	sampler_drain(f->sampler, &f->seen.until_ns);
}

/* Until a child has ended; its CPU time. */
static uint64_t run_until_exit(struct fixture *f, pid_t pid)
{
	struct rusage ru;
	int status;

	while (wait4(pid, &status, WNOHANG, &ru) == 0)
		sd_event_run(f->event, 10000);
	run_for(f, 100 * NSEC_PER_MSEC);
	assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
	return (uint64_t)(ru.ru_utime.tv_sec + ru.ru_stime.tv_sec) * NSEC_PER_SEC +
	       (uint64_t)(ru.ru_utime.tv_usec + ru.ru_stime.tv_usec) * 1000;
}

static void burn(uint64_t cpu_ns)
{
	uint64_t start = now_ns(CLOCK_THREAD_CPUTIME_ID);
	volatile unsigned x = 0;

	while (now_ns(CLOCK_THREAD_CPUTIME_ID) - start < cpu_ns)
		for (int i = 0; i < 20000; i++)
			x += (unsigned)i;
}

static void *burn_thread(void *arg)
{
	burn(*(uint64_t *)arg);
	return NULL;
}

/* A child that waits for a byte, so that it can be made a target first. */
static pid_t spawn(int *ret_go, void (*fn)(void))
{
	int pipe_fds[2];
	pid_t pid;
	char c;

	assert_int_equal(pipe(pipe_fds), 0);
	pid = fork();
	if (pid) {
		close(pipe_fds[0]);
		*ret_go = pipe_fds[1];
		return pid;
	}
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	close(pipe_fds[1]);
	/* other work on the machine makes the draw wider */
	setsid();
	session_hurry();
	thread_hurry();
	if (read(pipe_fds[0], &c, 1) == 1)
		fn();
	_exit(0);
}

static void go(int fd)
{
	assert_int_equal(write(fd, "g", 1), 1);
	close(fd);
}

static unsigned open_for_pid(struct fixture *f, unsigned hz, bool children, pid_t pid)
{
	struct target t = { .kind = TARGET_PID, .pid = (uint32_t)pid };
	unsigned slot, clock;

	assert_int_equal(sampler_session_open(f->sampler, hz, children, &slot, &clock), 0);
	assert_int_equal(sampler_session_target(f->sampler, slot, &t), 0);
	return slot;
}

/* The samples so far, with what was lost to skipped ticks, for that much CPU time. */
static double share_of(struct fixture *f, uint64_t cpu_ns)
{
	double share = (double)f->seen.weight_ns / (double)cpu_ns;
	struct sampler_stats st;

	sampler_stats(f->sampler, -1, &st);
	print_message("%llu samples for %.2f s: %.4f; missed ticks %llu, bpf %.0f ns a run\n",
		      (unsigned long long)f->seen.samples, (double)cpu_ns / 1e9, share,
		      (unsigned long long)st.lost_missed_tick,
		      (double)st.bpf_ns / (double)st.bpf_runs);
	assert_int_equal(st.lost_ring_full, 0);
	assert_int_equal(st.lost_nested, 0);
	assert_int_equal(st.lost_internal, 0);
	return share;
}

/* Ticks that the kernel itself has left out, on a CPU that was somewhere else, are no fault of ours. */
static bool missed_explain(struct fixture *f, unsigned hz, uint64_t cpu_ns, double tolerance)
{
	double share = (double)f->seen.weight_ns / (double)cpu_ns, missed;
	struct sampler_stats st;

	sampler_stats(f->sampler, -1, &st);
	missed = (double)st.lost_missed_tick * (double)NSEC_PER_SEC / hz / (double)cpu_ns;
	return share < 1 + tolerance && missed > 0 && share + missed > 1 - tolerance;
}

/* Runs fn in a target of its own until the share of all rounds is within tolerance; the last pid. */
static pid_t check_share(struct fixture *f, unsigned hz, bool children, void (*fn)(void),
			 double tolerance, unsigned *ret_rounds)
{
	uint64_t cpu_ns = 0;

	for (unsigned round = 1; round <= MAX_ROUNDS; round++) {
		int fd;
		pid_t pid = spawn(&fd, fn);
		unsigned slot = open_for_pid(f, hz, children, pid);
		double share;

		go(fd);
		cpu_ns += run_until_exit(f, pid);
		assert_int_equal(sampler_session_close(f->sampler, slot), 0);
		share = share_of(f, cpu_ns);
		*ret_rounds = round;
		if ((share > 1 - tolerance && share < 1 + tolerance) ||
		    (round == MAX_ROUNDS && missed_explain(f, hz, cpu_ns, tolerance)))
			return pid;
	}
	fail();
	return -1;
}

static void burn_6s(void)
{
	burn(6 * NSEC_PER_SEC);
}

static void share_at(struct fixture *f, unsigned hz, double tolerance)
{
	unsigned rounds;
	pid_t pid = check_share(f, hz, false, burn_6s, tolerance, &rounds);

	assert_int_equal(f->seen.n_pids, rounds);
	assert_int_equal(f->seen.last.pid, pid);
	assert_int_equal(f->seen.last.ns_pid, pid);
	assert_int_equal(f->seen.last.uid, 0);
	assert_int_equal(f->seen.late, 0);
	assert_true(f->seen.ownable > f->seen.samples * 9 / 10);
	assert_true(f->seen.copies > 0);
}

static void test_share_at_100_hz(void **state)
{
	share_at(need_root(state), 100, 0.02);
}

static void test_share_at_1000_hz(void **state)
{
	share_at(need_root(state), 1000, 0.01);
}

static void burn_8_threads(void)
{
	uint64_t each = NSEC_PER_SEC;
	pthread_t t[8];

	for (unsigned i = 0; i < ARRAY_SIZE(t); i++)
		pthread_create(&t[i], NULL, burn_thread, &each);
	for (unsigned i = 0; i < ARRAY_SIZE(t); i++)
		pthread_join(t[i], NULL);
}

static void test_eight_threads(void **state)
{
	struct fixture *f = need_root(state);
	unsigned rounds;

	check_share(f, 1000, false, burn_8_threads, 0.01, &rounds);
	assert_int_equal(f->seen.n_pids, rounds);
}

/* Wakes every 10 ms, burns 2: a clock of exactly 10 ms would see all of it or nothing. */
static void burn_in_lockstep(void)
{
	struct timespec next;

	clock_gettime(CLOCK_MONOTONIC, &next);
	for (int i = 0; i < 1000; i++) {
		burn(2 * NSEC_PER_MSEC);
		next.tv_nsec += 10 * 1000 * 1000;
		if (next.tv_nsec >= (long)NSEC_PER_SEC) {
			next.tv_nsec -= (long)NSEC_PER_SEC;
			next.tv_sec++;
		}
		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, NULL);
	}
}

static void test_lockstep(void **state)
{
	unsigned rounds;

	check_share(need_root(state), 100, false, burn_in_lockstep, 0.1, &rounds);
}

static void fork_many(void)
{
	for (int i = 0; i < 200; i++) {
		pid_t pid = fork();

		if (!pid) {
			burn(5 * NSEC_PER_MSEC);
			_exit(0);
		}
		waitpid(pid, NULL, 0);
	}
}

/* Children of a target are targets from their first instruction on. */
static void test_children_inherit(void **state)
{
	struct fixture *f = need_root(state);
	unsigned rounds;

	check_share(f, 1000, true, fork_many, 0.05, &rounds);
	assert_in_range(f->seen.n_pids, rounds * 195, rounds * 201);
}

static void test_children_are_left_out(void **state)
{
	struct fixture *f = need_root(state);
	int fd;
	pid_t pid = spawn(&fd, fork_many);
	unsigned slot = open_for_pid(f, 1000, false, pid);

	go(fd);
	run_until_exit(f, pid);
	assert_in_range(f->seen.n_pids, 0, 1);
	assert_int_equal(sampler_session_close(f->sampler, slot), 0);
}

static void named_burner(void)
{
	prctl(PR_SET_NAME, "cprof tester");
	if (fork() == 0)
		prctl(PR_SET_NAME, "renamed");
	burn(1 * NSEC_PER_SEC);
	while (waitpid(-1, NULL, 0) > 0)
		;
}

/* Two sessions of different clocks over one process; the name holds for a child named otherwise. */
static void test_comm_and_two_sessions(void **state)
{
	struct fixture *f = need_root(state);
	struct target t = { .kind = TARGET_COMM, .comm = "cprof tester" };
	unsigned slots[2], clock;
	struct sampler_stats st;
	int fd;
	pid_t pid = spawn(&fd, named_burner);

	assert_int_equal(sampler_session_open(f->sampler, 100, true, &slots[0], &clock), 0);
	assert_int_equal(sampler_session_target(f->sampler, slots[0], &t), 0);
	assert_int_equal(sampler_session_open(f->sampler, 400, false, &slots[1], &clock), 0);
	assert_int_equal(sampler_session_target(f->sampler, slots[1], &t), 0);
	go(fd);
	run_until_exit(f, pid);

	sampler_stats(f->sampler, (int)clock, &st);
	assert_int_equal(st.taken, f->seen.per_session[slots[1]]);
	assert_in_range(f->seen.per_session[slots[0]], 160, 240);
	assert_in_range(f->seen.per_session[slots[1]], 320, 480);
	assert_int_equal(f->seen.per_session[slots[0]] + f->seen.per_session[slots[1]],
			 f->seen.samples);
	assert_int_equal(sampler_session_close(f->sampler, slots[0]), 0);
	assert_int_equal(sampler_session_close(f->sampler, slots[1]), 0);
}

/* A process that lives already when its parent is made a target. */
static void fork_first(void)
{
	burn(500 * NSEC_PER_MSEC);
	while (waitpid(-1, NULL, 0) > 0)
		;
}

static void test_living_descendants(void **state)
{
	struct fixture *f = need_root(state);
	int pipe_fds[2], go_fd;
	unsigned slot;
	pid_t pid;
	char c;

	assert_int_equal(pipe(pipe_fds), 0);
	pid = fork();
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		spawn(&go_fd, burn_6s);
		if (write(pipe_fds[1], "r", 1) == 1)
			usleep(300000);
		go(go_fd);
		fork_first();
		_exit(0);
	}
	assert_int_equal(read(pipe_fds[0], &c, 1), 1);
	slot = open_for_pid(f, 100, true, pid);
	run_until_exit(f, pid);
	assert_int_equal(f->seen.n_pids, 2);
	assert_true(f->seen.samples > 500);
	assert_int_equal(sampler_session_close(f->sampler, slot), 0);
}

static void test_everything(void **state)
{
	struct fixture *f = need_root(state);
	struct target t = { .kind = TARGET_ALL };
	struct sampler_stats st;
	unsigned slot, clock;
	int fd;
	pid_t pid = spawn(&fd, burn_6s);

	assert_int_equal(sampler_session_open(f->sampler, 100, true, &slot, &clock), 0);
	assert_int_equal(sampler_session_target(f->sampler, slot, &t), 0);
	go(fd);
	run_for(f, NSEC_PER_SEC);
	assert_true(f->seen.samples > 80);
	assert_int_equal(sampler_session_untarget(f->sampler, slot, &t), 0);
	/* what was taken until then */
	run_for(f, 20 * NSEC_PER_MSEC);
	f->seen.samples = 0;
	run_for(f, 300 * NSEC_PER_MSEC);
	assert_int_equal(f->seen.samples, 0);
	sampler_stats(f->sampler, -1, &st);
	assert_true(st.filtered > 20);
	assert_true(st.map_bytes > RING_BYTES);
	assert_int_equal(sampler_session_close(f->sampler, slot), 0);
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
}

static void test_limits(void **state)
{
	struct fixture *f = need_root(state);
	unsigned slots[CPROF_MAX_SESSIONS], clock;

	assert_int_equal(sampler_session_open(f->sampler, 0, true, slots, &clock), -ERANGE);
	assert_int_equal(sampler_session_open(f->sampler, 10001, true, slots, &clock), -ERANGE);
	for (unsigned i = 0; i < CPROF_MAX_SESSIONS; i++)
		assert_int_equal(sampler_session_open(f->sampler, 1 + i % CPROF_MAX_CLOCKS, true,
						      &slots[i], &clock),
				 0);
	assert_int_equal(sampler_session_open(f->sampler, 1, true, slots, &clock), -EBUSY);
	assert_int_equal(sampler_session_close(f->sampler, slots[0]), 0);
	assert_int_equal(sampler_session_open(f->sampler, 50, true, &slots[0], &clock), -EBUSY);
	assert_int_equal(sampler_session_open(f->sampler, 1, true, &slots[0], &clock), 0);
	for (unsigned i = 0; i < CPROF_MAX_SESSIONS; i++)
		assert_int_equal(sampler_session_close(f->sampler, slots[i]), 0);
	assert_int_equal(sampler_session_close(f->sampler, slots[0]), -EINVAL);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_limits),
		T(test_share_at_100_hz),
		T(test_share_at_1000_hz),
		T(test_eight_threads),
		T(test_lockstep),
		T(test_children_inherit),
		T(test_children_are_left_out),
		T(test_comm_and_two_sessions),
		T(test_living_descendants),
		T(test_everything),
	};

	return cmocka_run_group_tests_name("sampler", tests, NULL, NULL);
}
