/* SPDX-License-Identifier: Apache-2.0 */
#include "mapset.h"

#include <stdbool.h>
#include <string.h>

#include "cleanup.h"

struct mapset *mapset_new(void)
{
	struct mapset *s = calloc(1, sizeof(*s));

	if (s)
		s->refs = 1;
	return s;
}

struct mapset *mapset_ref(struct mapset *s)
{
	if (s)
		s->refs++;
	return s;
}

struct mapset *mapset_unref(struct mapset *s)
{
	if (!s || --s->refs > 0)
		return NULL;

	for (size_t i = 0; i < s->n; i++)
		source_unref(s->m[i].source);
	free(s->m);
	free(s);
	return NULL;
}

/* Index of the first range that ends above the address. */
static size_t first_above(const struct mapset *s, uint64_t address)
{
	size_t low = 0, high = s->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (s->m[middle].limit > address)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

const struct mapping *mapset_find(const struct mapset *s, uint64_t address)
{
	size_t i;

	if (!s)
		return NULL;
	i = first_above(s, address);
	return i < s->n && s->m[i].start <= address ? &s->m[i] : NULL;
}

/* A change of one range adds two others at most. */
static int make_room(struct mapset *s)
{
	size_t allocated;
	struct mapping *m;

	if (s->n + 2 <= s->allocated)
		return 0;

	allocated = MAX((size_t)16, s->allocated * 2);
	m = reallocarray(s->m, allocated, sizeof(*m));
	if (!m)
		return -ENOMEM;
	s->m = m;
	s->allocated = allocated;
	return 0;
}

/* *s becomes a set that nobody else sees. */
static int make_own(struct mapset **s)
{
	struct mapset *old = *s, *own;

	if (old && old->refs == 1)
		return 0;

	own = mapset_new();
	if (!own)
		return -ENOMEM;
	if (old && old->n > 0) {
		own->m = reallocarray(NULL, old->n + 2, sizeof(*own->m));
		if (!own->m) {
			free(own);
			return -ENOMEM;
		}
		own->allocated = old->n + 2;
		own->n = old->n;
		memcpy(own->m, old->m, old->n * sizeof(*own->m));
		for (size_t i = 0; i < own->n; i++)
			source_ref(own->m[i].source);
	}

	mapset_unref(old);
	*s = own;
	return 0;
}

/* Memory without a file has no offsets that could disagree. */
static bool continues(const struct mapping *a, const struct mapping *b)
{
	if (a->source != b->source)
		return false;
	return source_kind(a->source) == SOURCE_ANON ||
	       a->start - b->start == a->offset - b->offset;
}

static void remove_at(struct mapset *s, size_t i, size_t n)
{
	for (size_t j = i; j < i + n; j++)
		source_unref(s->m[j].source);
	memmove(&s->m[i], &s->m[i + n], (s->n - i - n) * sizeof(*s->m));
	s->n -= n;
}

static void insert_at(struct mapset *s, size_t i, const struct mapping *m)
{
	memmove(&s->m[i + 1], &s->m[i], (s->n - i) * sizeof(*s->m));
	s->m[i] = *m;
	source_ref(m->source);
	s->n++;
}

/* Cuts [start, limit) out of the set and returns the index at which it would go. */
static size_t punch(struct mapset *s, uint64_t start, uint64_t limit)
{
	size_t i = first_above(s, start), last;

	if (i < s->n && s->m[i].start < start) {
		struct mapping tail = s->m[i];

		s->m[i].limit = start;
		i++;
		if (tail.limit > limit) {
			tail.offset += limit - tail.start;
			tail.start = limit;
			insert_at(s, i, &tail);
			return i;
		}
	}

	for (last = i; last < s->n && s->m[last].limit <= limit; last++)
		;
	remove_at(s, i, last - i);
	if (i < s->n && s->m[i].start < limit) {
		s->m[i].offset += limit - s->m[i].start;
		s->m[i].start = limit;
	}
	return i;
}

/* Many small pieces of one JIT's memory are one range. */
static void merge_around(struct mapset *s, size_t i)
{
	if (source_kind(s->m[i].source) != SOURCE_ANON)
		return;

	if (i + 1 < s->n && s->m[i + 1].start == s->m[i].limit &&
	    s->m[i + 1].source == s->m[i].source) {
		s->m[i].limit = s->m[i + 1].limit;
		remove_at(s, i + 1, 1);
	}
	if (i > 0 && s->m[i - 1].limit == s->m[i].start && s->m[i - 1].source == s->m[i].source) {
		s->m[i - 1].limit = s->m[i].limit;
		remove_at(s, i, 1);
	}
}

int mapset_add(struct mapset **set, const struct mapping *m)
{
	const struct mapping *there = mapset_find(*set, m->start);
	struct mapset *s;
	size_t i;
	int r;

	if (there && there->limit >= m->limit && continues(m, there))
		return 0;
	if (*set && (*set)->n + 2 > MAPSET_MAX)
		return -ENOSPC;

	r = make_own(set);
	if (r < 0)
		return r;
	s = *set;
	r = make_room(s);
	if (r < 0)
		return r;

	i = punch(s, m->start, m->limit);
	insert_at(s, i, m);
	merge_around(s, i);
	return 1;
}
