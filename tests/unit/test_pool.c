/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The pool and cprof-worker together. Needs no root: without it, jobs keep the test's own uid. The
 * program is $CPROF_WORKER, or the one that was built beside this test.
 */

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <cmocka.h>

#include "cleanup.h"
#include "pool.h"
#include "worker_path.h"

struct fixture {
	sd_event *event;
	struct pool *pool;
	struct pool_options options;
};

struct outcome {
	struct fixture *f;
	struct job *job;
	unsigned n_done, n_opens;
	int error, signal;
	char *answer;
	size_t bytes;
	uint64_t cpu_ns;
	int open_fd; /* what to answer a request with */
	bool open_later, open_shrink;
	struct job_open request;
	char id[256];
};

static void on_done(void *arg, const struct job_result *result)
{
	struct outcome *o = arg;

	o->n_done++;
	o->job = NULL;
	o->error = result->error;
	o->signal = result->signal;
	o->bytes = result->answer_bytes;
	o->cpu_ns = result->cpu_ns;
	free(o->answer);
	o->answer = malloc(result->answer_bytes + 1);
	assert_non_null(o->answer);
	if (result->answer_bytes > 0)
		memcpy(o->answer, result->answer, result->answer_bytes);
	o->answer[result->answer_bytes] = '\0';
}

static void on_open(void *arg, struct job *job, const struct job_open *request, const char *id)
{
	struct outcome *o = arg;

	o->n_opens++;
	o->request = *request;
	assert_true(request->id_bytes < sizeof(o->id));
	memcpy(o->id, id, request->id_bytes + 1);
	if (o->open_shrink)
		assert_int_equal(ftruncate(o->open_fd, 0), 0);
	if (!o->open_later)
		pool_opened(job, o->open_shrink ? -ENOENT : o->open_fd);
}

static int fixture_open(struct fixture *f, const struct pool_options *options)
{
	f->options = (struct pool_options){
		.worker_path = worker_path,
		.max_parallel = 2,
		.max_waiting = 2000,
		.memory_bytes = 64 << 20,
		.timeout_ns = 20 * NSEC_PER_SEC,
	};
	if (options) {
		f->options = *options;
		f->options.worker_path = worker_path;
	}
	assert_true(sd_event_new(&f->event) >= 0);
	return pool_new(&f->pool, f->event, &f->options);
}

static void fixture_close(struct fixture *f)
{
	f->pool = pool_free(f->pool);
	f->event = sd_event_unref(f->event);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	assert_int_equal(fixture_open(f, NULL), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	fixture_close(*state);
	free(*state);
	return 0;
}

static int submit_fds(struct fixture *f, struct outcome *o, const char *command, const int *fds,
		      size_t n_fds)
{
	struct job_spec spec = {
		.kind = JOB_SELFTEST,
		.fds = fds,
		.n_fds = n_fds,
		.input = command,
		.input_bytes = strlen(command) + 1,
		.max_answer_bytes = 8 << 20,
		.done = on_done,
		.open = o->open_fd ? on_open : NULL,
		.arg = o,
	};

	o->f = f;
	return pool_submit(f->pool, &spec, &o->job);
}

static void submit(struct fixture *f, struct outcome *o, const char *command)
{
	assert_int_equal(submit_fds(f, o, command, NULL, 0), 0);
	assert_int_equal(o->n_done, 0);
}

static void wait_for(struct fixture *f, const unsigned *counter, unsigned n)
{
	while (*counter < n)
		assert_true(sd_event_run(f->event, UINT64_MAX) >= 0);
}

/* One command, with its outcome's answer to be freed by outcome_done(). */
static void run(struct fixture *f, struct outcome *o, const char *command)
{
	submit(f, o, command);
	wait_for(f, &o->n_done, 1);
}

static void outcome_done(struct outcome *o)
{
	free(o->answer);
}

#define OUTCOME _cleanup_(outcome_done) struct outcome

/* While the command does its worst, another job is under way, and succeeds. */
static void run_beside(struct fixture *f, struct outcome *o, const char *command)
{
	OUTCOME bystander = { .open_fd = -1, .open_later = true };

	submit(f, &bystander, "ask hold");
	wait_for(f, &bystander.n_opens, 1);
	run(f, o, command);
	assert_int_equal(bystander.n_done, 0);
	pool_opened(bystander.job, -EXDEV);
	wait_for(f, &bystander.n_done, 1);
	assert_int_equal(bystander.error, -EXDEV);
}

static void expect_refused(struct fixture *f, const char *command, int error)
{
	OUTCOME o = {};

	run_beside(f, &o, command);
	if (o.error != error || o.signal != 0)
		print_error("%s: error %d signal %d\n", command, o.error, o.signal);
	assert_int_equal(o.error, error);
	assert_int_equal(o.signal, 0);
	assert_int_equal(o.bytes, 0);
}

static void expect_killed(struct fixture *f, const char *command, int signal)
{
	OUTCOME o = {};

	run_beside(f, &o, command);
	if (o.error != -EPIPE || o.signal != signal)
		print_error("%s: error %d signal %d\n", command, o.error, o.signal);
	assert_int_equal(o.error, -EPIPE);
	assert_int_equal(o.signal, signal);
}

static unsigned count_entries(const char *path)
{
	DIR *d = opendir(path);
	unsigned n = 0;

	assert_non_null(d);
	while (readdir(d))
		n++;
	closedir(d);
	return n;
}

/* The pid of the only child, or 0. */
static pid_t child_of(pid_t pid)
{
	char path[64];
	int child = 0;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
	file = fopen(path, "re");
	if (!file)
		return 0;
	if (fscanf(file, "%d", &child) != 1)
		child = 0;
	fclose(file);
	return child;
}

/* Waits for it to end; whether its new parent has noticed does not matter. */
static void wait_dead(pid_t pid)
{
	for (;;) {
		_cleanup_fclose_ FILE *file = NULL;
		char path[64], state = 'X';

		snprintf(path, sizeof(path), "/proc/%d/stat", pid);
		file = fopen(path, "re");
		if (!file || fscanf(file, "%*d (%*[^)]) %c", &state) != 1 || state == 'Z')
			return;
		poll(NULL, 0, 1);
	}
}

static uint64_t status_field(pid_t pid, const char *name, int base)
{
	_cleanup_fclose_ FILE *file = NULL;
	char path[64], line[256];

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	file = fopen(path, "re");
	assert_non_null(file);
	while (fgets(line, sizeof(line), file))
		if (strncmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':')
			return strtoull(line + strlen(name) + 1, NULL, base);
	fail_msg("no %s", name);
	return 0;
}

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

static void test_killed(void **state)
{
	struct fixture *f = *state;

	expect_killed(f, "crash", SIGSEGV);
	expect_killed(f, "exec", SIGSYS);
	expect_killed(f, "socket", SIGSYS);
	expect_killed(f, "ptrace", SIGSYS);
	expect_killed(f, "fork", SIGSYS);
}

static void test_refused(void **state)
{
	struct fixture *f = *state;

	expect_refused(f, "openfile /etc/shadow", -EPERM);
	expect_refused(f, "openfile /etc/hostname", -EPERM);
	expect_refused(f, "openfile /proc/self/maps", -EPERM);
	expect_refused(f, "stat /etc/hostname", -EPERM);
	expect_refused(f, "kill", -EPERM);
	expect_refused(f, "limit", -EPERM);
	expect_refused(f, "share", -EPERM);
	expect_refused(f, "execmap", -EPERM);
	expect_refused(f, "there is no such command", -EINVAL);
}

_unused_ static void test_bloat(void **state)
{
	struct fixture *f = *state;
	struct pool_stats stats;

	expect_refused(f, "bloat", -ENOMEM);
	pool_stats(f->pool, &stats);
	assert_int_equal(stats.out_of_memory, 1);
}

/* As libdw ends the process when it has no memory. */
static void test_exit(void **state)
{
	expect_refused(*state, "exit", -ENOMEM);
}

static void test_bad_talk(void **state)
{
	struct fixture *f = *state;
	struct pool_stats stats;

	expect_refused(f, "nonsense", -EPROTO);
	expect_refused(f, "flood", -EMSGSIZE);
	expect_refused(f, "size 8388609", -EMSGSIZE);
	expect_refused(f, "half", -EPIPE);
	/* closes its socket and runs on: killed, not left to its deadline */
	expect_refused(f, "deaf", -EPIPE);
	pool_stats(f->pool, &stats);
	assert_int_equal(stats.nonsense, 3);
	assert_int_equal(stats.timed_out, 0);
}

static void test_large_answer(void **state)
{
	struct fixture *f = *state;
	OUTCOME o = {};

	run(f, &o, "size 8388608");
	assert_int_equal(o.error, 0);
	assert_int_equal(o.bytes, 8388608);
	assert_int_equal(o.answer[0], 'x');
	assert_int_equal(o.answer[8388607], 'x');
}

static void test_large_input(void **state)
{
	struct fixture *f = *state;
	size_t size = 20 << 20;
	_cleanup_free_ char *input = malloc(size);
	OUTCOME o = {};
	struct job_spec spec = { .kind = JOB_SELFTEST,
				 .input = input,
				 .input_bytes = size,
				 .max_answer_bytes = 8,
				 .done = on_done,
				 .arg = &o };
	uint64_t sum = 0, answer;

	assert_non_null(input);
	for (size_t i = 0; i < size; i++)
		input[i] = (char)(i * 2654435761U >> 13);
	strcpy(input, "sum");
	for (size_t i = 0; i < size; i++)
		sum += (uint8_t)input[i];

	assert_int_equal(pool_submit(f->pool, &spec, NULL), 0);
	memset(input, 0, size);
	wait_for(f, &o.n_done, 1);
	assert_int_equal(o.error, 0);
	assert_int_equal(o.bytes, sizeof(answer));
	memcpy(&answer, o.answer, sizeof(answer));
	assert_true(answer == sum);
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
					.timeout_ns = NSEC_PER_SEC };
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

static int file_with(const char *text)
{
	int fd = memfd_create("file", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	return fd;
}

static void test_sigbus(void **state)
{
	struct fixture *f = *state;
	_cleanup_close_ int fd = file_with("here now");
	OUTCOME o = { .open_fd = fd, .open_shrink = true };

	assert_int_equal(submit_fds(f, &o, "sigbus", &fd, 1), 0);
	wait_for(f, &o.n_done, 1);
	assert_int_equal(o.error, -EPIPE);
	assert_int_equal(o.signal, SIGBUS);
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

static void test_confined(void **state)
{
	struct fixture *f = *state;
	pid_t zygote = child_of(getpid()), job;
	OUTCOME o = { .open_fd = -1, .open_later = true }, fds = {};
	struct pool_stats stats;

	assert_true(zygote > 0);
	submit(f, &o, "ask hold");
	wait_for(f, &o.n_opens, 1);
	job = child_of(zygote);
	assert_true(job > 0);

	for (int i = 0; i < 2; i++) {
		pid_t pid = i ? job : zygote;

		assert_int_equal(status_field(pid, "NoNewPrivs", 10), 1);
		assert_int_equal(status_field(pid, "Seccomp", 10), 2);
		assert_int_equal(status_field(pid, "CapPrm", 16), 0);
		assert_int_equal(status_field(pid, "CapEff", 16), 0);
		assert_int_equal(status_field(pid, "CapInh", 16), 0);
		assert_int_equal(status_field(pid, "CapAmb", 16), 0);
		if (geteuid() == 0) {
			assert_in_range(status_field(pid, "Uid", 10), 61184, 65519);
			assert_in_range(status_field(pid, "Gid", 10), 61184, 65519);
			assert_int_equal(status_field(pid, "CapBnd", 16), 0);
		} else {
			assert_int_equal(status_field(pid, "Uid", 10), geteuid());
		}
	}
	assert_int_equal(status_field(job, "Seccomp_filters", 10), 2);

	pool_stats(f->pool, &stats);
	assert_non_null(strstr(stats.sandbox, "seccomp"));
	assert_true(!strstr(stats.sandbox, "uid") == (geteuid() != 0));
	assert_int_equal(stats.running, 1);
	assert_true(stats.memory_bytes > 0);

	run(f, &fds, "fds");
	assert_int_equal(fds.bytes, 4);
	assert_memory_equal(fds.answer, "\0\1\2\3", 4);
}

/* /proc/PID of a process that is not dumpable belongs to root. */
static void test_not_dumpable(void **state _unused_)
{
	struct stat st;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/fd", child_of(getpid()));
	assert_int_equal(stat(path, &st), 0);
	assert_int_equal(st.st_uid, 0);
}

static void test_write_bounded(void **state)
{
	struct fixture *f = *state;
	_cleanup_close_ int fd = file_with("");
	OUTCOME small = {}, huge = {};

	assert_int_equal(submit_fds(f, &small, "write 1048576", &fd, 1), 0);
	wait_for(f, &small.n_done, 1);
	assert_string_equal(small.answer, "done");

	assert_int_equal(submit_fds(f, &huge, "write 1099511627776", &fd, 1), 0);
	wait_for(f, &huge.n_done, 1);
	assert_int_equal(huge.error, -EPIPE);
	assert_int_equal(huge.signal, SIGXFSZ);
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
					.timeout_ns = NSEC_PER_SEC };
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

static bool memory_has(const char *needle, size_t size)
{
	_cleanup_close_ int fd = open("/proc/self/mem", O_RDONLY | O_CLOEXEC);
	_cleanup_fclose_ FILE *maps = fopen("/proc/self/maps", "re");
	unsigned long start, end;
	char line[512], perms[8];
	bool found = false;

	assert_true(fd >= 0 && maps);
	while (fgets(line, sizeof(line), maps) && !found) {
		char *copy;
		ssize_t n;

		if (sscanf(line, "%lx-%lx %7s", &start, &end, perms) != 3 || perms[1] != 'w' ||
		    end - start > 64 << 20)
			continue;
		copy = mmap(NULL, end - start, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
			    -1, 0);
		assert_true(copy != MAP_FAILED);
		n = pread(fd, copy, end - start, (off_t)start);
		for (char *p = copy; n > 0 && p && !found;) {
			p = memmem(p, (size_t)(copy + n - p), needle, size);
			/* the needle itself is here too */
			found = p && start + (size_t)(p - copy) != (unsigned long)needle;
			p = p ? p + 1 : NULL;
		}
		memset(copy, 0, end - start);
		munmap(copy, end - start);
	}
	return found;
}

/* No copy of a secret is left once its job is done; while it waits there is one. */
_unused_ static void test_sensitive(void **state)
{
	struct fixture *f = *state;
	char input[64] = "env", *secret = input + 8;
	struct outcome hold[2] = {};
	OUTCOME o = {};
	struct job_spec spec = { .kind = JOB_SELFTEST,
				 .input = input,
				 .input_bytes = sizeof(input),
				 .sensitive = true,
				 .done = on_done,
				 .arg = &o };
	int fd = open("/dev/urandom", O_RDONLY | O_CLOEXEC);

	assert_int_equal(read(fd, secret, 32), 32);
	safe_close(fd);
	for (int i = 0; i < 2; i++) {
		hold[i] = (struct outcome){ .open_fd = -1, .open_later = true };
		submit(f, &hold[i], "ask hold");
		wait_for(f, &hold[i].n_opens, 1);
	}

	assert_int_equal(pool_submit(f->pool, &spec, NULL), 0);
	assert_true(memory_has(secret, 32));
	for (int i = 0; i < 2; i++)
		hold[i].job = job_cancel(hold[i].job);
	wait_for(f, &o.n_done, 1);
	assert_int_equal(o.error, 0);
	assert_false(memory_has(secret, 32));
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
#define POOL_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		POOL_TEST(test_echo),
		POOL_TEST(test_empty_answer),
		POOL_TEST(test_unknown_kind),
		POOL_TEST(test_killed),
		POOL_TEST(test_refused),
		POOL_TEST(test_exit),
		POOL_TEST(test_bad_talk),
		POOL_TEST(test_large_answer),
		POOL_TEST(test_large_input),
		POOL_TEST(test_bad_specs),
		cmocka_unit_test(test_hang),
		cmocka_unit_test(test_busy),
		POOL_TEST(test_sigbus),
		POOL_TEST(test_broker),
		POOL_TEST(test_broker_later),
		POOL_TEST(test_confined),
		POOL_TEST(test_not_dumpable),
		POOL_TEST(test_write_bounded),
		POOL_TEST(test_many),
		POOL_TEST(test_many_at_once),
		POOL_TEST(test_zygote_killed),
		cmocka_unit_test(test_zygote_stopped),
		POOL_TEST(test_cancel),
		cmocka_unit_test(test_free_in_the_middle),
		POOL_TEST(test_from_callback),
#ifndef CPROF_SANITIZED
		/* sanitizers take all address space: no RLIMIT_DATA, and no memory that could be searched */
		POOL_TEST(test_bloat),
		POOL_TEST(test_sensitive),
#endif
		cmocka_unit_test(test_no_program),
	};

	find_worker();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
