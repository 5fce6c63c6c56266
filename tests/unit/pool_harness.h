/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The pool and cprof-worker together; all static, for the tests that include it. Needs no root: without it, jobs keep
 * the test's own uid. The program is $CPROF_WORKER, or the one that was built beside the test.
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

static inline void on_done(void *arg, const struct job_result *result)
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

static inline void on_open(void *arg, struct job *job, const struct job_open *request,
			   const char *id)
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

static inline int fixture_open(struct fixture *f, const struct pool_options *options)
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

static inline void fixture_close(struct fixture *f)
{
	f->pool = pool_free(f->pool);
	f->event = sd_event_unref(f->event);
}

static inline int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));

	assert_non_null(f);
	assert_int_equal(fixture_open(f, NULL), 0);
	*state = f;
	return 0;
}

static inline int teardown(void **state)
{
	fixture_close(*state);
	free(*state);
	return 0;
}

static inline int submit_fds(struct fixture *f, struct outcome *o, const char *command,
			     const int *fds, size_t n_fds)
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

static inline void submit(struct fixture *f, struct outcome *o, const char *command)
{
	assert_int_equal(submit_fds(f, o, command, NULL, 0), 0);
	assert_int_equal(o->n_done, 0);
}

static inline void wait_for(struct fixture *f, const unsigned *counter, unsigned n)
{
	while (*counter < n)
		assert_true(sd_event_run(f->event, UINT64_MAX) >= 0);
}

/* One command, with its outcome's answer to be freed by outcome_done(). */
static inline void run(struct fixture *f, struct outcome *o, const char *command)
{
	submit(f, o, command);
	wait_for(f, &o->n_done, 1);
}

static inline void outcome_done(struct outcome *o)
{
	free(o->answer);
}

#define OUTCOME _cleanup_(outcome_done) struct outcome

/* While the command does its worst, another job is under way, and succeeds. */
static inline void run_beside(struct fixture *f, struct outcome *o, const char *command)
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

static inline void expect_refused(struct fixture *f, const char *command, int error)
{
	OUTCOME o = {};

	run_beside(f, &o, command);
	if (o.error != error || o.signal != 0)
		print_error("%s: error %d signal %d\n", command, o.error, o.signal);
	assert_int_equal(o.error, error);
	assert_int_equal(o.signal, 0);
	assert_int_equal(o.bytes, 0);
}

static inline void expect_killed(struct fixture *f, const char *command, int signal)
{
	OUTCOME o = {};

	run_beside(f, &o, command);
	if (o.error != -EPIPE || o.signal != signal)
		print_error("%s: error %d signal %d\n", command, o.error, o.signal);
	assert_int_equal(o.error, -EPIPE);
	assert_int_equal(o.signal, signal);
}

static inline unsigned count_entries(const char *path)
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
static inline pid_t child_of(pid_t pid)
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
static inline void wait_dead(pid_t pid)
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

static inline uint64_t status_field(pid_t pid, const char *name, int base)
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

static inline int file_with(const char *text)
{
	int fd = memfd_create("file", MFD_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
	return fd;
}

#define POOL_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
