/* SPDX-License-Identifier: Apache-2.0 */
/* What counts as a change of a file that is held. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "cleanup.h"
#include "object.h"

static struct {
	struct object_table *objects;
	char dir[32], path[64], other[64];
} w;

static int setup(void **state)
{
	int fd;

	(void)state;
	strcpy(w.dir, "/tmp/test-object-XXXXXX");
	assert_non_null(mkdtemp(w.dir));
	snprintf(w.path, sizeof(w.path), "%s/file", w.dir);
	snprintf(w.other, sizeof(w.other), "%s/other", w.dir);
	fd = open(w.path, O_WRONLY | O_CREAT | O_CLOEXEC, 0644);
	assert_int_equal(write(fd, "data", 4), 4);
	close(fd);
	assert_int_equal(object_table_new(&w.objects, 100), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	assert_int_equal(object_table_count(w.objects), 0);
	object_table_free(w.objects);
	unlink(w.path);
	unlink(w.other);
	return rmdir(w.dir);
}

static struct object *hold(void)
{
	int fd = open(w.path, O_RDONLY | O_CLOEXEC);
	struct object_identity id;
	struct object *o;

	assert_int_equal(object_identify(fd, &id), 0);
	assert_int_equal(object_file(w.objects, &id, fd, w.path, 0, 0, 0, &o), 0);
	return o;
}

/* The clock of a filesystem's times moves with the tick. */
static void wait_a_tick(void)
{
	nanosleep(&(struct timespec){ .tv_nsec = 20000000 }, NULL);
}

static void test_metadata(void **state)
{
	struct object *o = hold(), *second, *third;

	(void)state;
	assert_true(object_renew(o));
	wait_a_tick();
	assert_int_equal(link(w.path, w.other), 0);
	assert_false(object_unchanged(o));
	/* whoever opens it now has another object */
	second = hold();
	assert_ptr_not_equal(o, second);
	assert_true(object_renew(o));
	assert_true(object_unchanged(o));
	assert_int_equal(object_table_count(w.objects), 2);
	assert_memory_equal(&o->identity, &second->identity, sizeof(o->identity));

	wait_a_tick();
	assert_int_equal(chmod(w.path, 0600), 0);
	assert_false(object_unchanged(second));
	assert_true(object_renew(second));
	third = hold();
	assert_ptr_equal(second, third);
	object_unref(o);
	object_unref(second);
	object_unref(third);
}

static void test_content(void **state)
{
	struct object *o = hold();
	int fd = open(w.path, O_WRONLY | O_CLOEXEC);

	(void)state;
	wait_a_tick();
	assert_int_equal(write(fd, "DATA", 4), 4);
	close(fd);
	assert_false(object_unchanged(o));
	assert_false(object_renew(o));
	object_unref(o);
}

static void test_deleted(void **state)
{
	struct object *o = hold();

	(void)state;
	wait_a_tick();
	assert_int_equal(unlink(w.path), 0);
	assert_true(object_unchanged(o));
	assert_true(object_renew(o));
	object_unref(o);
}

int main(void)
{
#define T(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = { T(test_metadata), T(test_content), T(test_deleted) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}
