/* SPDX-License-Identifier: Apache-2.0 */
#include "sampler.h"

#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>

#include "cleanup.h"
#include "sampling.h"
#include "clock.h"

#define HOUSEKEEPING_USEC          1000000
#define HOUSEKEEPING_ACCURACY_USEC 250000
/* A program that started just before the drain may not be visible as active yet: the store of its
 * mark and its look at the clock are not ordered to other CPUs. */
#define START_MARGIN_NS (100 * NSEC_PER_USEC)
/* How long a drain waits for a record that is being written. */
#define WRITE_WAIT_NS       (2 * NSEC_PER_MSEC)
#define COPIES_A_SECOND     400
#define MAX_COPIES_A_SECOND 2000
#define COPY_BURST_NS       (250 * NSEC_PER_MSEC)

static int on_housekeeping(sd_event_source *source, uint64_t usec, void *arg)
{
	struct sampler *s = arg;

	(void)clocks_follow_cpus(s); /* -ENOMEM: again in a second */
	targets_sweep(s);
	(void)sd_event_source_set_time(source, usec + HOUSEKEEPING_USEC);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

static int on_ring_wakeup(_unused_ sd_event_source *source, _unused_ int fd,
			  _unused_ uint32_t events, void *arg)
{
	struct sampler *s = arg;

	(void)sampler_drain(s, NULL);
	if (s->options.wake)
		s->options.wake(s->options.arg);
	return 0;
}

static int add_sources(struct sampler *s)
{
	int r;

	if (!s->event)
		return 0;
	r = sd_event_add_time_relative(s->event, &s->housekeeping, CLOCK_MONOTONIC,
				       HOUSEKEEPING_USEC, HOUSEKEEPING_ACCURACY_USEC,
				       on_housekeeping, s);
	if (r < 0)
		return r;
	/* edge: the ring is readable whenever it holds a record, but only a wakeup is of interest */
	return sd_event_add_io(s->event, &s->ring_wakeup, s->kernel.ring_fd, EPOLLIN | EPOLLET,
			       on_ring_wakeup, s);
}

/* Stack copies: enough for a fast clock on a machine full of new processes, and bounded. */
static void set_copy_rate(struct sampler *s)
{
	uint64_t rate = COPIES_A_SECOND;

	for (unsigned i = 0; i < CPROF_MAX_CLOCKS; i++)
		rate = MAX(rate, (uint64_t)s->clocks[i].hz);
	rate = MIN(rate, (uint64_t)MAX_COPIES_A_SECOND);
	s->kernel.control->copy_interval_ns = NSEC_PER_SEC / rate;
	s->kernel.control->copy_burst_ns = COPY_BURST_NS;
}

DEFINE_CLEANUP(struct sampler *, sampler_free)

int sampler_new(struct sampler **ret, sd_event *event, const struct sampler_options *options,
		enum sampler_problem *ret_problem, char **ret_detail)
{
	_cleanup_(sampler_freep) struct sampler *s = calloc(1, sizeof(*s));
	const struct rlimit unlimited = { RLIM_INFINITY, RLIM_INFINITY };
	int r;

	*ret_problem = SAMPLER_OTHER;
	*ret_detail = NULL;
	if (!s)
		return -ENOMEM;
	s->options = *options;
	s->event = event ? sd_event_ref(event) : NULL;

	/* only kernels before 5.11 count maps against it; refused where the capability is missing */
	(void)setrlimit(RLIMIT_MEMLOCK, &unlimited);
	r = kernel_load(&s->kernel, options->ring_bytes, options->tail_calls, ret_problem,
			ret_detail);
	if (r < 0)
		return r;
	r = ring_init(&s->ring, s->kernel.ring_fd, options->ring_bytes);
	if (r < 0)
		return r;
	r = kernel_tables_new(&s->tables, &s->kernel);
	if (r < 0)
		return r;
	r = kernel_spaces_new(&s->spaces, &s->kernel);
	if (r < 0)
		return r;
	set_copy_rate(s);
	r = add_sources(s);
	if (r < 0)
		return r;
	*ret_problem = SAMPLER_OK;
	*ret = TAKE_PTR(s);
	return 0;
}

struct sampler *sampler_free(struct sampler *s)
{
	if (!s)
		return NULL;
	for (unsigned i = 0; i < CPROF_MAX_CLOCKS; i++)
		clocks_stop(s, i);
	for (unsigned i = 0; i < CPROF_MAX_SESSIONS; i++)
		free(s->sessions[i].targets);
	sd_event_source_disable_unref(s->housekeeping);
	sd_event_source_disable_unref(s->ring_wakeup);
	kernel_spaces_free(s->spaces);
	kernel_tables_free(s->tables);
	ring_done(&s->ring);
	kernel_done(&s->kernel);
	sd_event_unref(s->event);
	free(s->online);
	free(s);
	return NULL;
}

bool sampler_tail_calls(const struct sampler *s)
{
	return s->kernel.tails;
}

static unsigned max_sample_rate(void)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/sys/kernel/perf_event_max_sample_rate", "re");
	unsigned rate;

	return f && fscanf(f, "%u", &rate) == 1 ? rate : CPROF_MAX_RATE_HZ;
}

int sampler_session_open(struct sampler *s, unsigned hz, bool children, unsigned *ret_slot,
			 unsigned *ret_clock)
{
	unsigned slot, clock;
	int r;

	if (hz < 1 || hz > CPROF_MAX_RATE_HZ)
		return -ERANGE;
	if (hz > max_sample_rate())
		return -E2BIG;
	for (slot = 0; slot < CPROF_MAX_SESSIONS; slot++)
		if (!s->sessions[slot].open)
			break;
	if (slot == CPROF_MAX_SESSIONS)
		return -EBUSY;

	r = clocks_start(s, hz, &clock);
	if (r < 0)
		return r;
	s->clocks[clock].n_sessions++;
	s->sessions[slot] = (struct session){ .open = true, .children = children, .clock = clock };
	session_bit(s->kernel.control->children, slot, children);
	session_bit(s->kernel.control->clocks[clock].sessions, slot, true);
	set_copy_rate(s);
	*ret_slot = slot;
	*ret_clock = clock;
	return 0;
}

static struct session *find_session(struct sampler *s, unsigned slot)
{
	if (slot >= CPROF_MAX_SESSIONS || !s->sessions[slot].open)
		return NULL;
	return &s->sessions[slot];
}

int sampler_session_close(struct sampler *s, unsigned slot)
{
	struct session *session = find_session(s, slot);
	unsigned clock;

	if (!session)
		return -EINVAL;
	clock = session->clock;
	session_bit(s->kernel.control->clocks[clock].sessions, slot, false);
	targets_forget(s, slot);
	*session = (struct session){};
	if (--s->clocks[clock].n_sessions == 0)
		clocks_stop(s, clock);
	set_copy_rate(s);
	return 0;
}

int sampler_session_target(struct sampler *s, unsigned slot, const struct target *target)
{
	return find_session(s, slot) ? targets_add(s, slot, target) : -EINVAL;
}

int sampler_session_untarget(struct sampler *s, unsigned slot, const struct target *target)
{
	return find_session(s, slot) ? targets_remove(s, slot, target) : -EINVAL;
}

/* Before this time no program that is still running took its sample. */
static uint64_t started_before(struct sampler *s)
{
	uint64_t until = clock_ns(CLOCK_MONOTONIC) - START_MARGIN_NS;

	for (unsigned cpu = 0; cpu < s->kernel.n_cpus; cpu++) {
		const volatile uint64_t *active =
			(const uint64_t *)&kernel_stats(&s->kernel, cpu)->active;
		uint64_t since = *active, give_up = 0;

		while (since == 1 && give_up++ < 100000)
			since = *active;
		if (since)
			until = MIN(until, since == 1 ? s->until_ns : since);
	}
	return until;
}

static void hand_over(void *arg, const void *record, uint32_t record_bytes)
{
	struct sampler *s = arg;
	const struct cprof_sample *sample = record;

	if (record_bytes < sizeof(*sample) || sample->record_bytes != record_bytes)
		s->bad_records++;
	else
		s->options.record(s->options.arg, sample);
}

int sampler_drain(struct sampler *s, uint64_t *ret_until_ns)
{
	uint64_t until = started_before(s);
	uint64_t head, deadline = clock_ns(CLOCK_MONOTONIC) + WRITE_WAIT_NS;

	__atomic_thread_fence(__ATOMIC_SEQ_CST);
	head = ring_head(&s->ring);
	while (!ring_consume(&s->ring, head, hand_over, s)) {
		if (clock_ns(CLOCK_MONOTONIC) < deadline)
			continue;
		/* its writer has lost its CPU to the hypervisor: next time */
		until = s->until_ns;
		break;
	}
	s->until_ns = MAX(s->until_ns, until);
	if (ret_until_ns)
		*ret_until_ns = s->until_ns;
	return 0;
}

static void add_clock_stats(struct sampler_stats *to, const struct cprof_clock_stats *from)
{
	to->taken += from->taken;
	to->lost_ring_full += from->ring_full;
	to->lost_missed_tick += from->missed_tick;
	to->idle += from->idle;
	to->filtered += from->filtered;
	to->stack_copies += from->stack_copies;
	for (int i = 0; i < CPROF_END_MAX; i++)
		to->truncated[i] += from->truncated[i];
}

void sampler_stats(struct sampler *s, int clock, struct sampler_stats *ret)
{
	struct sampler_stats sum = {};

	for (unsigned cpu = 0; cpu < s->kernel.n_cpus; cpu++) {
		const struct cprof_cpu_stats *c = kernel_stats(&s->kernel, cpu);

		for (int i = 0; i < CPROF_MAX_CLOCKS; i++)
			if (clock < 0 || clock == i)
				add_clock_stats(&sum, &c->clock[i]);
		sum.lost_nested += c->nested;
		sum.lost_internal += c->internal;
		sum.bpf_ns += c->bpf_ns;
		sum.bpf_runs += c->bpf_runs;
	}
	sum.lost_internal += s->bad_records;
	sum.map_bytes = kernel_map_bytes(&s->kernel) + kernel_tables_bytes(s->tables);
	for (unsigned i = 0; i < CPROF_MAX_CLOCKS; i++)
		sum.cpus = MAX(sum.cpus, (uint64_t)s->clocks[i].n_cpus);
	*ret = sum;
}
