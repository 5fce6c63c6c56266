/* SPDX-License-Identifier: Apache-2.0 */
#include "aggregate.h"

#include <string.h>
#include <xxhash.h>

#include "cleanup.h"

#define CHUNK_BYTES  (64 * 1024)
#define FIRST_SLOTS  256
#define OBJECT_SLOTS 64

struct chunk {
	struct chunk *next;
	size_t used, size;
	char data[];
};

struct aggregate {
	struct aggregate_options options;
	struct stack **stacks; /* in order of arrival */
	size_t n_stacks, max_stacks;
	uint32_t *slots; /* open addressing: index + 1 into stacks */
	size_t n_slots;
	struct object **objects; /* open addressing by id */
	size_t n_objects, n_object_slots;
	struct chunk *chunks;
	size_t bytes;
};

static void aggregate_account(struct aggregate *a, size_t bytes)
{
	a->bytes += bytes;
	if (a->options.shared_bytes)
		*a->options.shared_bytes += bytes;
}

static void aggregate_discount(struct aggregate *a, size_t bytes)
{
	a->bytes -= bytes;
	if (a->options.shared_bytes)
		*a->options.shared_bytes -= bytes;
}

int aggregate_new(struct aggregate **ret, const struct aggregate_options *options)
{
	struct aggregate *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;

	a->options = *options;
	a->n_slots = FIRST_SLOTS;
	a->n_object_slots = OBJECT_SLOTS;
	a->slots = calloc(a->n_slots, sizeof(*a->slots));
	a->objects = calloc(a->n_object_slots, sizeof(*a->objects));
	if (!a->slots || !a->objects) {
		aggregate_free(a);
		return -ENOMEM;
	}
	aggregate_account(a, sizeof(*a) + a->n_slots * sizeof(*a->slots) +
				     a->n_object_slots * sizeof(*a->objects));

	*ret = a;
	return 0;
}

struct aggregate *aggregate_free(struct aggregate *a)
{
	struct chunk *next;

	if (!a)
		return NULL;

	for (size_t i = 0; i < a->n_stacks; i++)
		process_info_unref(a->stacks[i]->process);
	for (size_t i = 0; a->objects && i < a->n_object_slots; i++)
		if (a->objects[i])
			object_unref(a->objects[i]);
	for (struct chunk *c = a->chunks; c; c = next) {
		next = c->next;
		free(c);
	}
	free(a->stacks);
	free(a->slots);
	free(a->objects);
	aggregate_discount(a, a->bytes);
	free(a);
	return NULL;
}

/* Accounts for memory before it is taken. */
static int aggregate_charge(struct aggregate *a, size_t bytes)
{
	if (bytes > a->options.max_bytes || a->bytes > a->options.max_bytes - bytes)
		return -ENOSPC;
	if (a->options.shared_bytes &&
	    (bytes > a->options.shared_max_bytes ||
	     *a->options.shared_bytes > a->options.shared_max_bytes - bytes))
		return -ENOSPC;

	aggregate_account(a, bytes);
	return 0;
}

static int aggregate_alloc(struct aggregate *a, size_t size, void **ret)
{
	struct chunk *c = a->chunks;
	int r;

	size = (size + 7) & ~(size_t)7;
	if (!c || c->size - c->used < size) {
		size_t room = MAX(size, (size_t)CHUNK_BYTES);

		r = aggregate_charge(a, sizeof(*c) + room);
		if (r < 0)
			return r;
		c = malloc(sizeof(*c) + room);
		if (!c)
			return -ENOMEM;
		c->next = a->chunks;
		c->used = 0;
		c->size = room;
		a->chunks = c;
	}

	*ret = c->data + c->used;
	c->used += size;
	return 0;
}

static size_t object_slot(struct object **objects, size_t n_slots, const struct object *o)
{
	size_t i = (o->id * 0x9e3779b1U) & (n_slots - 1);

	while (objects[i] && objects[i] != o)
		i = (i + 1) & (n_slots - 1);
	return i;
}

/* Makes sure that at least `extra` further objects find a place. */
static int aggregate_grow_objects(struct aggregate *a, size_t extra)
{
	size_t n = a->n_object_slots;
	struct object **objects;
	int r;

	while ((a->n_objects + extra) * 2 > n)
		n *= 2;
	if (n == a->n_object_slots)
		return 0;

	r = aggregate_charge(a, (n - a->n_object_slots) * sizeof(*objects));
	if (r < 0)
		return r;
	objects = calloc(n, sizeof(*objects));
	if (!objects)
		return -ENOMEM;

	for (size_t i = 0; i < a->n_object_slots; i++)
		if (a->objects[i])
			objects[object_slot(objects, n, a->objects[i])] = a->objects[i];
	free(a->objects);
	a->objects = objects;
	a->n_object_slots = n;
	return 0;
}

static int aggregate_grow_stacks(struct aggregate *a)
{
	size_t n = a->max_stacks ? a->max_stacks * 2 : FIRST_SLOTS / 2, n_slots = n * 2;
	struct stack **stacks;
	uint32_t *slots;
	int r;

	if (a->n_stacks < a->max_stacks)
		return 0;
	if (n_slots > UINT32_MAX)
		return -ENOSPC;

	r = aggregate_charge(a, n * sizeof(*stacks) + n_slots * sizeof(*slots));
	if (r < 0)
		return r;
	stacks = realloc(a->stacks, n * sizeof(*stacks));
	if (!stacks)
		return -ENOMEM;
	a->stacks = stacks;
	slots = calloc(n_slots, sizeof(*slots));
	if (!slots)
		return -ENOMEM;

	for (size_t i = 0; i < a->n_stacks; i++) {
		size_t s = stacks[i]->hash & (n_slots - 1);

		while (slots[s])
			s = (s + 1) & (n_slots - 1);
		slots[s] = (uint32_t)i + 1;
	}
	aggregate_discount(a, a->max_stacks * sizeof(*stacks) + a->n_slots * sizeof(*slots));
	free(a->slots);
	a->slots = slots;
	a->n_slots = n_slots;
	a->max_stacks = n;
	return 0;
}

static bool stack_equal(const struct stack *s, const struct stack *key, const struct frame *frames)
{
	return s->hash == key->hash && s->process == key->process && s->tid == key->tid &&
	       s->cpu == key->cpu && s->n_frames == key->n_frames &&
	       memcmp(s->thread, key->thread, sizeof(s->thread)) == 0 &&
	       memcmp(s->frames, frames, key->n_frames * sizeof(*frames)) == 0;
}

static void stack_key(const struct aggregate *a, const struct sample *sample,
		      const struct frame *frames, size_t n_frames, struct stack *ret)
{
	/* the padding is hashed too */
	memset(ret, 0, sizeof(*ret));
	ret->process = sample->process;
	ret->n_frames = (uint32_t)n_frames;

	if (a->options.keep_tid) {
		ret->tid = sample->tid;
		ret->cpu = sample->cpu;
	}
	strncpy(ret->thread, sample->thread ? sample->thread : "", sizeof(ret->thread) - 1);
	ret->hash = XXH3_64bits_withSeed(frames, n_frames * sizeof(*frames),
					 XXH3_64bits(ret, offsetof(struct stack, frames)));
	ret->uid = sample->uid;
}

static int aggregate_insert(struct aggregate *a, const struct stack *key,
			    const struct frame *frames, struct stack **ret)
{
	struct stack *s;
	size_t slot;
	void *p;
	int r;

	r = aggregate_grow_stacks(a);
	if (r < 0)
		return r;
	r = aggregate_grow_objects(a, key->n_frames);
	if (r < 0)
		return r;
	r = aggregate_alloc(a, sizeof(*s) + key->n_frames * sizeof(*frames), &p);
	if (r < 0)
		return r;

	s = p;
	*s = *key;
	process_info_ref(s->process);
	memcpy(s->frames, frames, key->n_frames * sizeof(*frames));
	for (size_t i = 0; i < key->n_frames; i++) {
		size_t o = object_slot(a->objects, a->n_object_slots, frames[i].object);

		if (!a->objects[o]) {
			a->objects[o] = object_ref(frames[i].object);
			a->n_objects++;
		}
	}

	slot = key->hash & (a->n_slots - 1);
	while (a->slots[slot])
		slot = (slot + 1) & (a->n_slots - 1);
	a->stacks[a->n_stacks++] = s;
	a->slots[slot] = (uint32_t)a->n_stacks;
	*ret = s;
	return 0;
}

int aggregate_add(struct aggregate *a, const struct sample *sample, const struct frame *frames,
		  size_t n_frames)
{
	struct stack key, *s = NULL;
	int r;

	stack_key(a, sample, frames, n_frames, &key);
	for (size_t i = key.hash & (a->n_slots - 1); a->slots[i]; i = (i + 1) & (a->n_slots - 1)) {
		struct stack *c = a->stacks[a->slots[i] - 1];

		if (stack_equal(c, &key, frames)) {
			s = c;
			break;
		}
	}
	if (!s) {
		r = aggregate_insert(a, &key, frames, &s);
		if (r < 0)
			return r;
	}

	s->count++;
	s->cpu_ns += sample->period_ns;
	return 0;
}

size_t aggregate_n_stacks(const struct aggregate *a)
{
	return a->n_stacks;
}

const struct stack *aggregate_stack(const struct aggregate *a, size_t i)
{
	return a->stacks[i];
}

size_t aggregate_bytes(const struct aggregate *a)
{
	return a->bytes;
}

static int frame_compare(const void *a, const void *b)
{
	const struct frame *x = a, *y = b;

	if (x->object->id != y->object->id)
		return x->object->id < y->object->id ? -1 : 1;
	return (x->address > y->address) - (x->address < y->address);
}

int aggregate_frames(const struct aggregate *a, struct frame **ret, size_t *ret_n)
{
	_cleanup_free_ struct frame *frames = NULL;
	size_t n = 0, distinct = 0;

	for (size_t i = 0; i < a->n_stacks; i++)
		n += a->stacks[i]->n_frames;
	frames = malloc(MAX(n, (size_t)1) * sizeof(*frames));
	if (!frames)
		return -ENOMEM;

	n = 0;
	for (size_t i = 0; i < a->n_stacks; i++) {
		memcpy(frames + n, a->stacks[i]->frames, a->stacks[i]->n_frames * sizeof(*frames));
		n += a->stacks[i]->n_frames;
	}
	qsort(frames, n, sizeof(*frames), frame_compare);
	for (size_t i = 0; i < n; i++)
		if (distinct == 0 || frame_compare(&frames[distinct - 1], &frames[i]) != 0)
			frames[distinct++] = frames[i];

	*ret = TAKE_PTR(frames);
	*ret_n = distinct;
	return 0;
}
