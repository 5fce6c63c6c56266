/* SPDX-License-Identifier: Apache-2.0 */
#include "timeline.h"

#include <string.h>
#include <uthash.h>

#include "cleanup.h"

struct entry {
	struct timeline_event event;
	uint64_t sequence;
	char text[];
};

/* How many waiting records of a pid end its program. */
struct leaving {
	uint32_t pid;
	unsigned n;
	UT_hash_handle hh;
};

struct timeline {
	struct entry **heap; /* the oldest first */
	size_t n, allocated;
	uint64_t sequence;
	struct entry *taken;
	struct leaving *leaving;
};

int timeline_new(struct timeline **ret)
{
	struct timeline *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	*ret = t;
	return 0;
}

static void entry_free(struct entry *e)
{
	if (!e)
		return;
	source_unref(e->event.source);
	free(e);
}

struct timeline *timeline_free(struct timeline *t)
{
	struct leaving *l, *tmp;

	if (!t)
		return NULL;

	for (size_t i = 0; i < t->n; i++)
		entry_free(t->heap[i]);
	entry_free(t->taken);
	HASH_ITER (hh, t->leaving, l, tmp) {
		HASH_DEL(t->leaving, l);
		free(l);
	}
	free(t->heap);
	free(t);
	return NULL;
}

static bool before(const struct entry *a, const struct entry *b)
{
	if (a->event.e.time_ns != b->event.e.time_ns)
		return a->event.e.time_ns < b->event.e.time_ns;
	return a->sequence < b->sequence;
}

static void swap(struct timeline *t, size_t i, size_t j)
{
	struct entry *e = t->heap[i];

	t->heap[i] = t->heap[j];
	t->heap[j] = e;
}

static void sift_up(struct timeline *t, size_t i)
{
	for (; i > 0 && before(t->heap[i], t->heap[(i - 1) / 2]); i = (i - 1) / 2)
		swap(t, i, (i - 1) / 2);
}

static void sift_down(struct timeline *t, size_t i)
{
	for (;;) {
		size_t least = i;

		for (size_t child = 2 * i + 1; child <= 2 * i + 2 && child < t->n; child++)
			if (before(t->heap[child], t->heap[least]))
				least = child;
		if (least == i)
			return;
		swap(t, i, least);
		i = least;
	}
}

static bool ends_program(const struct sideband_event *e)
{
	return (e->kind == SIDEBAND_EXIT && e->tid == e->pid) ||
	       (e->kind == SIDEBAND_COMM && e->exec);
}

static struct leaving *find_leaving(struct timeline *t, uint32_t pid)
{
	struct leaving *l;

	HASH_FIND(hh, t->leaving, &pid, sizeof(pid), l);
	return l;
}

static int leaving_add(struct timeline *t, uint32_t pid)
{
	struct leaving *l = find_leaving(t, pid);

	if (!l) {
		l = calloc(1, sizeof(*l));
		if (!l)
			return -ENOMEM;
		l->pid = pid;
		HASH_ADD(hh, t->leaving, pid, sizeof(l->pid), l);
	}
	l->n++;
	return 0;
}

static void leaving_remove(struct timeline *t, uint32_t pid)
{
	struct leaving *l = find_leaving(t, pid);

	if (l && --l->n == 0) {
		HASH_DEL(t->leaving, l);
		free(l);
	}
}

bool timeline_leaves(struct timeline *t, uint32_t pid)
{
	return find_leaving(t, pid) != NULL;
}

static int make_room(struct timeline *t)
{
	size_t allocated;
	struct entry **heap;

	if (t->n >= TIMELINE_MAX)
		return -ENOSPC;
	if (t->n < t->allocated)
		return 0;

	allocated = MAX((size_t)256, t->allocated * 2);
	heap = reallocarray(t->heap, allocated, sizeof(*heap));
	if (!heap)
		return -ENOMEM;
	t->heap = heap;
	t->allocated = allocated;
	return 0;
}

int timeline_push(struct timeline *t, const struct sideband_event *e, struct source *source)
{
	size_t n = strlen(e->text) + 1;
	struct entry *entry;
	int r;

	r = make_room(t);
	if (r < 0)
		return r;
	entry = malloc(sizeof(*entry) + n);
	if (!entry)
		return -ENOMEM;
	if (ends_program(e) && leaving_add(t, e->pid) < 0) {
		free(entry);
		return -ENOMEM;
	}

	entry->event = (struct timeline_event){ *e, source_ref(source) };
	entry->event.e.text = memcpy(entry->text, e->text, n);
	entry->sequence = t->sequence++;
	t->heap[t->n] = entry;
	sift_up(t, t->n++);
	return 0;
}

const struct timeline_event *timeline_pop(struct timeline *t, uint64_t until_ns)
{
	struct entry *e = t->n > 0 ? t->heap[0] : NULL;

	if (!e || e->event.e.time_ns > until_ns)
		return NULL;

	t->heap[0] = t->heap[--t->n];
	sift_down(t, 0);
	if (ends_program(&e->event.e))
		leaving_remove(t, e->event.e.pid);

	entry_free(t->taken);
	t->taken = e;
	return &e->event;
}

uint64_t timeline_count(const struct timeline *t)
{
	return t->n;
}
