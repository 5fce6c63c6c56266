/* SPDX-License-Identifier: Apache-2.0 */
/* Answers on disk: what comes back after a restart, and what must not. */

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "cleanup.h"
#include "symfile.h"
#include "symstore.h"

static char folder[] = "/tmp/test_symstore.XXXXXX";
static bool fetches;
static char names[64], program[64], debug[64];

struct fixture {
	struct object_table *objects;
	struct object *object;
	struct symcache *cache;
	struct symstore *store;
	struct symcache_object *cached;
};

static int open_debug(void *arg _unused_, struct object *object _unused_, const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	return fd < 0 ? -errno : fd;
}

static void write_file(const char *path, const char *text)
{
	_cleanup_close_ int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);

	assert_true(fd >= 0);
	assert_int_equal(write(fd, text, strlen(text)), strlen(text));
}

/* As the daemon starts. */
static void start(struct fixture *f)
{
	struct symstore_options options = {
		.folder = names, .max_bytes = 1 << 20, .fetches = fetches, .open_debug = open_debug
	};
	struct object_identity identity;
	int fd = open(program, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(object_identify(fd, &identity), 0);
	assert_int_equal(object_table_new(&f->objects, 16), 0);
	assert_int_equal(object_file(f->objects, &identity, fd, program, 1, 1, 0, &f->object), 0);
	assert_int_equal(symcache_new(&f->cache, 1 << 20), 0);
	assert_int_equal(symstore_new(&f->store, f->cache, &options), 0);
	assert_int_equal(symcache_pin(f->cache, f->object->id, &f->cached), 0);
}

static void stop(struct fixture *f)
{
	symcache_unpin(f->cache, f->cached);
	object_unref(f->object);
	symcache_free(f->cache);
	symstore_free(f->store);
	object_table_free(f->objects);
}

static size_t load(struct fixture *f, const uint64_t *addresses, size_t n)
{
	return symstore_load(f->store, f->cached, f->object, SYMBOLS_FULL, addresses, n);
}

static void put(struct fixture *f, uint64_t address, const char *name, uint64_t expires_ns)
{
	struct symbol_line lines[] = {
		{ .name = "inner", .system_name = "inner", .file = "/a.c", .line = 3 },
		{ .name = name, .system_name = name, .file = "", .start_line = 9 },
	};

	assert_int_equal(symcache_put(f->cache, f->cached, address, SYMBOLS_FULL, expires_ns, false,
				      lines, 2),
			 0);
	symstore_added(f->store, f->cached, 1);
}

static const uint64_t three[] = { 0x10, 0x20, 0x30 };

static void fill(void)
{
	struct fixture f;

	start(&f);
	assert_int_equal(load(&f, three, 3), 0);
	symstore_opened(f.store, f.cached, debug, -ENOENT);
	snprintf(symcache_info(f.cached)->build_id, 129, "0123ab");
	put(&f, 0x30, "three", 0);
	put(&f, 0x10, "one", 0);
	put(&f, 0x20, "not for long", 1);
	stop(&f);
}

static void test_restart(void **state _unused_)
{
	const struct symcache_entry *e;
	struct symstore_stats stats;
	struct fixture f;

	fill();
	start(&f);
	assert_int_equal(load(&f, three, 3), 2);
	e = symcache_get(f.cached, 0x30);
	assert_non_null(e);
	assert_int_equal(e->location.n_lines, 2);
	assert_string_equal(e->location.lines[0].file, "/a.c");
	assert_int_equal(e->location.lines[0].line, 3);
	assert_string_equal(e->location.lines[1].name, "three");
	assert_string_equal(symcache_info(f.cached)->build_id, "0123ab");
	symstore_stats(f.store, &stats);
	assert_int_equal(stats.hits, 2);
	assert_true(stats.bytes > 0);

	/* what is added joins what was there, also what was not asked for */
	put(&f, 0x40, "four", 0);
	stop(&f);
	start(&f);
	assert_int_equal(load(&f, (uint64_t[]){ 0x10, 0x30, 0x40 }, 3), 3);
	stop(&f);
}

static void test_debug_file_comes(void **state _unused_)
{
	struct symstore_stats stats;
	struct fixture f;

	fill();
	write_file(debug, "debug");
	start(&f);
	assert_int_equal(load(&f, three, 3), 0);
	symstore_stats(f.store, &stats);
	assert_int_equal(stats.stale, 1);
	stop(&f);
	unlink(debug);
	start(&f);
	assert_int_equal(load(&f, three, 3), 0);
	stop(&f);
}

/* A debug file may have come from a server, or may come from one now. */
static void test_fetching_starts(void **state _unused_)
{
	struct fixture f;

	fill();
	fetches = true;
	start(&f);
	assert_int_equal(load(&f, three, 3), 0);
	stop(&f);
	fetches = false;
	start(&f);
	assert_int_equal(load(&f, three, 3), 2);
	stop(&f);
}

static void test_file_changes(void **state _unused_)
{
	struct fixture f;

	fill();
	write_file(program, "another program");
	start(&f);
	assert_int_equal(load(&f, three, 3), 0);
	stop(&f);
}

/* Every single byte of the file: a bad one is a file less, never an answer more. */
static void test_corrupt(void **state _unused_)
{
	_cleanup_free_ char *copy = NULL;
	struct symfile file;
	struct buf b = BUF_INIT(1 << 20);
	char command[256];
	size_t total = 0;
	FILE *p;

	fill();
	snprintf(command, sizeof(command), "cat %s/*/*.sym", names);
	p = popen(command, "re");
	assert_non_null(p);
	assert_true(buf_read_fd(&b, fileno(p)) >= 0);
	pclose(p);

	/* the last bytes are the cache's own, which it checks itself */
	assert_int_equal(symfile_check(b.data, b.size, &file), -EBADMSG);
	for (size_t bytes = sizeof(struct symfile_head); bytes <= b.size; bytes++)
		if (symfile_check(b.data, bytes, &file) == 0) {
			b.size = bytes;
			break;
		}
	assert_int_equal(symfile_check(b.data, b.size, &file), 0);
	for (size_t i = 0; i < b.size; i++) {
		b.data[i] ^= 0x41;
		assert_int_equal(symfile_check(b.data, b.size, &file), -EBADMSG);
		/* also with a checksum that fits: checked, and then walked */
		((struct symfile_head *)b.data)->checksum = symfile_checksum(b.data, b.size);
		if (symfile_check(b.data, b.size, &file) == 0)
			for (uint32_t j = 0; j < file.head->n_entries; j++)
				for (uint32_t k = 0; k < file.entries[j].n_lines; k++)
					total += strlen(
						file.strings +
						file.lines[file.entries[j].first_line + k].name);
		b.data[i] ^= 0x41;
		((struct symfile_head *)b.data)->checksum = symfile_checksum(b.data, b.size);
	}
	assert_true(total > 0);
	buf_done(&b);
}

static void test_broken_on_disk(void **state _unused_)
{
	struct symstore_stats stats;
	struct fixture f;
	char command[256];

	fill();
	snprintf(command, sizeof(command),
		 "for f in %s/*/*.sym; do printf x | dd of=$f bs=1 seek=60 conv=notrunc "
		 "status=none; done",
		 names);
	assert_int_equal(system(command), 0);
	start(&f);
	assert_int_equal(load(&f, three, 3), 0);
	symstore_stats(f.store, &stats);
	assert_int_equal(stats.bad, 1);
	stop(&f);
}

static int setup(void **state _unused_)
{
	if (!mkdtemp(folder))
		return -1;
	snprintf(names, sizeof(names), "%s/names", folder);
	snprintf(program, sizeof(program), "%s/program", folder);
	snprintf(debug, sizeof(debug), "%s/program.debug", folder);
	return 0;
}

static int clear(void **state _unused_)
{
	char command[128];

	snprintf(command, sizeof(command), "rm -rf %s/*", folder);
	assert_int_equal(system(command), 0);
	write_file(program, "program");
	return 0;
}

static int teardown(void **state _unused_)
{
	clear(NULL);
	unlink(program);
	return rmdir(folder);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_restart, clear),
		cmocka_unit_test_setup(test_debug_file_comes, clear),
		cmocka_unit_test_setup(test_fetching_starts, clear),
		cmocka_unit_test_setup(test_file_changes, clear),
		cmocka_unit_test_setup(test_corrupt, clear),
		cmocka_unit_test_setup(test_broken_on_disk, clear),
	};

	return cmocka_run_group_tests_name("symstore", tests, setup, teardown);
}
