/* SPDX-License-Identifier: Apache-2.0 */
#include "processes.h"

#include <string.h>
#include <utlist.h>

#include "cleanup.h"

struct processes {
	struct processes_options o;
	struct process *by_pid;
	struct process *lru; /* longest unused first */
	unsigned n;          /* lives, dead ones included */
	/* mappings of shared sets are counted for each sharer: it bounds, it does not measure */
	uint64_t mappings;
	struct processes_stats stats;
};

int processes_new(struct processes **ret, const struct processes_options *options)
{
	struct processes *ps = calloc(1, sizeof(*ps));

	if (!ps)
		return -ENOMEM;

	ps->o = *options;
	*ret = ps;
	return 0;
}

struct process *process_ref(struct process *p)
{
	if (p)
		p->refs++;
	return p;
}

struct process *process_unref(struct process *p)
{
	if (!p || --p->refs > 0)
		return NULL;

	mapset_unref(p->maps);
	image_unref(p->image);
	jit_unref(p->jit);
	jit_unref(p->jit_parent);
	free(p);
	return NULL;
}

static size_t n_maps(const struct process *p)
{
	return p->maps ? p->maps->n : 0;
}

/* A life leaves the table: its mappings stay with whoever holds it. */
static void drop(struct processes *ps, struct process *p)
{
	if (p->listed) {
		DL_DELETE2(ps->lru, p, lru_prev, lru_next);
		p->listed = false;
	}
	ps->o.left(ps->o.arg, p);
	p->jit = jit_unref(p->jit);
	p->jit_parent = jit_unref(p->jit_parent);
	ps->mappings -= n_maps(p);
	ps->n--;
	process_unref(p);
}

/* With all its earlier lives. */
static void drop_chain(struct processes *ps, struct process *p)
{
	while (p) {
		struct process *previous = TAKE_PTR(p->previous);

		drop(ps, p);
		p = previous;
	}
}

struct processes *processes_free(struct processes *ps)
{
	struct process *p, *tmp;

	if (!ps)
		return NULL;

	HASH_ITER (hh, ps->by_pid, p, tmp) {
		HASH_DEL(ps->by_pid, p);
		drop_chain(ps, p);
	}
	free(ps);
	return NULL;
}

struct process *processes_find(struct processes *ps, uint32_t pid)
{
	struct process *p;

	HASH_FIND(hh, ps->by_pid, &pid, sizeof(pid), p);
	return p;
}

static bool start_fits(const struct process *p, uint64_t start_ns)
{
	uint64_t known = p->image->start_ns, slack = p->start_exact ? 0 : PROCESSES_START_SLACK_NS;

	if (!known || !start_ns)
		return true;
	return start_ns + slack >= known && start_ns <= known + slack;
}

struct process *processes_find_at(struct processes *ps, uint32_t pid, uint64_t time_ns,
				  uint64_t start_ns)
{
	for (struct process *p = processes_find(ps, pid); p; p = p->previous)
		if (p->begin_ns <= time_ns && start_fits(p, start_ns))
			return p;
	return NULL;
}

void processes_touch(struct processes *ps, struct process *p)
{
	if (!p->listed)
		return;
	DL_DELETE2(ps->lru, p, lru_prev, lru_next);
	DL_APPEND2(ps->lru, p, lru_prev, lru_next);
}

/* Room for one more: dead ones are pruned by time, so what goes here is the longest unused. */
static bool make_room(struct processes *ps)
{
	struct process *p = ps->lru;

	if (ps->n < ps->o.max_processes)
		return true;
	if (!p)
		return false;

	if (!p->exit_ns)
		ps->stats.forgotten++;
	HASH_DEL(ps->by_pid, p);
	drop_chain(ps, p);
	return true;
}

struct process *processes_add(struct processes *ps, uint32_t pid, uint32_t ppid, uint64_t begin_ns)
{
	struct process *p, *old;

	if (!make_room(ps))
		return NULL;
	p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->image = image_new(pid);
	if (!p->image) {
		free(p);
		return NULL;
	}

	p->refs = 1;
	p->pid = pid;
	p->ppid = ppid;
	p->begin_ns = begin_ns;
	old = processes_find(ps, pid);
	if (old) {
		HASH_DEL(ps->by_pid, old);
		DL_DELETE2(ps->lru, old, lru_prev, lru_next);
		old->listed = false;
		if (!old->exit_ns)
			old->exit_ns = begin_ns ? begin_ns : 1;
		ps->o.left(ps->o.arg, old);
		p->previous = old;
	}
	HASH_ADD(hh, ps->by_pid, pid, sizeof(p->pid), p);
	DL_APPEND2(ps->lru, p, lru_prev, lru_next);
	p->listed = true;
	ps->n++;
	return p;
}

/* A child starts as its parent is: command, cgroup, executable and memory. */
static void inherit(struct processes *ps, struct process *child, struct process *parent)
{
	struct image *image = image_ref(parent->image);

	child->maps = mapset_ref(parent->maps);
	ps->mappings += n_maps(child);
	child->maps_known = parent->maps_known;
	child->lost_seen = parent->lost_seen;
	child->kernel_thread = parent->kernel_thread;
	child->uid = parent->uid;
	child->wants_exe = parent->wants_exe;
	child->jit_parent = jits_inherited(parent);

	if (image_own(&image) < 0) {
		image_unref(image);
		return;
	}
	image->pid = child->pid;
	image->ns_pid = 0;
	image->start_ns = 0;
	image_unref(child->image);
	child->image = image;
}

struct process *processes_fork(struct processes *ps, uint32_t pid, uint32_t ppid, uint64_t time_ns)
{
	struct process *parent = processes_find(ps, ppid), *child = processes_find(ps, pid);

	/* read from /proc between the fork and its record: known already, better than from here */
	if (child && child->begin_ns == 0 && !child->exit_ns && child->ppid == ppid &&
	    !child->start_exact && child != parent) {
		child->begin_ns = time_ns;
		return child;
	}

	process_ref(parent); /* the longest unused may be it */
	child = processes_add(ps, pid, ppid, time_ns);
	if (child) {
		child->threads = 1;
		child->threads_known = true;
		if (parent) {
			inherit(ps, child, parent);
			ps->o.forked(ps->o.arg, parent, child, time_ns);
		}
	}
	process_unref(parent);
	return child;
}

void processes_thread(struct processes *ps, struct process *p)
{
	p->threads++;
	processes_touch(ps, p);
}

void processes_exec(struct processes *ps, struct process *p, const char *comm)
{
	ps->o.left(ps->o.arg, p);
	ps->mappings -= n_maps(p);
	p->maps = mapset_unref(p->maps);
	p->jit_parent = jit_unref(p->jit_parent);
	p->maps_known = true;
	p->wants_exe = true;
	p->kernel_thread = false;
	p->cgroup_seen = false; /* who starts a container moves into its cgroup first */
	p->threads = 1;         /* exec has ended all others, and their EXIT records came before */
	p->threads_known = true;
	image_set_exe(&p->image, NULL);
	image_set_comm(&p->image, comm, IMAGE_COMM_BYTES);
	processes_touch(ps, p);
}

bool processes_exit(struct processes *ps, struct process *p, bool leader, uint64_t time_ns)
{
	if (p->threads > 0)
		p->threads--;
	if (p->exit_ns || (p->threads_known ? p->threads > 0 : !leader))
		return false;

	p->exit_ns = time_ns ? time_ns : 1;
	ps->o.left(ps->o.arg, p);
	return true;
}

int processes_map(struct processes *ps, struct process *p, const struct mapping *m)
{
	size_t before = n_maps(p);
	int r;

	if (ps->mappings + 2 > ps->o.max_mappings) {
		ps->stats.mappings_refused++;
		return -ENOSPC;
	}
	r = mapset_add(&p->maps, m);
	if (r == -ENOSPC)
		ps->stats.mappings_refused++;
	ps->mappings += n_maps(p) - before;
	return r;
}

void processes_set_maps(struct processes *ps, struct process *p, struct mapset *set)
{
	ps->mappings -= n_maps(p);
	mapset_unref(p->maps);
	p->maps = set;
	ps->mappings += n_maps(p);
}

/* Earlier lives go first: a chain is ordered by time. */
static void prune_chain(struct processes *ps, struct process *p, uint64_t until_ns)
{
	while (p->previous) {
		if (p->previous->exit_ns + PROCESSES_GRACE_NS < until_ns) {
			drop_chain(ps, TAKE_PTR(p->previous));
			return;
		}
		p = p->previous;
	}
}

void processes_prune(struct processes *ps, uint64_t until_ns)
{
	struct process *p, *tmp;

	HASH_ITER (hh, ps->by_pid, p, tmp) {
		prune_chain(ps, p, until_ns);
		if (p->exit_ns && p->exit_ns + PROCESSES_GRACE_NS < until_ns && !p->previous) {
			HASH_DEL(ps->by_pid, p);
			drop(ps, p);
		}
	}
}

void processes_each(struct processes *ps, void (*fn)(void *arg, struct process *p), void *arg)
{
	struct process *p, *tmp;

	HASH_ITER (hh, ps->by_pid, p, tmp)
		if (!p->exit_ns)
			fn(arg, p);
}

void processes_stats(const struct processes *ps, struct processes_stats *ret)
{
	*ret = ps->stats;
	ret->processes = ps->n;
	ret->mappings = ps->mappings;
	ret->bytes = ps->n * (sizeof(struct process) + sizeof(struct image)) +
		     ps->mappings * sizeof(struct mapping);
}
