/* SPDX-License-Identifier: Apache-2.0 */
/* The cache of fetched debug files, on disk and without a folder. */
#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdbool.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "debug_cache.h"

#define KIB 1024

static void add(struct debug_cache *c, uint64_t number, const char *hex, size_t bytes)
{
	int fd = debug_cache_create(c, number);

	assert_true(fd >= 0);
	assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
	assert_int_equal(debug_cache_add(c, number, hex, fd, bytes), 0);
	close(fd);
}

static bool has(struct debug_cache *c, const char *hex)
{
	int fd = debug_cache_find(c, hex);

	if (fd < 0) {
		assert_int_equal(fd, -ENOENT);
		return false;
	}
	assert_int_equal(fcntl(fd, F_GETFL) & O_ACCMODE, O_RDONLY);
	close(fd);
	return true;
}

static void test_folder(void **state)
{
	char folder[] = "/tmp/cprof-debug-cache-XXXXXX", path[128];
	struct debug_cache *c;
	struct stat st;

	(void)state;
	assert_non_null(mkdtemp(folder));
	assert_int_equal(debug_cache_new(&c, folder, 100 * KIB), 0);
	assert_false(has(c, "aa"));
	add(c, 1, "aa", 40 * KIB);
	usleep(20000);
	add(c, 2, "bb", 40 * KIB);
	usleep(20000);
	assert_true(has(c, "aa")); /* of use just now */
	usleep(20000);
	add(c, 3, "cc", 40 * KIB);
	assert_true(has(c, "aa"));
	assert_false(has(c, "bb"));
	assert_true(has(c, "cc"));
	assert_int_equal(debug_cache_bytes(c), 80 * KIB);

	/* what came to nothing leaves nothing, nor does what was interrupted */
	close(debug_cache_create(c, 4));
	debug_cache_drop(c, 4);
	close(debug_cache_create(c, 5));
	debug_cache_free(c);
	assert_int_equal(debug_cache_new(&c, folder, 100 * KIB), 0);
	assert_true(has(c, "aa"));
	assert_int_equal(debug_cache_bytes(c), 80 * KIB);
	snprintf(path, sizeof(path), "%s/tmp-5", folder);
	assert_int_equal(stat(path, &st), -1);
	debug_cache_free(c);

	/* a smaller limit holds at once */
	assert_int_equal(debug_cache_new(&c, folder, 0), 0);
	assert_false(has(c, "aa"));
	assert_false(has(c, "cc"));
	debug_cache_free(c);
	assert_int_equal(rmdir(folder), 0);
}

static void test_held(void **state)
{
	struct debug_cache *c;

	(void)state;
	assert_int_equal(debug_cache_new(&c, NULL, 100 * KIB), 0);
	add(c, 1, "aa", 60 * KIB);
	assert_true(has(c, "aa"));
	add(c, 2, "bb", 60 * KIB);
	assert_false(has(c, "aa"));
	assert_true(has(c, "bb"));
	for (uint64_t i = 0; i < DEBUG_CACHE_MAX_HELD; i++) {
		char hex[16];

		snprintf(hex, sizeof(hex), "%04x", (unsigned)i);
		add(c, 10 + i, hex, 1);
	}
	assert_false(has(c, "bb"));
	assert_true(has(c, "0000"));
	debug_cache_free(c);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_folder),
		cmocka_unit_test(test_held),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
