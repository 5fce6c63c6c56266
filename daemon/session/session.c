/* SPDX-License-Identifier: Apache-2.0 */
#include "session.h"

#include <string.h>
#include <sys/epoll.h>
#include <time.h>

#include "capture.h"
#include "cleanup.h"
#include "text.h"
#include "clock.h"

#define TICK_NS    NSEC_PER_SEC
#define MAX_FRAMES (CPROF_MAX_KERNEL_FRAMES + CPROF_MAX_USER_FRAMES + 1)
/* perf_event_paranoid from which an ordinary user sees no kernel addresses. */
#define PARANOID_NO_KERNEL 2

int sessions_new(struct sessions **ret, const struct sessions_options *options)
{
	struct sessions *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;

	s->options = *options;
	*ret = s;
	return 0;
}

struct sessions *sessions_free(struct sessions *s)
{
	if (!s)
		return NULL;

	while (s->captures)
		capture_free(s->captures);
	free(s);
	return NULL;
}

/* PTRACE_MODE_READ, sample by sample: docs/security.md 5. */
static bool capture_permitted(const struct capture *c, const struct sample *sample)
{
	return c->spec.privileged || ((sample->flags & CPROF_SAMPLE_OWNABLE) &&
				      sample->uid == c->spec.uid && sample->gid == c->spec.gid);
}

/* The sample's frames, with the kernel's replaced by one where the owner may not see them. */
static const struct frame *capture_frames(struct capture *c, const struct sample *sample,
					  size_t *ret_n)
{
	size_t user = sample->n_frames - sample->n_kernel;

	*ret_n = sample->n_frames;
	if (!c->hidden_kernel || sample->n_kernel == 0)
		return sample->frames;

	user = MIN(user, (size_t)MAX_FRAMES - 1);
	c->scratch[0] = (struct frame){ .object = c->hidden_kernel };
	memcpy(c->scratch + 1, sample->frames + sample->n_kernel, user * sizeof(struct frame));
	*ret_n = user + 1;
	return c->scratch;
}

static void capture_sample(struct capture *c, const struct sample *sample)
{
	const struct frame *frames;
	size_t n;
	int r;

	if (!capture_permitted(c, sample)) {
		/* an ordinary user who asks for "all" means their own: others are no loss */
		c->counts.not_permitted++;
		c->sessions->stats.not_permitted++;
		return;
	}

	frames = capture_frames(c, sample, &n);
	r = aggregate_add(c->aggregate, sample, frames, n);
	if (r < 0) {
		c->counts.lost_aggregate_full++;
		c->sessions->stats.lost_aggregate_full++;
		return;
	}

	c->counts.samples++;
	c->counts.cpu_ns += sample->period_ns;
	c->sessions->stats.samples++;
	if (sample->end >= CPROF_END_NO_UNWIND_INFO)
		c->counts.truncated++;
	else
		c->counts.complete++;
}

void sessions_sample(struct sessions *s, const struct sample *sample)
{
	for (struct capture *c = s->captures; c; c = c->next) {
		if (!(sample->sessions[c->slot / 64] & (1ULL << (c->slot % 64))) ||
		    sample->clock != c->clock)
			continue;
		if (c->state == CAPTURE_RUNNING && sample->time_ns >= c->start_ns &&
		    sample->time_ns < c->end_ns)
			capture_sample(c, sample);
	}
}

void sessions_advanced(struct sessions *s, uint64_t until_ns)
{
	for (struct capture *c = s->captures, *next; c; c = next) {
		next = c->next;
		if (c->state == CAPTURE_RUNNING && !c->slot_open && until_ns >= c->end_ns)
			capture_name(c);
	}
}

static void capture_close_slot(struct capture *c)
{
	if (!c->slot_open)
		return;

	sampler_session_close(c->sessions->options.sampler, c->slot);
	c->slot_open = false;
}

/* No more samples; the rest follows when those under way have arrived. */
static void capture_end(struct capture *c, uint64_t end_ns)
{
	uint64_t cpu_ns = 0;

	if (!c->slot_open)
		return;

	c->end_ns = MIN(c->end_ns, MAX(end_ns, c->start_ns));
	c->cpu_known = c->cpu_known && usage_cpu_ns(c, &cpu_ns);
	/* children that nobody waits for take their account with them */
	c->last_cpu_ns = MAX(c->last_cpu_ns, cpu_ns);
	usage_waiting(c, c->counts.waiting, sizeof(c->counts.waiting));
	sampler_stats(c->sessions->options.sampler, (int)c->clock, &c->last);
	capture_close_slot(c);
	c->end_timer = sd_event_source_disable_unref(c->end_timer);
	c->tick_timer = sd_event_source_disable_unref(c->tick_timer);
	if (c->sessions->options.kick)
		c->sessions->options.kick(c->sessions->options.arg);
}

void capture_stop(struct capture *c)
{
	capture_end(c, clock_ns(CLOCK_MONOTONIC));
}

static int on_end(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *arg)
{
	capture_stop(arg);
	return 0;
}

static void capture_add_pid(void *arg, uint32_t pid)
{
	struct capture *c = arg;

	sampler_session_target(c->sessions->options.sampler, c->slot,
			       &(struct target){ .kind = TARGET_PID, .pid = pid });
}

static int on_tick(sd_event_source *source, _unused_ uint64_t usec, void *arg)
{
	struct capture *c = arg;
	uint64_t cpu_ns;

	/* the last reading of a target that ends before the capture does */
	if (c->cpu_known && usage_cpu_ns(c, &cpu_ns))
		c->last_cpu_ns = MAX(c->last_cpu_ns, cpu_ns);
	if (c->resolved.n_v1_folders > 0)
		resolve_list_v1(&c->resolved, capture_add_pid, c);

	sd_event_source_set_time_relative(source, TICK_NS / NSEC_PER_USEC);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

/* A process target ended. When it was the last, there is nothing left to wait for. */
static int on_target_exit(sd_event_source *source, _unused_ int fd, _unused_ uint32_t revents,
			  void *arg)
{
	struct capture *c = arg;

	sd_event_source_set_enabled(source, SD_EVENT_OFF);
	if (--c->n_alive == 0 && c->slot_open) {
		c->counts.target_ended = true;
		capture_stop(c);
	}
	return 0;
}

/* Only where nothing but processes was asked for does their end end the capture. */
static int capture_watch_exits(struct capture *c)
{
	for (size_t i = 0; i < c->spec.n_targets; i++)
		if (c->spec.targets[i].kind != CAPTURE_PID)
			return 0;

	for (size_t i = 0; i < c->resolved.n_pids; i++) {
		int r = sd_event_add_io(c->sessions->options.event, &c->exits[i],
					c->resolved.pids[i].pidfd, EPOLLIN, on_target_exit, c);

		if (r < 0)
			return r;
		c->n_alive++;
	}
	return 0;
}

static int capture_arm(struct capture *c)
{
	sd_event *event = c->sessions->options.event;
	int r;

	if (c->spec.duration_ns > 0) {
		/* the end is exact by time stamps; the timer only notices it */
		r = sd_event_add_time(event, &c->end_timer, CLOCK_MONOTONIC,
				      c->end_ns / NSEC_PER_USEC + 1, 1, on_end, c);
		if (r < 0)
			return r;
	}
	r = sd_event_add_time_relative(event, &c->tick_timer, CLOCK_MONOTONIC,
				       TICK_NS / NSEC_PER_USEC, 0, on_tick, c);
	if (r < 0)
		return r;
	return capture_watch_exits(c);
}

static int capture_open(struct capture *c, char **ret_error)
{
	struct sampler *sampler = c->sessions->options.sampler;
	int r;

	r = sampler_session_open(sampler, c->spec.hz, c->spec.children, &c->slot, &c->clock);
	if (r < 0) {
		const char *why =
			r == -E2BIG    ? "is over kernel.perf_event_max_sample_rate; lower it"
			: r == -ERANGE ? "is outside 1 to 10000"
			: r == -EBUSY ? "needs a clock or a slot and all are taken; try again later"
				      : strerror(-r);

		return asprintf(ret_error, "%u Hz %s", c->spec.hz, why) < 0 ? -ENOMEM : r;
	}
	c->slot_open = true;

	for (size_t i = 0; i < c->resolved.n_targets; i++) {
		r = sampler_session_target(sampler, c->slot, &c->resolved.targets[i]);
		if (r < 0) {
			if (asprintf(ret_error, "target could not be added: %s", strerror(-r)) < 0)
				return -ENOMEM;
			return r;
		}
	}
	return 0;
}

static int read_paranoid(void)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/sys/kernel/perf_event_paranoid", "re");
	int paranoid;

	return f && fscanf(f, "%d", &paranoid) == 1 ? paranoid : PARANOID_NO_KERNEL;
}

/*
 * Captures share what memory there is: most of the time there is one, and it may be a busy host. An ordinary
 * user's takes a quarter at most, and all of theirs leave a quarter to root.
 */
static int capture_prepare(struct capture *c)
{
	const struct sessions_options *o = &c->sessions->options;
	uint64_t quarter = o->memory_bytes / 4;
	bool privileged = c->spec.privileged;
	int r;

	r = aggregate_new(&c->aggregate,
			  &(struct aggregate_options){
				  .max_bytes = privileged ? o->memory_bytes : quarter,
				  .shared_bytes = &c->sessions->aggregate_bytes,
				  .shared_max_bytes = privileged ? o->memory_bytes : 3 * quarter,
				  .keep_tid = true });
	if (r < 0)
		return r;

	if (!c->spec.privileged && read_paranoid() >= PARANOID_NO_KERNEL) {
		c->scratch = calloc(MAX_FRAMES, sizeof(*c->scratch));
		if (!c->scratch)
			return -ENOMEM;
		return object_special(o->objects, OBJECT_SYNTHETIC, "[kernel]", &c->hidden_kernel);
	}
	return 0;
}

static int capture_copy_spec(struct capture *c, const struct capture_spec *spec)
{
	c->spec = *spec;
	c->spec.n_targets = 0;
	for (size_t i = 0; i < spec->n_targets; i++) {
		c->spec.targets[i].value = strdup(spec->targets[i].value ?: "");
		if (!c->spec.targets[i].value)
			return -ENOMEM;
		c->spec.n_targets++;
	}
	return 0;
}

static void capture_start(struct capture *c)
{
	sampler_stats(c->sessions->options.sampler, (int)c->clock, &c->first);
	c->last = c->first;
	c->start_ns = clock_ns(CLOCK_MONOTONIC);
	c->start_realtime_ns = (int64_t)clock_ns(CLOCK_REALTIME);
	c->end_ns = c->spec.duration_ns ? c->start_ns + c->spec.duration_ns : CAPTURE_NEVER;
	c->cpu_known = usage_cpu_ns(c, &c->first_cpu_ns);
	c->last_cpu_ns = c->first_cpu_ns;
	c->sessions->stats.captures_total++;
	capture_know_main(c);
	/* what it samples is looked at from now on, and not when an idle daemon would wake */
	if (c->sessions->options.kick)
		c->sessions->options.kick(c->sessions->options.arg);
}

DEFINE_CLEANUP(struct capture *, capture_free);

int capture_new(struct sessions *s, const struct capture_spec *spec, void (*done)(void *arg),
		void *arg, struct capture **ret, char **ret_error)
{
	_cleanup_(capture_freep) struct capture *c = calloc(1, sizeof(*c));
	int r;

	*ret_error = NULL;
	if (!c)
		return -ENOMEM;

	c->sessions = s;
	c->profile = BUF_INIT(s->options.memory_bytes);
	c->done = done;
	c->arg = arg;
	c->next = s->captures;
	if (s->captures)
		s->captures->prev = c;
	s->captures = c;

	r = capture_copy_spec(c, spec);
	if (r < 0)
		return r;
	r = resolve_targets(&c->spec, &c->resolved, ret_error);
	if (r < 0)
		return r;
	r = capture_prepare(c);
	if (r < 0)
		return r;
	r = capture_open(c, ret_error);
	if (r < 0)
		return r;
	capture_start(c);
	r = capture_arm(c);
	if (r < 0)
		return r;

	*ret = TAKE_PTR(c);
	return 0;
}

static void capture_unlink(struct capture *c)
{
	if (c->prev)
		c->prev->next = c->next;
	else
		c->sessions->captures = c->next;
	if (c->next)
		c->next->prev = c->prev;
}

struct capture *capture_free(struct capture *c)
{
	if (!c)
		return NULL;

	capture_close_slot(c);
	capture_unlink(c);
	symbols_request_cancel(c->request);
	sd_event_source_disable_unref(c->end_timer);
	sd_event_source_disable_unref(c->tick_timer);
	sd_event_source_disable_unref(c->done_source);
	for (size_t i = 0; i < ARRAY_SIZE(c->exits); i++)
		sd_event_source_disable_unref(c->exits[i]);
	aggregate_free(c->aggregate);
	object_unref(c->main_object);
	object_unref(c->hidden_kernel);
	free(c->scratch);
	resolved_done(&c->resolved);
	for (size_t i = 0; i < c->spec.n_targets; i++)
		free(c->spec.targets[i].value);
	buf_done(&c->profile);
	free(c);
	return NULL;
}

void capture_progress(struct capture *c, struct capture_progress *ret)
{
	uint64_t now = clock_ns(CLOCK_MONOTONIC);
	struct sampler_stats stats = c->last;

	*ret = c->counts;
	ret->state = c->state;
	ret->duration_ns = c->spec.duration_ns;
	ret->elapsed_ns = MIN(now, c->end_ns) - c->start_ns;
	if (c->slot_open)
		sampler_stats(c->sessions->options.sampler, (int)c->clock, &stats);
	ret->lost_missed_tick = stats.lost_missed_tick - c->first.lost_missed_tick;
	ret->lost_ring_full = stats.lost_ring_full - c->first.lost_ring_full;
	ret->lost_other = stats.lost_nested + stats.lost_internal - c->first.lost_nested -
			  c->first.lost_internal;
	if (c->request)
		symbols_request_progress(c->request, &ret->files_named, &ret->files);
	if (c->cpu_known) {
		ret->target_cpu_ns = c->last_cpu_ns - c->first_cpu_ns;
		ret->due = (uint64_t)((double)ret->target_cpu_ns * c->spec.hz / NSEC_PER_SEC);
	}
}

const struct buf *capture_profile(const struct capture *c)
{
	return &c->profile;
}

const char *capture_error(const struct capture *c)
{
	return c->error;
}

void sessions_stats(const struct sessions *s, struct sessions_stats *ret)
{
	*ret = s->stats;
	for (const struct capture *c = s->captures; c; c = c->next) {
		ret->captures += c->state == CAPTURE_RUNNING || c->state == CAPTURE_NAMING;
		ret->bytes += (c->aggregate ? aggregate_bytes(c->aggregate) : 0) +
			      c->profile.allocated;
	}
}
