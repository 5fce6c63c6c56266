/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <sys/utsname.h>

#include "build.h"
#include "capture.h"
#include "cleanup.h"

static uint32_t capture_main_pid(const struct capture *c)
{
	return c->spec.n_targets == 1 && c->resolved.n_pids == 1 ? c->resolved.pids[0].pid : 0;
}

/* The executable that the profile is about: the one that the single process target runs, or the
 * only one there is among the samples; NULL where there are several. */
static struct object *capture_sampled_object(const struct capture *c)
{
	uint32_t pid = capture_main_pid(c);
	struct object *exe = NULL;

	for (size_t i = 0; i < aggregate_n_stacks(c->aggregate); i++) {
		const struct process_info *info = aggregate_stack(c->aggregate, i)->process;

		if (pid && info->pid != pid)
			continue;
		/* a process that exec'd is about what it runs last */
		if (!pid && exe && info->exe != exe)
			return NULL;
		if (info->exe)
			exe = info->exe;
		else if (!pid)
			return NULL;
	}
	return exe;
}

void capture_know_main(const struct capture *c)
{
	const struct sessions_options *o = &c->sessions->options;
	uint32_t pid = capture_main_pid(c);

	if (pid && o->process)
		process_info_unref(o->process(o->arg, pid));
}

static void capture_find_main(struct capture *c)
{
	const struct sessions_options *o = &c->sessions->options;
	uint32_t pid = capture_main_pid(c);
	struct process_info *p;

	if (c->main_object || !pid || !o->process)
		return;
	p = o->process(o->arg, pid);
	if (p && p->exe)
		c->main_object = object_ref(p->exe);
	process_info_unref(p);
}

/* What its samples say is right at their time. */
static struct object *capture_main_object(struct capture *c)
{
	struct object *sampled = capture_sampled_object(c);

	if (sampled)
		return sampled;
	capture_find_main(c);
	return c->main_object;
}

/* One line for whoever opens the profile later. */
static int capture_comment(struct capture *c, char **ret)
{
	struct capture_progress p;
	struct utsname u = {};

	uname(&u);
	capture_progress(c, &p);
	if (asprintf(ret,
		     "cprofd %s on %s, Linux %s, %u Hz: samples taken %llu, lost %llu (missed_tick "
		     "%llu, ring_full %llu, "
		     "aggregate_full %llu, other %llu), not permitted %llu, truncated stacks %llu",
		     CPROF_VERSION, u.nodename, u.release, c->spec.hz,
		     (unsigned long long)p.samples,
		     (unsigned long long)(p.lost_missed_tick + p.lost_ring_full +
					  p.lost_aggregate_full + p.lost_other),
		     (unsigned long long)p.lost_missed_tick, (unsigned long long)p.lost_ring_full,
		     (unsigned long long)p.lost_aggregate_full, (unsigned long long)p.lost_other,
		     (unsigned long long)p.not_permitted, (unsigned long long)p.truncated) < 0)
		return -ENOMEM;
	return 0;
}

static int capture_build(struct capture *c)
{
	_cleanup_free_ char *comment = NULL;
	int r;

	r = capture_comment(c, &comment);
	if (r < 0)
		return r;

	return build_profile(c->aggregate, c->sessions->options.symbolizer,
			     &(struct build_options){
				     .hz = c->spec.hz,
				     .time_ns = c->start_realtime_ns,
				     .duration_ns = (int64_t)(c->end_ns - c->start_ns),
				     .main_object = capture_main_object(c),
				     .short_names = c->spec.short_names,
				     .comment = comment,
			     },
			     &c->profile);
}

static void capture_finish(struct capture *c, int error)
{
	c->state = error < 0 ? CAPTURE_FAILED : CAPTURE_DONE;
	if (error == -ENOSPC)
		c->error = "the profile is larger than the memory budget; capture less, or raise "
			   "[Budget] Memory=";
	else if (error < 0)
		c->error = strerror(-error);
	/* the samples are in the profile now */
	c->aggregate = aggregate_free(c->aggregate);
	if (c->done)
		c->done(c->arg);
}

static void on_named(void *arg)
{
	struct capture *c = arg;

	c->request = NULL;
	capture_finish(c, capture_build(c));
}

static int on_failed(_unused_ sd_event_source *source, void *arg)
{
	capture_finish(arg, -ENOMEM);
	return 0;
}

int capture_name(struct capture *c)
{
	_cleanup_free_ struct frame *frames = NULL;
	size_t n = 0;
	int r;

	c->state = CAPTURE_NAMING;
	capture_find_main(c);
	r = aggregate_frames(c->aggregate, &frames, &n);
	if (r == 0)
		r = symbolizer_request(c->sessions->options.symbolizer, frames, n,
				       c->spec.fast_symbols ? SYMBOLS_FAST : SYMBOLS_FULL,
				       c->spec.short_names, on_named, c, &c->request);
	if (r < 0) /* not from in here: the caller may not expect the end yet */
		return sd_event_add_defer(c->sessions->options.event, &c->done_source, on_failed,
					  c);
	return 0;
}
