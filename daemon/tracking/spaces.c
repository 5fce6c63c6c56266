/* SPDX-License-Identifier: Apache-2.0 */
#include "spaces.h"

#include <string.h>
#include <utlist.h>

#include "cleanup.h"
#include "cprof/unwind.h"
#include "sampler.h"
#include "tables.h"

#define ENTRY_SHIFT 16 /* of address space, one entry */

enum range_state { RANGE_WAITING, RANGE_LOADED, RANGE_REFUSED };

/* A mapping that was asked for. */
struct range {
	struct mapping m;
	enum range_state state;
	uint64_t entries;
};

struct member {
	struct process *process; /* not counted: it leaves before it goes */
	struct member *next;
};

struct space {
	uint32_t id;
	uint32_t uid; /* whose share its entries are */
	struct member *members;
	unsigned n_members;
	struct range *ranges;
	size_t n, allocated;
	size_t n_waiting;
	uint64_t entries;
	struct space *prev, *next;
};

struct spaces {
	struct sampler *sampler;
	struct tables *tables;
	struct space *all;
	uint32_t next_id;
	struct spaces_stats stats;
};

int spaces_new(struct spaces **ret, struct sampler *sampler, struct tables *tables)
{
	struct spaces *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;

	s->sampler = sampler;
	s->tables = tables;
	s->next_id = 1;
	*ret = s;
	return 0;
}

static void space_delete(struct spaces *s, struct space *space)
{
	sampler_space_delete(s->sampler, space->id);
	for (size_t i = 0; i < space->n; i++)
		source_unref(space->ranges[i].m.source);
	s->stats.entries -= space->entries;
	s->stats.spaces--;
	DL_DELETE(s->all, space);
	free(space->ranges);
	free(space);
}

/* The process's binding in the kernel is the caller's business. */
static void leave(struct spaces *s, struct process *p)
{
	struct space *space = TAKE_PTR(p->space);
	struct member *m;

	p->bound_ns = 0;
	LL_SEARCH_SCALAR(space->members, m, process, p);
	if (m) {
		LL_DELETE(space->members, m);
		space->n_members--;
		free(m);
	}
	if (!space->members)
		space_delete(s, space);
}

static void unbind(struct spaces *s, struct process *p)
{
	sampler_process_set(s->sampler, p->pid, p->image->start_ns, p->exec_id, 0, 0);
	leave(s, p);
}

struct spaces *spaces_free(struct spaces *s)
{
	if (!s)
		return NULL;

	while (s->all)
		while (s->all && s->all->members)
			leave(s, s->all->members->process);
	free(s);
	return NULL;
}

static int join(struct space *space, struct process *p)
{
	struct member *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;

	m->process = p;
	LL_PREPEND(space->members, m);
	space->n_members++;
	p->space = space;
	return 0;
}

static int space_new(struct spaces *s, struct process *p)
{
	struct space *space = calloc(1, sizeof(*space));

	if (!space)
		return -ENOMEM;
	if (join(space, p) < 0) {
		free(space);
		return -ENOMEM;
	}

	space->id = s->next_id++;
	space->uid = p->uid;
	DL_APPEND(s->all, space);
	s->stats.spaces++;
	return 0;
}

void spaces_bind(struct spaces *s, struct process *p, uint64_t now_ns)
{
	if (!p->space && space_new(s, p) < 0)
		return;

	if (sampler_process_set(s->sampler, p->pid, p->image->start_ns, p->exec_id, p->space->id,
				0) < 0)
		leave(s, p);
	else
		p->bound_ns = now_ns;
}

uint32_t spaces_id(const struct process *p)
{
	return p->space ? p->space->id : 0;
}

/* The table knows segments of files by their offsets, and a mapping begins and ends on pages, a
 * segment anywhere in them. */
int spaces_bias(struct tables *tables, const struct mapping *m, uint64_t *ret)
{
	struct object *o = source_object(m->source);
	const uint64_t size = m->limit - m->start;
	const uint64_t probes[] = { 0, MIN(size, (uint64_t)CPROF_PAGE_SIZE) - 1, size / 2,
				    size - 1 };
	uint64_t vaddr;

	if (!o)
		return -ENOENT;

	for (size_t i = 0; i < ARRAY_SIZE(probes); i++) {
		if (tables_vaddr(tables, o, m->offset + probes[i], &vaddr) < 0)
			continue;
		*ret = m->start + probes[i] - vaddr;
		return 0;
	}
	return -ENOENT;
}

static uint64_t entries_of(const struct mapping *m)
{
	return ((m->limit - 1) >> ENTRY_SHIFT) - (m->start >> ENTRY_SHIFT) + 1;
}

/* The uid that holds most entries gives up its largest space. */
static struct space *largest_of_largest(struct spaces *s)
{
	struct space *space, *other, *best = NULL;
	uint64_t best_held = 0;

	DL_FOREACH(s->all, space)
	{
		uint64_t held = 0;

		DL_FOREACH(s->all, other)
		if (other->uid == space->uid)
			held += other->entries;
		if (!best || held > best_held ||
		    (held == best_held && space->entries > best->entries)) {
			best = space;
			best_held = held;
		}
	}
	return best;
}

/* Returns true when another space than this one went. */
static bool evict(struct spaces *s, const struct space *asking)
{
	struct space *victim = largest_of_largest(s);
	unsigned n = victim ? victim->n_members : 0;

	if (!victim || victim == asking || victim->entries == 0)
		return false;

	s->stats.evicted++;
	/* the last member takes the space along */
	while (n-- > 0)
		unbind(s, victim->members->process);
	return true;
}

static int put(struct spaces *s, struct space *space, const struct range *r, unsigned slot,
	       uint64_t bias)
{
	struct sampler_mapping m = {
		.start = r->m.start, .limit = r->m.limit, .bias = bias, .slot = slot
	};
	int e;

	e = sampler_mapping_add(s->sampler, space->id, &m);
	if (e == -ENOSPC && evict(s, space))
		e = sampler_mapping_add(s->sampler, space->id, &m);
	return e;
}

static void range_done(struct spaces *s, struct space *space, struct range *r, int error)
{
	if (r->state == RANGE_WAITING)
		space->n_waiting--;

	if (error < 0) {
		r->state = RANGE_REFUSED;
		s->stats.refused++;
		return;
	}
	r->state = RANGE_LOADED;
	r->entries = entries_of(&r->m);
	space->entries += r->entries;
	s->stats.entries += r->entries;
}

/* Puts a waiting range in, if its table is there. */
static void range_load(struct spaces *s, struct space *space, struct range *r, uint64_t now_ns)
{
	struct object *o = source_object(r->m.source);
	enum table_state state;
	uint64_t bias = 0;
	unsigned slot;

	if (source_kind(r->m.source) == SOURCE_ANON) {
		range_done(s, space, r, put(s, space, r, CPROF_SLOT_JIT, 0));
		return;
	}
	if (!o)
		return; /* asked for again by the next sample that needs it */
	if (o->fd < 0) {
		range_done(s, space, r, put(s, space, r, CPROF_SLOT_NO_CFI, 0));
		return;
	}

	state = tables_touch(s->tables, o, now_ns, &slot);
	if (state == TABLE_BUILDING)
		return;
	if (state == TABLE_READY && spaces_bias(s->tables, &r->m, &bias) < 0)
		slot = CPROF_SLOT_NO_CFI;
	range_done(s, space, r, put(s, space, r, slot, bias));
}

static struct range *range_at(struct space *space, uint64_t start)
{
	for (size_t i = 0; i < space->n; i++)
		if (start >= space->ranges[i].m.start && start < space->ranges[i].m.limit)
			return &space->ranges[i];
	return NULL;
}

static struct range *range_new(struct spaces *s, struct space *space, const struct mapping *m)
{
	struct range *r;

	if (entries_of(m) > SPACE_MAX_ENTRIES - MIN(space->entries, (uint64_t)SPACE_MAX_ENTRIES)) {
		s->stats.refused++;
		return NULL;
	}
	if (space->n >= SPACE_MAX_RANGES) {
		s->stats.refused++;
		return NULL;
	}
	if (space->n == space->allocated) {
		size_t allocated = MAX((size_t)8, space->allocated * 2);

		r = reallocarray(space->ranges, allocated, sizeof(*r));
		if (!r)
			return NULL;
		space->ranges = r;
		space->allocated = allocated;
	}

	r = &space->ranges[space->n++];
	*r = (struct range){ .m = *m, .state = RANGE_WAITING };
	source_ref(m->source);
	space->n_waiting++;
	return r;
}

/* Memory without a file has no offsets. */
static bool same_meaning(const struct mapping *a, const struct mapping *b)
{
	return a->source == b->source && (source_kind(a->source) == SOURCE_ANON ||
					  a->start - b->start == a->offset - b->offset);
}

void spaces_load(struct spaces *s, struct process *p, const struct mapping *m, uint64_t now_ns)
{
	struct space *space = p->space;
	struct range *r;
	unsigned slot;

	if (!space)
		return;
	r = range_at(space, m->start);
	if (r && (r->m.limit < m->limit || !same_meaning(&r->m, m))) {
		/* it has grown: what is there stays right, the rest is put in beside it */
		if (!same_meaning(&r->m, m) || range_at(space, m->limit - 1))
			return;
		r = NULL;
	}
	if (!r)
		r = range_new(s, space, m);
	if (!r)
		return;

	if (r->state == RANGE_WAITING)
		range_load(s, space, r, now_ns);
	else if (r->state == RANGE_LOADED && source_object(m->source) &&
		 source_object(m->source)->fd >= 0)
		tables_touch(s->tables, source_object(m->source), now_ns, &slot); /* evicted */
}

static void space_ready(struct spaces *s, struct space *space, struct object *object,
			uint64_t now_ns)
{
	for (size_t i = 0; i < space->n && space->n_waiting > 0; i++)
		if (space->ranges[i].state == RANGE_WAITING &&
		    source_object(space->ranges[i].m.source) == object)
			range_load(s, space, &space->ranges[i], now_ns);
}

void spaces_ready(struct spaces *s, struct object *object, uint64_t now_ns)
{
	struct space *space = s->all;

	while (space) {
		uint64_t evicted = s->stats.evicted;

		space_ready(s, space, object, now_ns);
		/* the next one may have gone to make room: what is loaded is not loaded twice */
		space = s->stats.evicted == evicted ? space->next : s->all;
	}
}

void spaces_forked(struct spaces *s, struct process *parent, struct process *child,
		   uint64_t time_ns)
{
	if (!parent->space || !parent->bound_ns || parent->bound_ns > time_ns)
		return;
	if (join(parent->space, child) < 0)
		return;

	child->exec_id = parent->exec_id;
	child->bound_ns = time_ns;
	(void)s;
}

void spaces_left(struct spaces *s, struct process *p)
{
	if (!p->space)
		return;

	/* exec and exit have ended the binding in the kernel already; for a start that is not known
	 * there is none to end */
	if (!p->exit_ns && p->image->start_ns)
		sampler_process_set(s->sampler, p->pid, p->image->start_ns, p->exec_id, 0, 0);
	leave(s, p);
}

static bool contradicts(const struct space *space, const struct mapping *m)
{
	for (size_t i = 0; i < space->n; i++) {
		const struct mapping *r = &space->ranges[i].m;

		if (m->start < r->limit && r->start < m->limit && !same_meaning(r, m))
			return true;
	}
	return false;
}

void spaces_mapped(struct spaces *s, struct process *p, const struct mapping *m)
{
	if (p->space && (p->space->n_members > 1 || contradicts(p->space, m)))
		unbind(s, p);
}

void spaces_mapped_early(struct spaces *s, struct process *p, const struct mapping *m)
{
	if (p->space && contradicts(p->space, m))
		unbind(s, p);
}

void spaces_stats(const struct spaces *s, struct spaces_stats *ret)
{
	const struct space *space;

	*ret = s->stats;
	DL_FOREACH(s->all, space)
	ret->bytes += sizeof(*space) + space->allocated * sizeof(struct range) +
		      space->n_members * sizeof(struct member);
}
