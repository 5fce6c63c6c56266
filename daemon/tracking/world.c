/* SPDX-License-Identifier: Apache-2.0 */
#include "world.h"

#include <string.h>

#include "cleanup.h"
#include "procfs.h"

#define FORCED_BATCH      1024
#define JIT_NOTICE_FRAMES 8 /* of a stack, from the leaf */

bool world_alive(struct tracker *t, const struct process *p)
{
	return !p->exit_ns && !timeline_leaves(t->timeline, p->pid);
}

struct process *world_adopt(struct tracker *t, uint32_t pid)
{
	struct process *p = processes_find(t->processes, pid);
	struct proc_stat st;

	if (p && !p->exit_ns)
		return p;
	if (procfs_stat(pid, &st) < 0 || st.pid != pid || st.state == 'X' || st.state == 'Z')
		return NULL;

	p = processes_add(t->processes, pid, st.ppid, 0);
	if (!p)
		return NULL;
	p->threads = (unsigned)st.n_threads;
	p->kernel_thread = st.flags & STAT_FLAG_KTHREAD;
	p->maps_known = p->kernel_thread;
	p->lost_seen = t->lost;
	image_set_comm(&p->image, st.comm, sizeof(st.comm));
	image_set_ids(&p->image, 0, procfs_ticks_to_ns(st.start_ticks));
	return p;
}

/* Whether /proc/PID is this life of the pid. */
static bool same_life(const struct process *p)
{
	struct proc_stat st;
	uint64_t start;

	if (procfs_stat(p->pid, &st) < 0)
		return false;
	start = procfs_ticks_to_ns(st.start_ticks);
	return !p->image->start_ns || (start + PROCESSES_START_SLACK_NS >= p->image->start_ns &&
				       start <= p->image->start_ns + PROCESSES_START_SLACK_NS);
}

/* Reads what the side-band has not told: of a process that was there before it, or after a loss.
 * What another program maps by now says nothing about this one. */
static void read_maps(struct tracker *t, struct process *p)
{
	struct source *exe = NULL;
	struct mapset *set;

	p->lost_seen = t->lost;
	if (!world_alive(t, p) || procfs_maps(p->pid, t->sources, &set, &exe) < 0)
		return;
	if (!same_life(p)) {
		mapset_unref(set);
		source_unref(exe);
		return;
	}

	spaces_left(t->spaces, p);
	processes_set_maps(t->processes, p, set);
	p->maps_known = true;
	p->wants_exe = false;
	p->threads_known = false;
	image_set_exe(&p->image, exe);
	source_unref(exe);
}

void world_find_maps(struct tracker *t, struct process *p)
{
	if (!p->maps_known)
		read_maps(t, p);
}

static struct mapping mapping_of(const struct timeline_event *te)
{
	struct mapping m = { te->e.start, te->e.limit, te->e.offset, te->source };

	/* the kernel gives special mappings no offset worth the name */
	if (source_kind(te->source) == SOURCE_VDSO)
		m.offset = 0;
	return m;
}

static void apply_map(struct tracker *t, const struct timeline_event *te)
{
	struct process *p = processes_find(t->processes, te->e.pid);
	struct mapping m;

	if (!te->source || !p || !p->maps_known)
		return; /* unknown ones are read as a whole when they are sampled */

	m = mapping_of(te);
	if (p->wants_exe && source_kind(te->source) == SOURCE_FILE) {
		/* execve maps the program first, its interpreter after it */
		image_set_exe(&p->image, te->source);
		p->wants_exe = false;
	}
	if (processes_map(t->processes, p, &m) == 1)
		spaces_mapped(t->spaces, p, &m);
}

static void apply_fork(struct tracker *t, const struct sideband_event *e)
{
	struct process *parent = processes_find(t->processes, e->ppid);

	if (e->pid == e->ppid) {
		if (parent)
			processes_thread(t->processes, parent);
		return;
	}

	/* its child may be gone before it is sampled: what it inherits is read from the parent */
	if (parent && !parent->maps_known)
		read_maps(t, parent);
	processes_fork(t->processes, e->pid, e->ppid, e->time_ns);
}

static void apply_comm(struct tracker *t, const struct sideband_event *e)
{
	struct process *p = processes_find(t->processes, e->pid);

	if (e->exec) {
		if (!p)
			p = processes_add(t->processes, e->pid, 0, 0);
		if (p)
			processes_exec(t->processes, p, e->text);
		return;
	}
	if (p && e->tid == e->pid)
		image_set_comm(&p->image, e->text, strlen(e->text));
}

static void apply(struct tracker *t, const struct timeline_event *te)
{
	const struct sideband_event *e = &te->e;
	struct process *p;

	switch (e->kind) {
	case SIDEBAND_MMAP:
		apply_map(t, te);
		break;
	case SIDEBAND_FORK:
		apply_fork(t, e);
		break;
	case SIDEBAND_COMM:
		apply_comm(t, e);
		break;
	case SIDEBAND_EXIT:
		p = processes_find(t->processes, e->pid);
		if (p)
			processes_exit(t->processes, p, e->tid == e->pid, e->time_ns);
		break;
	case SIDEBAND_CGROUP:
	case SIDEBAND_LOST:
		break;
	}
}

void world_apply(struct tracker *t, uint64_t until_ns)
{
	const struct timeline_event *te;

	while ((te = timeline_pop(t->timeline, until_ns)))
		apply(t, te);
}

/* Nobody asks for samples, or too much happens: the oldest records cannot wait. */
static void apply_forced(struct tracker *t)
{
	const struct timeline_event *te;

	for (unsigned i = 0; i < FORCED_BATCH && (te = timeline_pop(t->timeline, UINT64_MAX));
	     i++) {
		t->stats.sideband_early++;
		apply(t, te);
	}
}

/* The file is opened now, while the process lives; of a process that has never been sampled,
 * mappings are read when that happens. */
static struct source *receive_map(struct tracker *t, const struct sideband_event *e)
{
	struct process *p = processes_find(t->processes, e->pid);
	struct source_key key = { e->major, e->minor, e->inode };
	bool leaves = timeline_leaves(t->timeline, e->pid);
	struct timeline_event te = { *e, NULL };
	struct mapping m;

	if (procfs_source(t->sources, &key, e->generation, e->text, &te.source) < 0 || !te.source)
		return NULL;
	if (source_kind(te.source) == SOURCE_ANON)
		sightings_mapped(t->sightings, e->pid, e->time_ns);
	else if (!p || p->maps_known || leaves)
		source_open(te.source, e->pid, p && !leaves ? p->ppid : 0, e->start, e->limit);

	if (p && p->space && !leaves) {
		m = mapping_of(&te);
		spaces_mapped_early(t->spaces, p, &m);
	}
	return te.source;
}

void world_receive(struct tracker *t, const struct sideband_event *e)
{
	struct source *source = NULL;

	switch (e->kind) {
	case SIDEBAND_LOST:
		t->lost++;
		return;
	case SIDEBAND_CGROUP:
		cgroups_add(t->cgroups, e->cgroup_id, e->text);
		return;
	case SIDEBAND_MMAP:
		source = receive_map(t, e);
		if (!source)
			return;
		break;
	case SIDEBAND_COMM:
	case SIDEBAND_FORK:
		if (e->exec || (e->kind == SIDEBAND_FORK && e->pid != e->ppid))
			sightings_begun(t->sightings, e->pid, e->time_ns);
		break;
	default:
		break;
	}

	if (timeline_push(t->timeline, e, source) == -ENOSPC) {
		apply_forced(t);
		if (timeline_push(t->timeline, e, source) < 0)
			t->lost++;
	}
	source_unref(source);
}

static bool is_root(const struct cgroup *g)
{
	return !g || strcmp(g->path, "/") == 0;
}

/* By the v2 id, which is the sample's own; where that is the root of a host with v1 hierarchies, by
 * what /proc says while the process lives, else what its parent was in. */
static void find_cgroup(struct tracker *t, struct process *p, uint64_t id)
{
	struct cgroup *g, *by_pid;

	if (p->cgroup_seen && id == p->cgroup_id)
		return;
	g = cgroups_by_id(t->cgroups, id);
	if (is_root(g) && world_alive(t, p)) {
		by_pid = cgroups_by_pid(t->cgroups, p->pid);
		if (by_pid) {
			cgroup_unref(g);
			g = by_pid;
		}
	}

	p->cgroup_seen = true;
	p->cgroup_id = id;
	if (g && (!is_root(g) || !p->image->cgroup))
		image_set_cgroup(&p->image, g);
	cgroup_unref(g);
}

void world_find_cgroup(struct tracker *t, struct process *p)
{
	struct cgroup *g;

	/* no record tells that a process moved */
	g = cgroups_by_pid(t->cgroups, p->pid);
	if (g && g != p->image->cgroup)
		image_set_cgroup(&p->image, g);
	cgroup_unref(g);
}

/* The life that the sample belongs to: known, or found in /proc if it has the same start. */
static struct process *find_process(struct tracker *t, const struct cprof_sample *r)
{
	struct process *p;

	if (r->pid == 0)
		return NULL;
	p = processes_find_at(t->processes, r->pid, r->time_ns, r->start_ns);
	if (p)
		return p;

	p = world_adopt(t, r->pid);
	if (!p || processes_find_at(t->processes, r->pid, r->time_ns, r->start_ns) != p)
		return NULL;
	return p;
}

/* What the sample itself says of its process is right at its time. */
static void learn(struct tracker *t, struct process *p, const struct cprof_sample *r)
{
	p->uid = r->uid;
	p->exec_id = r->exec_id;
	image_set_ids(&p->image, r->ns_pid, r->start_ns);
	p->start_exact = true;
	image_set_comm(&p->image, r->comm, sizeof(r->comm));
	find_cgroup(t, p, r->cgroup_id);

	if (p->kernel_thread || r->end == CPROF_END_KTHREAD)
		return;
	if (!p->maps_known) {
		read_maps(t, p);
	} else if (p->lost_seen != t->lost) {
		t->stats.rescans++;
		read_maps(t, p);
	}
}

/* Only for a process that will be sampled again. */
static void bind(struct tracker *t, struct process *p, const struct cprof_sample *r)
{
	if ((r->end != CPROF_END_NEED_TABLE && r->end != CPROF_END_BUDGET) || !p->maps_known ||
	    !world_alive(t, p))
		return;
	if (p->space && (p->bound_ns > r->time_ns || r->space == spaces_id(p)))
		return;
	spaces_bind(t->spaces, p, t->now_ns);
}

/* Nothing is known but what the record says. */
static struct image *image_of_record(struct tracker *t, const struct cprof_sample *r)
{
	struct image *i = image_new(r->pid);
	struct cgroup *g;

	if (!i)
		return NULL;
	image_set_ids(&i, r->ns_pid, r->start_ns);
	image_set_comm(&i, r->comm, sizeof(r->comm));
	g = cgroups_by_id(t->cgroups, r->cgroup_id);
	image_set_cgroup(&i, g);
	cgroup_unref(g);
	return i;
}

static uint64_t vdso_start(const struct mapset *maps)
{
	for (size_t i = 0; maps && i < maps->n; i++)
		if (source_kind(maps->m[i].source) == SOURCE_VDSO)
			return maps->m[i].start;
	return 0;
}

/* The process that it was forked from, when it still runs what that one does: then all is mapped where it is
 * in the parent, and an exec would have put it elsewhere. */
static struct process *forked_from(struct tracker *t, const struct process *p)
{
	struct process *parent = processes_find(t->processes, p->ppid);

	if (!parent || parent == p || parent->exit_ns || parent->begin_ns > p->begin_ns)
		return NULL;
	if (!parent->maps_known)
		read_maps(t, parent);
	if (parent->image->exe != p->image->exe || vdso_start(p->maps) == 0 ||
	    vdso_start(p->maps) != vdso_start(parent->maps))
		return NULL;
	return parent;
}

struct jits_sample world_jits_sample(struct tracker *t, const struct pending *p)
{
	return (struct jits_sample){
		.time_ns = p->record->time_ns,
		.exec_id = p->record->exec_id,
		.ns_pid = p->record->ns_pid,
		.maps = p->maps,
		.alive = world_alive(t, p->process),
		.parent = p->process->jit ? NULL : forked_from(t, p->process),
	};
}

/* A program that runs code without a file: where it writes names is looked for at once, while it
 * lives, and not when the stack has been finished. */
static void notice_jit(struct tracker *t, const struct pending *pending)
{
	const struct cprof_sample *r = pending->record;
	const __u64 *user = record_user_frames(r);

	for (size_t i = 0; i < MIN((size_t)r->n_user, (size_t)JIT_NOTICE_FRAMES); i++) {
		const struct mapping *m = mapset_find(pending->maps,
						      normalize_user_ip(user[i], i, r->flags));

		if (m && source_kind(m->source) == SOURCE_ANON) {
			struct jits_sample s = world_jits_sample(t, pending);

			jits_object(t->jits, pending->process, &s, t->now_ns);
			return;
		}
	}
}

int world_attribute(struct tracker *t, struct pending *pending)
{
	const struct cprof_sample *r = pending->record;
	struct process *p = find_process(t, r);

	if (!p) {
		pending->image = image_of_record(t, r);
		if (!pending->image)
			return -ENOMEM;
		t->stats.unknown_process++;
		return 0;
	}

	processes_touch(t->processes, p);
	learn(t, p, r);
	bind(t, p, r);
	pending->process = process_ref(p);
	pending->image = image_ref(p->image);
	pending->maps = mapset_ref(p->maps);
	notice_jit(t, pending);
	return 0;
}
