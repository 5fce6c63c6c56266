/* SPDX-License-Identifier: Apache-2.0 */
/*
 * usage: fpwalk OBJECT CPU SECONDS PROGRAM	the ticks of fpwalk.bpf.c that hit PROGRAM
 *        fpwalk stats CPU SECONDS MAP_ID...	those of a running cprofd that made a record
 *
 * Prints "NS WALK_NS FRAMES TICKS": the medians of a tick and of the walk in it, frames a stack. Of
 * cprofd, whose maps are given, NS and TICKS alone: its counters are looked at more often than
 * they change, so that each tick is seen by itself and those of other programs drop out.
 */
#include <bpf/bpf.h>
#include <bpf/libbpf.h>
#include <linux/perf_event.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

#include "cprof/control.h"

#define MAX_TICKS 16384
#define POLL_US   100

static struct {
	uint64_t n, frames;
	uint32_t ns[MAX_TICKS], walk_ns[MAX_TICKS];
} ticks;

static int by_value(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static uint32_t median(uint32_t *v, size_t n)
{
	qsort(v, n, sizeof(*v), by_value);
	return n ? v[n / 2] : 0;
}

static int attach_walk(struct bpf_program *p, int cpu)
{
	struct perf_event_attr attr = { .type = PERF_TYPE_SOFTWARE,
					.config = PERF_COUNT_SW_CPU_CLOCK,
					.size = sizeof(attr),
					.sample_period = 1010101 };
	int fd = (int)syscall(SYS_perf_event_open, &attr, -1, cpu, -1, 0);

	return fd >= 0 && bpf_program__attach_perf_event(p, fd) ? 0 : -1;
}

static int run_walk(const char *object, int cpu, double seconds, const char *comm)
{
	struct bpf_object *o = bpf_object__open(object);
	struct bpf_map *set = o ? bpf_object__find_map_by_name(o, ".rodata") : NULL;
	struct bpf_map *bss = o ? bpf_object__find_map_by_name(o, ".bss") : NULL;
	uint64_t target[2] = { 0, (uint64_t)cpu };
	uint32_t zero = 0;
	size_t size = 0;

	memcpy(&target[0], comm, strnlen(comm, sizeof(target[0])));
	if (!set || !bss || !bpf_map__initial_value(set, &size) || size != sizeof(target) ||
	    bpf_map__value_size(bss) != sizeof(ticks) ||
	    bpf_map__set_initial_value(set, target, size) || bpf_object__load(o) ||
	    attach_walk(bpf_object__next_program(o, NULL), cpu))
		return -1;
	usleep((useconds_t)(seconds * 1e6));
	return bpf_map_lookup_elem(bpf_map__fd(bss), &zero, &ticks);
}

static uint64_t taken(const struct cprof_cpu_stats *s)
{
	uint64_t sum = 0;

	for (int i = 0; i < CPROF_MAX_CLOCKS; i++)
		sum += s->clock[i].taken;
	return sum;
}

static const struct cprof_cpu_stats *map_stats(int cpu, char **ids)
{
	size_t bytes = ((size_t)cpu + 1) * sizeof(struct cprof_cpu_stats);

	for (; *ids; ids++) {
		struct bpf_map_info info = {};
		uint32_t size = sizeof(info);
		int fd = bpf_map_get_fd_by_id((uint32_t)atoi(*ids));
		void *p;

		if (fd < 0 || bpf_obj_get_info_by_fd(fd, &info, &size) ||
		    strcmp(info.name, "stats") != 0)
			continue;
		p = mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0);
		return p == MAP_FAILED ? NULL : (const struct cprof_cpu_stats *)p + cpu;
	}
	return NULL;
}

static int run_stats(int cpu, double seconds, char **ids)
{
	const volatile struct cprof_cpu_stats *s = map_stats(cpu, ids);
	struct cprof_cpu_stats last = {}, now;
	struct timespec start, at;

	if (!s)
		return -1;
	clock_gettime(CLOCK_MONOTONIC, &start);
	do {
		usleep(POLL_US);
		now = *s;
		if (s->active || s->bpf_runs != now.bpf_runs)
			continue;
		if (now.bpf_runs == last.bpf_runs + 1 && taken(&now) == taken(&last) + 1 &&
		    ticks.n < MAX_TICKS)
			ticks.ns[ticks.n++] = (uint32_t)(now.bpf_ns - last.bpf_ns);
		last = now;
		clock_gettime(CLOCK_MONOTONIC, &at);
	} while ((double)(at.tv_sec - start.tv_sec) + (double)(at.tv_nsec - start.tv_nsec) / 1e9 <
		 seconds);
	return 0;
}

int main(int argc, char **argv)
{
	int cpu = argc > 4 ? atoi(argv[2]) : 0, r;

	if (argc < 5)
		return 2;
	r = strcmp(argv[1], "stats") == 0 ? run_stats(cpu, atof(argv[3]), argv + 4)
					  : run_walk(argv[1], cpu, atof(argv[3]), argv[4]);
	if (r < 0)
		return 1;
	printf("%u %u %.1f %u\n", median(ticks.ns, ticks.n), median(ticks.walk_ns, ticks.n),
	       ticks.n ? (double)ticks.frames / (double)ticks.n : 0, (unsigned)ticks.n);
	return 0;
}
