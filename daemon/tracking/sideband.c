/* SPDX-License-Identifier: Apache-2.0 */
#include "sideband.h"

#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <time.h>

#include "cleanup.h"
#include "clock.h"
#include "records.h"

#define CPU_CHECK_USEC 1000000ULL
#define MAX_CPUS       8192

/* A program starts with a dozen mappings within a millisecond: the first wakes us, the others are
 * taken together. */
#define PAUSE_USEC 500ULL
/* The kernel's wakeup costs the task that maps, forks or exits, and tens of microseconds on a virtual
 * machine. Where a CPU has more of these than starting programs takes, they are fetched and wake nobody. */
#define FLOOD_RECORDS   64
#define FLOOD_WINDOW_NS (10 * NSEC_PER_MSEC)
#define FLOOD_USEC      1000ULL

/*
 * The events of a CPU, each with a ring. Whoever wants mappings is given forks and exits, too: only those
 * of EVENT_TASKS are used, the others are the same again.
 */
enum kind {
	EVENT_TASKS, /* fork, exit, exec, cgroups: read with the next mapping or sample */
	EVENT_MAPS,  /* executable mappings: wake at once */
	EVENT_QUIET, /* the same without; on instead of it while they are a flood */
	EVENTS,
};

struct cpu {
	struct sideband *owner;
	int cpu;
	struct records records[EVENTS];
	bool flooded;
	uint64_t window_ns; /* when the count of what wakes began */
	unsigned window_records;
	bool online; /* seen in the last look at the list */
};

struct sideband {
	sd_event *event;
	sideband_event_t fn;
	void *arg;
	struct cpu **cpus;
	size_t n_cpus;
	int poll_fd; /* an epoll of all rings, so that one change pauses all */
	sd_event_source *io, *pause, *timer;
	unsigned n_waking,
		n_tasks; /* of a drain: what may have woken us, forks and exits among it */
	struct records_counts counts;
	struct sideband_stats stats;
	_Alignas(8) uint8_t whole[EVENTS][RECORDS_WHOLE_BYTES];
};

static struct cpu *cpu_free(struct cpu *c)
{
	if (!c)
		return NULL;

	for (size_t i = 0; i < EVENTS; i++)
		records_unmap(&c->records[i]);
	free(c);
	return NULL;
}

DEFINE_CLEANUP(struct cpu *, cpu_free)

static void set_flooded(struct cpu *c, bool flooded)
{
	int on = c->records[flooded ? EVENT_QUIET : EVENT_MAPS].fd;
	int off = c->records[flooded ? EVENT_MAPS : EVENT_QUIET].fd;

	/* a mapping told of twice does no harm, one not told of does */
	if (ioctl(on, PERF_EVENT_IOC_ENABLE, 0) < 0)
		return;
	(void)ioctl(off, PERF_EVENT_IOC_DISABLE, 0);
	c->flooded = flooded;
	if (flooded)
		c->owner->stats.floods++;
}

static void follow_flood(struct cpu *c, unsigned n, uint64_t now)
{
	bool over = now - c->window_ns >= FLOOD_WINDOW_NS;

	c->window_records += n;
	if (!c->flooded && c->window_records > FLOOD_RECORDS)
		set_flooded(c, true);
	else if (c->flooded && over && c->window_records < FLOOD_RECORDS / 2)
		set_flooded(c, false);
	if (over) {
		c->window_ns = now;
		c->window_records = 0;
	}
}

static bool is_used(enum kind kind, const struct sideband_event *e)
{
	return kind == EVENT_TASKS || (e->kind != SIDEBAND_FORK && e->kind != SIDEBAND_EXIT);
}

/* The ring with the oldest record, or EVENTS. */
static enum kind oldest(struct sideband *s, struct cpu *c)
{
	enum kind found = EVENTS;
	uint64_t time_ns = UINT64_MAX;

	for (enum kind kind = 0; kind < EVENTS; kind++) {
		const struct sideband_event *e = records_peek(&c->records[kind], &s->counts);

		if (e && e->time_ns < time_ns) {
			found = kind;
			time_ns = e->time_ns;
		}
	}
	return found;
}

/* In order: whatever of a task came before a mapping that is seen here, is seen here, too; for that
 * the heads of the mappings are read first. */
static void drain(struct cpu *c, uint64_t now)
{
	struct sideband *s = c->owner;
	unsigned n_waking = 0, n_tasks = 0;
	enum kind kind;

	for (kind = EVENTS; kind-- > 0;)
		records_begin(&c->records[kind]);
	while ((kind = oldest(s, c)) != EVENTS) {
		const struct sideband_event *e = &c->records[kind].event;

		n_waking += kind != EVENT_TASKS;
		if (is_used(kind, e)) {
			s->stats.records++;
			s->fn(s->arg, e);
		} else {
			n_tasks++;
		}
		records_next(&c->records[kind]);
	}
	for (kind = 0; kind < EVENTS; kind++)
		records_end(&c->records[kind]);
	s->n_waking += n_waking;
	s->n_tasks += n_tasks;
	follow_flood(c, n_waking, now);
}

void sideband_drain(struct sideband *s)
{
	uint64_t now = clock_ns(CLOCK_MONOTONIC);

	s->n_waking = s->n_tasks = 0;
	for (size_t i = 0; i < s->n_cpus; i++)
		drain(s->cpus[i], now);
}

static bool any_flooded(const struct sideband *s)
{
	for (size_t i = 0; i < s->n_cpus; i++)
		if (s->cpus[i]->flooded)
			return true;
	return false;
}

static int pause_for(struct sideband *s, uint64_t usec)
{
	sd_event_source_set_time_relative(s->pause, usec);
	return sd_event_source_set_enabled(s->pause, SD_EVENT_ONESHOT);
}

static int on_rings(sd_event_source *source, int fd _unused_, uint32_t revents _unused_, void *arg)
{
	struct sideband *s = arg;

	sideband_drain(s);
	/* a fork or an exit: nothing need be read together with it */
	if (s->n_waking > 0 && s->n_tasks == s->n_waking && !any_flooded(s))
		return 0;
	sd_event_source_set_enabled(source, SD_EVENT_OFF);
	return pause_for(s, PAUSE_USEC);
}

static int on_pause(sd_event_source *source _unused_, uint64_t usec _unused_, void *arg)
{
	struct sideband *s = arg;

	/* first this: what comes between the two is read, and what comes later wakes us */
	sd_event_source_set_enabled(s->io, SD_EVENT_ON);
	sideband_drain(s);
	return any_flooded(s) ? pause_for(s, FLOOD_USEC) : 0;
}

/* A record of a mapping has 104 bytes at least and always wakes; one of a fork or exit has 56, and every other
 * of them does. */
#define MAPS_WATERMARK 103

static const struct {
	uint32_t bytes, watermark; /* bytes: a power of two */
} ring_of[EVENTS] = {
	[EVENT_TASKS] = { 256 * 1024, 64 * 1024 },
	[EVENT_MAPS] = { 256 * 1024, MAPS_WATERMARK },
	[EVENT_QUIET] = { 512 * 1024, 128 * 1024 },
};

static int open_event(int cpu, enum kind kind)
{
	bool tasks = kind == EVENT_TASKS;
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_DUMMY,
		.sample_type = SIDEBAND_SAMPLE_TYPE,
		.sample_id_all = 1,
		.disabled = kind == EVENT_QUIET,
		.mmap = !tasks,
		.mmap2 = !tasks,
		.comm = tasks,
		.comm_exec = tasks,
		.task = tasks,
		.cgroup = tasks,
		.exclude_kernel = 1,
		.exclude_hv = 1,
		.watermark = 1,
		.wakeup_watermark = ring_of[kind].watermark,
		.use_clockid = 1,
		.clockid = CLOCK_MONOTONIC,
	};
	int fd = (int)syscall(SYS_perf_event_open, &attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);

	if (fd < 0 && errno == EINVAL && tasks) {
		attr.cgroup = 0; /* a kernel without CONFIG_CGROUP_PERF */
		fd = (int)syscall(SYS_perf_event_open, &attr, -1, cpu, -1, PERF_FLAG_FD_CLOEXEC);
	}
	return fd < 0 ? -errno : fd;
}

static int open_ring(struct cpu *c, enum kind kind)
{
	struct sideband *s = c->owner;
	struct records *r = &c->records[kind];
	struct epoll_event e = { .events = EPOLLIN };
	int fd = open_event(c->cpu, kind), error;

	if (fd < 0)
		return fd;
	error = records_map(r, fd, ring_of[kind].bytes, s->whole[kind]);
	if (error < 0)
		return error;
	/* where the CPU goes away it stays ready: we wake once a pause then, until that is noticed */
	return epoll_ctl(s->poll_fd, EPOLL_CTL_ADD, fd, &e) < 0 ? -errno : 0;
}

static int cpu_new(struct sideband *s, int cpu, struct cpu **ret)
{
	_cleanup_(cpu_freep) struct cpu *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	*c = (struct cpu){ .owner = s, .cpu = cpu, .online = true };
	for (size_t i = 0; i < EVENTS; i++)
		c->records[i].fd = -1;

	for (enum kind kind = 0; kind < EVENTS; kind++) {
		r = open_ring(c, kind);
		if (r < 0)
			return r;
	}

	*ret = TAKE_PTR(c);
	return 0;
}

static struct cpu *find_cpu(struct sideband *s, int cpu)
{
	for (size_t i = 0; i < s->n_cpus; i++)
		if (s->cpus[i]->cpu == cpu)
			return s->cpus[i];
	return NULL;
}

static int add_cpu(struct sideband *s, int cpu)
{
	struct cpu *c = find_cpu(s, cpu), **cpus;
	int r;

	if (c) {
		c->online = true;
		return 0;
	}

	cpus = reallocarray(s->cpus, s->n_cpus + 1, sizeof(*cpus));
	if (!cpus)
		return -ENOMEM;
	s->cpus = cpus;
	r = cpu_new(s, cpu, &c);
	if (r < 0)
		return r == -ENODEV ? 0 : r; /* it went offline since the list was read */

	s->cpus[s->n_cpus++] = c;
	return 0;
}

/* The kernel's list format: "0-3,5,7-9". */
static int read_online(char *text, size_t size)
{
	_cleanup_close_ int fd = open("/sys/devices/system/cpu/online", O_RDONLY | O_CLOEXEC);
	ssize_t n;

	if (fd < 0)
		return -errno;
	n = read(fd, text, size - 1);
	if (n < 0)
		return -errno;
	text[n] = '\0';
	return 0;
}

static int follow_cpus(struct sideband *s)
{
	char text[4096], *p = text;
	int r;

	r = read_online(text, sizeof(text));
	if (r < 0)
		return r;
	for (size_t i = 0; i < s->n_cpus; i++)
		s->cpus[i]->online = false;

	while (*p >= '0' && *p <= '9') {
		long first = strtol(p, &p, 10), last = first;

		if (*p == '-')
			last = strtol(p + 1, &p, 10);
		for (long cpu = first; cpu <= last && cpu < MAX_CPUS; cpu++) {
			r = add_cpu(s, (int)cpu);
			if (r < 0)
				return r;
		}
		if (*p == ',')
			p++;
	}

	for (size_t i = 0; i < s->n_cpus;) {
		if (s->cpus[i]->online) {
			i++;
			continue;
		}
		drain(s->cpus[i], clock_ns(CLOCK_MONOTONIC));
		cpu_free(s->cpus[i]);
		s->cpus[i] = s->cpus[--s->n_cpus];
	}
	return 0;
}

static int on_timer(sd_event_source *source, uint64_t usec _unused_, void *arg)
{
	struct sideband *s = arg;

	(void)follow_cpus(s); /* tried again in a second */
	sd_event_source_set_time_relative(source, CPU_CHECK_USEC);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

DEFINE_CLEANUP(struct sideband *, sideband_free)

/* Before all else: the files of short-lived processes are opened in these. */
static int add_sources(struct sideband *s)
{
	int r;

	r = sd_event_add_io(s->event, &s->io, s->poll_fd, EPOLLIN, on_rings, s);
	if (r < 0)
		return r;
	r = sd_event_source_set_priority(s->io, SD_EVENT_PRIORITY_IMPORTANT);
	if (r < 0)
		return r;
	r = sd_event_add_time(s->event, &s->pause, CLOCK_MONOTONIC, UINT64_MAX, 1, on_pause, s);
	if (r < 0)
		return r;
	r = sd_event_source_set_priority(s->pause, SD_EVENT_PRIORITY_IMPORTANT);
	if (r < 0)
		return r;
	return sd_event_add_time_relative(s->event, &s->timer, CLOCK_MONOTONIC, CPU_CHECK_USEC, 0,
					  on_timer, s);
}

int sideband_new(struct sideband **ret, sd_event *event, sideband_event_t fn, void *arg)
{
	_cleanup_(sideband_freep) struct sideband *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	s->event = sd_event_ref(event);
	s->fn = fn;
	s->arg = arg;
	s->poll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (s->poll_fd < 0)
		return -errno;

	r = follow_cpus(s);
	if (r < 0)
		return r;
	if (s->n_cpus == 0)
		return -ENODEV;
	r = add_sources(s);
	if (r < 0)
		return r;

	*ret = TAKE_PTR(s);
	return 0;
}

struct sideband *sideband_free(struct sideband *s)
{
	if (!s)
		return NULL;

	sd_event_source_disable_unref(s->io);
	sd_event_source_disable_unref(s->pause);
	sd_event_source_disable_unref(s->timer);
	for (size_t i = 0; i < s->n_cpus; i++)
		cpu_free(s->cpus[i]);
	free(s->cpus);
	safe_close(s->poll_fd);
	sd_event_unref(s->event);
	free(s);
	return NULL;
}

void sideband_stats(const struct sideband *s, struct sideband_stats *ret)
{
	*ret = s->stats;
	ret->lost = s->counts.lost;
	ret->bad = s->counts.bad;
	for (size_t i = 0; i < s->n_cpus; i++)
		for (size_t j = 0; j < EVENTS; j++)
			ret->bytes += records_total_bytes(&s->cpus[i]->records[j]);
	ret->cpus = (unsigned)s->n_cpus;
}
