/* SPDX-License-Identifier: Apache-2.0 */
#include "symcache.h"

#include <string.h>

#include "cleanup.h"

#define FIRST_SLOTS 32
#define BUCKETS     1024
#define CHUNK_BYTES 4096
/* What malloc adds to each of its pieces, rounding included. */
#define MALLOC_BYTES 16

struct symcache_chunk {
	struct symcache_chunk *next;
	size_t used, size;
	char data[];
};

struct symcache_object {
	uint32_t id;
	unsigned pins;
	struct symcache_object *next_in_bucket;
	struct symcache_object *newer, *older;
	struct symcache_entry **entries; /* open addressing, power of two */
	size_t n_entries, n_slots;
	const char **strings; /* likewise */
	size_t n_strings, n_string_slots;
	struct symcache_chunk *chunks;
	uint64_t bytes;
	struct symcache_info info;
	struct symsaved *saved;
};

struct symcache {
	struct symcache_object *buckets[BUCKETS];
	struct symcache_object *newest, *oldest;
	uint64_t bytes, max_bytes, evicted;
	void (*gone)(void *arg, struct symcache_object *o);
	void *gone_arg;
};

int symcache_new(struct symcache **ret, uint64_t max_bytes)
{
	struct symcache *c = calloc(1, sizeof(*c));

	if (!c)
		return -ENOMEM;
	c->max_bytes = max_bytes;
	*ret = c;
	return 0;
}

static void symcache_unlink(struct symcache *c, struct symcache_object *o)
{
	*(o->newer ? &o->newer->older : &c->newest) = o->older;
	*(o->older ? &o->older->newer : &c->oldest) = o->newer;
	o->newer = o->older = NULL;
}

static void symcache_link_newest(struct symcache *c, struct symcache_object *o)
{
	o->older = c->newest;
	*(c->newest ? &c->newest->newer : &c->oldest) = o;
	c->newest = o;
}

static struct symcache_object **symcache_bucket(struct symcache *c, uint32_t id)
{
	struct symcache_object **p = &c->buckets[id % BUCKETS];

	while (*p && (*p)->id != id)
		p = &(*p)->next_in_bucket;
	return p;
}

static void symcache_object_free(struct symcache *c, struct symcache_object *o)
{
	struct symcache_object **p = symcache_bucket(c, o->id);

	if (c->gone)
		c->gone(c->gone_arg, o);
	*p = o->next_in_bucket;
	symcache_unlink(c, o);
	c->bytes -= o->bytes;

	for (size_t i = 0; i < o->n_slots; i++)
		free(o->entries[i]);
	free(o->entries);
	free(o->strings);
	while (o->chunks) {
		struct symcache_chunk *chunk = o->chunks;

		o->chunks = chunk->next;
		free(chunk);
	}
	free(o);
}

struct symcache *symcache_free(struct symcache *c)
{
	if (!c)
		return NULL;

	while (c->newest)
		symcache_object_free(c, c->newest);
	free(c);
	return NULL;
}

uint64_t symcache_bytes(const struct symcache *c)
{
	return c->bytes;
}

uint64_t symcache_evicted(const struct symcache *c)
{
	return c->evicted;
}

void symcache_charge(struct symcache *c, struct symcache_object *o, uint64_t bytes)
{
	o->bytes += bytes + MALLOC_BYTES;
	c->bytes += bytes + MALLOC_BYTES;
}

/* One piece in the place of another; none where there were no bytes. */
static void symcache_recharge(struct symcache *c, struct symcache_object *o, uint64_t from,
			      uint64_t to)
{
	o->bytes -= from ? from + MALLOC_BYTES : 0;
	c->bytes -= from ? from + MALLOC_BYTES : 0;
	symcache_charge(c, o, to);
}

struct symcache_object *symcache_find(struct symcache *c, uint32_t object_id)
{
	return *symcache_bucket(c, object_id);
}

int symcache_pin(struct symcache *c, uint32_t object_id, struct symcache_object **ret)
{
	struct symcache_object *o = symcache_find(c, object_id);

	if (!o) {
		o = calloc(1, sizeof(*o));
		if (!o)
			return -ENOMEM;
		o->id = object_id;
		*symcache_bucket(c, object_id) = o;
		symcache_charge(c, o, sizeof(*o));
	} else {
		symcache_unlink(c, o);
	}

	symcache_link_newest(c, o);
	o->pins++;
	*ret = o;
	return 0;
}

void symcache_unpin(struct symcache *c, struct symcache_object *o)
{
	(void)c;
	o->pins--;
}

void symcache_trim(struct symcache *c)
{
	struct symcache_object *o = c->oldest;

	while (o && c->bytes > c->max_bytes) {
		struct symcache_object *newer = o->newer;

		if (o->pins == 0) {
			symcache_object_free(c, o);
			c->evicted++;
		}
		o = newer;
	}
}

static size_t symcache_hash_address(uint64_t address)
{
	return (size_t)((address * 0x9e3779b97f4a7c15ULL) >> 24);
}

static struct symcache_entry **symcache_slot(struct symcache_entry **entries, size_t n_slots,
					     uint64_t address)
{
	size_t i = symcache_hash_address(address) & (n_slots - 1);

	while (entries[i] && entries[i]->address != address)
		i = (i + 1) & (n_slots - 1);
	return &entries[i];
}

const struct symcache_entry *symcache_get(const struct symcache_object *o, uint64_t address)
{
	return o->n_slots ? *symcache_slot(o->entries, o->n_slots, address) : NULL;
}

static int symcache_grow_entries(struct symcache *c, struct symcache_object *o)
{
	size_t n_slots = o->n_slots ? o->n_slots * 2 : FIRST_SLOTS;
	struct symcache_entry **entries = calloc(n_slots, sizeof(*entries));

	if (!entries)
		return -ENOMEM;
	for (size_t i = 0; i < o->n_slots; i++)
		if (o->entries[i])
			*symcache_slot(entries, n_slots, o->entries[i]->address) = o->entries[i];

	free(o->entries);
	symcache_recharge(c, o, o->n_slots * sizeof(*entries), n_slots * sizeof(*entries));
	o->entries = entries;
	o->n_slots = n_slots;
	return 0;
}

/* FNV-1a */
static size_t symcache_hash_string(const char *s)
{
	uint64_t h = 0xcbf29ce484222325ULL;

	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 0x100000001b3ULL;
	return (size_t)(h ^ h >> 32);
}

static const char **symcache_string_slot(const char **strings, size_t n_slots, const char *s)
{
	size_t i = symcache_hash_string(s) & (n_slots - 1);

	while (strings[i] && strcmp(strings[i], s) != 0)
		i = (i + 1) & (n_slots - 1);
	return &strings[i];
}

static int symcache_grow_strings(struct symcache *c, struct symcache_object *o)
{
	size_t n_slots = o->n_string_slots ? o->n_string_slots * 2 : FIRST_SLOTS;
	const char **strings = calloc(n_slots, sizeof(*strings));

	if (!strings)
		return -ENOMEM;
	for (size_t i = 0; i < o->n_string_slots; i++)
		if (o->strings[i])
			*symcache_string_slot(strings, n_slots, o->strings[i]) = o->strings[i];

	free(o->strings);
	symcache_recharge(c, o, o->n_string_slots * sizeof(*strings), n_slots * sizeof(*strings));
	o->strings = strings;
	o->n_string_slots = n_slots;
	return 0;
}

static char *symcache_allocate(struct symcache *c, struct symcache_object *o, size_t size)
{
	struct symcache_chunk *chunk = o->chunks;
	char *p;

	if (!chunk || chunk->size - chunk->used < size) {
		size_t room = MAX(size, chunk ? (size_t)CHUNK_BYTES : (size_t)CHUNK_BYTES / 8);

		chunk = malloc(sizeof(*chunk) + room);
		if (!chunk)
			return NULL;
		*chunk = (struct symcache_chunk){ .next = o->chunks, .size = room };
		o->chunks = chunk;
		symcache_charge(c, o, sizeof(*chunk) + room);
	}
	p = chunk->data + chunk->used;
	chunk->used += size;
	return p;
}

/* The object's own copy; NULL without memory. */
static const char *symcache_intern(struct symcache *c, struct symcache_object *o, const char *s)
{
	const char **slot;
	size_t size;
	char *p;

	if (!*s)
		return "";
	if (o->n_strings >= o->n_string_slots / 2 && symcache_grow_strings(c, o) < 0)
		return NULL;
	slot = symcache_string_slot(o->strings, o->n_string_slots, s);
	if (*slot)
		return *slot;

	size = strlen(s) + 1;
	p = symcache_allocate(c, o, size);
	if (!p)
		return NULL;
	memcpy(p, s, size);
	o->n_strings++;
	*slot = p;
	return p;
}

int symcache_put(struct symcache *c, struct symcache_object *o, uint64_t address,
		 enum symbols_mode mode, uint64_t expires_ns, bool synthetic,
		 const struct symbol_line *lines, uint32_t n_lines)
{
	size_t bytes = sizeof(struct symcache_entry) + n_lines * sizeof(*lines);
	_cleanup_free_ struct symcache_entry *e = calloc(1, bytes);
	struct symcache_entry **slot;

	if (!e)
		return -ENOMEM;
	*e = (struct symcache_entry){
		.address = address,
		.expires_ns = expires_ns,
		.bytes = (uint32_t)bytes,
		.mode = mode,
		.location = { .n_lines = n_lines, .synthetic = synthetic },
	};
	for (uint32_t i = 0; i < n_lines; i++) {
		struct symbol_line *l = &e->location.lines[i];

		*l = lines[i];
		l->name = symcache_intern(c, o, lines[i].name);
		l->system_name = symcache_intern(c, o, lines[i].system_name);
		l->file = symcache_intern(c, o, lines[i].file);
		if (!l->name || !l->system_name || !l->file)
			return -ENOMEM;
	}

	if (o->n_entries >= o->n_slots / 4 * 3 && symcache_grow_entries(c, o) < 0)
		return -ENOMEM;
	slot = symcache_slot(o->entries, o->n_slots, address);
	if (*slot) {
		c->bytes -= (*slot)->bytes + MALLOC_BYTES;
		o->bytes -= (*slot)->bytes + MALLOC_BYTES;
		free(*slot);
	} else {
		o->n_entries++;
	}
	symcache_charge(c, o, bytes);
	*slot = TAKE_PTR(e);
	return 0;
}

void symcache_expire(struct symcache_object *o, uint64_t expires_ns)
{
	for (size_t i = 0; i < o->n_slots; i++)
		if (o->entries[i])
			o->entries[i]->expires_ns = expires_ns;
}

struct symcache_info *symcache_info(struct symcache_object *o)
{
	return &o->info;
}

struct symsaved **symcache_saved(struct symcache_object *o)
{
	return &o->saved;
}

void symcache_set_gone(struct symcache *c, void (*gone)(void *arg, struct symcache_object *o),
		       void *arg)
{
	c->gone = gone;
	c->gone_arg = arg;
}

size_t symcache_count(const struct symcache_object *o)
{
	return o->n_entries;
}

static int symcache_compare(const void *a, const void *b)
{
	const struct symcache_entry *x = *(const struct symcache_entry *const *)a;
	const struct symcache_entry *y = *(const struct symcache_entry *const *)b;

	return x->address < y->address ? -1 : x->address > y->address;
}

void symcache_sorted(const struct symcache_object *o, const struct symcache_entry **ret)
{
	size_t n = 0;

	for (size_t i = 0; i < o->n_slots; i++)
		if (o->entries[i])
			ret[n++] = o->entries[i];
	if (n > 0)
		qsort(ret, n, sizeof(*ret), symcache_compare);
}
