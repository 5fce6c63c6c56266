/* SPDX-License-Identifier: Apache-2.0 */
#include "pendings.h"

#include <string.h>
#include <time.h>
#include <utlist.h>

#include "cleanup.h"
#include "normalize.h"
#include "pool.h"
#include "tables.h"
#include "walk_batch.h"
#include "clock.h"

/* A stack copy takes a mapping of the daemon's own: well below vm.max_map_count (65,530). */
#define MAX_STACKS 16384

struct pendings {
	struct pendings_options o;
	struct pending *waiting; /* in the order in which they started */
	struct pending *walking;
	struct walk_batch *submitted;
	sd_event_source *kick, *gathered;
	size_t bytes;
	unsigned n_stacks, n_waiting;
	uint64_t hurry_ns; /* time of sample up to which somebody waits */
	struct pendings_stats stats;
};

static void forget_stack(struct pendings *ps, struct pending *p)
{
	if (!p->stack)
		return;
	ps->bytes -= pending_forget_stack(p);
	ps->n_stacks--;
}

static void finish(struct pendings *ps, struct pending *p)
{
	forget_stack(ps, p);
	ps->bytes -= p->bytes;
	ps->n_waiting--;
	pending_free(p);
}

void pendings_drop(struct pendings *ps, struct pending *p)
{
	finish(ps, p);
}

struct pending *pendings_admit(struct pendings *ps, const struct cprof_sample *record)
{
	bool has_stack = record->flags & CPROF_SAMPLE_STACK, keep;
	size_t bytes = pending_bytes_of(record);
	struct pending *p;

	keep = has_stack && ps->n_stacks < MAX_STACKS && ps->bytes + bytes <= ps->o.max_bytes;
	if (has_stack && !keep)
		bytes = sizeof(*p) + sizeof(*record) +
			((size_t)record->n_kernel + record->n_user) * sizeof(__u64);
	if (ps->bytes + bytes > ps->o.max_bytes || !(p = pending_new(record, keep))) {
		ps->stats.lost_full++;
		return NULL;
	}

	if (p->stack)
		ps->n_stacks++;
	else if (has_stack)
		ps->stats.stacks_dropped++;
	if (p->end == CPROF_END_NEED_TABLE && !p->stack)
		p->end = CPROF_END_BUDGET;
	ps->bytes += p->bytes;
	ps->n_waiting++;
	return p;
}

/* Has the file of a mapping opened if it is not. True while that is to be waited for. */
static bool source_pending(struct pending *p, const struct mapping *m)
{
	if (p->process)
		source_open(m->source, p->process->pid, p->process->ppid, m->start, m->limit);
	return source_state(m->source) == SOURCE_OPENING;
}

static bool ip_pending(struct pending *p, uint64_t ip)
{
	const struct mapping *m = mapset_find(p->maps, ip);

	return m && source_pending(p, m);
}

static bool exe_pending(struct pending *p)
{
	const struct source *exe = p->image->exe;

	if (!exe || source_state(exe) == SOURCE_DONE)
		return false;
	for (size_t i = 0; p->maps && i < p->maps->n; i++)
		if (p->maps->m[i].source == exe)
			return source_pending(p, &p->maps->m[i]);
	return source_state(exe) == SOURCE_OPENING;
}

/* All are asked for, also where one has to be waited for already. */
static bool objects_pending(struct pending *p)
{
	const __u64 *user = record_user_frames(p->record);
	bool wait = exe_pending(p);

	for (size_t i = 0; i < p->record->n_user; i++)
		wait |= ip_pending(p, normalize_user_ip(user[i], i, p->record->flags));
	for (size_t i = 0; i < p->n_more; i++)
		wait |= ip_pending(p, normalize_user_ip(p->more[i], p->record->n_user + i, 0));
	return wait;
}

/* Also where the table is known and its blob had to go: it is made again. */
static bool table_pending(struct pendings *ps, struct object *o, uint64_t now)
{
	unsigned slot;

	switch (tables_touch(ps->o.tables, o, now, &slot)) {
	case TABLE_BUILDING:
		return true;
	case TABLE_READY:
		return tables_blob_fd(ps->o.tables, o) == -EAGAIN;
	default:
		return false;
	}
}

static bool tables_pending(struct pendings *ps, struct pending *p, uint64_t now)
{
	bool wait = false;

	for (size_t i = 0; i < p->n_needs; i++) {
		const struct mapping *m = &p->maps->m[p->needs[i]];
		struct object *o;

		if (source_pending(p, m)) {
			wait = true;
			continue;
		}
		o = source_object(m->source);
		if (o && o->fd >= 0 && source_kind(m->source) != SOURCE_ANON)
			wait |= table_pending(ps, o, now);
	}
	return wait;
}

/* The next samples of the process shall find in the kernel what this one did not. */
static void load_space(struct pendings *ps, struct pending *p, uint64_t now)
{
	struct process *process = p->process;

	if (!process || !process->space || !ps->o.alive(ps->o.arg, process))
		return;

	for (size_t i = 0; i < p->n_needs; i++) {
		const struct mapping *m = &p->maps->m[p->needs[i]];
		const struct mapping *now_there = mapset_find(process->maps, m->start);

		if (now_there && now_there->source == m->source && process->space)
			spaces_load(ps->o.spaces, process, now_there, now);
	}
}

static void deliver(struct pendings *ps, struct pending *p)
{
	DL_DELETE(ps->waiting, p);
	p->stage = PENDING_DONE;
	if (p->end == CPROF_END_NEED_TABLE)
		p->end = CPROF_END_NO_UNWIND_INFO;
	ps->o.deliver(ps->o.arg, p);
	finish(ps, p);
}

/* As far as it gets by itself: to PENDING_READY, or out. */
static void advance(struct pendings *ps, struct pending *p, uint64_t now)
{
	bool late = now >= p->deadline_ns;

	if (p->stage == PENDING_OBJECTS) {
		if (objects_pending(p) && !late)
			return;
		if (p->walked || (p->end != CPROF_END_NEED_TABLE && p->end != CPROF_END_BUDGET)) {
			deliver(ps, p);
			return;
		}
		pending_find_needs(p, JOB_MAX_FDS);
		p->stage = PENDING_TABLES;
		p->deadline_ns = now + PENDINGS_TABLES_NS;
		late = false;
	}

	if (p->stage != PENDING_TABLES)
		return;
	/* without a stack there is nothing to finish: only the next samples have a use for tables */
	if (tables_pending(ps, p, now) && !late && p->stack)
		return;
	load_space(ps, p, now);
	if (!p->stack) {
		deliver(ps, p);
		return;
	}
	p->stage = PENDING_READY;
	p->deadline_ns = now + PENDINGS_WAIT_NS;
}

static void walk_failed(struct pendings *ps, struct pending *p)
{
	ps->stats.walk_failed++;
	p->walked = true;
	p->end = p->record->flags & CPROF_SAMPLE_STACK_CUT ? CPROF_END_BUDGET
							   : CPROF_END_NO_UNWIND_INFO;
	forget_stack(ps, p);
	p->stage = PENDING_OBJECTS;
	p->deadline_ns = clock_ns(CLOCK_MONOTONIC) + PENDINGS_WAIT_NS;
}

/* The copy ended where the stack did not: that is our limit, not the program's fault. */
static enum cprof_end end_of_walk(const struct pending *p, enum cprof_end end)
{
	if (end == CPROF_END_UNREADABLE && p->record->flags & CPROF_SAMPLE_STACK_CUT)
		return CPROF_END_BUDGET;
	return end;
}

static void take_walk(struct pendings *ps, struct pending *p, const uint64_t *frames, size_t n,
		      enum cprof_end end)
{
	n = MIN(n, (size_t)CPROF_MAX_USER_FRAMES - p->record->n_user);
	if (n > 0) {
		p->more = reallocarray(NULL, n, sizeof(*p->more));
		if (!p->more) {
			walk_failed(ps, p);
			return;
		}
		memcpy(p->more, frames, n * sizeof(*p->more));
		ps->bytes += n * sizeof(*p->more);
		p->bytes += n * sizeof(*p->more);
	}

	p->n_more = n;
	p->end = end_of_walk(p, end);
	p->walked = true;
	ps->stats.walked++;
	forget_stack(ps, p);
	p->stage = PENDING_OBJECTS;
	p->deadline_ns = clock_ns(CLOCK_MONOTONIC) + PENDINGS_WAIT_NS;
}

static void on_walked(void *arg, struct pending *p, int error, const uint64_t *frames, size_t n,
		      enum cprof_end end)
{
	struct pendings *ps = arg;

	DL_DELETE(ps->walking, p);
	DL_APPEND(ps->waiting, p);
	if (error < 0 || end == CPROF_END_NEED_TABLE)
		walk_failed(ps, p);
	else
		take_walk(ps, p, frames, n, end);
}

static void on_batch_finished(void *arg, struct walk_batch *b)
{
	struct pendings *ps = arg;

	for (struct walk_batch **at = &ps->submitted; *at; at = walk_batch_next(*at)) {
		if (*at != b)
			continue;
		*at = *walk_batch_next(b);
		break;
	}
	pendings_kick(ps);
}

/* Batches that are being filled, one a uid; few uids have stacks at the same moment. */
struct filling {
	struct walk_batch *batches;
	bool busy; /* the pool takes no more for now */
};

static void back_to_waiting(struct pendings *ps, uint32_t uid)
{
	struct pending *p, *tmp;

	DL_FOREACH_SAFE(ps->walking, p, tmp)
	{
		if (p->stage != PENDING_READY || p->record->uid != uid)
			continue;
		DL_DELETE(ps->walking, p);
		DL_APPEND(ps->waiting, p);
	}
}

/* Stacks of a batch that is being filled are in the list of the walking ones, still READY. */
static void submit(struct pendings *ps, struct filling *f, struct walk_batch *b)
{
	uint32_t uid = walk_batch_uid(b);
	struct pending *p;

	if (walk_batch_submit(b, ps->o.pool, on_walked, on_batch_finished, ps) < 0) {
		f->busy = true;
		back_to_waiting(ps, uid);
		return;
	}

	*walk_batch_next(b) = ps->submitted;
	ps->submitted = b;
	DL_FOREACH(ps->walking, p)
	if (p->stage == PENDING_READY && p->record->uid == uid)
		p->stage = PENDING_WALKING;
}

/* Takes the batch of this uid out of those that are being filled. */
static struct walk_batch *take_batch(struct filling *f, uint32_t uid)
{
	for (struct walk_batch **at = &f->batches; *at; at = walk_batch_next(*at)) {
		struct walk_batch *b = *at;

		if (walk_batch_uid(b) != uid)
			continue;
		*at = *walk_batch_next(b);
		*walk_batch_next(b) = NULL;
		return b;
	}
	return NULL;
}

/* A new batch with p in it, or NULL. */
static struct walk_batch *first_of_batch(struct pendings *ps, struct pending *p)
{
	struct walk_batch *b;

	if (walk_batch_new(&b, ps->o.tables, p->record->uid) < 0)
		return NULL;
	return walk_batch_add(b, p) < 0 ? walk_batch_free(b) : b;
}

static void fill(struct pendings *ps, struct filling *f, struct pending *p)
{
	struct walk_batch *b = take_batch(f, p->record->uid);

	if (b && walk_batch_add(b, p) < 0) {
		submit(ps, f, b);
		b = NULL;
		if (f->busy)
			return;
	}
	if (!b)
		b = first_of_batch(ps, p);
	if (!b)
		return; /* without memory: tried again until its deadline */

	*walk_batch_next(b) = f->batches;
	f->batches = b;
	DL_DELETE(ps->waiting, p);
	DL_APPEND(ps->walking, p);
}

/* True when the ready ones are many, or have waited for others long enough; else they are looked at
 * again when they have. */
static bool walk_due(struct pendings *ps, uint64_t now)
{
	uint64_t oldest_ns = now;
	size_t n = 0, bytes = 0;
	struct pending *p;

	DL_FOREACH(ps->waiting, p)
	{
		if (p->stage != PENDING_READY)
			continue;
		if (p->record->time_ns <= ps->hurry_ns)
			return true;
		oldest_ns = MIN(oldest_ns, p->deadline_ns - PENDINGS_WAIT_NS);
		bytes += p->stack_bytes;
		n++;
	}
	if (n == 0)
		return false;
	if (n >= WALK_BATCH_STACKS || bytes >= WALK_BATCH_BYTES / 2 ||
	    now >= oldest_ns + PENDINGS_GATHER_NS)
		return true;

	sd_event_source_set_time(ps->gathered,
				 (oldest_ns + PENDINGS_GATHER_NS) / NSEC_PER_USEC + 1);
	sd_event_source_set_enabled(ps->gathered, SD_EVENT_ONESHOT);
	return false;
}

static void walk_ready(struct pendings *ps, uint64_t now)
{
	struct filling f = { 0 };
	struct pending *p, *tmp;

	if (!walk_due(ps, now))
		return;
	DL_FOREACH_SAFE(ps->waiting, p, tmp)
	{
		if (p->stage != PENDING_READY)
			continue;
		if (now >= p->deadline_ns)
			walk_failed(ps, p);
		else if (!f.busy)
			fill(ps, &f, p);
	}
	while (f.batches) {
		struct walk_batch *b = f.batches;

		submit(ps, &f, take_batch(&f, walk_batch_uid(b)));
	}
}

void pendings_start(struct pendings *ps, struct pending *p)
{
	uint64_t now = clock_ns(CLOCK_MONOTONIC);

	p->stage = PENDING_OBJECTS;
	p->deadline_ns = now + PENDINGS_WAIT_NS;
	DL_APPEND(ps->waiting, p);
	advance(ps, p, now);
}

void pendings_step(struct pendings *ps)
{
	uint64_t now = clock_ns(CLOCK_MONOTONIC);
	struct pending *p, *tmp;

	DL_FOREACH_SAFE(ps->waiting, p, tmp)
	advance(ps, p, now);
	walk_ready(ps, now);
}

static int on_kick(sd_event_source *source, void *arg)
{
	struct pendings *ps = arg;

	sd_event_source_set_enabled(source, SD_EVENT_OFF);
	pendings_step(ps);
	ps->o.moved(ps->o.arg);
	return 0;
}

void pendings_hurry(struct pendings *ps, uint64_t until_ns)
{
	ps->hurry_ns = MAX(ps->hurry_ns, until_ns);
	pendings_kick(ps);
}

static int on_gathered(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *arg)
{
	pendings_kick(arg);
	return 0;
}

void pendings_kick(struct pendings *ps)
{
	sd_event_source_set_enabled(ps->kick, SD_EVENT_ONESHOT);
}

DEFINE_CLEANUP(struct pendings *, pendings_free)

int pendings_new(struct pendings **ret, sd_event *event, const struct pendings_options *options)
{
	_cleanup_(pendings_freep) struct pendings *ps = calloc(1, sizeof(*ps));
	int r;

	if (!ps)
		return -ENOMEM;
	ps->o = *options;

	r = sd_event_add_defer(event, &ps->kick, on_kick, ps);
	if (r < 0)
		return r;
	r = sd_event_source_set_enabled(ps->kick, SD_EVENT_OFF);
	if (r < 0)
		return r;
	r = sd_event_add_time(event, &ps->gathered, CLOCK_MONOTONIC, UINT64_MAX, 1, on_gathered,
			      ps);
	if (r < 0)
		return r;

	*ret = TAKE_PTR(ps);
	return 0;
}

static void free_list(struct pendings *ps, struct pending *list)
{
	struct pending *p, *tmp;

	DL_FOREACH_SAFE(list, p, tmp)
	finish(ps, p);
}

struct pendings *pendings_free(struct pendings *ps)
{
	if (!ps)
		return NULL;

	while (ps->submitted) {
		struct walk_batch *b = ps->submitted;

		ps->submitted = *walk_batch_next(b);
		walk_batch_cancel(b);
	}
	free_list(ps, ps->waiting);
	free_list(ps, ps->walking);
	sd_event_source_disable_unref(ps->kick);
	sd_event_source_disable_unref(ps->gathered);
	free(ps);
	return NULL;
}

uint64_t pendings_oldest(const struct pendings *ps)
{
	uint64_t oldest = UINT64_MAX;
	const struct pending *p;

	DL_FOREACH(ps->waiting, p)
	oldest = MIN(oldest, (uint64_t)p->record->time_ns);
	DL_FOREACH(ps->walking, p)
	oldest = MIN(oldest, (uint64_t)p->record->time_ns);
	return oldest;
}

void pendings_stats(const struct pendings *ps, struct pendings_stats *ret)
{
	*ret = ps->stats;
	ret->waiting = ps->n_waiting;
	ret->bytes = ps->bytes;
}
