/* SPDX-License-Identifier: Apache-2.0 */
/*
 * A file that changes while the worker reads it: it is changed in the moment when the worker asks for a debug
 * file, so with its headers read and its lines not.
 */

#include <fcntl.h>
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>
#include <cmocka.h>

#include "cleanup.h"
#include "pool.h"
#include "symbolize_harness.h"
#include "symbolizer.h"
#include "worker_path.h"

static char folder[] = "/tmp/test_changing.XXXXXX";
static uint64_t address; /* of old_name() in the file "program", and of new_name() in "newer" */

struct fixture {
	sd_event *event;
	struct pool *pool;
	struct object_table *objects;
	struct object *program, *other;
	struct symbolizer *symbolizer;
	bool done;
	/* what happens when the worker asks, and how often */
	const char *change;
	unsigned n_changes;
	bool opens_dwo, opens_debug;
	char names[2][128]; /* program's, other's */
	char failure[256];
	unsigned n_failures;
};

static int group_setup(void **state _unused_)
{
	char line[128];

	assert_non_null(mkdtemp(folder));
	sh("cd %s && for name in old_name new_name other_name; do "
	   "printf 'volatile int x;\\nvoid %%s(void)\\n{\\n\\tx++;\\n}\\nvoid _start(void) { "
	   "%%s(); }\\n' "
	   "$name $name > $name.c && gcc -g -O2 -gsplit-dwarf -ffreestanding -nostdlib -static "
	   "-no-pie "
	   "-Wl,-Ttext=0x401000 -o $name.elf $name.c; done && "
	   "mv old_name.elf old && mv other_name.elf other && mv new_name.elf newer && "
	   "[ $(stat -c %%s old) = $(stat -c %%s newer) ] && touch -d 2001-01-01 old newer other",
	   folder);
	sh("cd %s && for name in first second; do "
	   "printf 'int %%s(int n);\nint %%s(int n)\n{\n\treturn n * 3;\n}\n' $name $name "
	   ">$name.c; done && "
	   "gcc -g -O2 -gsplit-dwarf -ffreestanding -nostdlib -static -no-pie -Wl,-Ttext=0x401000 "
	   "-Wl,-efirst -o pair first.c second.c && mkdir dwo && cp -p pair-*.dwo dwo/",
	   folder);
	address = strtoull(sh_line(line, sizeof(line), "nm %s/old | grep ' old_name$'", folder),
			   NULL, 16);
	assert_int_equal(address, 0x401000);
	return 0;
}

static int group_teardown(void **state _unused_)
{
	sh("rm -r %s", folder);
	return 0;
}

static int open_in_folder(const char *name)
{
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* Of a program in two parts the first one's entries are read when the second one's are asked for. */
static int on_open_dwo(struct fixture *f, const char *path)
{
	int fd;

	if (strcmp(path + strlen(path) - strlen("pair-second.dwo"), "pair-second.dwo") == 0 &&
	    f->n_changes > 0) {
		f->n_changes--;
		sh("cd %s && %s", folder, f->change);
	}
	fd = open(path, O_RDONLY | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

static int on_open(void *arg, struct object *object, const char *path)
{
	struct fixture *f = arg;

	if (f->opens_debug)
		return strstr(path, "/.build-id/") ? open_in_folder("debug") : -ENOENT;
	if (f->opens_dwo)
		return strstr(path, "/pair-") ? on_open_dwo(f, path) : -ENOENT;
	if (object == f->program && f->n_changes > 0) {
		f->n_changes--;
		sh("cd %s && %s", folder, f->change);
	}
	return -ENOENT;
}

static struct object *object_of(struct fixture *f, const char *name)
{
	struct object_identity identity;
	struct object *o;
	char path[128];
	int fd;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(object_identify(fd, &identity), 0);
	assert_int_equal(object_file(f->objects, &identity, fd, path, 1, 1, 0, &o), 0);
	return o;
}

static void start(struct fixture *f, const char *change, unsigned n_changes)
{
	struct pool_options pool = {
		.worker_path = worker_path,
		.max_parallel = 2,
		.max_waiting = 20,
		.memory_bytes = 256 << 20,
		.timeout_ns = 60 * NSEC_PER_SEC,
	};
	char names[128];
	struct symbolizer_options options = {
		.memory_bytes = 1 << 20,
		.store_folder = names,
		.store_bytes = 1 << 20,
		.open_debug = on_open,
		.open_debug_arg = f,
	};

	*f = (struct fixture){ .change = change, .n_changes = n_changes };
	snprintf(names, sizeof(names), "%s/names", folder);
	sh("rm -rf %s", names);
	sh("cd %s && cp -p old program", folder);
	assert_true(sd_event_new(&f->event) >= 0);
	assert_int_equal(pool_new(&f->pool, f->event, &pool), 0);
	options.pool = f->pool;
	assert_int_equal(object_table_new(&f->objects, 8), 0);
	f->program = object_of(f, "program");
	f->other = object_of(f, "other");
	assert_int_equal(symbolizer_new(&f->symbolizer, f->event, &options), 0);
}

static void on_failure(void *arg, const char *path, const char *why)
{
	struct fixture *f = arg;

	f->n_failures++;
	snprintf(f->failure, sizeof(f->failure), "%s: %s", path + strlen(folder), why);
}

static void stop(struct fixture *f)
{
	symbolizer_free(f->symbolizer);
	object_unref(f->program);
	object_unref(f->other);
	object_table_free(f->objects);
	pool_free(f->pool);
	sd_event_unref(f->event);
}

static void on_done(void *arg)
{
	((struct fixture *)arg)->done = true;
}

static void ask_frames(struct fixture *f, struct frame frames[2])
{
	f->done = false;
	assert_int_equal(
		symbolizer_request(f->symbolizer, frames, 2, SYMBOLS_FULL, false, on_done, f, NULL),
		0);
	while (!f->done)
		assert_true(sd_event_run(f->event, 60000000) > 0);
	for (size_t i = 0; i < 2; i++) {
		const struct location *l = symbolizer_lookup(f->symbolizer, &frames[i], false);
		const char *slash = strrchr(l->lines[0].file, '/');

		snprintf(f->names[i], sizeof(f->names[i]), "%s %s", l->lines[0].name,
			 slash ? slash + 1 : "");
	}
	f->n_failures = 0;
	symbolizer_each_failure(f->symbolizer, on_failure, f);
}

/* An address of both files, as offset: the text begins at 0x1000. */
static void ask(struct fixture *f)
{
	struct frame frames[] = {
		{ .object = f->program, .address = address - 0x400000 },
		{ .object = f->other, .address = address - 0x400000 },
	};

	ask_frames(f, frames);
}

/* jobs: of both files. */
static void expect(struct fixture *f, unsigned jobs, unsigned crashed)
{
	struct symbolizer_stats symbols;
	struct pool_stats stats;

	symbolizer_stats(f->symbolizer, &symbols);
	pool_stats(f->pool, &stats);
	assert_int_equal(symbols.jobs, jobs);
	assert_int_equal(symbols.failed_files, f->n_failures);
	assert_int_equal(stats.crashed, crashed);
	assert_int_equal(stats.zygote_restarts, 0);
	assert_string_equal(f->names[1], "other_name other_name.c");
}

/* The process that reads it is lost, once; what else is asked for is named. */
static void test_truncated(void **state _unused_)
{
	struct fixture f;

	start(&f, "truncate -s 4096 program", 1);
	ask(&f);
	assert_string_equal(f.names[0], "[program+0x1000] ");
	assert_int_equal(f.n_failures, 1);
	assert_string_equal(f.failure, "/program: changed while it was read");
	expect(&f, 2, 1);

	/* nobody reads it again */
	ask(&f);
	expect(&f, 2, 1);
	stop(&f);
}

/* The same inode with another program of the same size: neither names nor lines of either, until it is
 * mapped and opened anew. */
static void test_rewritten(void **state _unused_)
{
	struct fixture f;

	start(&f, "cat newer 1<> program >&1", 1);
	ask(&f);
	assert_string_equal(f.names[0], "[program+0x1000] ");
	assert_int_equal(f.n_failures, 1);
	assert_string_equal(f.failure, "/program: changed while it was read");
	expect(&f, 2, 0);

	object_unref(f.program);
	f.program = object_of(&f, "program");
	ask(&f);
	assert_string_equal(f.names[0], "new_name new_name.c");
	expect(&f, 3, 0);
	stop(&f);
}

/* Another file of that name is none of this one's business, and a new link to it is no new content. */
static void test_replaced(void **state _unused_)
{
	struct fixture f;

	start(&f, "cp -p newer p2 && mv p2 program", 1);
	ask(&f);
	assert_string_equal(f.names[0], "old_name old_name.c");
	assert_int_equal(f.n_failures, 0);
	expect(&f, 2, 0);
	stop(&f);

	start(&f, "ln program link", 1);
	ask(&f);
	assert_string_equal(f.names[0], "old_name old_name.c");
	assert_int_equal(f.n_failures, 0);
	expect(&f, 3, 0); /* it was read again, to be sure */
	stop(&f);
	sh("rm %s/link", folder);
}

/* Both functions of a program with .dwo files. */
static void ask_pair(struct fixture *f, const char *change, unsigned n_changes)
{
	struct frame frames[2];
	char line[128];

	start(f, change, n_changes);
	sh("cd %s && rm -f pair-* && cp -p dwo/pair-* .", folder);
	f->opens_dwo = true;
	object_unref(f->program);
	f->program = object_of(f, "pair");
	for (size_t i = 0; i < 2; i++) {
		const char *name = i ? "second" : "first";
		uint64_t at = strtoull(
			sh_line(line, sizeof(line), "nm %s/pair | grep ' %s$'", folder, name), NULL,
			16);

		frames[i] = (struct frame){ .object = f->program, .address = at - 0x400000 };
	}
	ask_frames(f, frames);
}

static void expect_pair(struct fixture *f, unsigned jobs, const char *first, const char *second)
{
	struct symbolizer_stats symbols;

	assert_string_equal(f->names[0], first);
	assert_string_equal(f->names[1], second);
	symbolizer_stats(f->symbolizer, &symbols);
	assert_int_equal(symbols.jobs, jobs);
	assert_int_equal(symbols.failed_files, f->n_failures);
	stop(f);
}

static void test_split(void **state _unused_)
{
	struct fixture f;

	ask_pair(&f, "", 0);
	expect_pair(&f, 1, "first first.c", "second second.c");

	/* written to: all of it is read again */
	ask_pair(&f, "printf x >>pair-first.dwo", 1);
	assert_int_equal(f.n_failures, 0);
	expect_pair(&f, 2, "first first.c", "second second.c");

	/* another file in its place */
	ask_pair(&f, "cp pair-first.dwo p && printf x >>p && mv p pair-first.dwo", 1);
	assert_int_equal(f.n_failures, 0);
	expect_pair(&f, 1, "first first.c", "second second.c");

	/* written to without end: names without lines, and a failure */
	ask_pair(&f, "printf x >>pair-first.dwo", 100);
	assert_int_equal(f.n_failures, 1);
	assert_string_equal(f.failure, "/pair: changed while it was read");
	expect_pair(&f, 4, "first ", "second ");
}

/* Both functions of the program `bare`; `delta`: how far in. */
static void ask_bare(struct fixture *f, uint64_t first, uint64_t second)
{
	struct frame frames[] = {
		{ .object = f->program, .address = address - 0x400000 + first },
		{ .object = f->program, .address = address - 0x400000 + 16 + second },
	};

	ask_frames(f, frames);
}

static void expect_bare(struct fixture *f, const char *first, const char *second, unsigned jobs)
{
	struct symbolizer_stats symbols;

	assert_string_equal(f->names[0], first);
	assert_string_equal(f->names[1], second);
	symbolizer_stats(f->symbolizer, &symbols);
	assert_int_equal(symbols.jobs, jobs);
	assert_int_equal(f->n_failures, 0);
}

/* A debug file that comes, is replaced and goes while names of it are kept: those of two versions are
 * never in one answer. */
static void test_debug_file(void **state _unused_)
{
	struct fixture f;

	start(&f, "", 0);
	sh("cd %s && sed 's/first/prime/' first.c >prime.c && "
	   "for v in 'v1 first.c -efirst' 'v2 prime.c -eprime'; do set -- $v && "
	   "gcc -g -O2 -ffreestanding -nostdlib -static -no-pie -Wl,-Ttext=0x401000 "
	   "-Wl,--build-id=0x1234567890 -Wl,$3 -o $1 $2 second.c || exit 1; done && "
	   "strip --strip-debug -o bare v1",
	   folder);
	f.opens_debug = true;
	object_unref(f.program);
	f.program = object_of(&f, "bare");
	ask_bare(&f, 0, 0);
	expect_bare(&f, "first ", "second ", 1);

	/* what was answered before is asked for again along with what was not */
	sh("cd %s && cp v1 debug", folder);
	ask_bare(&f, 0, 1);
	expect_bare(&f, "first first.c", "second second.c", 3);
	ask_bare(&f, 0, 1);
	expect_bare(&f, "first first.c", "second second.c", 3);

	sh("cd %s && cp v2 d && mv d debug", folder);
	ask_bare(&f, 0, 2);
	expect_bare(&f, "prime prime.c", "second second.c", 5);

	sh("cd %s && rm debug", folder);
	/* gone, perhaps with the process beneath whose root it was: what is known of it stands */
	ask_bare(&f, 0, 3);
	expect_bare(&f, "prime prime.c", "second ", 6);
	stop(&f);
}

/* Too large to be mapped: its symbols are read all the same. */
static void test_large(void **state _unused_)
{
	struct fixture f;

	start(&f, "", 0);
	sh("cd %s && cp old large && truncate -s 17G large", folder);
	object_unref(f.program);
	f.program = object_of(&f, "large");
	ask(&f);
	assert_string_equal(f.names[0], "old_name ");
	assert_int_equal(f.n_failures, 1);
	assert_string_equal(f.failure, "/large: debug information in a file over 16 GiB");
	expect(&f, 3, 0);
	stop(&f);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_truncated),  cmocka_unit_test(test_rewritten),
		cmocka_unit_test(test_replaced),   cmocka_unit_test(test_split),
		cmocka_unit_test(test_debug_file), cmocka_unit_test(test_large),
	};

	find_worker();
	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}
