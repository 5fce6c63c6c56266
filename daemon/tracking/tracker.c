/* SPDX-License-Identifier: Apache-2.0 */
#include "tracker.h"

#include <string.h>
#include <time.h>

#include "cleanup.h"
#include "procfs.h"
#include "tables.h"
#include "world.h"
#include "clock.h"

/* A record is written to its ring a moment after its time was taken: what is younger than this when
 * the rings are read may still have company to come. */
#define SIDEBAND_SETTLE_NS (200 * NSEC_PER_USEC)
#define PRUNE_NS           NSEC_PER_SEC

static void on_sideband(void *arg, const struct sideband_event *e)
{
	world_receive(arg, e);
}

static void on_opened(void *arg)
{
	struct tracker *t = arg;

	pendings_kick(t->pendings);
}

static void on_table(void *arg, struct object *object, enum table_state state _unused_)
{
	struct tracker *t = arg;

	spaces_ready(t->spaces, object, clock_ns(CLOCK_MONOTONIC));
	pendings_kick(t->pendings);
}

static void on_left(void *arg, struct process *p)
{
	struct tracker *t = arg;

	spaces_left(t->spaces, p);
	jits_left(p->jit);
}

static void on_forked(void *arg, struct process *parent, struct process *child, uint64_t time_ns)
{
	struct tracker *t = arg;

	spaces_forked(t->spaces, parent, child, time_ns);
}

static bool is_known(void *arg, uint32_t pid)
{
	struct tracker *t = arg;

	return processes_find(t->processes, pid);
}

static bool is_alive(void *arg, const struct process *p)
{
	return world_alive(arg, p);
}

/* Tables of what is seen on stacks are kept loaded. */
static void on_used(void *arg, struct source *source)
{
	struct tracker *t = arg;
	struct object *o = source_object(source);
	unsigned slot;

	if (o->fd >= 0 && source_kind(source) != SOURCE_ANON && source_touch_due(source, t->now_ns))
		tables_touch(t->o.tables, o, t->now_ns, &slot);
}

static struct object *on_anon(void *arg)
{
	struct tracker *t = arg;
	const struct pending *p = t->delivering;

	if (!t->jit_object && p->process) {
		struct jits_sample s = world_jits_sample(t, p);

		t->jit_object = jits_object(t->jits, p->process, &s, t->now_ns);
	}
	return t->jit_object;
}

static void deliver(void *arg, struct pending *p)
{
	struct tracker *t = arg;
	const struct cprof_sample *r = p->record;
	char thread[CPROF_COMM_LEN + 1];
	struct sample s = {
		.time_ns = r->time_ns,
		.period_ns = r->period_ns,
		.clock = r->clock,
		.cpu = r->cpu,
		.pid = r->pid,
		.tid = r->tid,
		.uid = r->uid,
		.gid = r->gid,
		.flags = r->flags,
		.end = (uint8_t)p->end,
		.process = image_info(p->image),
		.thread = thread,
		.frames = t->frames,
	};

	if (!s.process)
		return;
	memcpy(s.sessions, r->sessions, sizeof(s.sessions));
	memcpy(thread, r->thread, CPROF_COMM_LEN);
	thread[CPROF_COMM_LEN] = '\0';
	t->delivering = p;
	t->jit_object = NULL;
	s.n_frames = normalize(t->normalizer, r, p->more, p->n_more, p->end, p->maps, t->frames,
			       &s.n_kernel);

	t->stats.finished[p->end]++;
	t->o.sample(t->o.arg, &s);
}

/* Says how far samples have come out, when that is further than before. */
static void announce(void *arg)
{
	struct tracker *t = arg;
	uint64_t until = MIN(t->horizon_ns, pendings_oldest(t->pendings));

	if (until <= t->announced_ns)
		return;
	t->announced_ns = until;
	t->o.advanced(t->o.arg, until);
}

static int parts_new(struct tracker *t, sd_event *event)
{
	struct processes_options po = {
		.max_processes = t->o.max_processes,
		.max_mappings = t->o.max_mappings,
		.left = on_left,
		.forked = on_forked,
		.arg = t,
	};
	struct pendings_options qo = {
		.tables = t->o.tables,
		.pool = t->o.pool,
		.spaces = NULL,
		.max_bytes = t->o.max_pending_bytes,
		.deliver = deliver,
		.moved = announce,
		.alive = is_alive,
		.arg = t,
	};
	struct normalizer_options no = {
		.kernel_address = t->o.kernel_address,
		.kernel_entry = t->o.kernel_entry,
		.kernel_arg = t->o.kernel_arg,
		.used = on_used,
		.used_arg = t,
		.anon = on_anon,
		.anon_arg = t,
	};
	int r;

	r = opener_new(&t->opener, event);
	if (r < 0)
		return r;
	r = sources_new(&t->sources, t->o.objects, t->opener, on_opened, t);
	if (r < 0)
		return r;
	if (t->o.attach_path) {
		r = attacher_new(&t->attacher, event, t->o.attach_path);
		if (r < 0)
			return r;
		t->o.attach_path = NULL; /* the caller's */
	}
	r = sightings_new(&t->sightings, t->opener);
	if (r < 0)
		return r;
	r = jits_new(&t->jits, t->o.objects, t->opener, t->attacher, t->sightings);
	if (r < 0)
		return r;
	r = cgroups_new(&t->cgroups);
	if (r < 0)
		return r;
	r = timeline_new(&t->timeline);
	if (r < 0)
		return r;
	r = normalizer_new(&t->normalizer, t->o.objects, &no);
	if (r < 0)
		return r;
	r = spaces_new(&t->spaces, t->o.sampler, t->o.tables);
	if (r < 0)
		return r;
	r = processes_new(&t->processes, &po);
	if (r < 0)
		return r;
	qo.spaces = t->spaces;
	return pendings_new(&t->pendings, event, &qo);
}

DEFINE_CLEANUP(struct tracker *, tracker_free)

int tracker_new(struct tracker **ret, sd_event *event, const struct tracker_options *options)
{
	_cleanup_(tracker_freep) struct tracker *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return -ENOMEM;
	t->o = *options;
	t->now_ns = clock_ns(CLOCK_MONOTONIC);

	r = parts_new(t, event);
	if (r < 0)
		return r;
	r = sideband_new(&t->sideband, event, on_sideband, t);
	if (r < 0)
		return r;

	tables_set_ready(t->o.tables, on_table, t);
	*ret = TAKE_PTR(t);
	return 0;
}

/* From the users of references to their owners. */
struct tracker *tracker_free(struct tracker *t)
{
	if (!t)
		return NULL;

	if (t->o.tables)
		tables_set_ready(t->o.tables, NULL, NULL);
	sideband_free(t->sideband);
	for (size_t i = 0; i < t->n_queue; i++)
		pendings_drop(t->pendings, t->queue[i]);
	free(t->queue);
	pendings_free(t->pendings);
	processes_free(t->processes);
	spaces_free(t->spaces);
	timeline_free(t->timeline);
	normalizer_free(t->normalizer);
	opener_free(t->opener);
	attacher_free(t->attacher);
	jits_free(t->jits);
	sightings_free(t->sightings);
	sources_free(t->sources);
	cgroups_free(t->cgroups);
	free(t);
	return NULL;
}

static int scan_one(void *arg, uint32_t pid)
{
	world_adopt(arg, pid);
	return 0;
}

int tracker_scan(struct tracker *t)
{
	return procfs_each(scan_one, t);
}

static int queue_push(struct tracker *t, struct pending *p)
{
	if (t->n_queue == t->queue_allocated) {
		size_t allocated = MAX((size_t)256, t->queue_allocated * 2);
		struct pending **queue = reallocarray(t->queue, allocated, sizeof(*queue));

		if (!queue)
			return -ENOMEM;
		t->queue = queue;
		t->queue_allocated = allocated;
	}

	t->queue[t->n_queue++] = p;
	return 0;
}

void tracker_record(struct tracker *t, const struct cprof_sample *record)
{
	struct pending *p;

	if (record_check(record) < 0) {
		t->stats.bad_records++;
		return;
	}
	p = pendings_admit(t->pendings, record);
	if (!p)
		return;
	if (queue_push(t, p) < 0) {
		t->stats.lost_pending_full++;
		pendings_drop(t->pendings, p);
	}
}

static int by_time(const void *a, const void *b)
{
	const struct pending *const *x = a, *const *y = b;
	uint64_t s = (*x)->record->time_ns, u = (*y)->record->time_ns;

	return s < u ? -1 : s > u;
}

/* Samples and side-band records, merged by time, up to the horizon. */
static void merge(struct tracker *t)
{
	size_t n = 0;

	if (t->n_queue > 0)
		qsort(t->queue, t->n_queue, sizeof(*t->queue), by_time);
	for (; n < t->n_queue && t->queue[n]->record->time_ns < t->horizon_ns; n++) {
		struct pending *p = t->queue[n];

		world_apply(t, p->record->time_ns);
		if (world_attribute(t, p) < 0) {
			t->stats.lost_pending_full++;
			pendings_drop(t->pendings, p);
			continue;
		}
		pendings_start(t->pendings, p);
	}

	t->n_queue -= n;
	if (t->n_queue > 0)
		memmove(t->queue, t->queue + n, t->n_queue * sizeof(*t->queue));
	world_apply(t, t->horizon_ns);
}

void tracker_advance(struct tracker *t, uint64_t until_ns)
{
	t->now_ns = clock_ns(CLOCK_MONOTONIC);
	sideband_drain(t->sideband);
	t->horizon_ns = MAX(t->horizon_ns, MIN(until_ns, t->now_ns - SIDEBAND_SETTLE_NS));

	opener_reap(t->opener);
	merge(t);
	pendings_step(t->pendings);
	if (t->now_ns - t->pruned_ns >= PRUNE_NS) {
		t->pruned_ns = t->now_ns;
		processes_prune(t->processes, t->horizon_ns);
		sightings_prune(t->sightings, is_known, t, t->horizon_ns);
		sources_expire(t->sources, t->now_ns);
	}
	announce(t);
}

void tracker_hurry(struct tracker *t)
{
	pendings_hurry(t->pendings, clock_ns(CLOCK_MONOTONIC));
}

struct process_info *tracker_process(struct tracker *t, uint32_t pid)
{
	struct process *p = world_adopt(t, pid);

	if (p) {
		world_find_cgroup(t, p);
		world_find_maps(t, p);
	} else {
		p = processes_find(t->processes, pid);
	}
	return p ? process_info_ref(image_info(p->image)) : NULL;
}

struct each {
	struct tracker *t;
	void (*fn)(void *arg, struct process_info *p);
	void *arg;
};

static void each_one(void *arg, struct process *p)
{
	struct each *each = arg;
	struct process_info *info;

	world_find_cgroup(each->t, p);
	info = image_info(p->image);
	if (info)
		each->fn(each->arg, info);
}

void tracker_each(struct tracker *t, void (*fn)(void *arg, struct process_info *p), void *arg)
{
	struct each each = { t, fn, arg };

	processes_each(t->processes, each_one, &each);
}

int tracker_open_debug(struct tracker *t, struct object *object, const char *path)
{
	return opener_debug_file(t->opener, object, path);
}

void tracker_open_jit(struct tracker *t, const struct object *object, struct jit_fds *ret)
{
	jits_open(t->jits, object, ret);
}

void tracker_stats(const struct tracker *t, struct tracker_stats *ret)
{
	struct sideband_stats sb;
	struct processes_stats ps;
	struct pendings_stats qs;
	struct opener_stats os;
	struct sources_stats ss;
	struct spaces_stats sp;
	struct jits_stats js;
	struct sightings_stats gs;

	sideband_stats(t->sideband, &sb);
	processes_stats(t->processes, &ps);
	pendings_stats(t->pendings, &qs);
	opener_stats(t->opener, &os);
	sources_stats(t->sources, &ss);
	spaces_stats(t->spaces, &sp);
	jits_stats(t->jits, &js);
	sightings_stats(t->sightings, &gs);

	*ret = t->stats;
	ret->processes = ps.processes;
	ret->mappings = ps.mappings;
	ret->processes_forgotten = ps.forgotten;
	ret->mappings_refused = ps.mappings_refused;
	ret->spaces = sp.spaces;
	ret->entries = sp.entries;
	ret->entries_refused = sp.refused;
	ret->spaces_evicted = sp.evicted;
	ret->sideband_records = sb.records;
	ret->sideband_lost = sb.lost;
	ret->sideband_bad = sb.bad;
	ret->jits = js.known;
	ret->jit_maps = js.maps;
	ret->jit_dumps = js.dumps;
	ret->jit_refused = js.refused;
	ret->jit_full = js.full;
	ret->jit_seen = gs.known;
	ret->jit_forgotten = gs.forgotten;
	attacher_stats(t->attacher, &ret->jvm);
	ret->opened = os.opened;
	ret->open_failed = os.failed;
	ret->open_timeout = os.timed_out;
	ret->opener_stuck = os.stuck;
	ret->lost_pending_full += qs.lost_full;
	ret->stacks_dropped = qs.stacks_dropped;
	ret->walked = qs.walked;
	ret->walk_failed = qs.walk_failed;
	ret->pending = qs.waiting;
	ret->bytes = sizeof(*t) + sb.bytes + ps.bytes + qs.bytes + ss.bytes + sp.bytes +
		     timeline_count(t->timeline) * sizeof(struct timeline_event) +
		     t->queue_allocated * sizeof(*t->queue);
}
