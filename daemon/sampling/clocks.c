/* SPDX-License-Identifier: Apache-2.0 */

/*
 * A clock of hz is two cpu-clock events on each CPU: hz/2 * (1 - d) and hz/2 * (1 + d), so that the
 * sum is hz whatever d is, and no program's own period meets both for long; d is drawn anew every
 * few seconds, alternately for one event and the other.
 *
 * Setting a period restarts the event's phase: the part of a period that has run since the last
 * tick is lost, half a period on average. An event that is redrawn every T therefore ticks
 * T / period - 1/2 times in T. To tick rate * T times, its period is T / (rate * T + 1/2). The same
 * half covers the wait for a clock's first tick. Two events watch the same time, so that a tick
 * stands for half of 1 / rate: the weight that records carry.
 */

#include "sampling.h"

#include <fcntl.h>
#include <linux/perf_event.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/random.h>
#include <sys/syscall.h>

#include "buf.h"
#include "cleanup.h"

#define DETUNE_MIN 0.006
#define DETUNE_MAX 0.016
/* An event is redrawn after this many ticks, and not sooner than this time: the half tick that a
 * redraw loses stays below 0.5 %. */
#define REDRAW_TICKS        200
#define REDRAW_MIN_NS       (4 * NSEC_PER_SEC)
#define TIMER_ACCURACY_USEC 1000
#define MAX_CPUS            8192
#define MAX_CPU_LIST_BYTES  (64 * 1024)

uint64_t clock_weight_ns(unsigned hz, unsigned event, double detune)
{
	double rate = hz / 2.0 * (event ? 1 + detune : 1 - detune);

	return (uint64_t)(1e9 / rate / CPROF_EVENTS_PER_CLOCK + 0.5);
}

uint64_t clock_interval_ns(unsigned hz)
{
	return MAX(REDRAW_MIN_NS, 2 * REDRAW_TICKS * NSEC_PER_SEC / hz);
}

uint64_t clock_period_ns(uint64_t weight_ns, uint64_t interval_ns)
{
	double t = (double)interval_ns;

	return (uint64_t)(t / (t / (double)weight_ns / CPROF_EVENTS_PER_CLOCK + 0.5) + 0.5);
}

static double draw_detune(void)
{
	uint32_t random = 0;

	if (getrandom(&random, sizeof(random), GRND_NONBLOCK) < 0)
		random = 1U << 31;
	return DETUNE_MIN + (DETUNE_MAX - DETUNE_MIN) * (random / 4294967296.0);
}

int cpus_parse(const char *text, int *ret_cpus, size_t max)
{
	size_t n = 0;

	while (*text && *text != '\n') {
		char *end;
		unsigned long first, last;

		if (*text < '0' || *text > '9')
			return -EINVAL;
		first = last = strtoul(text, &end, 10);
		if (*end == '-') {
			if (end[1] < '0' || end[1] > '9')
				return -EINVAL;
			last = strtoul(end + 1, &end, 10);
		}
		if (last < first || last >= MAX_CPUS ||
		    (n && first <= (unsigned long)ret_cpus[n - 1]))
			return -EINVAL;
		for (unsigned long c = first; c <= last; c++) {
			if (n == max)
				return -E2BIG;
			ret_cpus[n++] = (int)c;
		}
		if (*end == ',')
			end++;
		else if (*end && *end != '\n')
			return -EINVAL;
		text = end;
	}
	return (int)n;
}

/* The online CPUs into s->online. */
static int read_online(struct sampler *s)
{
	struct buf text = BUF_INIT(MAX_CPU_LIST_BYTES);
	_cleanup_close_ int fd = open("/sys/devices/system/cpu/online", O_RDONLY | O_CLOEXEC);
	_cleanup_free_ int *cpus = calloc(s->kernel.n_cpus, sizeof(*cpus));
	int n;

	if (!cpus)
		return -ENOMEM;
	n = fd < 0 ? -errno : buf_read_fd(&text, fd);
	if (n >= 0)
		n = cpus_parse(text.data ? text.data : "", cpus, s->kernel.n_cpus);
	buf_done(&text);
	if (n < 0)
		return n;
	free(s->online);
	s->online = TAKE_PTR(cpus);
	s->n_online = (size_t)n;
	return 0;
}

static struct cprof_event *shared_event(const struct clock *c, unsigned event)
{
	return &c->sampler->kernel.control->clocks[c->index].event[event];
}

static void close_cpu(struct clock_cpu *cpu)
{
	for (int e = 0; e < CPROF_EVENTS_PER_CLOCK; e++)
		cpu->link[e] = kernel_detach(cpu->link[e]);
}

static int open_event(struct clock *c, struct clock_cpu *cpu, unsigned event)
{
	struct perf_event_attr attr = {
		.type = PERF_TYPE_SOFTWARE,
		.size = sizeof(attr),
		.config = PERF_COUNT_SW_CPU_CLOCK,
		.sample_period = shared_event(c, event)->period_ns,
		.disabled = 1,
	};

	cpu->fd[event] = (int)syscall(SYS_perf_event_open, &attr, -1, cpu->cpu, -1,
				      PERF_FLAG_FD_CLOEXEC);
	if (cpu->fd[event] < 0)
		return -errno;
	return kernel_attach(&c->sampler->kernel, cpu->fd[event],
			     c->index * CPROF_EVENTS_PER_CLOCK + event, &cpu->link[event]);
}

static int open_cpu(struct clock *c, int cpu, struct clock_cpu *ret)
{
	*ret = (struct clock_cpu){ .cpu = cpu };
	for (unsigned e = 0; e < CPROF_EVENTS_PER_CLOCK; e++) {
		int r = open_event(c, ret, e);

		if (r < 0) {
			close_cpu(ret);
			return r;
		}
	}
	return 0;
}

/* Between begin and end, ticks of this event say nothing about ticks that were skipped. */
static void epoch_begin(struct cprof_event *e)
{
	__atomic_store_n(&e->epoch, e->epoch | 1, __ATOMIC_SEQ_CST);
}

static void epoch_end(struct cprof_event *e)
{
	__atomic_store_n(&e->epoch, e->epoch + 1, __ATOMIC_SEQ_CST);
}

static void set_period(struct clock *c, unsigned event)
{
	struct cprof_event *e = shared_event(c, event);

	e->weight_ns = clock_weight_ns(c->hz, event, c->detune);
	e->period_ns = clock_period_ns(e->weight_ns, c->interval_ns);
}

static void redraw(struct clock *c, unsigned event)
{
	struct cprof_event *e = shared_event(c, event);

	if (event == 0)
		c->detune = draw_detune();
	epoch_begin(e);
	set_period(c, event);
	/* a CPU that has just gone away is noticed by clocks_follow_cpus() */
	for (size_t i = 0; i < c->n_cpus; i++)
		(void)ioctl(c->cpus[i].fd[event], PERF_EVENT_IOC_PERIOD, &e->period_ns);
	epoch_end(e);
}

static int on_redraw(_unused_ sd_event_source *source, uint64_t usec, void *arg)
{
	struct clock *c = arg;

	redraw(c, c->next);
	c->next = !c->next;
	(void)sd_event_source_set_time(c->timer, usec + c->interval_ns / 2 / NSEC_PER_USEC);
	return sd_event_source_set_enabled(c->timer, SD_EVENT_ONESHOT);
}

/* The second event is restarted half a period after the first, so that the two begin apart. */
static int start_timer(struct clock *c)
{
	uint64_t usec = shared_event(c, 1)->period_ns / 2 / NSEC_PER_USEC;

	c->next = 1;
	if (!c->sampler->event)
		return 0;
	return sd_event_add_time_relative(c->sampler->event, &c->timer, CLOCK_MONOTONIC, usec,
					  TIMER_ACCURACY_USEC, on_redraw, c);
}

static void stop_clock(struct clock *c)
{
	for (size_t i = 0; i < c->n_cpus; i++)
		close_cpu(&c->cpus[i]);
	free(c->cpus);
	sd_event_source_disable_unref(c->timer);
	*c = (struct clock){};
}

static int start_clock(struct sampler *s, unsigned index, unsigned hz)
{
	struct clock *c = &s->clocks[index];
	int r;

	r = read_online(s);
	if (r < 0)
		return r;
	*c = (struct clock){ .sampler = s, .index = index, .hz = hz, .detune = draw_detune() };
	c->interval_ns = clock_interval_ns(hz);
	c->cpus = calloc(s->kernel.n_cpus, sizeof(*c->cpus));
	if (!c->cpus)
		r = -ENOMEM;

	for (unsigned e = 0; e < CPROF_EVENTS_PER_CLOCK; e++) {
		epoch_begin(shared_event(c, e));
		set_period(c, e);
	}
	for (size_t i = 0; r >= 0 && i < s->n_online; i++) {
		r = open_cpu(c, s->online[i], &c->cpus[c->n_cpus]);
		if (r >= 0)
			c->n_cpus++;
		else if (r == -ENODEV) /* went offline since */
			r = 0;
	}
	for (unsigned e = 0; e < CPROF_EVENTS_PER_CLOCK; e++)
		epoch_end(shared_event(c, e));
	if (r >= 0)
		r = start_timer(c);
	if (r < 0)
		stop_clock(c);
	return r;
}

int clocks_start(struct sampler *s, unsigned hz, unsigned *ret_index)
{
	unsigned free_index = CPROF_MAX_CLOCKS;
	int r;

	for (unsigned i = 0; i < CPROF_MAX_CLOCKS; i++) {
		if (s->clocks[i].hz == hz) {
			*ret_index = i;
			return 0;
		}
		if (!s->clocks[i].hz && free_index == CPROF_MAX_CLOCKS)
			free_index = i;
	}
	if (free_index == CPROF_MAX_CLOCKS)
		return -EBUSY;
	r = start_clock(s, free_index, hz);
	if (r < 0)
		return r;
	*ret_index = free_index;
	return 0;
}

void clocks_stop(struct sampler *s, unsigned index)
{
	stop_clock(&s->clocks[index]);
}

/* Both lists are sorted; what is in both keeps its events. */
static int follow_clock(struct clock *c, const struct sampler *s)
{
	_cleanup_free_ struct clock_cpu *old = TAKE_PTR(c->cpus);
	size_t n_old = c->n_cpus, o = 0;
	int r;

	c->n_cpus = 0;
	c->cpus = calloc(s->kernel.n_cpus, sizeof(*c->cpus));
	for (size_t i = 0; c->cpus && i < s->n_online; i++) {
		while (o < n_old && old[o].cpu < s->online[i])
			close_cpu(&old[o++]);
		if (o < n_old && old[o].cpu == s->online[i]) {
			c->cpus[c->n_cpus++] = old[o++];
			continue;
		}
		r = open_cpu(c, s->online[i], &c->cpus[c->n_cpus]);
		if (r >= 0)
			c->n_cpus++;
	}
	while (o < n_old)
		close_cpu(&old[o++]);
	return c->cpus ? 0 : -ENOMEM;
}

int clocks_follow_cpus(struct sampler *s)
{
	_cleanup_free_ int *before = TAKE_PTR(s->online);
	size_t n_before = s->n_online;
	int r;

	r = read_online(s);
	if (r < 0) {
		s->online = TAKE_PTR(before);
		return r;
	}
	if (before && n_before == s->n_online &&
	    memcmp(before, s->online, n_before * sizeof(*before)) == 0)
		return 0;
	for (unsigned i = 0; i < CPROF_MAX_CLOCKS; i++) {
		if (!s->clocks[i].hz)
			continue;
		r = follow_clock(&s->clocks[i], s);
		if (r < 0)
			return r;
	}
	return 1;
}
