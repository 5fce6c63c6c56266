/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Windows as a store holds them, made of real captures: each is a draw from their samples by weight, with
 * the labels that a store keeps. Processes with few samples are short-lived ones: they have another pid in
 * every window. A larger host is drawn as that many of the captured ones: a sample is of one of them, whose
 * processes have pids of their own.
 *
 * usage: windows FOLDER N_WINDOWS SAMPLES_PER_WINDOW HOSTS CAPTURE...
 */
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "arrange.h"

#define SHORT_LIVED_SAMPLES 100
#define PERIOD_NS           10000000
#define WINDOW_NS           60000000000LL
#define START_NS            1795392000000000000LL
#define MAX_BYTES           (256U << 20)

DEFINE_CLEANUP(struct profile *, profile_free);

struct pool {
	struct profile *p;
	uint64_t *cumulated; /* counts, by sample */
	size_t n;
	uint64_t total;
	uint32_t *per_pid;
	uint64_t pid, tid, cpu; /* string indices of these keys */
	unsigned n_hosts;
};

static uint64_t state = 88172645463325252ULL;

static uint64_t draw(void)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return state;
}

static int pool_read(struct pool *pool, const char *path)
{
	_cleanup_(buf_done) struct buf data = BUF_INIT(MAX_BYTES);
	_cleanup_(profile_freep) struct profile *p = NULL;
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0 || buf_read_fd(&data, fd) < 0 || profile_read(&p, data.data, data.size) < 0)
		return -EBADMSG;
	if (pool->p)
		return profile_merge(pool->p, p);
	pool->p = TAKE_PTR(p);
	return 0;
}

static int64_t pool_pid(const struct pool *pool, size_t sample)
{
	struct profile_label l;

	for (size_t i = 0; profile_get_label(pool->p, sample, i, &l); i++)
		if (l.key == pool->pid)
			return l.num;
	return 0;
}

static int pool_prepare(struct pool *pool)
{
	struct profile_sample s;

	profile_string(pool->p, "pid", &pool->pid);
	profile_string(pool->p, "tid", &pool->tid);
	profile_string(pool->p, "cpu", &pool->cpu);
	pool->n = profile_n_samples(pool->p);
	pool->cumulated = calloc(pool->n, sizeof(*pool->cumulated));
	pool->per_pid = calloc(1 << 22, sizeof(*pool->per_pid));
	if (!pool->cumulated || !pool->per_pid)
		return -ENOMEM;
	for (size_t i = 0; profile_get_sample(pool->p, i, &s); i++) {
		pool->total += (uint64_t)s.values[0];
		pool->cumulated[i] = pool->total;
		pool->per_pid[pool_pid(pool, i) & ((1 << 22) - 1)] += (uint32_t)s.values[0];
	}
	return 0;
}

static size_t pool_pick(const struct pool *pool)
{
	uint64_t v = draw() % pool->total;
	size_t low = 0, high = pool->n;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (pool->cumulated[mid] > v)
			high = mid;
		else
			low = mid + 1;
	}
	return low;
}

struct window {
	struct profile *p;
	uint64_t *locations; /* the pool's ids → this profile's, 0 not yet */
	int64_t number;
};

static uint64_t window_string(struct window *w, const char *s)
{
	uint64_t index = 0;

	profile_string(w->p, s, &index);
	return index;
}

static int window_location(const struct pool *pool, struct window *w, uint64_t id)
{
	struct profile_line lines[PROFILE_MAX_LINES];
	struct profile_location l;
	struct profile_function f;
	int r = 0;

	profile_get_location(pool->p, id, &l);
	for (size_t i = 0; i < l.n_lines && r == 0; i++) {
		profile_get_line(pool->p, id, i, &lines[i]);
		profile_get_function(pool->p, lines[i].function, &f);
		r = profile_add_function(w->p, f.name, f.system_name, f.filename, f.start_line,
					 &lines[i].function);
	}
	return r < 0 ? r
		     : profile_add_location(w->p, l.mapping, l.address, lines, l.n_lines,
					    &w->locations[id]);
}

static int window_add(const struct pool *pool, struct window *w, size_t sample)
{
	struct profile_label labels[16], l;
	uint64_t locations[PROFILE_MAX_DEPTH];
	int64_t host = (int64_t)(draw() % pool->n_hosts);
	struct profile_sample s;
	size_t n = 0;
	int r = 0;

	profile_get_sample(pool->p, sample, &s);
	for (size_t i = 0; i < s.n_locations && r == 0; i++) {
		if (!w->locations[s.locations[i]])
			r = window_location(pool, w, s.locations[i]);
		locations[i] = w->locations[s.locations[i]];
	}
	for (size_t i = 0; profile_get_label(pool->p, sample, i, &l) && n < 16; i++) {
		if (l.key == pool->tid || l.key == pool->cpu)
			continue;
		if (l.key == pool->pid) {
			bool brief = pool->per_pid[l.num & ((1 << 22) - 1)] < SHORT_LIVED_SAMPLES;

			l.num += host * 100003 + (brief ? w->number * 977 : 0);
			l.num = l.num % 4000000 + 300;
		}
		l.key = window_string(w, profile_get_string(pool->p, l.key));
		l.str = window_string(w, profile_get_string(pool->p, l.str));
		l.num_unit = window_string(w, profile_get_string(pool->p, l.num_unit));
		labels[n++] = l;
	}
	return r < 0 ? r
		     : profile_add_sample(w->p, locations, s.n_locations,
					  (int64_t[]){ 1, PERIOD_NS }, labels, n);
}

static int window_header(const struct pool *pool, struct window *w, long samples)
{
	struct profile_mapping m;
	char comment[200];
	uint64_t id;
	int r = 0;

	for (uint64_t i = 1; r == 0 && i <= profile_n_mappings(pool->p); i++) {
		m = *profile_get_mapping(pool->p, i);
		m.filename = window_string(w, profile_get_string(pool->p, m.filename));
		m.build_id = window_string(w, profile_get_string(pool->p, m.build_id));
		r = profile_add_mapping(w->p, &m, &id);
	}
	profile_set_period(w->p, "cpu", "nanoseconds", PERIOD_NS);
	profile_set_default_type(w->p, "cpu");
	profile_set_time(w->p, START_NS + w->number * WINDOW_NS, WINDOW_NS);
	snprintf(comment, sizeof(comment),
		 "cprofd 0.1.0 on host, Linux 6.1, 100 Hz: samples taken %ld, lost %d (missed_tick "
		 "%d, ring_full 0)",
		 samples, (int)w->number % 7, (int)w->number % 7);
	return r < 0 ? r : profile_add_comment(w->p, comment);
}

static int window_write(const struct window *w, const char *folder)
{
	_cleanup_(buf_done) struct buf out = BUF_INIT(MAX_BYTES);
	_cleanup_free_ char *path = NULL;
	_cleanup_fclose_ FILE *f = NULL;
	int r = profile_arrange(w->p);

	if (r == 0)
		r = profile_write(w->p, &out);

	if (r < 0 || asprintf(&path, "%s/%05" PRId64 ".pb.gz", folder, w->number) < 0)
		return r < 0 ? r : -ENOMEM;
	f = fopen(path, "we");
	if (!f || fwrite(out.data, 1, out.size, f) != out.size)
		return -errno;
	return 0;
}

static int window_make(const struct pool *pool, const char *folder, int64_t number, long samples)
{
	static const struct profile_value_type types[2] = { { "samples", "count" },
							    { "cpu", "nanoseconds" } };
	struct window w = { .number = number };
	int r = profile_new(&w.p, types, 2);

	w.locations = calloc(profile_n_locations(pool->p) + 1, sizeof(*w.locations));
	if (r == 0)
		r = w.locations ? window_header(pool, &w, samples) : -ENOMEM;
	for (long i = 0; i < samples && r == 0; i++)
		r = window_add(pool, &w, pool_pick(pool));
	if (r == 0)
		r = window_write(&w, folder);
	profile_free(w.p);
	free(w.locations);
	return r;
}

int main(int argc, char **argv)
{
	struct pool pool = {};
	int r = 0;

	if (argc < 6) {
		fprintf(stderr, "usage: windows FOLDER N_WINDOWS SAMPLES_PER_WINDOW HOSTS "
				"CAPTURE...\n");
		return 2;
	}
	pool.n_hosts = (unsigned)MAX(atoi(argv[4]), 1);
	for (int i = 5; i < argc && r == 0; i++)
		r = pool_read(&pool, argv[i]);
	if (r == 0)
		r = pool_prepare(&pool);
	for (int64_t i = 0; i < atol(argv[2]) && r == 0; i++)
		r = window_make(&pool, argv[1], i, atol(argv[3]));
	if (r < 0)
		fprintf(stderr, "windows: %s\n", strerror(-r));
	profile_free(pool.p);
	free(pool.cumulated);
	free(pool.per_pid);
	return r < 0;
}
