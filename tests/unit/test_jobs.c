/* SPDX-License-Identifier: Apache-2.0 */
/* What one job may do, and what becomes of one that does more. */
#include "pool_harness.h"

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

int main(void)
{
	const struct CMUnitTest tests[] = {
		POOL_TEST(test_killed),
		POOL_TEST(test_refused),
		POOL_TEST(test_exit),
		POOL_TEST(test_bad_talk),
		POOL_TEST(test_large_answer),
		POOL_TEST(test_large_input),
		POOL_TEST(test_sigbus),
		POOL_TEST(test_confined),
		POOL_TEST(test_not_dumpable),
		POOL_TEST(test_write_bounded),
#ifndef CPROF_SANITIZED
		/* sanitizers take all address space: no RLIMIT_DATA, and no memory that could be searched */
		POOL_TEST(test_bloat),
		POOL_TEST(test_sensitive),
#endif
	};

	find_worker();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
