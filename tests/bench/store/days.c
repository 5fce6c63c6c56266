/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a store makes of an hour of windows: they are put into a store with a clock of its own, which then is
 * an hour later, and a day. What is due is merged as the daemon's worker does. For each age: files, bytes, and the
 * cost of the dearest merge. For tests/bench/store/run.
 *
 * usage: days FOLDER MAX_BYTES MAX_AGE_DAYS FILE...
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>

#include "cleanup.h"
#include "clock.h"
#include "fold.h"
#include "merger.h"
#include "reduce.h"
#include "store.h"

#define MAX_BYTES (1ULL << 30)
#define WINDOW_NS (60 * NSEC_PER_SEC)
#define START_NS  1795392000000000000ULL
#define BOOT_ID   "0123456789abcdef0123456789abcdef"

DEFINE_CLEANUP(struct profile *, profile_free);
DEFINE_CLEANUP(struct profile_merger *, profile_merger_free);

static uint64_t now_ns;
static double dearest_s;

static uint64_t now(void *arg, clockid_t clock)
{
	(void)arg;
	return now_ns + (clock == CLOCK_REALTIME ? START_NS : 0);
}

static int read_all(int fd, uint64_t bytes, struct buf *out)
{
	char *room = buf_reserve(out, bytes);

	if (!room || pread(fd, room, bytes, 0) != (ssize_t)bytes)
		return -EIO;
	out->size += bytes;
	return 0;
}

/* A process for each set of labels of the profile, as the daemon knows them. */
static int processes(const struct profile *p, struct window *w)
{
	struct profile_sample s;

	for (size_t i = 0; profile_get_sample(p, i, &s); i++) {
		const char *comm = NULL, *unit = NULL, *container = NULL;
		struct profile_label l;
		uint32_t pid = 0;
		int r;

		for (size_t j = 0; profile_get_label(p, i, j, &l); j++) {
			const char *key = profile_get_string(p, l.key),
				   *value = profile_get_string(p, l.str);

			pid = strcmp(key, "pid") == 0 ? (uint32_t)l.num : pid;
			comm = strcmp(key, "comm") == 0 ? value : comm;
			unit = strcmp(key, "unit") == 0 ? value : unit;
			container = strcmp(key, "container") == 0 ? value : container;
		}
		r = window_add(w, pid, 0, comm, comm, "", unit, container, (uint64_t)s.values[0],
			       (uint64_t)s.values[1]);
		if (r < 0)
			return r;
	}
	return 0;
}

static int put_file(struct store *s, const char *path)
{
	_cleanup_(buf_done) struct buf data = BUF_INIT(MAX_BYTES);
	_cleanup_(profile_freep) struct profile *p = NULL;
	_cleanup_(window_done) struct window w;
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	int r = fd < 0 ? -errno : buf_read_fd(&data, fd);

	window_init(&w);
	if (r == 0)
		r = profile_read(&p, data.data, data.size);
	if (r == 0)
		r = processes(p, &w);
	now_ns += WINDOW_NS;
	w.start_ns = (int64_t)(START_NS + now_ns - WINDOW_NS);
	w.duration_ns = WINDOW_NS;
	w.hz = 100;
	return r < 0 ? r : store_put(s, data.data, data.size, &w, NULL);
}

static int merge(const struct store_selection *sel, struct profile_merger *m)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < sel->n; i++) {
		_cleanup_(buf_done) struct buf data = BUF_INIT(MAX_BYTES);

		r = read_all(sel->files[i].fd, sel->files[i].row.payload_bytes, &data);
		if (r == 0)
			r = profile_merger_add(m, data.data, data.size, NULL, NULL);
	}
	return r;
}

/* As daemon/worker/job_merge.c does. */
static int compact(struct store *s, const struct store_selection *sel)
{
	_cleanup_(profile_merger_freep) struct profile_merger *m = NULL;
	_cleanup_free_ struct profile_fold *folds = calloc(sel->n_folds + 1, sizeof(*folds));
	_cleanup_(buf_done) struct buf out = BUF_INIT(MAX_BYTES);
	uint64_t began_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID), samples = 0, cpu_ns = 0;
	struct profile_sample sample;
	struct profile *p;
	int r = folds ? profile_merger_new(&m) : -ENOMEM;

	if (r == 0)
		r = merge(sel, m);
	if (r < 0)
		return r;
	for (size_t i = 0; i < sel->n_folds; i++)
		folds[i] = (struct profile_fold){ .pid = sel->folds[i].pid,
						  .to = sel->folds[i].to,
						  .comm = sel->folds[i].comm };
	p = profile_merger_profile(m);
	r = profile_fold_pids(p, folds, sel->n_folds);
	for (size_t i = 0; profile_get_sample(p, i, &sample); i++) {
		samples += (uint64_t)sample.values[0];
		cpu_ns += (uint64_t)sample.values[1];
	}
	printf("  %zu files, %zu samples, %zu folds", sel->n, profile_n_samples(p), sel->n_folds);
	if (r == 0)
		r = profile_write_within(p, sel->max_bytes, &out);
	dearest_s = MAX(dearest_s, (double)(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - began_ns) / 1e9);
	printf(" -> %zu samples, %zu bytes of %llu\n", profile_n_samples(p), out.size,
	       (unsigned long long)sel->max_bytes);
	return r < 0 ? r : store_replace(s, sel, out.data, out.size, samples, cpu_ns);
}

static int compact_all(struct store *s)
{
	struct store_selection sel;
	int r;

	while ((r = store_compaction(s, &sel)) == 0) {
		r = compact(s, &sel);
		store_selection_done(&sel);
		if (r < 0)
			return r;
	}
	return r == -ENOENT ? 0 : r;
}

static void tell(struct store *s, const char *what)
{
	struct store_stats stats;
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	store_stats(s, &stats);
	printf("%s: %llu files, %llu bytes, %.1f days at this rate; %.1f s CPU at most, %ld MiB\n",
	       what, (unsigned long long)stats.windows, (unsigned long long)stats.bytes,
	       stats.days_at_this_rate, dearest_s, usage.ru_maxrss / 1024);
	dearest_s = 0;
}

int main(int argc, char **argv)
{
	struct store_options o = { .now = now, .boot_id = BOOT_ID };
	struct store *s = NULL;
	int r;

	if (argc < 5) {
		fprintf(stderr, "usage: days FOLDER MAX_BYTES MAX_AGE_DAYS FILE...\n");
		return 2;
	}
	o.dir = argv[1];
	o.limits.max_bytes = strtoull(argv[2], NULL, 10);
	o.limits.max_age_ns = strtoull(argv[3], NULL, 10) * 86400 * NSEC_PER_SEC;
	now_ns = 3600 * NSEC_PER_SEC;
	r = store_open(&s, &o);
	for (int i = 4; r == 0 && i < argc; i++)
		r = put_file(s, argv[i]);
	if (r == 0)
		tell(s, "fresh");
	now_ns += 3700 * NSEC_PER_SEC;
	if (r == 0)
		r = store_tend(s) ?: compact_all(s);
	if (r == 0)
		tell(s, "ten minutes");
	now_ns += 25 * 3600 * NSEC_PER_SEC;
	if (r == 0)
		r = store_tend(s) ?: compact_all(s);
	if (r == 0)
		tell(s, "hours");
	store_free(s);
	if (r < 0)
		fprintf(stderr, "days: %s\n", strerror(-r));
	return r < 0;
}
