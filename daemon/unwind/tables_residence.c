/* SPDX-License-Identifier: Apache-2.0 */
/* What stays: slots, tables in the kernel, blobs in memory; each under its bound, oldest use first. */
#include "tables_entry.h"

#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "cleanup.h"
#include "sampler.h"

/* What was refused by the kernel side is not offered to it again for so long. */
#define REFUSED_NS (10 * NSEC_PER_SEC)

unsigned table_slot_take(struct tables *t)
{
	const unsigned n = CPROF_MAX_TABLES - CPROF_SLOT_FIRST;

	/* in turn, so that a mapping that outlived its object meets an empty slot, not another's */
	for (unsigned i = 0; i < n; i++) {
		unsigned slot = CPROF_SLOT_FIRST + (t->next_slot + i) % n;

		if (!t->slots[slot]) {
			t->slots[slot] = true;
			t->next_slot = (t->next_slot + i + 1) % n;
			return slot;
		}
	}
	return 0;
}

static void table_unload(struct table_entry *e)
{
	struct tables *t = e->tables;

	if (!e->loaded)
		return;
	sampler_table_unload(t->options.sampler, e->slot);
	t->stats.kernel_bytes -= e->kernel_bytes;
	t->stats.loaded--;
	e->loaded = false;
}

void table_slot_give(struct table_entry *e)
{
	table_unload(e);
	if (e->slot)
		e->tables->slots[e->slot] = false;
	e->slot = 0;
}

/* Blobs */

void table_blob_close(struct table_entry *e)
{
	if (e->fd >= 0 && e->in_memory)
		e->tables->stats.memory_bytes -= e->blob_bytes;
	e->fd = safe_close(e->fd);
}

void table_blob_forget(struct table_entry *e)
{
	table_blob_close(e);
	if (e->head) {
		e->tables->stats.rows -= e->head->n_rows;
		e->tables->stats.cut -= e->head->n_cut;
	}
	free(e->head);
	e->head = NULL;
}

void table_blob_evict(struct tables *t, uint64_t need)
{
	while (t->stats.memory_bytes + need > t->options.memory_bytes) {
		struct table_entry *e, *next, *oldest = NULL;

		HASH_ITER (hh, t->entries, e, next)
			if (e->fd >= 0 && e->in_memory && (!oldest || e->used_ns < oldest->used_ns))
				oldest = e;
		if (!oldest)
			return;
		table_blob_close(oldest);
		t->stats.evicted++;
	}
}

void *table_blob_map(int fd, size_t bytes)
{
	void *p = bytes ? mmap(NULL, bytes, PROT_READ, MAP_SHARED, fd, 0) : MAP_FAILED;

	return p == MAP_FAILED ? NULL : p;
}

int table_blob_keep_head(struct table_entry *e, const struct cprof_table *blob)
{
	size_t bytes = sizeof(*blob) + blob->n_segments * sizeof(struct cprof_table_segment);
	struct cprof_table *head = malloc(bytes);

	if (!head)
		return -ENOMEM;
	memcpy(head, blob, bytes);
	table_blob_forget(e);
	e->head = head;
	e->tables->stats.rows += head->n_rows;
	e->tables->stats.cut += head->n_cut;
	return 0;
}

/* Kernel */

static bool kernel_make_room(struct tables *t, uint64_t need)
{
	if (need > t->options.kernel_bytes)
		return false;

	while (t->stats.kernel_bytes + need > t->options.kernel_bytes) {
		struct table_entry *e, *next, *oldest = NULL;

		HASH_ITER (hh, t->entries, e, next)
			if (e->loaded && (!oldest || e->used_ns < oldest->used_ns))
				oldest = e;
		if (!oldest)
			return false;
		table_unload(oldest);
		t->stats.evicted++;
	}
	return true;
}

void table_load_blob(struct table_entry *e, const void *blob, uint64_t now)
{
	struct tables *t = e->tables;
	uint64_t need;
	int r;

	if (!t->options.sampler || e->loaded || !e->slot || now < e->refused_ns)
		return;

	need = sampler_table_bytes(e->head->n_pages, e->head->n_blocks);
	r = kernel_make_room(t, need)
		    ? sampler_table_load(t->options.sampler, e->slot, blob, e->blob_bytes)
		    : -ENOSPC;
	if (r < 0) {
		e->refused_ns = now + REFUSED_NS;
		t->stats.not_loaded++;
		return;
	}
	e->loaded = true;
	e->kernel_bytes = need;
	t->stats.kernel_bytes += need;
	t->stats.loaded++;
}

/* Brings an evicted table back; its blob is sealed, or was checked when it was opened. */
void table_reload(struct table_entry *e, uint64_t now)
{
	void *blob;

	if (!e->tables->options.sampler || e->loaded || e->fd < 0 || now < e->refused_ns)
		return;
	blob = table_blob_map(e->fd, e->blob_bytes);
	if (!blob)
		return;
	table_load_blob(e, blob, now);
	e->tables->stats.reloaded += e->loaded;
	munmap(blob, e->blob_bytes);
}
