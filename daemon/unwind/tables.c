/* SPDX-License-Identifier: Apache-2.0 */
#include "tables.h"

#include <string.h>
#include <time.h>

#include "cleanup.h"
#include "cprof/unwind.h"
#include "table.h"
#include "tables_entry.h"

#define EXPIRE_USEC (10 * 1000000ULL)
#define RETRY_USEC  (50 * 1000ULL)
/* An object that only we hold is let go after this. */
#define UNUSED_NS (60 * NSEC_PER_SEC)

uint64_t tables_now_ns(void)
{
	struct timespec t;

	clock_gettime(CLOCK_MONOTONIC, &t);
	return (uint64_t)t.tv_sec * NSEC_PER_SEC + (uint64_t)t.tv_nsec;
}

const char *table_failure_name(enum table_failure f)
{
	static const char *const names[] = {
		[TABLE_FAILURE_UNOPENED] = "unopened", [TABLE_FAILURE_NOT_ELF] = "not_elf",
		[TABLE_FAILURE_BROKEN] = "broken",     [TABLE_FAILURE_CHANGED] = "changed",
		[TABLE_FAILURE_CRASHED] = "crashed",   [TABLE_FAILURE_TIMEOUT] = "timeout",
		[TABLE_FAILURE_MEMORY] = "memory",     [TABLE_FAILURE_ANSWER] = "answer",
		[TABLE_FAILURE_FULL] = "full",         [TABLE_FAILURE_OTHER] = "other",
	};

	return (unsigned)f < TABLE_FAILURE_MAX ? names[f] : "other";
}

static void entry_free(struct table_entry *e)
{
	struct tables *t = e->tables;

	if (e->job) {
		job_cancel(e->job);
		t->stats.building--;
	}
	safe_close(e->job_fd);
	table_slot_give(e);
	table_blob_forget(e);
	HASH_DEL(t->entries, e);
	t->stats.entries--;
	object_unref(e->object);
	free(e);
}

/* Frees what only we hold and nobody has touched since before_ns; the first max of them. */
static unsigned entries_release(struct tables *t, uint64_t before_ns, unsigned max)
{
	struct table_entry *e, *next;
	unsigned n = 0;

	HASH_ITER (hh, t->entries, e, next) {
		if (n == max)
			break;
		if (e->object->refs > 1 || e->state == TABLE_BUILDING || e->used_ns >= before_ns)
			continue;
		entry_free(e);
		n++;
	}
	return n;
}

static struct table_entry *entry_new(struct tables *t, struct object *object, uint64_t now)
{
	struct table_entry *e;

	if (t->stats.entries >= TABLES_MAX_ENTRIES && entries_release(t, now, 256) == 0)
		return NULL;

	e = calloc(1, sizeof(*e));
	if (!e)
		return NULL;
	e->id = object->id;
	e->object = object_ref(object);
	e->tables = t;
	e->fd = e->job_fd = -1;
	e->used_ns = now;
	HASH_ADD(hh, t->entries, id, sizeof(e->id), e);
	t->stats.entries++;
	return e;
}

static struct table_entry *find(const struct tables *t, const struct object *object)
{
	struct table_entry *e;

	HASH_FIND(hh, t->entries, &object->id, sizeof(object->id), e);
	return e;
}

/* From nothing, or again after a failure or an eviction. */
static void entry_start(struct table_entry *e)
{
	struct tables *t = e->tables;

	if (e->object->fd < 0 ||
	    (e->object->kind != OBJECT_FILE && e->object->kind != OBJECT_VDSO)) {
		table_fail(e, TABLE_FAILURE_UNOPENED);
		return;
	}
	if (!e->slot)
		e->slot = table_slot_take(t);
	if (!e->slot && entries_release(t, e->used_ns, 64) > 0)
		e->slot = table_slot_take(t);
	if (!e->slot) {
		table_fail(e, TABLE_FAILURE_FULL);
		return;
	}
	if (!table_from_cache(e))
		table_start_build(e);
}

enum table_state tables_touch(struct tables *t, struct object *object, uint64_t now,
			      unsigned *ret_slot)
{
	struct table_entry *e = find(t, object);
	bool start = !e;

	if (!e)
		e = entry_new(t, object, now);
	if (!e) {
		t->stats.failed++;
		t->stats.failures[TABLE_FAILURE_FULL]++;
		*ret_slot = CPROF_SLOT_NO_CFI;
		return TABLE_FAILED;
	}

	e->used_ns = MAX(e->used_ns, now);
	if (e->state == TABLE_FAILED && now > e->failed_ns &&
	    now - e->failed_ns > TABLES_FAILURE_NS)
		start = true;
	/* neither in the kernel nor at hand */
	if (e->state == TABLE_READY && e->fd < 0 && !e->loaded)
		start = true;

	if (start)
		entry_start(e);
	else if (e->state == TABLE_BUILDING)
		e->announce = true;
	else if (e->state == TABLE_READY)
		table_reload(e, now);

	if (e->state != TABLE_BUILDING)
		e->announce = false;
	*ret_slot = e->slot ? e->slot : CPROF_SLOT_NO_CFI;
	return e->state;
}

int tables_blob_fd(struct tables *t, struct object *object)
{
	struct table_entry *e = find(t, object);

	if (!e || e->state != TABLE_READY)
		return -ENOENT;
	if (e->fd < 0)
		entry_start(e);
	if (e->state == TABLE_BUILDING)
		return -EAGAIN;
	return e->fd >= 0 ? e->fd : -ENOENT;
}

int tables_vaddr(struct tables *t, struct object *object, uint64_t offset, uint64_t *ret_vaddr)
{
	struct table_entry *e = find(t, object);

	return e && e->head ? table_vaddr(e->head, offset, ret_vaddr) : -ENOENT;
}

void tables_each_failure(const struct tables *t, tables_failure_t failure, void *arg)
{
	uint64_t now = tables_now_ns();
	struct table_entry *e, *next;

	HASH_ITER (hh, t->entries, e, next)
		if (e->state == TABLE_FAILED && now - e->failed_ns <= TABLES_FAILURE_NS)
			failure(arg, e->object, e->failure, e->failed_ns);
}

void tables_stats(const struct tables *t, struct tables_stats *ret)
{
	*ret = t->stats;
	ret->cache_bytes = t->cache ? blob_cache_bytes(t->cache) : 0;
}

void tables_set_ready(struct tables *t, tables_ready_t ready, void *arg)
{
	t->ready = ready;
	t->ready_arg = arg;
}

void tables_expire(struct tables *t, uint64_t now)
{
	if (now > UNUSED_NS)
		entries_release(t, now - UNUSED_NS, UINT32_MAX);
	tables_retry(t);
}

static int on_expire(sd_event_source *s, uint64_t usec, void *userdata)
{
	(void)usec;
	tables_expire(userdata, tables_now_ns());
	if (sd_event_source_set_time_relative(s, EXPIRE_USEC) >= 0)
		sd_event_source_set_enabled(s, SD_EVENT_ONESHOT);
	return 0;
}

static int on_retry(sd_event_source *s, uint64_t usec, void *userdata)
{
	(void)s;
	(void)usec;
	tables_retry(userdata);
	return 0;
}

DEFINE_CLEANUP(struct tables *, tables_free)

int tables_new(struct tables **ret, sd_event *event, const struct tables_options *options)
{
	const struct blob_cache_options cache = {
		.suffix = ".tbl",
		.version = CPROF_TABLE_VERSION,
		.max_bytes = options->cache_bytes,
		.max_blob_bytes = TABLE_MAX_BYTES,
	};
	_cleanup_(tables_freep) struct tables *t = NULL;
	int r;

	t = calloc(1, sizeof(*t));
	if (!t)
		return -ENOMEM;
	t->options = *options;
	t->options.cache_dir = NULL; /* the caller's */
	t->event = sd_event_ref(event);

	if (options->cache_dir) {
		r = blob_cache_new(&t->cache, options->cache_dir, &cache);
		if (r < 0)
			return r;
	}
	r = sd_event_add_time_relative(event, &t->expire, CLOCK_MONOTONIC, EXPIRE_USEC, 1000000,
				       on_expire, t);
	if (r < 0)
		return r;
	r = sd_event_add_time_relative(event, &t->retry, CLOCK_MONOTONIC, RETRY_USEC, 0, on_retry,
				       t);
	if (r < 0)
		return r;
	sd_event_source_set_enabled(t->retry, SD_EVENT_OFF);

	*ret = TAKE_PTR(t);
	return 0;
}

struct tables *tables_free(struct tables *t)
{
	struct table_entry *e, *next;

	if (!t)
		return NULL;

	HASH_ITER (hh, t->entries, e, next)
		entry_free(e);
	sd_event_source_disable_unref(t->expire);
	sd_event_source_disable_unref(t->retry);
	sd_event_unref(t->event);
	blob_cache_free(t->cache);
	free(t);
	return NULL;
}
