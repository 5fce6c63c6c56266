/* SPDX-License-Identifier: Apache-2.0 */
/* daemon/unwind with a pool that runs jobs here, when told to, and a sampler that only counts. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "cleanup.h"
#include "object.h"
#include "pool.h"
#include "sampler.h"
#include "table.h"
#include "tables.h"

/* The stub pool */

struct job {
	struct job_spec spec;
	int fds[2];
	bool used;
};
static struct job jobs[64];
static unsigned n_submitted;
static int submit_error; /* what pool_submit() answers */
static int job_error;    /* what jobs end with */
static bool job_lies;    /* writes a table with one bit wrong */

int pool_submit(struct pool *p, const struct job_spec *spec, struct job **ret)
{
	(void)p;
	if (submit_error)
		return submit_error;
	for (unsigned i = 0; i < ARRAY_SIZE(jobs); i++) {
		if (jobs[i].used)
			continue;
		jobs[i] = (struct job){ .spec = *spec, .used = true };
		assert_int_equal(spec->kind, JOB_TABLE);
		assert_int_equal(spec->n_fds, 2);
		for (unsigned j = 0; j < 2; j++)
			jobs[i].fds[j] = dup(spec->fds[j]);
		n_submitted++;
		*ret = &jobs[i];
		return 0;
	}
	return -EBUSY;
}

static void job_end(struct job *job)
{
	safe_close(job->fds[0]);
	safe_close(job->fds[1]);
	job->used = false;
}

struct job *job_cancel(struct job *job)
{
	if (job)
		job_end(job);
	return NULL;
}

static void run_jobs(void)
{
	for (unsigned i = 0; i < ARRAY_SIZE(jobs); i++) {
		_cleanup_(buf_done) struct buf b = BUF_INIT(TABLE_MAX_BYTES);
		struct job_result result = {};
		struct job job = jobs[i];

		if (!job.used)
			continue;
		result.error = job_error ? job_error : table_build(job.fds[0], &b, NULL);
		if (job_lies && b.size > 4096)
			b.data[b.size - 4096] ^= 1;
		if (result.error == 0)
			assert_int_equal(pwrite(job.fds[1], b.data, b.size, 0), (ssize_t)b.size);
		job_end(&jobs[i]);
		job.spec.done(job.spec.arg, &result);
	}
}

/* The stub sampler */

static bool loaded[CPROF_MAX_TABLES];
static unsigned n_loads;
static int load_error;

int sampler_table_load(struct sampler *s, unsigned slot, const void *blob, size_t bytes)
{
	(void)s;
	assert_in_range(slot, CPROF_SLOT_FIRST, CPROF_MAX_TABLES - 1);
	assert_int_equal(table_check(blob, bytes), 0);
	if (load_error)
		return load_error;
	assert_false(loaded[slot]);
	loaded[slot] = true;
	n_loads++;
	return 0;
}

int sampler_table_unload(struct sampler *s, unsigned slot)
{
	(void)s;
	assert_true(loaded[slot]);
	loaded[slot] = false;
	return 0;
}

uint64_t sampler_table_bytes(uint32_t n_pages, uint32_t n_blocks)
{
	return (uint64_t)((n_pages + 511) / 512 + n_blocks) * 4096;
}

/* The stage */

struct stage {
	sd_event *event;
	struct object_table *objects;
	struct tables *tables;
	char dir[64];
	unsigned n_ready;
	enum table_state last;
};

static void on_ready(void *arg, struct object *object, enum table_state state)
{
	struct stage *s = arg;

	(void)object;
	assert_int_not_equal(state, TABLE_BUILDING);
	s->n_ready++;
	s->last = state;
}

static void stage_tables(struct stage *s, bool cache, uint64_t kernel_bytes, uint64_t memory_bytes)
{
	struct tables_options o = {
		.sampler = (struct sampler *)s,
		.cache_dir = cache ? s->dir : NULL,
		.kernel_bytes = kernel_bytes,
		.memory_bytes = memory_bytes,
		.cache_bytes = 64 << 20,
	};

	s->tables = tables_free(s->tables);
	assert_int_equal(tables_new(&s->tables, s->event, &o), 0);
	tables_set_ready(s->tables, on_ready, s);
}

static int setup(void **state)
{
	static struct stage s;

	s = (struct stage){ .dir = "/tmp/test-tables-XXXXXX" };
	assert_non_null(mkdtemp(s.dir));
	assert_int_equal(sd_event_new(&s.event), 0);
	assert_int_equal(object_table_new(&s.objects, 100), 0);
	memset(loaded, 0, sizeof(loaded));
	n_submitted = n_loads = 0;
	submit_error = job_error = load_error = 0;
	job_lies = false;
	*state = &s;
	return 0;
}

static int teardown(void **state)
{
	struct stage *s = *state;
	char command[128];

	tables_free(s->tables);
	object_table_free(s->objects);
	sd_event_unref(s->event);
	snprintf(command, sizeof(command), "rm -rf %s", s->dir);
	return system(command);
}

static struct object *open_object(struct stage *s, const char *path)
{
	struct object_identity id;
	struct object *o;
	int fd = open(path, O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	assert_int_equal(object_identify(fd, &id), 0);
	assert_int_equal(object_file(s->objects, &id, fd, path, 0, 0, 0, &o), 0);
	return o;
}

static const char libc[] = "/lib/x86_64-linux-gnu/libc.so.6";
static const char ld[] = "/lib64/ld-linux-x86-64.so.2";

static void builds_and_loads(void **state)
{
	struct stage *s = *state;
	struct object *o = open_object(s, libc);
	struct tables_stats st;
	unsigned slot, again;
	uint64_t vaddr;
	int fd;

	stage_tables(s, false, 1 << 20, 1 << 20);
	assert_int_equal(tables_touch(s->tables, o, 1, &slot), TABLE_BUILDING);
	assert_true(slot >= CPROF_SLOT_FIRST);
	assert_int_equal(tables_touch(s->tables, o, 2, &again), TABLE_BUILDING);
	assert_int_equal(slot, again);
	assert_int_equal(n_submitted, 1);
	assert_int_equal(tables_blob_fd(s->tables, o), -ENOENT);

	run_jobs();
	assert_int_equal(s->n_ready, 1);
	assert_int_equal(s->last, TABLE_READY);
	assert_int_equal(tables_touch(s->tables, o, 3, &again), TABLE_READY);
	assert_int_equal(slot, again);
	assert_true(loaded[slot]);
	assert_int_equal(n_loads, 1);

	/* what is checked cannot change any more */
	fd = tables_blob_fd(s->tables, o);
	assert_true(fd >= 0);
	assert_int_equal(pwrite(fd, "x", 1, 0), -1);
	assert_int_equal(ftruncate(fd, 0), -1);
	assert_int_equal(tables_vaddr(s->tables, o, 0x30000, &vaddr), 0);
	assert_int_equal(vaddr, 0x30000);

	tables_stats(s->tables, &st);
	assert_int_equal(st.built, 1);
	assert_int_equal(st.loaded, 1);
	assert_true(st.rows > 20000 && st.kernel_bytes > 80000 && st.memory_bytes > 80000);

	/* nobody else holds it, and a minute has passed */
	object_unref(o);
	tables_expire(s->tables, 120 * NSEC_PER_SEC);
	assert_false(loaded[slot]);
	tables_stats(s->tables, &st);
	assert_int_equal(st.entries, 0);
	assert_int_equal(st.kernel_bytes, 0);
	assert_int_equal(st.memory_bytes, 0);
	assert_int_equal(st.rows, 0);
	assert_int_equal(object_table_count(s->objects), 0);
}

static void keeps_its_budgets(void **state)
{
	struct stage *s = *state;
	struct object *a = open_object(s, libc), *b = open_object(s, ld);
	struct tables_stats st;
	unsigned slot_a, slot_b;

	/* libc's table and ld.so's do not fit together, neither there nor here */
	stage_tables(s, false, 120 << 10, 130 << 10);
	tables_touch(s->tables, a, 1, &slot_a);
	run_jobs();
	tables_touch(s->tables, b, 2, &slot_b);
	run_jobs();
	assert_false(loaded[slot_a]);
	assert_true(loaded[slot_b]);
	tables_stats(s->tables, &st);
	assert_int_equal(st.loaded, 1);
	assert_true(st.kernel_bytes <= 120 << 10 && st.memory_bytes <= 130 << 10);
	assert_int_equal(st.evicted, 2);

	/* neither in the kernel nor here: it is made again, in its slot */
	assert_int_equal(tables_blob_fd(s->tables, a), -EAGAIN);
	run_jobs();
	assert_int_equal(tables_touch(s->tables, a, 3, &slot_b), TABLE_READY);
	assert_int_equal(slot_a, slot_b);
	assert_true(loaded[slot_a]);

	/* one that is larger than the whole budget is never loaded, and says so */
	stage_tables(s, false, 8192, 1 << 20);
	tables_touch(s->tables, a, 1, &slot_a);
	run_jobs();
	assert_int_equal(tables_touch(s->tables, a, 2, &slot_a), TABLE_READY);
	tables_stats(s->tables, &st);
	assert_int_equal(st.not_loaded, 1);
	assert_int_equal(st.loaded, 0);
	object_unref(a);
	object_unref(b);
}

static void uses_the_cache(void **state)
{
	struct stage *s = *state;
	struct object *o = open_object(s, libc);
	struct tables_stats st;
	char command[256];
	unsigned slot;

	stage_tables(s, true, 1 << 20, 1 << 20);
	tables_touch(s->tables, o, 1, &slot);
	run_jobs();
	tables_stats(s->tables, &st);
	assert_int_equal(st.memory_bytes, 0); /* the file's pages stand in for it */
	assert_true(st.cache_bytes > 80000);

	/* a restart */
	stage_tables(s, true, 1 << 20, 1 << 20);
	assert_int_equal(tables_touch(s->tables, o, 1, &slot), TABLE_READY);
	assert_true(loaded[slot]);
	assert_int_equal(n_submitted, 1);
	tables_stats(s->tables, &st);
	assert_int_equal(st.from_cache, 1);

	/* a byte of the rows has changed on disk */
	snprintf(command, sizeof(command),
		 "for f in %s/*/*.tbl; do printf Q | dd of=$f bs=1 seek=30000 conv=notrunc "
		 "status=none; done",
		 s->dir);
	assert_int_equal(system(command), 0);
	stage_tables(s, true, 1 << 20, 1 << 20);
	assert_int_equal(tables_touch(s->tables, o, 1, &slot), TABLE_BUILDING);
	tables_stats(s->tables, &st);
	assert_int_equal(st.cache_bad, 1);
	run_jobs();
	assert_int_equal(s->last, TABLE_READY);

	/* cut short */
	snprintf(command, sizeof(command), "for f in %s/*/*.tbl; do truncate -s 50000 $f; done",
		 s->dir);
	assert_int_equal(system(command), 0);
	stage_tables(s, true, 1 << 20, 1 << 20);
	assert_int_equal(tables_touch(s->tables, o, 1, &slot), TABLE_BUILDING);
	run_jobs();
	object_unref(o);
}

/* The table of one file under the name of another is a lie that its trailer gives away. */
static void distrusts_names_in_the_cache(void **state)
{
	struct stage *s = *state;
	struct object *a = open_object(s, libc), *b = open_object(s, ld);
	struct tables_stats st;
	char command[512];
	unsigned slot;

	stage_tables(s, true, 1 << 20, 1 << 20);
	tables_touch(s->tables, a, 1, &slot);
	run_jobs();
	snprintf(command, sizeof(command), "cd %s && find . -name '*.tbl' > a", s->dir);
	assert_int_equal(system(command), 0);
	tables_touch(s->tables, b, 1, &slot);
	run_jobs();
	snprintf(command, sizeof(command),
		 "cd %s && cp $(cat a) $(find . -name '*.tbl' | grep -vF -f a)", s->dir);
	assert_int_equal(system(command), 0);

	stage_tables(s, true, 1 << 20, 1 << 20);
	assert_int_equal(tables_touch(s->tables, a, 1, &slot), TABLE_READY);
	assert_int_equal(tables_touch(s->tables, b, 1, &slot), TABLE_BUILDING);
	tables_stats(s->tables, &st);
	assert_int_equal(st.cache_bad, 1);
	object_unref(a);
	object_unref(b);
}

static void count_failure(void *arg, const struct object *object, enum table_failure failure,
			  uint64_t time_ns)
{
	unsigned *n = arg;

	assert_non_null(object->name);
	assert_true(time_ns > 0);
	n[failure]++;
}

static void blames_the_right_file(void **state)
{
	struct stage *s = *state;
	struct object *o = open_object(s, libc), *text = open_object(s, "/etc/passwd");
	unsigned failures[TABLE_FAILURE_MAX] = {};
	struct tables_stats st;
	unsigned slot;

	stage_tables(s, false, 1 << 20, 1 << 20);
	tables_touch(s->tables, text, 1, &slot);
	run_jobs();
	assert_int_equal(s->last, TABLE_FAILED);
	assert_int_equal(tables_touch(s->tables, text, 2, &slot), TABLE_FAILED);
	assert_int_equal(slot, CPROF_SLOT_NO_CFI);

	job_error = -EPIPE;
	tables_touch(s->tables, o, 1, &slot);
	run_jobs();
	assert_int_equal(s->last, TABLE_FAILED);
	tables_each_failure(s->tables, count_failure, failures);
	assert_int_equal(failures[TABLE_FAILURE_NOT_ELF], 1);
	assert_int_equal(failures[TABLE_FAILURE_CRASHED], 1);

	/* not again at once, but after a while */
	job_error = 0;
	n_submitted = 0;
	assert_int_equal(tables_touch(s->tables, o, 3, &slot), TABLE_FAILED);
	assert_int_equal(n_submitted, 0);
	assert_int_equal(tables_touch(s->tables, o, UINT64_MAX / 2, &slot), TABLE_BUILDING);
	run_jobs();
	assert_int_equal(s->last, TABLE_READY);
	tables_stats(s->tables, &st);
	assert_int_equal(st.failed, 2);
	object_unref(o);
	object_unref(text);
}

static void believes_no_job(void **state)
{
	struct stage *s = *state;
	struct object *o = open_object(s, libc);
	unsigned failures[TABLE_FAILURE_MAX] = {};
	unsigned slot;

	stage_tables(s, true, 1 << 20, 1 << 20);
	job_lies = true;
	tables_touch(s->tables, o, 1, &slot);
	run_jobs();
	assert_int_equal(s->last, TABLE_FAILED);
	assert_int_equal(n_loads, 0);
	tables_each_failure(s->tables, count_failure, failures);
	assert_int_equal(failures[TABLE_FAILURE_ANSWER], 1);
	object_unref(o);
}

static void waits_for_the_pool(void **state)
{
	struct stage *s = *state;
	struct object *o = open_object(s, libc);
	unsigned slot;

	stage_tables(s, false, 1 << 20, 1 << 20);
	submit_error = -EBUSY;
	assert_int_equal(tables_touch(s->tables, o, 1, &slot), TABLE_BUILDING);
	tables_expire(s->tables, 2);
	assert_int_equal(n_submitted, 0);
	submit_error = 0;
	for (unsigned i = 0; i < 10 && n_submitted == 0; i++)
		sd_event_run(s->event, 100000);
	assert_int_equal(n_submitted, 1);
	run_jobs();
	assert_int_equal(s->last, TABLE_READY);
	object_unref(o);
}

static void notices_a_change(void **state)
{
	struct stage *s = *state;
	char path[128], command[256];
	struct object *o;
	unsigned failures[TABLE_FAILURE_MAX] = {};
	unsigned slot;

	snprintf(path, sizeof(path), "%s/copy", s->dir);
	snprintf(command, sizeof(command), "cp %s %s", ld, path);
	assert_int_equal(system(command), 0);
	o = open_object(s, path);
	stage_tables(s, false, 1 << 20, 1 << 20);
	tables_touch(s->tables, o, 1, &slot);
	snprintf(command, sizeof(command), "echo >> %s", path);
	assert_int_equal(system(command), 0);
	run_jobs();
	assert_int_equal(s->last, TABLE_FAILED);
	tables_each_failure(s->tables, count_failure, failures);
	assert_int_equal(failures[TABLE_FAILURE_CHANGED], 1);
	object_unref(o);
}

static void ends_in_the_middle(void **state)
{
	struct stage *s = *state;
	struct object *o = open_object(s, libc);
	unsigned slot;

	stage_tables(s, false, 1 << 20, 1 << 20);
	tables_touch(s->tables, o, 1, &slot);
	s->tables = tables_free(s->tables);
	run_jobs();
	assert_int_equal(s->n_ready, 0);
	object_unref(o);
	assert_int_equal(object_table_count(s->objects), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(builds_and_loads, setup, teardown),
		cmocka_unit_test_setup_teardown(keeps_its_budgets, setup, teardown),
		cmocka_unit_test_setup_teardown(uses_the_cache, setup, teardown),
		cmocka_unit_test_setup_teardown(distrusts_names_in_the_cache, setup, teardown),
		cmocka_unit_test_setup_teardown(blames_the_right_file, setup, teardown),
		cmocka_unit_test_setup_teardown(believes_no_job, setup, teardown),
		cmocka_unit_test_setup_teardown(waits_for_the_pool, setup, teardown),
		cmocka_unit_test_setup_teardown(notices_a_change, setup, teardown),
		cmocka_unit_test_setup_teardown(ends_in_the_middle, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
