/* SPDX-License-Identifier: Apache-2.0 */
/* The store: limits, ages, what it finds after a crash, queries. */
#include "store_harness.h"

static void test_put_and_list(void **state)
{
	struct catalog_query q = { .since_ns = 0, .until_ns = INT64_MAX };
	struct catalog_list l;
	struct store *s = open_large();

	(void)state;
	assert_int_equal(put(s, 1000, NULL), 0);
	assert_int_equal(put(s, 1000, NULL), 0);
	assert_int_equal(stats_of(s).windows, 2);

	assert_int_equal(store_list(s, &q, &l), 0);
	assert_int_equal(l.n, 2);
	assert_int_equal(l.lines[0].samples, 10);
	assert_int_equal(l.lines[0].cpu_ns, 100);
	assert_int_equal(l.lines[0].bytes, 1000);
	assert_string_equal(l.lines[0].top[0].name, "nginx.service");
	assert_int_equal(l.lines[0].top[0].cpu_ns, 80);
	assert_string_equal(l.lines[1].top[1].name, "init.scope");
	assert_null(l.lines[1].top[2].name);
	catalog_list_done(&l);

	/* what runs in no unit is known by its command */
	put_alone(s, "perl");
	assert_int_equal(store_list(s, &q, &l), 0);
	assert_int_equal(l.n, 3);
	assert_string_equal(l.lines[2].top[0].name, "perl");
	assert_int_equal(l.lines[2].top[0].cpu_ns, 10);
	assert_null(l.lines[2].top[1].name);
	catalog_list_done(&l);

	q.step_ns = HOUR;
	q.until_ns = (int64_t)(START_NS + 2 * MINUTE);
	q.by = BY_PID;
	assert_int_equal(store_list(s, &q, &l), 0);
	assert_int_equal(l.n, 1);
	assert_int_equal(l.lines[0].start_ns, START_NS);
	assert_int_equal(l.lines[0].cpu_ns, 200);
	assert_string_equal(l.lines[0].top[0].name, "nginx (70)");
	assert_int_equal(l.lines[0].top[0].cpu_ns, 100);
	catalog_list_done(&l);

	q = (struct catalog_query){ .until_ns = (int64_t)(START_NS + MINUTE) };
	assert_int_equal(store_list(s, &q, &l), 0);
	assert_int_equal(l.n, 1);
	catalog_list_done(&l);
	store_free(s);
}

static void test_filters(void **state)
{
	struct catalog_query q = {
		.until_ns = INT64_MAX,
		.terms = { { CATALOG_UNIT, "nginx" }, { CATALOG_PID, "1" }, { CATALOG_UID, "33" } },
		.n_terms = 3
	};
	struct store *s = open_large();
	struct store_selection sel;

	(void)state;
	assert_int_equal(put(s, 10, NULL), 0);
	filtered(s, CATALOG_PID, "70", 50);
	filtered(s, CATALOG_PID, "72", 0);
	filtered(s, CATALOG_COMM, "nginx", 80);
	filtered(s, CATALOG_COMM, "ngin", 0);
	filtered(s, CATALOG_UNIT, "nginx", 80);
	filtered(s, CATALOG_UNIT, "nginx.service", 80);
	filtered(s, CATALOG_CONTAINER, "012345", 80);
	filtered(s, CATALOG_CONTAINER, "01234", 0);
	filtered(s, CATALOG_EXE, "nginx", 80);
	filtered(s, CATALOG_EXE, "/usr/sbin/nginx", 80);
	filtered(s, CATALOG_EXE, "sbin/nginx", 0);
	filtered(s, CATALOG_BUILD_ID, "aa11bb", 20);
	filtered(s, CATALOG_UID, "0", 20);
	filtered(s, CATALOG_COMM, "' OR 1=1 --", 0);

	/* of the targets, who is also of the user */
	assert_int_equal(store_select(s, &q, &sel), 0);
	assert_int_equal(sel.n, 1);
	assert_int_equal(sel.files[0].n_pids, 2);
	store_selection_done(&sel);
	store_free(s);
}

static void test_max_bytes(void **state)
{
	const uint64_t max = 2 << 20;
	struct store *s = open_store(max, 7 * DAY);

	(void)state;
	for (int i = 0; i < 100; i++) {
		assert_int_equal(put(s, 100000, NULL), 0);
		assert_true(stats_of(s).bytes <= max);
	}
	assert_true(stats_of(s).windows > 10);
	assert_true(stats_of(s).deleted_for_bytes > 50);
	/* the youngest are there */
	assert_int_equal(stats_of(s).newest_ns, START_NS + 99 * MINUTE);
	assert_true(stats_of(s).bytes > max / 2);
	/* one that can never fit */
	assert_int_equal(put(s, 3 << 20, NULL), -EFBIG);
	assert_int_equal(stats_of(s).write_failures, 1);
	store_free(s);

	/* lowered while it was away */
	s = open_store(1 << 20, 7 * DAY);
	assert_int_equal(store_tend(s), 0);
	assert_true(stats_of(s).bytes <= 1 << 20);
	store_free(s);
}

static void test_keep_free(void **state)
{
	struct store_limits limits = { 1 << 30, DAY, UINT64_MAX / 2 };
	struct store *s = open_large();

	(void)state;
	assert_int_equal(put(s, 10, NULL), 0);
	store_set_limits(s, &limits);
	assert_int_equal(put(s, 10, NULL), -ENOSPC);
	assert_int_equal(stats_of(s).keep_free, 1);
	assert_int_equal(stats_of(s).windows, 1);
	store_free(s);
}

static void test_max_age(void **state)
{
	struct store *s = open_store(1 << 30, HOUR);

	(void)state;
	for (int i = 0; i < 70; i++)
		assert_int_equal(put(s, 10, NULL), 0);
	/* 60 of a minute fill an hour; the oldest one's start has just passed it */
	assert_int_equal(stats_of(s).windows, 59);
	assert_int_equal(stats_of(s).deleted_for_age, 11);
	pass(HOUR);
	assert_int_equal(store_tend(s), 0);
	assert_int_equal(stats_of(s).windows, 0);
	store_free(s);
}

/* The wall clock is set to all kinds of times; nothing goes that is not old. */
static void test_clock_jumps(void **state)
{
	static const int64_t jumps[] = { 10 * (int64_t)YEAR,  -10 * (int64_t)YEAR,
					 -50 * (int64_t)YEAR, 50 * (int64_t)YEAR,
					 (int64_t)DAY,        -(int64_t)DAY };
	struct store *s = open_store(1 << 30, DAY);
	uint64_t windows = 0;

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(jumps); i++) {
		assert_int_equal(put(s, 10, NULL), 0);
		machine.real_ns += (uint64_t)jumps[i];
		assert_int_equal(store_tend(s), 0);
		assert_int_equal(put(s, 10, NULL), 0);
		pass(MINUTE);
		assert_int_equal(store_tend(s), 0);
		windows += 2;
		assert_int_equal(stats_of(s).windows, windows);
		/* the same over a restart, also without the index */
		store_free(s);
		if (i % 2) {
			char path[128];

			snprintf(path, sizeof(path), "%s/index.sqlite", dir);
			assert_int_equal(unlink(path), 0);
		}
		s = open_store(1 << 30, DAY);
		assert_int_equal(stats_of(s).windows, windows);
	}
	/* and what is old does go */
	pass(DAY);
	store_tend(s);
	assert_int_equal(stats_of(s).windows, 0);
	store_free(s);
}

static void test_reboots(void **state)
{
	struct store *s = open_store(1 << 30, DAY);

	(void)state;
	assert_int_equal(put(s, 10, NULL), 0);
	store_free(s);

	/* up again with a clock that is years ahead: not believed, not after an hour either */
	reboot_after(3 * YEAR);
	s = open_store(1 << 30, DAY);
	assert_int_equal(put(s, 10, NULL), 0);
	pass(2 * HOUR);
	store_tend(s);
	assert_int_equal(stats_of(s).windows, 2);
	store_free(s);

	/* off for two days, really: counts once the clocks have agreed for an hour */
	reboot_after(2 * DAY);
	s = open_store(1 << 30, DAY);
	store_tend(s);
	assert_int_equal(stats_of(s).windows, 2);
	pass(30 * MINUTE);
	store_tend(s);
	assert_int_equal(stats_of(s).windows, 2);
	pass(31 * MINUTE);
	store_tend(s);
	assert_int_equal(stats_of(s).windows, 0);
	store_free(s);

	/* a wrong clock at boot that a time server corrects within the hour */
	s = open_store(1 << 30, DAY);
	assert_int_equal(put(s, 10, NULL), 0);
	store_free(s);
	reboot_after(5 * DAY);
	s = open_store(1 << 30, DAY);
	pass(10 * MINUTE);
	store_tend(s);
	machine.real_ns -= 5 * DAY;
	for (int i = 0; i < 12; i++) {
		pass(10 * MINUTE);
		store_tend(s);
	}
	assert_int_equal(stats_of(s).windows, 1);
	store_free(s);
}

static void damage(const char *path, off_t at, const char *bytes, size_t n)
{
	int fd = open(path, O_RDWR | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, bytes, n, at), n);
	close(fd);
}

static void test_damaged_files(void **state)
{
	char names[4][WINDOW_MAX_NAME], path[256], link[300];
	struct store *s = open_large();
	struct stat st;

	(void)state;
	for (int i = 0; i < 4; i++)
		assert_int_equal(put(s, 1000, names[i]), 0);
	store_free(s);

	/* cut, with something behind it, empty; and one that is nobody's */
	path_of(path, names[0]);
	assert_int_equal(truncate(path, 1005), 0);
	path_of(path, names[1]);
	assert_int_equal(stat(path, &st), 0);
	damage(path, st.st_size, "more", 4);
	path_of(path, names[2]);
	assert_int_equal(truncate(path, 0), 0);
	snprintf(link, sizeof(link), "%s/profiles/notes.pb.gz", dir);
	assert_int_equal(symlink("/etc/passwd", link), 0);
	snprintf(link, sizeof(link), "%s/profiles/%s-0000000099.pb.gz", dir, boots[1]);
	assert_int_equal(symlink("/etc/passwd", link), 0);

	s = open_large();
	assert_int_equal(stats_of(s).windows, 1);
	assert_int_equal(stats_of(s).set_aside, 4);
	assert_true(stats_of(s).damaged_bytes > 0);
	/* it goes on, and no name is used twice */
	assert_int_equal(put(s, 10, names[0]), 0);
	assert_non_null(strstr(names[0], "-0000000100"));

	/* found by a reader */
	store_damaged(s, names[3]);
	assert_int_equal(stats_of(s).windows, 1);
	assert_int_equal(stats_of(s).set_aside, 5);
	store_free(s);
	assert_int_equal(count_files("profiles/damaged"), 5);
}

static void test_damaged_index(void **state)
{
	static const char *const ways[] = { "deleted", "text", "page", "version", "empty" };
	char path[128], zeros[8192] = {};
	struct store *s = open_large();
	sqlite3 *db;

	(void)state;
	for (int i = 0; i < 20; i++)
		assert_int_equal(put(s, 1000, NULL), 0);
	snprintf(path, sizeof(path), "%s/index.sqlite", dir);
	for (size_t i = 0; i < ARRAY_SIZE(ways); i++) {
		struct catalog_query q = { .until_ns = INT64_MAX };
		struct catalog_list l;

		store_free(s);
		if (strcmp(ways[i], "deleted") == 0)
			assert_int_equal(unlink(path), 0);
		if (strcmp(ways[i], "text") == 0)
			damage(path, 0, "not a database at all", 21);
		if (strcmp(ways[i], "page") == 0)
			damage(path, 4096, zeros, sizeof(zeros));
		if (strcmp(ways[i], "empty") == 0)
			assert_int_equal(truncate(path, 0), 0);
		if (strcmp(ways[i], "version") == 0) {
			/* of an older program: other tables */
			assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
			sqlite3_exec(db, "PRAGMA user_version=99; DROP TABLE process;", NULL, NULL,
				     NULL);
			sqlite3_close(db);
		}
		s = open_large();
		assert_int_equal(stats_of(s).windows, 20);
		assert_int_equal(stats_of(s).set_aside, 0);
		assert_int_equal(store_list(s, &q, &l), 0);
		assert_int_equal(l.n, 20);
		assert_int_equal(l.lines[7].cpu_ns, 100);
		assert_int_equal(l.lines[7].start_ns, START_NS + 7 * MINUTE);
		assert_string_equal(l.lines[7].top[0].name, "nginx.service");
		catalog_list_done(&l);
	}
	store_free(s);
}

/* The process ends at any moment: what was put is there afterwards, whole. */
static void test_killed(void **state)
{
	unsigned before = 0;

	(void)state;
	for (int round = 0; round < 25; round++) {
		struct store *s;
		int status, fds[2];
		char ready;
		pid_t pid;

		assert_int_equal(pipe(fds), 0);
		pid = fork();
		if (pid == 0) {
			close(fds[0]);
			s = open_large();
			(void)!write(fds[1], "r", 1);
			for (;;)
				put(s, 20000, NULL);
		}
		close(fds[1]);
		assert_int_equal(read(fds[0], &ready, 1), 1);
		usleep(500 + (useconds_t)round * 1733 % 20000);
		kill(pid, SIGKILL);
		waitpid(pid, &status, 0);
		close(fds[0]);

		s = open_large();
		assert_int_equal(stats_of(s).set_aside, 0);
		assert_true(stats_of(s).windows >= before);
		assert_int_equal(count_files("profiles"), stats_of(s).windows);
		before = (unsigned)stats_of(s).windows;
		store_free(s);
	}
	assert_true(before > 10);
}

/* Writing fails in the middle: the window is lost, counted, and nothing of it is left. */
static void test_write_fails(void **state)
{
	struct rlimit before, small;
	struct store *s = open_large();

	(void)state;
	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(put(s, 10, NULL), 0);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
	small = before;
	small.rlim_cur = 100000;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	assert_true(put(s, 200000, NULL) < 0);
	assert_int_equal(stats_of(s).write_failures, 1);
	assert_int_equal(stats_of(s).windows, 1);
	assert_int_equal(count_files("profiles"), 1);
	/* not even the index can be written: the file is found again */
	small.rlim_cur = 2000;
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
	(void)put(s, 10, NULL);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
	assert_int_equal(put(s, 10, NULL), 0);
	store_free(s);
	s = open_large();
	assert_int_equal(count_files("profiles"), stats_of(s).windows);
	assert_int_equal(stats_of(s).set_aside, 0);
	store_free(s);
}

static void test_window_trailer(void **state)
{
	_cleanup_(window_done) struct window w, out;
	_cleanup_(buf_done) struct buf b = BUF_INIT(1 << 24);
	char path[128], name[40], many[64];
	uint64_t payload_bytes;
	int fd;

	(void)state;
	window_init(&w);
	window_init(&out);
	w.start_ns = -5;
	w.duration_ns = MINUTE;
	for (uint32_t i = 0; i < 20000; i++) {
		snprintf(name, sizeof(name), "c%u", i % 977);
		snprintf(many, sizeof(many), "/opt/%08x/%08x", i * 2654435761U, i * 40503U);
		assert_int_equal(window_add(&w, i, 0, name, many, NULL, "u", "", 1, 10), 0);
	}
	assert_int_equal(w.samples, 20000);
	buf_puts(&b, "payload");
	assert_int_equal(window_write(&w, 7, &b), 0);

	snprintf(path, sizeof(path), "%s/w", dir);
	fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	assert_int_equal(write(fd, b.data, b.size), b.size);
	assert_int_equal(window_read(fd, b.size, &out, &payload_bytes), 0);
	assert_int_equal(payload_bytes, 7);
	assert_int_equal(out.n_processes, 20000);
	assert_int_equal(out.start_ns, -5);
	assert_string_equal(window_string(&out, out.processes[977].comm), "c0");
	/* not one bit may be wrong, but for the pprof's and the empty members' own */
	for (size_t i = 7 + 16; i < b.size; i += 9973) {
		_cleanup_(window_done) struct window bad;
		char c = (char)(b.data[i] ^ 4);

		window_init(&bad);
		damage(path, (off_t)i, &c, 1);
		if (window_read(fd, b.size, &bad, &payload_bytes) == 0)
			assert_int_equal(bad.n_processes, 20000);
		damage(path, (off_t)i, &b.data[i], 1);
	}
	assert_int_equal(window_read(fd, b.size - 1, &out, &payload_bytes), -EBADMSG);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORE_TEST(test_put_and_list),  STORE_TEST(test_filters),
		STORE_TEST(test_max_bytes),     STORE_TEST(test_keep_free),
		STORE_TEST(test_max_age),       STORE_TEST(test_clock_jumps),
		STORE_TEST(test_reboots),       STORE_TEST(test_damaged_files),
		STORE_TEST(test_damaged_index), STORE_TEST(test_killed),
		STORE_TEST(test_write_fails),   STORE_TEST(test_window_trailer),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
