/* SPDX-License-Identifier: Apache-2.0 */
/* What is seen of programs when they map memory for code, and whose it is said to be later. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#include "cleanup.h"
#include "clock.h"
#include "sightings.h"

#define WAIT_NS    (20 * NSEC_PER_SEC)
#define NO_PROCESS 0x7fff0000U /* beyond what a kernel gives */

static struct {
	sd_event *event;
	struct opener *opener;
	struct sightings *sightings;
	pid_t child;
} w;

static int setup(void **state)
{
	(void)state;
	memset(&w, 0, sizeof(w));
	assert_return_code(sd_event_new(&w.event), 0);
	assert_return_code(opener_new(&w.opener, w.event), 0);
	assert_return_code(sightings_new(&w.sightings, w.opener), 0);
	w.child = fork();
	if (w.child == 0)
		for (;;)
			pause();
	assert_true(w.child > 0);
	return 0;
}

static void end_child(void)
{
	if (w.child <= 0)
		return;
	kill(w.child, SIGKILL);
	waitpid(w.child, NULL, 0);
	w.child = 0;
}

static int teardown(void **state)
{
	(void)state;
	end_child();
	opener_free(w.opener);
	sightings_free(w.sightings);
	sd_event_unref(w.event);
	return 0;
}

static uint64_t known(void)
{
	struct sightings_stats stats;

	sightings_stats(w.sightings, &stats);
	return stats.known;
}

static void nap(void)
{
	nanosleep(&(struct timespec){ 0, NSEC_PER_MSEC }, NULL);
	opener_reap(w.opener);
}

/* So many looks at processes that live. */
static void wait_for_looks(uint64_t n)
{
	uint64_t end = clock_ns(CLOCK_MONOTONIC) + WAIT_NS;
	struct opener_stats stats;

	do {
		nap();
		opener_stats(w.opener, &stats);
	} while (stats.opened < n && clock_ns(CLOCK_MONOTONIC) < end);
	assert_int_equal(stats.opened, n);
}

static void wait_for_known(uint64_t most)
{
	uint64_t end = clock_ns(CLOCK_MONOTONIC) + WAIT_NS;

	while (known() > most && clock_ns(CLOCK_MONOTONIC) < end)
		nap();
	assert_in_range(known(), 0, most);
}

static void test_gone_by_then(void **state)
{
	uint32_t pid = (uint32_t)w.child;
	uint64_t now = clock_ns(CLOCK_MONOTONIC);
	struct openfile_jit question;
	struct openfile_result result;
	struct sighting seen;
	char path[64];
	FILE *f;

	(void)state;
	sightings_mapped(w.sightings, pid, now);
	sightings_mapped(w.sightings, pid, now + 1000);
	wait_for_looks(1);
	end_child();

	/* a sample of before it mapped anything, and another life of the pid */
	assert_false(sightings_take(w.sightings, pid, 0, now - 1, &seen));
	assert_false(sightings_take(w.sightings, pid, now + 1, now + 2, &seen));
	assert_true(sightings_take(w.sightings, pid, now, now, &seen));
	assert_int_equal(seen.uid, getuid());
	assert_int_equal(seen.ns_pid, pid);
	assert_false(sightings_take(w.sightings, pid, 0, now, &(struct sighting){ 0 })); /* once */

	/* nothing of the process is left but its map, which counts by its owner */
	snprintf(path, sizeof(path), "/tmp/perf-%u.map", pid);
	f = fopen(path, "we");
	assert_non_null(f);
	fclose(f);
	question = (struct openfile_jit){ .pid = pid,
					  .ns_pid = seen.ns_pid,
					  .root_fd = seen.root_fd,
					  .has_uid = true,
					  .uid = seen.uid };
	assert_return_code(opener_jit_map_now(w.opener, &question, &result), 0);
	safe_close(result.fd);
	question.uid++;
	assert_int_equal(opener_jit_map_now(w.opener, &question, &result), -EPERM);
	question.has_uid = false;
	assert_int_equal(opener_jit_map_now(w.opener, &question, &result), -ESRCH);
	unlink(path);
	safe_close(seen.root_fd);
}

static void test_another_program(void **state)
{
	uint32_t pid = (uint32_t)w.child;
	uint64_t now = clock_ns(CLOCK_MONOTONIC);
	struct sighting seen;

	(void)state;
	sightings_mapped(w.sightings, pid, now);
	sightings_begun(w.sightings, pid, now + 1);
	wait_for_looks(1);
	assert_false(sightings_take(w.sightings, pid, 0, UINT64_MAX, &seen));
	assert_int_equal(known(), 0);

	/* records of two CPUs: of the new program first, then that it begins */
	sightings_mapped(w.sightings, pid, now + 10);
	sightings_mapped(w.sightings, pid, now + 30);
	sightings_begun(w.sightings, pid, now + 20);
	wait_for_looks(3);
	assert_false(sightings_take(w.sightings, pid, 0, now + 19, &seen));
	/* what it mapped since is not of before it began */
	sightings_begun(w.sightings, pid, now + 21);
	assert_int_equal(known(), 1);
	assert_true(sightings_take(w.sightings, pid, 0, now + 30, &seen));
	safe_close(seen.root_fd);
}

/* The one that has the pid now may not be the one that mapped. */
static void test_a_later_process(void **state)
{
	struct openfile_result result;
	uint32_t pid = (uint32_t)w.child;
	uint64_t now = clock_ns(CLOCK_MONOTONIC);

	(void)state;
	assert_int_equal(openfile_process(pid, now - NSEC_PER_SEC, &result), -ESRCH);
	assert_int_equal(result.root_fd, -1);
	assert_return_code(openfile_process(pid, now, &result), 0);
	safe_close(result.root_fd);
	assert_int_equal(openfile_process(NO_PROCESS, now, &result), -ESRCH);
}

/* With the rights of another, its files would be that one's. */
static void test_other_rights(void **state)
{
	struct openfile_result result;
	int ready[2];
	char c;

	(void)state;
	if (geteuid() != 0)
		skip();
	end_child();
	assert_return_code(pipe(ready), 0);
	w.child = fork();
	if (w.child == 0) {
		if (setresuid(65534, 0, 0) < 0 || write(ready[1], "", 1) != 1)
			_exit(1);
		for (;;)
			pause();
	}
	assert_int_equal(read(ready[0], &c, 1), 1);
	assert_int_equal(openfile_process((uint32_t)w.child, clock_ns(CLOCK_MONOTONIC), &result),
			 -EPERM);
	assert_int_equal(result.root_fd, -1);
	close(ready[0]);
	close(ready[1]);
}

static bool is_even(void *arg, uint32_t pid)
{
	(void)arg;
	return pid % 2 == 0;
}

static void test_bounded(void **state)
{
	uint64_t now = clock_ns(CLOCK_MONOTONIC);
	struct sightings_stats stats;

	(void)state;
	for (uint32_t i = 0; i < SIGHTINGS_MAX; i++)
		sightings_mapped(w.sightings, NO_PROCESS + i, now + i);
	assert_int_equal(known(), SIGHTINGS_MAX);
	/* one that is known already */
	sightings_mapped(w.sightings, NO_PROCESS, now + SIGHTINGS_MAX);
	sightings_stats(w.sightings, &stats);
	assert_int_equal(stats.forgotten, 0);
	/* the oldest goes, unless it is being looked at: then the new one is not taken in */
	sightings_mapped(w.sightings, NO_PROCESS + SIGHTINGS_MAX, now + SIGHTINGS_MAX);
	sightings_stats(w.sightings, &stats);
	assert_int_equal(stats.forgotten, 1);
	assert_int_equal(stats.known, SIGHTINGS_MAX);

	sightings_prune(w.sightings, is_even, NULL, now);
	assert_int_equal(known(), SIGHTINGS_MAX);
	sightings_prune(w.sightings, is_even, NULL, UINT64_MAX);
	wait_for_known(SIGHTINGS_MAX / 2 + 1);
	assert_in_range(known(), SIGHTINGS_MAX / 2 - 1, SIGHTINGS_MAX / 2 + 1);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_gone_by_then, setup, teardown),
		cmocka_unit_test_setup_teardown(test_another_program, setup, teardown),
		cmocka_unit_test_setup_teardown(test_a_later_process, setup, teardown),
		cmocka_unit_test_setup_teardown(test_other_rights, setup, teardown),
		cmocka_unit_test_setup_teardown(test_bounded, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
