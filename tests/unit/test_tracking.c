/* SPDX-License-Identifier: Apache-2.0 */
/* Mapping sets, process lives, the timeline, side-band records, and the opening of files: the latter
 * over the real side-band, as root. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <cmocka.h>

#include "cleanup.h"
#include "clock.h"
#include "hurry.h"
#include "normalize.h"
#include "opener.h"
#include "processes.h"
#include "procfs.h"
#include "sideband.h"
#include "timeline.h"

static struct {
	sd_event *event;
	struct object_table *objects;
	struct opener *opener;
	struct sources *sources;
	unsigned left, forked;
} w;

static void on_opened(void *arg)
{
	(void)arg;
}

static int setup(void **state)
{
	(void)state;
	memset(&w, 0, sizeof(w));
	assert_return_code(sd_event_new(&w.event), 0);
	assert_return_code(object_table_new(&w.objects, 4096), 0);
	assert_return_code(opener_new(&w.opener, w.event), 0);
	assert_return_code(sources_new(&w.sources, w.objects, w.opener, on_opened, NULL), 0);
	return 0;
}

static int teardown(void **state)
{
	(void)state;
	opener_free(w.opener);
	sources_free(w.sources);
	assert_int_equal(object_table_count(w.objects), 0);
	object_table_free(w.objects);
	sd_event_unref(w.event);
	return 0;
}

static struct source *file(uint64_t inode)
{
	struct source_key key = { 1, 2, inode };
	struct source *s;

	assert_return_code(sources_file(w.sources, &key, 0, "/none", &s), 0);
	return s;
}

static void check(const struct mapset *s, uint64_t at, const struct source *source, uint64_t offset)
{
	const struct mapping *m = mapset_find(s, at);

	if (!source) {
		assert_null(m);
		return;
	}
	assert_non_null(m);
	assert_ptr_equal(m->source, source);
	assert_int_equal(at - m->start + m->offset, offset);
}

static void test_mapset(void **state)
{
	struct source *a = file(1), *b = file(2), *anon = sources_anon(w.sources);
	struct mapset *s = NULL, *shared;

	(void)state;
	assert_int_equal(mapset_add(&s, &(struct mapping){ 0x1000, 0x9000, 0x1000, a }), 1);
	assert_int_equal(mapset_add(&s, &(struct mapping){ 0x2000, 0x3000, 0x2000, a }), 0);
	shared = mapset_ref(s);
	assert_int_equal(mapset_add(&s, &(struct mapping){ 0x3000, 0x5000, 0, b }), 1);
	assert_ptr_not_equal(s, shared);
	check(shared, 0x3000, a, 0x3000);
	check(s, 0x2fff, a, 0x2fff);
	check(s, 0x3000, b, 0);
	check(s, 0x4fff, b, 0x1fff);
	check(s, 0x5000, a, 0x5000);
	check(s, 0x9000, NULL, 0);
	check(s, 0xfff, NULL, 0);
	assert_int_equal(s->n, 3);

	assert_int_equal(mapset_add(&s, &(struct mapping){ 0x2000, 0x8000, 0, b }), 1);
	assert_int_equal(s->n, 3);
	check(s, 0x8000, a, 0x8000);
	assert_int_equal(mapset_add(&s, &(struct mapping){ 0, 0x10000, 0, a }), 1);
	assert_int_equal(s->n, 1);
	mapset_unref(shared);

	/* pieces of a JIT's memory become one */
	for (uint64_t at = 0x20000; at < 0x30000; at += 0x1000)
		mapset_add(&s, &(struct mapping){ at, at + 0x1000, at, anon });
	assert_int_equal(s->n, 2);
	mapset_unref(s);

	s = NULL;
	for (uint64_t i = 0; i < MAPSET_MAX + 10; i++)
		mapset_add(&s, &(struct mapping){ i << 13, (i << 13) + 4096, 0, a });
	assert_in_range(s->n, MAPSET_MAX - 2, MAPSET_MAX);
	mapset_unref(s);
	source_unref(a);
	source_unref(b);
	source_unref(anon);
}

static void on_left(void *arg, struct process *p)
{
	(void)arg;
	(void)p;
	w.left++;
}

static void on_forked(void *arg, struct process *parent, struct process *child, uint64_t time_ns)
{
	(void)arg;
	(void)time_ns;
	assert_ptr_not_equal(parent, child);
	w.forked++;
}

static struct processes *table(unsigned max)
{
	struct processes_options o = { max, 1000, on_left, on_forked, NULL };
	struct processes *ps;

	assert_return_code(processes_new(&ps, &o), 0);
	return ps;
}

static void test_processes(void **state)
{
	struct processes *ps = table(100);
	struct source *a = file(1), *b = file(2);
	struct process *shell, *child, *again;

	(void)state;
	shell = processes_fork(ps, 10, 1, 1000);
	processes_exec(ps, shell, "sh");
	assert_int_equal(processes_map(ps, shell, &(struct mapping){ 0x1000, 0x2000, 0, a }), 1);

	child = processes_fork(ps, 11, 10, 2000);
	assert_int_equal(w.forked, 1);
	assert_ptr_equal(child->maps, shell->maps);
	assert_string_equal(child->image->comm, "sh");
	assert_int_equal(child->image->pid, 11);
	assert_int_equal(shell->image->pid, 10);

	processes_exec(ps, child, "cc1");
	assert_null(child->maps);
	assert_true(child->wants_exe && child->maps_known);
	assert_string_equal(shell->image->comm, "sh");
	assert_int_equal(processes_map(ps, child, &(struct mapping){ 0x1000, 0x2000, 0, b }), 1);
	check(shell->maps, 0x1000, a, 0);
	check(child->maps, 0x1000, b, 0);

	/* the last thread ends it, not the leader */
	processes_thread(ps, child);
	assert_false(processes_exit(ps, child, true, 3000));
	assert_true(processes_exit(ps, child, false, 3100));
	assert_ptr_equal(processes_find_at(ps, 11, 3200, 0), child);

	/* the number comes back: samples of both lives find theirs */
	again = processes_fork(ps, 11, 10, 4000);
	assert_ptr_equal(processes_find_at(ps, 11, 3500, 0), child);
	assert_ptr_equal(processes_find_at(ps, 11, 4000, 0), again);
	assert_null(processes_find_at(ps, 11, 1999, 0));
	image_set_ids(&again->image, 0, 777);
	again->start_exact = true;
	image_set_ids(&child->image, 0, 555);
	child->start_exact = true;
	assert_ptr_equal(processes_find_at(ps, 11, 5000, 555), child);
	assert_ptr_equal(processes_find_at(ps, 11, 5000, 777), again);
	assert_null(processes_find_at(ps, 11, 5000, 999));

	processes_prune(ps, 3100 + PROCESSES_GRACE_NS);
	assert_ptr_equal(processes_find_at(ps, 11, 3500, 0), child);
	processes_prune(ps, 3101 + PROCESSES_GRACE_NS);
	assert_null(processes_find_at(ps, 11, 3500, 0));
	assert_ptr_equal(processes_find(ps, 11), again);
	processes_free(ps);
	source_unref(a);
	source_unref(b);
}

static void test_processes_bounded(void **state)
{
	struct processes *ps = table(100);
	struct processes_stats st;

	(void)state;
	for (uint32_t pid = 1; pid <= 1000; pid++)
		assert_non_null(processes_fork(ps, pid, pid - 1, pid));
	processes_stats(ps, &st);
	assert_int_equal(st.processes, 100);
	assert_int_equal(st.forgotten, 900);
	assert_null(processes_find(ps, 900));
	processes_free(ps);
}

static void test_timeline(void **state)
{
	static const uint64_t times[] = { 50, 10, 40, 10, 30, 20 };
	struct sideband_event e = { .kind = SIDEBAND_FORK, .text = "" };
	const struct timeline_event *te;
	struct timeline *t;
	uint64_t last = 0;
	unsigned n = 0;

	(void)state;
	assert_return_code(timeline_new(&t), 0);
	for (size_t i = 0; i < ARRAY_SIZE(times); i++) {
		e.time_ns = times[i];
		e.pid = (uint32_t)i;
		assert_return_code(timeline_push(t, &e, NULL), 0);
	}
	e = (struct sideband_event){
		.kind = SIDEBAND_EXIT, .time_ns = 45, .pid = 7, .tid = 7, .text = ""
	};
	assert_return_code(timeline_push(t, &e, NULL), 0);
	assert_true(timeline_leaves(t, 7));
	while ((te = timeline_pop(t, 40))) {
		assert_true(te->e.time_ns >= last);
		if (te->e.time_ns == 10)
			assert_int_equal(te->e.pid, last == 0 ? 1 : 3);
		last = te->e.time_ns;
		n++;
	}
	assert_int_equal(n, 5);
	assert_true(timeline_leaves(t, 7));
	assert_non_null(timeline_pop(t, 45));
	assert_false(timeline_leaves(t, 7));
	timeline_free(t);
}

struct mmap2_record {
	struct perf_event_header h;
	uint32_t pid, tid;
	uint64_t addr, len, pgoff;
	uint32_t maj, min;
	uint64_t ino, gen;
	uint32_t prot, flags;
	char name[16];
	uint32_t id_pid, id_tid;
	uint64_t time;
	uint32_t cpu, res;
};

static void test_records(void **state)
{
	struct mmap2_record r = {
		.h = { .type = PERF_RECORD_MMAP2, .size = sizeof(r) },
		.pid = 5,
		.tid = 6,
		.addr = 0x1000,
		.len = 0x2000,
		.pgoff = 0x3000,
		.maj = 8,
		.min = 1,
		.ino = 99,
		.gen = 3,
		.name = "/bin/x",
		.time = 1234,
	};
	struct sideband_event e;

	(void)state;
	assert_int_equal(sideband_parse(&r, sizeof(r), &e), 1);
	assert_int_equal(e.kind, SIDEBAND_MMAP);
	assert_int_equal(e.limit, 0x3000);
	assert_int_equal(e.offset, 0x3000);
	assert_int_equal(e.inode, 99);
	assert_int_equal(e.time_ns, 1234);
	assert_string_equal(e.text, "/bin/x");

	for (size_t n = 0; n < sizeof(r); n++)
		assert_int_equal(sideband_parse(&r, n, &e), -EBADMSG);
	memset(r.name, 'x', sizeof(r.name)); /* no end */
	assert_int_equal(sideband_parse(&r, sizeof(r), &e), -EBADMSG);
	r.name[15] = '\0';
	r.len = UINT64_MAX;
	assert_int_equal(sideband_parse(&r, sizeof(r), &e), -EBADMSG);
	r.len = 0x1000;
	r.h.misc = PERF_RECORD_MISC_MMAP_BUILD_ID;
	assert_int_equal(sideband_parse(&r, sizeof(r), &e), -EBADMSG);
}

static bool is_entry(void *arg _unused_, uint64_t ip)
{
	return ip == 100;
}

static void test_normalize(void **state)
{
	struct {
		struct cprof_sample s;
		__u64 frames[4];
	} r = { .s = { .record_bytes = sizeof(r),
		       .n_kernel = 2,
		       .n_user = 2,
		       .end = CPROF_END_JIT },
		.frames = { 100, 200, 0x5000, 0x6000 } };
	struct normalizer_options o = { 0 };
	struct source *anon = sources_anon(w.sources);
	struct frame f[NORMALIZE_MAX_FRAMES];
	struct normalizer *n;
	struct mapset *s = NULL;
	uint64_t more = 0x7000;
	size_t kernel;

	(void)state;
	assert_return_code(normalizer_new(&n, w.objects, &o), 0);
	mapset_add(&s, &(struct mapping){ 0x5000, 0x6000, 0, anon });
	assert_int_equal(record_check(&r.s), 0);
	assert_int_equal(normalize(n, &r.s, &more, 1, CPROF_END_JIT, s, f, &kernel), 6);
	assert_int_equal(kernel, 2);
	assert_int_equal(f[0].address, 100);
	assert_int_equal(f[1].address, 199);
	assert_int_equal(f[2].address, 0x5000);
	assert_int_equal(f[2].object->kind, OBJECT_ANON);
	assert_int_equal(f[3].address, 0x5fff);
	assert_int_equal(f[3].object->kind, OBJECT_ANON);
	assert_int_equal(f[4].address, 0x6fff);
	assert_int_equal(f[4].object->kind, OBJECT_UNKNOWN);
	assert_string_equal(f[5].object->name, "[truncated: JIT]");
	/* an interrupted instruction is not behind a call */
	o.kernel_entry = is_entry;
	n = normalizer_free(n);
	assert_return_code(normalizer_new(&n, w.objects, &o), 0);
	normalize(n, &r.s, NULL, 0, CPROF_END_COMPLETE, s, f, &kernel);
	assert_int_equal(f[1].address, 200);
	r.s.flags = CPROF_SAMPLE_SYSCALL;
	normalize(n, &r.s, NULL, 0, CPROF_END_COMPLETE, s, f, &kernel);
	assert_int_equal(f[2].object->kind, OBJECT_UNKNOWN);
	r.s.n_user = 3;
	assert_true(record_check(&r.s) < 0);
	mapset_unref(s);
	source_unref(anon);
	normalizer_free(n);
}

#define CHILDREN 200

struct watch {
	char prefix[64];
	struct source *seen[CHILDREN];
	uint64_t time_ns[CHILDREN];
	bool done[CHILDREN],
		late[CHILDREN]; /* it was tried; when half of the process's life was over */
	unsigned n;
};

/* Another thread opens: when that has had its CPU counts, not when it was asked to. */
static void note_done(struct watch *watch)
{
	uint64_t now_ns = clock_ns(CLOCK_MONOTONIC);

	for (unsigned i = 0; i < watch->n; i++)
		if (!watch->done[i] && source_state(watch->seen[i]) == SOURCE_DONE) {
			watch->done[i] = true;
			watch->late[i] = now_ns > watch->time_ns[i] + 3 * NSEC_PER_MSEC;
		}
}

static void on_event(void *arg, const struct sideband_event *e)
{
	struct watch *watch = arg;
	struct source_key key = { e->major, e->minor, e->inode };
	struct source *s;

	if (e->kind != SIDEBAND_MMAP ||
	    procfs_source(w.sources, &key, e->generation, e->text, &s) < 0 || !s)
		return;
	source_open(s, e->pid, 0, e->start, e->limit);
	if (strncmp(e->text, watch->prefix, strlen(watch->prefix)) == 0 && watch->n < CHILDREN) {
		watch->time_ns[watch->n] = e->time_ns;
		watch->seen[watch->n++] = s;
	} else {
		source_unref(s);
	}
}

/* Each its own file, removed as soon as it runs: only the mapping still leads to it. */
static void run_children(const char *prefix)
{
	char command[512];

	snprintf(command, sizeof(command),
		 "for i in $(seq %d); do cp /bin/sleep %s$i && %s$i 0.006; rm %s$i; done", CHILDREN,
		 prefix, prefix, prefix);
	execl("/bin/sh", "sh", "-c", command, NULL);
	_exit(127);
}

/*
 * How many of the files were opened, or were told of too late: when this thread gets a CPU is not
 * its own doing. Negative where side-band cannot be read.
 */
static int count_opened(void)
{
	char dir[] = "/tmp/cprof-opener-XXXXXX";
	struct watch watch = { 0 };
	struct sideband *sb;
	int opened = 0, late = 0;
	struct timespec begin, now;
	int status = 0, idle = 0;
	pid_t pid;

	if (geteuid() != 0 || sideband_new(&sb, w.event, on_event, &watch) < 0)
		return -1;
	assert_non_null(mkdtemp(dir));
	snprintf(watch.prefix, sizeof(watch.prefix), "%s/c", dir);
	pid = fork();
	if (pid == 0)
		run_children(watch.prefix);
	/* as the daemon */
	setsid();
	session_hurry();
	thread_hurry();
	while (waitpid(pid, &status, WNOHANG) == 0) {
		sd_event_run(w.event, 10000);
		note_done(&watch);
	}
	/* on a busy machine there is always something to read: what is under way has a second */
	clock_gettime(CLOCK_MONOTONIC, &begin);
	do {
		idle = sd_event_run(w.event, 100000) > 0 ? 0 : idle + 1;
		note_done(&watch);
		clock_gettime(CLOCK_MONOTONIC, &now);
	} while (idle < 3 && now.tv_sec - begin.tv_sec < 2);
	assert_int_equal(status, 0);

	for (unsigned i = 0; i < watch.n; i++) {
		struct object *o = source_object(watch.seen[i]);

		if (o && o->fd >= 0)
			opened++;
		else
			late += watch.late[i];
		source_unref(watch.seen[i]);
	}
	assert_int_equal(watch.n, CHILDREN);
	print_message("%d of %d files opened, %d too late\n", opened, CHILDREN, late);
	/* some at least are in time on any machine */
	assert_true(opened > CHILDREN / 2);
	sideband_free(sb);
	rmdir(dir);
	return opened + late;
}

/* It is a race, which a machine with more work than CPUs (or its host) can make us lose now and then. */
static void test_short_lived(void **state)
{
	int opened = 0;

	(void)state;
	for (unsigned round = 0; round < 3 && opened >= 0 && opened < CHILDREN; round++)
		opened = count_opened();
	if (opened < 0)
		skip();
	assert_int_equal(opened, CHILDREN);
}

/* A FIFO in place of a file, and a name that leads out of the root. */
static void test_openfile_rule(void **state)
{
	char dir[] = "/tmp/cprof-open-XXXXXX", path[64];
	struct openfile_result result;
	struct stat st;

	(void)state;
	assert_non_null(mkdtemp(dir));
	snprintf(path, sizeof(path), "%s/f", dir);
	assert_return_code(mkfifo(path, 0600), 0);
	assert_return_code(stat(path, &st), 0);
	assert_true(openfile_mapped(&(struct openfile_mapping){ .pid = (uint32_t)getpid(),
								.start = 1,
								.limit = 2,
								.inode = st.st_ino,
								.path = path },
				    &result) < 0);
	unlink(path);
	/* another inode than the mapping's */
	assert_return_code(symlink("/bin/sh", path), 0);
	assert_true(openfile_mapped(&(struct openfile_mapping){ .pid = (uint32_t)getpid(),
								.start = 1,
								.limit = 2,
								.inode = 1,
								.path = path },
				    &result) == -ESTALE);
	assert_int_equal(openfile_beneath((uint32_t)getpid(), 12345, "/bin/sh"), -ENOENT);
	assert_int_equal(openfile_beneath((uint32_t)getpid(), 0, "/bin/sh"), -ENOENT);
	unlink(path);
	rmdir(dir);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_mapset, setup, teardown),
		cmocka_unit_test_setup_teardown(test_processes, setup, teardown),
		cmocka_unit_test_setup_teardown(test_processes_bounded, setup, teardown),
		cmocka_unit_test(test_timeline),
		cmocka_unit_test(test_records),
		cmocka_unit_test_setup_teardown(test_normalize, setup, teardown),
		cmocka_unit_test(test_openfile_rule),
		cmocka_unit_test_setup_teardown(test_short_lived, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
