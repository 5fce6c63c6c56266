/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The worker's jobs in their sandbox, on real files: what the libraries need is permitted. Their
 * answers are judged by the tests of lib/; here it counts that there is one. Needs gcc for one case.
 */

#include <elf.h>
#include <fcntl.h>
#include <limits.h>
#include <link.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <cmocka.h>

#include "cleanup.h"
#include "cprof/symbolize.h"
#include "cprof/walk.h"
#include "gunzip.h"
#include "merge.h"
#include "pool.h"
#include "profile.h"
#include "table.h"

static char worker_path[PATH_MAX];

struct fixture {
	sd_event *event;
	struct pool *pool;
};

struct outcome {
	unsigned n_done, n_opens;
	int error, signal;
	char *answer;
	size_t bytes;
	char id[512];
	const int *profiles; /* by number */
};

static void on_done(void *arg, const struct job_result *result)
{
	struct outcome *o = arg;

	o->n_done++;
	o->error = result->error;
	o->signal = result->signal;
	o->bytes = result->answer_bytes;
	o->answer = malloc(result->answer_bytes + 1);
	assert_non_null(o->answer);
	if (o->bytes > 0)
		memcpy(o->answer, result->answer, o->bytes);
}

/* A daemon without a policy. */
static void on_open(void *arg, struct job *job, const struct job_open *request, const char *id)
{
	struct outcome *o = arg;
	_cleanup_close_ int fd = -1;

	if (request->kind == JOB_OPEN_DWO) {
		o->n_opens++;
		snprintf(o->id, sizeof(o->id), "%s", id);
		fd = open(id, O_RDONLY | O_CLOEXEC);
	}
	if (request->kind == JOB_OPEN_PROFILE) {
		uint32_t number;

		memcpy(&number, id, sizeof(number));
		fd = dup(o->profiles[number]);
	}
	pool_opened(job, fd >= 0 ? fd : -ENOENT);
}

static int setup(void **state)
{
	struct fixture *f = calloc(1, sizeof(*f));
	struct pool_options options = { .worker_path = worker_path,
					.max_parallel = 1,
					.max_waiting = 4,
					.memory_bytes = 64 << 20,
					.timeout_ns = 30 * NSEC_PER_SEC };

	assert_non_null(f);
	assert_true(sd_event_new(&f->event) >= 0);
	assert_int_equal(pool_new(&f->pool, f->event, &options), 0);
	*state = f;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *f = *state;

	pool_free(f->pool);
	sd_event_unref(f->event);
	free(f);
	return 0;
}

static void run(struct fixture *f, struct outcome *o, enum job_kind kind, const void *input,
		size_t bytes, const int *fds, size_t n_fds)
{
	struct job_spec spec = {
		.kind = kind,
		.fds = fds,
		.n_fds = n_fds,
		.input = input,
		.input_bytes = bytes,
		.max_answer_bytes = 16 << 20,
		.done = on_done,
		.open = on_open,
		.arg = o,
	};

	assert_int_equal(pool_submit(f->pool, &spec, NULL), 0);
	while (o->n_done == 0)
		assert_true(sd_event_run(f->event, UINT64_MAX) >= 0);
}

static int open_self(void)
{
	int fd = open("/proc/self/exe", O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	return fd;
}

static int find_vaddr(struct dl_phdr_info *info, size_t size _unused_, void *arg)
{
	/* the program itself comes first */
	*(uint64_t *)arg = info->dlpi_addr;
	return 1;
}

static uint64_t vaddr_of(const void *address)
{
	uint64_t base = 0;

	dl_iterate_phdr(find_vaddr, &base);
	return (uintptr_t)address - base;
}

static uint64_t offset_of(int fd, uint64_t vaddr)
{
	Elf64_Ehdr e;

	assert_int_equal(pread(fd, &e, sizeof(e), 0), sizeof(e));
	for (unsigned i = 0; i < e.e_phnum; i++) {
		Elf64_Phdr p;

		assert_int_equal(pread(fd, &p, sizeof(p), (off_t)(e.e_phoff + i * sizeof(p))),
				 sizeof(p));
		if (p.p_type == PT_LOAD && vaddr >= p.p_vaddr && vaddr - p.p_vaddr < p.p_filesz)
			return vaddr - p.p_vaddr + p.p_offset;
	}
	fail();
	return 0;
}

static bool answer_has(const struct outcome *o, const char *text)
{
	return o->bytes > 0 && memmem(o->answer, o->bytes, text, strlen(text));
}

static int build_table(struct fixture *f, int file)
{
	struct outcome o = {};
	int fds[] = { file, memfd_create("table", MFD_CLOEXEC) };

	assert_true(fds[1] >= 0);
	run(f, &o, JOB_TABLE, NULL, 0, fds, 2);
	free(o.answer);
	if (o.error == 0)
		return fds[1];
	safe_close(fds[1]);
	return o.error;
}

static void test_table(void **state)
{
	_cleanup_close_ int file = open_self(), table = build_table(*state, file);
	struct stat st;
	void *blob;

	assert_true(table >= 0);
	assert_int_equal(fstat(table, &st), 0);
	blob = mmap(NULL, (size_t)st.st_size, PROT_READ, MAP_SHARED, table, 0);
	assert_true(blob != MAP_FAILED);
	assert_int_equal(table_check(blob, (size_t)st.st_size), 0);
	assert_int_not_equal(table_find(blob, vaddr_of((const void *)test_table)), CPROF_RULE_NONE);
	munmap(blob, (size_t)st.st_size);
}

static void test_table_of_text(void **state)
{
	_cleanup_close_ int file = memfd_create("text", MFD_CLOEXEC);

	assert_int_equal(write(file, "#!/bin/sh\n", 10), 10);
	assert_int_equal(build_table(*state, file), -ENOEXEC);
}

struct question {
	struct symbolize_input head;
	uint64_t offset;
};

static void symbolize(struct fixture *f, struct outcome *o, int file, uint64_t offset)
{
	struct question q = { { SYMBOLIZE_DWARF, 1 }, offset };

	run(f, o, JOB_SYMBOLIZE, &q, sizeof(q), &file, 1);
}

static void test_symbolize(void **state)
{
	_cleanup_close_ int file = open_self();
	struct outcome o = {};

	symbolize(*state, &o, file, offset_of(file, vaddr_of((const void *)test_symbolize) + 1));
	assert_int_equal(o.error, 0);
	assert_true(answer_has(&o, "test_symbolize"));
	free(o.answer);
}

static void test_symbolize_bad_input(void **state)
{
	_cleanup_close_ int file = open_self();
	struct outcome o = {};

	run(*state, &o, JOB_SYMBOLIZE, "abc", 3, &file, 1);
	assert_int_equal(o.error, -EBADMSG);
	free(o.answer);
}

struct walk_question {
	struct walk_input head;
	struct walk_mapping mapping;
	struct walk_stack stack;
	uint64_t words[4];
};

static void test_walk(void **state)
{
	_cleanup_close_ int file = open_self(), table = build_table(*state, file);
	struct walk_question q = {
		.head = { .n_mappings = 1, .n_stacks = 1 },
		.mapping = { .start = 0x400000, .limit = 0x500000, .bias = 0x400000, .table = 0 },
		.stack = { .from.own_bytes = sizeof(q.words),
			   .n_mappings = 1,
			   .stack_bytes = sizeof(q.words) },
	};
	const struct walk_answer *a;
	struct outcome o = {};

	assert_true(table >= 0);
	run(*state, &o, JOB_WALK, &q, sizeof(q), &table, 1);
	assert_int_equal(o.error, 0);
	assert_true(o.bytes >= sizeof(*a));
	a = (const struct walk_answer *)o.answer;
	assert_int_equal(o.bytes, sizeof(*a) + a->n_frames * sizeof(uint64_t));
	assert_in_range(a->end, CPROF_END_COMPLETE, CPROF_END_MAX - 1);
	free(o.answer);
}

static void test_walk_bad_table(void **state)
{
	_cleanup_close_ int file = open_self();
	struct walk_question q = {
		.head = { .n_mappings = 1, .n_stacks = 1 },
		.mapping = { .start = 0x400000, .limit = 0x500000, .bias = 0x400000, .table = 0 },
		.stack = { .from.own_bytes = sizeof(q.words),
			   .n_mappings = 1,
			   .stack_bytes = sizeof(q.words) },
	};
	struct outcome o = {};

	run(*state, &o, JOB_WALK, &q, sizeof(q), &file, 1);
	assert_int_equal(o.error, -EBADMSG);
	free(o.answer);
}

static void test_walk_bad_input(void **state)
{
	struct walk_question q = {
		.head = { .n_mappings = 1, .n_stacks = 1 },
		.mapping = { .start = 0x400000, .limit = 0x500000, .table = 0 },
		.stack = { .from.own_bytes = sizeof(q.words),
			   .n_mappings = 1,
			   .stack_bytes = sizeof(q.words) },
	};
	struct outcome o = {};

	/* names a table that did not come */
	run(*state, &o, JOB_WALK, &q, sizeof(q), NULL, 0);
	assert_int_equal(o.error, -EBADMSG);
	free(o.answer);

	/* more of the first stack than there is of both */
	q.mapping.table = WALK_JIT;
	q.stack.from.own_bytes = sizeof(q.words) + 8;
	o = (struct outcome){};
	run(*state, &o, JOB_WALK, &q, sizeof(q), NULL, 0);
	assert_int_equal(o.error, -EBADMSG);
	free(o.answer);
}

/* A file with a sample, and with a string that no profile may have where it is to be too large. */
static int profile_file(bool oversized, uint64_t *ret_bytes)
{
	static const struct profile_value_type types[] = { { "samples", "count" },
							   { "cpu", "nanoseconds" } };
	static const unsigned char head[] = { 0x32, 0x81, 0x80, 0x40 }; /* string of 1 MiB + 1 */
	static const char text[PROFILE_MAX_STRING + 1];
	struct gunzip g = GUNZIP_INIT(PROFILE_MAX_BYTES);
	struct buf packed = BUF_INIT(1 << 20);
	int fd = memfd_create("profile", MFD_CLOEXEC);
	struct profile *p;

	assert_int_equal(profile_new(&p, types, 2), 0);
	assert_int_equal(profile_add_sample(p, NULL, 0, (const int64_t[]){ 3, 30 }, NULL, 0), 0);
	assert_int_equal(profile_write(p, &packed), 0);
	assert_int_equal(gunzip(&g, packed.data, packed.size), 0);
	assert_true(fd >= 0);
	*ret_bytes = g.plain.size;
	assert_int_equal(write(fd, g.plain.data, g.plain.size), g.plain.size);
	if (oversized) {
		assert_int_equal(write(fd, head, sizeof(head)), sizeof(head));
		assert_int_equal(write(fd, text, sizeof(text)), sizeof(text));
		*ret_bytes += sizeof(head) + sizeof(text);
	}
	gunzip_done(&g);
	buf_done(&packed);
	profile_free(p);
	return fd;
}

/* One that is too large is told, and those before and after it are merged. */
static void test_merge_oversized(void **state)
{
	struct {
		struct merge_input head;
		struct merge_file files[3];
	} q = { .head = { .n_files = 3 } };
	struct merge_answer a;
	struct outcome o = {};
	uint32_t bad;
	int fds[3];

	for (size_t i = 0; i < 3; i++)
		fds[i] = profile_file(i == 1, &q.files[i].payload_bytes);
	o.profiles = fds;
	run(*state, &o, JOB_MERGE, &q, sizeof(q), NULL, 0);
	assert_int_equal(o.error, 0);
	assert_true(o.bytes > sizeof(a) + sizeof(bad));
	memcpy(&a, o.answer, sizeof(a));
	memcpy(&bad, o.answer + sizeof(a), sizeof(bad));
	assert_int_equal(a.n_merged, 2);
	assert_int_equal(a.n_bad, 1);
	assert_int_equal(bad, 1);
	assert_int_equal(a.samples, 6);
	assert_int_equal(a.cpu_ns, 60);
	free(o.answer);
	for (size_t i = 0; i < 3; i++)
		safe_close(fds[i]);
}

static void find_worker(void)
{
	const char *given = getenv("CPROF_WORKER");
	ssize_t n;

	if (given) {
		snprintf(worker_path, sizeof(worker_path), "%s", given);
		return;
	}
	n = readlink("/proc/self/exe", worker_path, sizeof(worker_path) - 32);
	assert_true(n > 0);
	worker_path[n] = '\0';
	*strrchr(worker_path, '/') = '\0';
	strcpy(strrchr(worker_path, '/'), "/cprof-worker");
}

int main(void)
{
#define WORKER_TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)
	const struct CMUnitTest tests[] = {
		WORKER_TEST(test_table),          WORKER_TEST(test_table_of_text),
		WORKER_TEST(test_symbolize),      WORKER_TEST(test_symbolize_bad_input),
		WORKER_TEST(test_walk),           WORKER_TEST(test_walk_bad_table),
		WORKER_TEST(test_walk_bad_input), WORKER_TEST(test_merge_oversized),
	};

	find_worker();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
