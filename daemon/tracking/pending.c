/* SPDX-License-Identifier: Apache-2.0 */
#include "pending.h"

#include <string.h>

#include "cleanup.h"
#include "normalize.h"
#include "secret.h"

static size_t record_bytes(const struct cprof_sample *r)
{
	return sizeof(*r) + ((size_t)r->n_kernel + r->n_user) * sizeof(__u64);
}

static size_t stack_bytes(const struct cprof_sample *r)
{
	return r->flags & CPROF_SAMPLE_STACK ? sizeof(struct pending_stack) + r->stack_bytes : 0;
}

size_t pending_bytes_of(const struct cprof_sample *r)
{
	return sizeof(struct pending) + record_bytes(r) + secret_bytes(stack_bytes(r));
}

static int copy_stack(struct pending *p, const struct cprof_sample *r)
{
	const uint8_t *from = (const uint8_t *)r + record_bytes(r);

	p->stack = secret_new(stack_bytes(r));
	if (!p->stack)
		return -ENOMEM;

	memcpy(&p->stack->from, from, sizeof(p->stack->from));
	memcpy(p->stack->bytes, from + sizeof(p->stack->from), r->stack_bytes);
	p->stack_bytes = r->stack_bytes;
	p->bytes += secret_bytes(stack_bytes(r));
	return 0;
}

struct pending *pending_new(const struct cprof_sample *r, bool keep_stack)
{
	struct pending *p = calloc(1, sizeof(*p));

	if (!p)
		return NULL;

	p->record = malloc(record_bytes(r));
	if (!p->record)
		return pending_free(p);
	memcpy(p->record, r, record_bytes(r));
	p->record->record_bytes = (uint32_t)record_bytes(r);
	p->bytes = sizeof(*p) + record_bytes(r);
	p->end = r->end;

	if ((r->flags & CPROF_SAMPLE_STACK) && (!keep_stack || copy_stack(p, r) < 0))
		p->record->flags &= (__u16)~CPROF_SAMPLE_STACK;
	return p;
}

size_t pending_forget_stack(struct pending *p)
{
	size_t size = sizeof(*p->stack) + p->stack_bytes, freed = secret_bytes(size);

	if (!p->stack)
		return 0;

	p->stack = secret_free(p->stack, size);
	p->stack_bytes = 0;
	p->bytes -= freed;
	return freed;
}

struct pending *pending_free(struct pending *p)
{
	if (!p)
		return NULL;

	pending_forget_stack(p);
	process_unref(p->process);
	image_unref(p->image);
	mapset_unref(p->maps);
	free(p->record);
	free(p->more);
	free(p);
	return NULL;
}

/* Notes the mapping that holds an address. Returns false when no more fit. */
static bool add_need(struct pending *p, uint64_t address, size_t max_objects, size_t *n_objects)
{
	const struct mapping *m = mapset_find(p->maps, address);
	bool counts;
	uint32_t i;

	if (!m)
		return true;
	i = (uint32_t)(m - p->maps->m);
	counts = source_kind(m->source) != SOURCE_ANON;

	for (size_t j = 0; j < p->n_needs; j++) {
		if (p->needs[j] == i)
			return true;
		if (p->maps->m[p->needs[j]].source == m->source)
			counts = false;
	}

	if (counts && *n_objects == max_objects)
		return true; /* another mapping of a file that is among them may still come */
	if (counts)
		(*n_objects)++;
	p->needs[p->n_needs++] = i;
	return p->n_needs < PENDING_MAX_NEEDS;
}

void pending_find_needs(struct pending *p, size_t max_objects)
{
	const struct mapset *maps = p->maps;
	uint64_t low, high;
	size_t n_objects = 0;

	p->n_needs = 0;
	if (!maps || maps->n == 0 || p->record->n_user == 0)
		return;
	low = maps->m[0].start;
	high = maps->m[maps->n - 1].limit;

	if (!add_need(p, record_user_frames(p->record)[p->record->n_user - 1], max_objects,
		      &n_objects) ||
	    !p->stack)
		return;
	for (size_t at = 0; at + sizeof(uint64_t) <= p->stack_bytes; at += sizeof(uint64_t)) {
		uint64_t word;

		memcpy(&word, p->stack->bytes + at, sizeof(word));
		/* a return address follows a call: it may be the end of a mapping, not its start */
		if (word > low && word <= high && !add_need(p, word - 1, max_objects, &n_objects))
			return;
	}
}
