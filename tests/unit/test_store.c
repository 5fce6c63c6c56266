/* SPDX-License-Identifier: Apache-2.0 */
/* The store: limits, ages, what it finds after a crash, compaction, queries. */
#include <dirent.h>
#include <fcntl.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>
#include <sqlite3.h>

#include "age.h"
#include "cleanup.h"
#include "files.h"
#include "store.h"

#define MINUTE   (60 * NSEC_PER_SEC)
#define HOUR     (60 * MINUTE)
#define DAY      (24 * HOUR)
#define YEAR     (365 * DAY)
#define START_NS (1800000000ULL * NSEC_PER_SEC) /* a multiple of an hour */

static char dir[64];
static const char *const boots[] = { "0123456789abcdef0123456789abcdef",
				     "fedcba9876543210fedcba9876543210" };

/* The machine: its clocks and boots. */
static struct {
	uint64_t real_ns, boot_ns;
	const char *boot_id;
} machine;

static uint64_t machine_now(void *arg, clockid_t clock)
{
	(void)arg;
	return clock == CLOCK_BOOTTIME ? machine.boot_ns : machine.real_ns;
}

static void pass(uint64_t ns)
{
	machine.real_ns += ns;
	machine.boot_ns += ns;
}

static void reboot_after(uint64_t off_ns)
{
	machine.real_ns += off_ns;
	machine.boot_ns = 10 * NSEC_PER_SEC;
	machine.boot_id = machine.boot_id == boots[0] ? boots[1] : boots[0];
}

static int setup(void **state)
{
	(void)state;
	/* in memory where that is to be had: thousands of fsync() are not what is tested */
	strcpy(dir, access("/dev/shm", W_OK) == 0 ? "/dev/shm/test-store.XXXXXX"
						  : "/tmp/test-store.XXXXXX");
	machine.real_ns = START_NS;
	machine.boot_ns = HOUR;
	machine.boot_id = boots[0];
	return mkdtemp(dir) ? 0 : -1;
}

static int teardown(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

static struct store *open_store(uint64_t max_bytes, uint64_t max_age_ns)
{
	struct store_options o = {
		.dir = dir,
		.limits = { .max_bytes = max_bytes, .max_age_ns = max_age_ns },
		.now = machine_now,
		.boot_id = machine.boot_id,
	};
	struct store *s;

	assert_int_equal(store_open(&s, &o), 0);
	return s;
}

static struct store *open_large(void)
{
	return open_store(1ULL << 30, 7 * DAY);
}

/* A minute passes, and its window is put. */
static int put(struct store *s, size_t payload_bytes, char *ret_name)
{
	_cleanup_(window_done) struct window w;
	_cleanup_free_ char *payload = calloc(1, payload_bytes + 1);
	int r;

	window_init(&w);
	w.start_ns = (int64_t)machine.real_ns;
	w.duration_ns = MINUTE;
	w.hz = 100;
	assert_int_equal(window_add(&w, 1, 0, "systemd", "/usr/lib/systemd/systemd", "aa11bb22",
				    "init.scope", "", 2, 20),
			 0);
	assert_int_equal(window_add(&w, 70, 33, "nginx", "/usr/sbin/nginx", "cc33dd44",
				    "nginx.service", "0123456789abcdef", 5, 50),
			 0);
	assert_int_equal(window_add(&w, 71, 33, "nginx", "/usr/sbin/nginx", "cc33dd44",
				    "nginx.service", "0123456789abcdef", 3, 30),
			 0);
	pass(MINUTE);
	memset(payload, 'x', payload_bytes);
	r = store_put(s, payload, payload_bytes, &w, ret_name);
	return r;
}

/* A window of one process that is in no unit. */
static void put_alone(struct store *s, const char *comm)
{
	_cleanup_(window_done) struct window w;

	window_init(&w);
	w.start_ns = (int64_t)machine.real_ns;
	w.duration_ns = MINUTE;
	assert_int_equal(window_add(&w, 5, 0, comm, "", "", "", "", 1, 10), 0);
	pass(MINUTE);
	assert_int_equal(store_put(s, "x", 1, &w, NULL), 0);
}

static struct store_stats stats_of(struct store *s)
{
	struct store_stats st;

	store_stats(s, &st);
	return st;
}

static void path_of(char ret[256], const char *name)
{
	snprintf(ret, 256, "%s/profiles/%s" FILES_SUFFIX, dir, name);
}

static unsigned count_files(const char *folder)
{
	char path[128];
	struct dirent *e;
	unsigned n = 0;
	DIR *d;

	snprintf(path, sizeof(path), "%s/%s", dir, folder);
	d = opendir(path);
	while (d && (e = readdir(d)))
		n += strstr(e->d_name, FILES_SUFFIX) != NULL;
	if (d)
		closedir(d);
	return n;
}

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

static void filtered(struct store *s, enum catalog_kind kind, const char *value, uint64_t cpu_ns)
{
	struct catalog_query q = { .until_ns = INT64_MAX,
				   .terms = { { kind, value } },
				   .n_terms = 1 };
	struct catalog_list l;
	struct store_selection sel;

	assert_int_equal(store_list(s, &q, &l), 0);
	assert_int_equal(l.n, 1);
	assert_int_equal(l.lines[0].cpu_ns, cpu_ns);
	catalog_list_done(&l);
	assert_int_equal(store_select(s, &q, &sel), 0);
	assert_int_equal(sel.n, cpu_ns ? 1 : 0);
	store_selection_done(&sel);
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

/* All that is due is merged, and nothing is counted twice or lost. */
static void compact_all(struct store *s)
{
	struct store_selection sel;

	while (store_compaction(s, &sel) == 0) {
		uint64_t samples = 0, cpu_ns = 0;

		assert_true(sel.n >= 2);
		for (size_t i = 0; i < sel.n; i++) {
			samples += sel.files[i].row.samples;
			cpu_ns += sel.files[i].row.cpu_ns;
		}
		assert_int_equal(store_replace(s, &sel, "merged", 6, samples, cpu_ns), 0);
		store_selection_done(&sel);
	}
}

static void total(struct store *s, uint64_t cpu_ns, uint64_t duration_ns)
{
	struct catalog_query q = { .until_ns = INT64_MAX, .step_ns = 1000 * DAY };
	struct catalog_list l;

	assert_int_equal(store_list(s, &q, &l), 0);
	assert_int_equal(l.n, 1);
	assert_int_equal(l.lines[0].cpu_ns, cpu_ns);
	assert_int_equal(l.lines[0].duration_ns, duration_ns);
	catalog_list_done(&l);
}

static void test_compaction(void **state)
{
	struct store_selection sel;
	struct store *s = open_large();
	char path[128], kept[256];

	(void)state;
	for (int i = 0; i < 30 * 60; i++) {
		assert_int_equal(put(s, 100, NULL), 0);
		compact_all(s);
	}
	/* the last hour as it was, a day of ten minutes, the rest in hours */
	assert_in_range(stats_of(s).windows, 60 + 138 + 5, 80 + 144 + 7);
	total(s, 30 * 60 * 100, 30 * HOUR);
	store_free(s);

	/* from the files alone */
	snprintf(path, sizeof(path), "%s/index.sqlite", dir);
	assert_int_equal(unlink(path), 0);
	s = open_large();
	total(s, 30 * 60 * 100, 30 * HOUR);
	assert_int_equal(store_compaction(s, &sel), -ENOENT);

	/* what comes out must be what went in */
	for (int i = 0; i < 12; i++)
		assert_int_equal(put(s, 100, NULL), 0);
	assert_int_equal(store_compaction(s, &sel), 0);
	assert_int_equal(store_replace(s, &sel, "merged", 6, 1, 1), -EBADMSG);
	assert_int_equal(stats_of(s).compaction_failures, 1);
	total(s, (30 * 60 + 12) * 100, (30 * 60 + 12) * MINUTE);
	/* its files come back after the merged one is there, as after a crash between the two */
	for (size_t i = 0; i < sel.n; i++) {
		path_of(kept, sel.files[i].row.name);
		snprintf(path, sizeof(path), "%s/%zu", dir, i);
		assert_int_equal(link(kept, path), 0);
	}
	assert_int_equal(store_replace(s, &sel, "merged", 6, 10 * sel.n, 100 * sel.n), 0);
	for (int without_index = 0; without_index < 2; without_index++) {
		store_free(s);
		for (size_t i = 0; i < sel.n; i++) {
			path_of(kept, sel.files[i].row.name);
			snprintf(path, sizeof(path), "%s/%zu", dir, i);
			assert_int_equal(link(path, kept), 0);
		}
		snprintf(path, sizeof(path), "%s/index.sqlite", dir);
		if (without_index)
			assert_int_equal(unlink(path), 0);
		s = open_large();
		if (without_index)
			total(s, (30 * 60 + 12) * 100, (30 * 60 + 12) * MINUTE);
		for (size_t i = 0; !without_index && i < sel.n; i++)
			store_damaged(s, sel.files[i].row.name);
	}
	store_selection_done(&sel);
	store_free(s);
}

/* Two compilers that a shell became, one that ran nothing else, and what keeps them rare. */
static void put_execs(struct store *s)
{
	static const struct {
		uint32_t pid;
		const char *comm;
		uint64_t samples;
	} rows[] = { { 5, "sh", 1 }, { 5, "cc", 2 }, { 7, "sh", 1 },
		     { 7, "cc", 3 }, { 6, "cc", 4 }, { 9, "busy", 100000 } };
	_cleanup_(window_done) struct window w;

	window_init(&w);
	w.start_ns = (int64_t)machine.real_ns;
	w.duration_ns = MINUTE;
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++)
		assert_int_equal(window_add(&w, rows[i].pid, 0, rows[i].comm, rows[i].comm, "", "",
					    "", rows[i].samples, rows[i].samples * 10),
				 0);
	pass(MINUTE);
	assert_int_equal(store_put(s, "x", 1, &w, NULL), 0);
}

/* Alike rows get the pid of one whose process ran nothing else, and questions have the same answers. */
static void test_compaction_folds(void **state)
{
	struct store_selection sel;
	struct store *s = open_large();

	(void)state;
	for (int i = 0; i < 2; i++)
		put_execs(s);
	pass(2 * HOUR);
	assert_int_equal(store_tend(s), 0);
	assert_int_equal(store_compaction(s, &sel), 0);
	assert_int_equal(sel.n_folds, 2);
	for (size_t i = 0; i < 2; i++) {
		assert_string_equal(sel.folds[i].comm, "cc");
		assert_int_equal(sel.folds[i].to, 6);
		assert_true(sel.folds[i].pid == 5 || sel.folds[i].pid == 7);
	}
	assert_int_equal(store_replace(s, &sel, "merged", 6, 2 * 100011, 20 * 100011), 0);
	store_selection_done(&sel);
	filtered(s, CATALOG_EXE, "cc", 2 * 90);
	filtered(s, CATALOG_EXE, "sh", 2 * 20);
	filtered(s, CATALOG_PID, "6", 2 * 90);
	filtered(s, CATALOG_PID, "5", 2 * 10);
	store_free(s);
}

/* A group that cannot be merged waits alone, ever longer; the others go on. */
static void test_compaction_aside(void **state)
{
	struct store_selection sel;
	struct store *s = open_large();
	uint64_t pause = HOUR;
	char first[WINDOW_MAX_NAME];

	(void)state;
	for (int i = 0; i < 3 * 60; i++)
		assert_int_equal(put(s, 100, NULL), 0);
	assert_int_equal(store_compaction(s, &sel), 0);
	memcpy(first, sel.files[0].row.name, sizeof(first));
	for (uint64_t failures = 1; failures <= 3; failures++) {
		store_compaction_failed(s, &sel);
		store_selection_done(&sel);
		assert_int_equal(stats_of(s).compaction_failures, failures);
		assert_int_equal(stats_of(s).compaction_aside, 1);
		/* all others are done meanwhile */
		compact_all(s);
		assert_int_equal(store_compaction(s, &sel), -ENOENT);
		pass(pause - MINUTE);
		assert_int_equal(store_tend(s), 0);
		compact_all(s);
		assert_int_equal(store_compaction(s, &sel), -ENOENT);
		pass(2 * MINUTE);
		assert_int_equal(store_tend(s), 0);
		assert_int_equal(store_compaction(s, &sel), 0);
		assert_string_equal(sel.files[0].row.name, first);
		pause *= 2;
	}
	store_selection_done(&sel);
	compact_all(s);
	assert_int_equal(stats_of(s).compaction_aside, 0);
	total(s, 3 * 60 * 100, 3 * HOUR);
	store_free(s);
}

/* Sums of the bytes that a query's open files hold: each window's payload is one byte. */
static uint64_t read_selected(const struct store_selection *sel)
{
	uint64_t windows = 0;

	for (size_t i = 0; i < sel->n; i++) {
		const struct store_file *f = &sel->files[i];
		char payload[256];

		assert_in_range(f->row.payload_bytes, 1, sizeof(payload));
		assert_int_equal(pread(f->fd, payload, f->row.payload_bytes, 0),
				 f->row.payload_bytes);
		for (size_t k = 0; k < f->row.payload_bytes; k++)
			windows += payload[k] == 'x';
		assert_int_equal(f->row.samples, f->row.payload_bytes * 10);
	}
	return windows;
}

static void select_all(struct store *s, struct store_selection *ret)
{
	struct catalog_query q = { .until_ns = INT64_MAX };

	assert_int_equal(store_select(s, &q, ret), 0);
}

/* Before, between the steps of, and after a compaction: a query has each window once, also where its files
 * are gone by the time that they are read. */
static void test_query_beside_compaction(void **state)
{
	struct store_selection early, between, late, sel;
	struct store *s = open_large();
	char merged[256], path[256];

	(void)state;
	for (int i = 0; i < 90; i++)
		assert_int_equal(put(s, 1, NULL), 0);
	memset(merged, 'x', sizeof(merged));
	select_all(s, &early);
	assert_int_equal(early.n, 90);
	while (store_compaction(s, &sel) == 0) {
		select_all(s, &between);
		total(s, 90 * 100, 90 * MINUTE);
		assert_int_equal(store_replace(s, &sel, merged, sel.n, 10 * sel.n, 100 * sel.n), 0);
		path_of(path, sel.files[0].row.name);
		assert_int_equal(access(path, F_OK), -1);
		total(s, 90 * 100, 90 * MINUTE);
		assert_int_equal(read_selected(&between), 90);
		store_selection_done(&between);
		store_selection_done(&sel);
	}
	select_all(s, &late);
	assert_true(late.n < early.n);
	assert_int_equal(read_selected(&early), 90);
	assert_int_equal(read_selected(&late), 90);

	/* one that somebody has removed by hand is in neither the profile nor the list */
	path_of(path, late.files[late.n - 1].row.name);
	assert_int_equal(unlink(path), 0);
	store_selection_done(&late);
	select_all(s, &late);
	assert_int_equal(read_selected(&late), 89);
	total(s, 89 * 100, 89 * MINUTE);
	assert_int_equal(stats_of(s).windows, late.n);
	store_selection_done(&early);
	store_selection_done(&late);
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

static void test_days(void **state)
{
	struct store *s = open_store(64 << 20, 7 * DAY);
	double days;

	(void)state;
	assert_true(stats_of(s).days_at_this_rate == 0);
	for (int i = 0; i < 60; i++)
		assert_int_equal(put(s, 400000, NULL), 0);
	days = stats_of(s).days_at_this_rate;
	/* 24 MiB an hour as it is, and each age within its share later */
	assert_true(days > 2 && days <= 7);
	store_free(s);
	s = open_store(4 << 20, 7 * DAY);
	store_tend(s);
	days = stats_of(s).days_at_this_rate;
	assert_true(days > 0 && days < 0.1);
	store_free(s);
	s = open_store(10ULL << 30, 7 * DAY);
	store_tend(s);
	assert_true(stats_of(s).days_at_this_rate > days);
	assert_true(stats_of(s).days_at_this_rate <= 7);
	store_free(s);
}

#define STORE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		STORE_TEST(test_put_and_list),
		STORE_TEST(test_filters),
		STORE_TEST(test_max_bytes),
		STORE_TEST(test_keep_free),
		STORE_TEST(test_max_age),
		STORE_TEST(test_clock_jumps),
		STORE_TEST(test_reboots),
		STORE_TEST(test_damaged_files),
		STORE_TEST(test_damaged_index),
		STORE_TEST(test_killed),
		STORE_TEST(test_write_fails),
		STORE_TEST(test_compaction),
		STORE_TEST(test_compaction_aside),
		STORE_TEST(test_compaction_folds),
		STORE_TEST(test_query_beside_compaction),
		STORE_TEST(test_window_trailer),
		STORE_TEST(test_days),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
