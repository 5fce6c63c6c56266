/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A store in a folder of its own, on a machine whose clocks and boots the test sets; all static, for the tests that
 * include it.
 */

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

static inline uint64_t machine_now(void *arg, clockid_t clock)
{
	(void)arg;
	return clock == CLOCK_BOOTTIME ? machine.boot_ns : machine.real_ns;
}

static inline void pass(uint64_t ns)
{
	machine.real_ns += ns;
	machine.boot_ns += ns;
}

static inline void reboot_after(uint64_t off_ns)
{
	machine.real_ns += off_ns;
	machine.boot_ns = 10 * NSEC_PER_SEC;
	machine.boot_id = machine.boot_id == boots[0] ? boots[1] : boots[0];
}

static inline int setup(void **state)
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

static inline int teardown(void **state)
{
	char command[128];

	(void)state;
	snprintf(command, sizeof(command), "rm -rf %s", dir);
	return system(command);
}

static inline struct store *open_store(uint64_t max_bytes, uint64_t max_age_ns)
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

static inline struct store *open_large(void)
{
	return open_store(1ULL << 30, 7 * DAY);
}

/* A minute passes, and its window is put. */
static inline int put(struct store *s, size_t payload_bytes, char *ret_name)
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
static inline void put_alone(struct store *s, const char *comm)
{
	_cleanup_(window_done) struct window w;

	window_init(&w);
	w.start_ns = (int64_t)machine.real_ns;
	w.duration_ns = MINUTE;
	assert_int_equal(window_add(&w, 5, 0, comm, "", "", "", "", 1, 10), 0);
	pass(MINUTE);
	assert_int_equal(store_put(s, "x", 1, &w, NULL), 0);
}

static inline struct store_stats stats_of(struct store *s)
{
	struct store_stats st;

	store_stats(s, &st);
	return st;
}

static inline void path_of(char ret[256], const char *name)
{
	snprintf(ret, 256, "%s/profiles/%s" FILES_SUFFIX, dir, name);
}

static inline unsigned count_files(const char *folder)
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

static inline void filtered(struct store *s, enum catalog_kind kind, const char *value,
			    uint64_t cpu_ns)
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

#define STORE_TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
