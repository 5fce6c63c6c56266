/* SPDX-License-Identifier: Apache-2.0 */
#include "walk_batch.h"

#include <string.h>

#include "cleanup.h"
#include "normalize.h"
#include "secret.h"
#include "spaces.h"
#include "tables.h"

#define ALIGN8(n) (((n) + 7) & ~(size_t)7)

struct stack {
	struct pending *p;
	uint32_t first_mapping, n_mappings;
};

struct walk_batch {
	struct tables *tables;
	uint32_t uid;
	struct stack stacks[WALK_BATCH_STACKS];
	size_t n_stacks;
	struct object *objects[JOB_MAX_FDS]; /* whose tables are the job's descriptors */
	size_t n_objects;
	struct walk_mapping *mappings;
	size_t n_mappings;
	size_t bytes; /* of the stacks in the input */
	struct job *job;
	walk_batch_done_t done;
	void (*finished)(void *arg, struct walk_batch *b);
	void *arg;
	struct walk_batch *next;
};

int walk_batch_new(struct walk_batch **ret, struct tables *tables, uint32_t uid)
{
	struct walk_batch *b = calloc(1, sizeof(*b));

	if (!b)
		return -ENOMEM;

	b->tables = tables;
	b->uid = uid;
	*ret = b;
	return 0;
}

struct walk_batch *walk_batch_free(struct walk_batch *b)
{
	if (!b)
		return NULL;

	for (size_t i = 0; i < b->n_objects; i++)
		object_unref(b->objects[i]);
	free(b->mappings);
	free(b);
	return NULL;
}

struct walk_batch *walk_batch_cancel(struct walk_batch *b)
{
	if (b)
		job_cancel(b->job);
	return walk_batch_free(b);
}

uint32_t walk_batch_uid(const struct walk_batch *b)
{
	return b->uid;
}

struct walk_batch **walk_batch_next(struct walk_batch *b)
{
	return &b->next;
}

/* The descriptor's number that an object's table has or gets, or -ENOSPC. */
static int table_index(struct walk_batch *b, struct object *o)
{
	for (size_t i = 0; i < b->n_objects; i++)
		if (b->objects[i] == o)
			return (int)i;
	if (b->n_objects == JOB_MAX_FDS)
		return -ENOSPC;

	b->objects[b->n_objects] = object_ref(o);
	return (int)b->n_objects++;
}

/* What the walk shall do in a mapping whose table is there, is none, or did not come in time. */
static int add_mapping(struct walk_batch *b, const struct mapping *m)
{
	struct walk_mapping w = { .start = m->start, .limit = m->limit, .table = WALK_NO_CFI };
	struct object *o = source_object(m->source);
	int index;

	if (source_kind(m->source) == SOURCE_ANON) {
		w.table = WALK_JIT;
	} else if (o && tables_blob_fd(b->tables, o) >= 0 &&
		   spaces_bias(b->tables, m, &w.bias) == 0) {
		index = table_index(b, o);
		if (index < 0)
			return index;
		w.table = (uint32_t)index;
	}

	b->mappings[b->n_mappings++] = w;
	return 0;
}

static int by_index(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return x < y ? -1 : x > y;
}

/* What a stack that did not fit has added goes again. */
static void roll_back(struct walk_batch *b, size_t n_mappings, size_t n_objects)
{
	while (b->n_objects > n_objects)
		object_unref(b->objects[--b->n_objects]);
	b->n_mappings = n_mappings;
}

int walk_batch_add(struct walk_batch *b, struct pending *p)
{
	size_t n_mappings = b->n_mappings, n_objects = b->n_objects;
	size_t bytes = sizeof(struct walk_stack) + ALIGN8(p->stack_bytes);
	struct walk_mapping *mappings;

	if (b->n_stacks == WALK_BATCH_STACKS ||
	    (b->n_stacks > 0 && b->bytes + bytes > WALK_BATCH_BYTES))
		return -ENOSPC;
	mappings = reallocarray(b->mappings, b->n_mappings + p->n_needs + 1, sizeof(*mappings));
	if (!mappings)
		return -ENOMEM;
	b->mappings = mappings;

	/* the set is sorted by address, and so are its indices */
	qsort(p->needs, p->n_needs, sizeof(p->needs[0]), by_index);
	for (size_t i = 0; i < p->n_needs; i++) {
		int r = add_mapping(b, &p->maps->m[p->needs[i]]);

		if (r < 0) {
			roll_back(b, n_mappings, n_objects);
			return r;
		}
	}

	b->stacks[b->n_stacks++] = (struct stack){ p, (uint32_t)n_mappings,
						   (uint32_t)(b->n_mappings - n_mappings) };
	b->bytes += bytes;
	return 0;
}

static void *append(uint8_t **at, const void *data, size_t size)
{
	void *p = *at;

	memcpy(p, data, size);
	*at += ALIGN8(size);
	return p;
}

static void fill_input(const struct walk_batch *b, uint8_t *at)
{
	struct walk_input head = { (uint32_t)b->n_mappings, (uint32_t)b->n_stacks };

	append(&at, &head, sizeof(head));
	append(&at, b->mappings ? b->mappings : (void *)&head,
	       b->n_mappings * sizeof(*b->mappings));
	for (size_t i = 0; i < b->n_stacks; i++) {
		const struct stack *s = &b->stacks[i];
		struct walk_stack w = {
			.from = s->p->stack->from,
			.first_mapping = s->first_mapping,
			.n_mappings = s->n_mappings,
			.stack_bytes = (uint32_t)s->p->stack_bytes,
			.flags = s->p->record->flags,
			.n_frames = s->p->record->n_user,
		};

		append(&at, &w, sizeof(w));
		append(&at, s->p->stack->bytes, s->p->stack_bytes);
	}
}

int walk_answer_parse(const void *answer, size_t size, size_t n_stacks,
		      void (*fn)(void *arg, size_t i, const uint64_t *frames, size_t n_frames,
				 enum cprof_end end),
		      void *arg)
{
	const uint8_t *first = answer;

	/* all is checked before the first call */
	for (int pass = 0; pass < 2; pass++) {
		const uint8_t *p = first;
		size_t left = size;

		for (size_t i = 0; i < n_stacks; i++) {
			uint64_t frames[CPROF_MAX_USER_FRAMES];
			struct walk_answer a;

			if (left < sizeof(a))
				return -EBADMSG;
			memcpy(&a, p, sizeof(a));
			p += sizeof(a);
			left -= sizeof(a);
			if (a.n_frames > CPROF_MAX_USER_FRAMES || a.end >= CPROF_END_MAX ||
			    left / sizeof(uint64_t) < a.n_frames)
				return -EBADMSG;

			if (pass == 1) {
				memcpy(frames, p, a.n_frames * sizeof(uint64_t));
				fn(arg, i, frames, a.n_frames, a.end);
			}
			p += a.n_frames * sizeof(uint64_t);
			left -= a.n_frames * sizeof(uint64_t);
		}
		if (left > 0)
			return -EBADMSG;
	}
	return 0;
}

static void on_stack(void *arg, size_t i, const uint64_t *frames, size_t n_frames,
		     enum cprof_end end)
{
	struct walk_batch *b = arg;

	b->done(b->arg, b->stacks[i].p, 0, frames, n_frames, end);
}

static void on_done(void *arg, const struct job_result *result)
{
	struct walk_batch *b = arg;
	int error = result->error;

	b->job = NULL;
	if (error == 0)
		error = walk_answer_parse(result->answer, result->answer_bytes, b->n_stacks,
					  on_stack, b);
	if (error < 0)
		for (size_t i = 0; i < b->n_stacks; i++)
			b->done(b->arg, b->stacks[i].p, error, NULL, 0, CPROF_END_MAX);
	b->finished(b->arg, b);
	walk_batch_free(b);
}

int walk_batch_submit(struct walk_batch *b, struct pool *pool, walk_batch_done_t done,
		      void (*finished)(void *arg, struct walk_batch *b), void *arg)
{
	size_t size = sizeof(struct walk_input) + b->n_mappings * sizeof(*b->mappings) + b->bytes;
	int fds[JOB_MAX_FDS], r;
	uint8_t *input = secret_new(size);

	if (!input) {
		walk_batch_free(b);
		return -ENOMEM;
	}

	fill_input(b, input);
	for (size_t i = 0; i < b->n_objects; i++)
		fds[i] = tables_blob_fd(b->tables, b->objects[i]);
	b->done = done;
	b->finished = finished;
	b->arg = arg;

	struct job_spec spec = {
		.kind = JOB_WALK,
		.fds = fds,
		.n_fds = b->n_objects,
		.input = input,
		.input_bytes = size,
		.sensitive = true,
		.max_answer_bytes = b->n_stacks * (sizeof(struct walk_answer) +
						   CPROF_MAX_USER_FRAMES * sizeof(uint64_t)),
		.done = on_done,
		.arg = b,
	};
	r = pool_submit(pool, &spec, &b->job);
	secret_free(input, size);
	if (r < 0)
		walk_batch_free(b);
	return r;
}
