/* SPDX-License-Identifier: Apache-2.0 */
#include "records.h"

#include <string.h>
#include <sys/mman.h>

#include "cleanup.h"

static size_t page_bytes(void)
{
	return (size_t)sysconf(_SC_PAGESIZE);
}

int records_map(struct records *r, int fd, size_t data_bytes, void *whole)
{
	void *page;

	r->fd = fd;
	r->bytes = data_bytes;
	r->whole = whole;
	page = mmap(NULL, records_total_bytes(r), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (page == MAP_FAILED)
		return -errno;
	r->page = page;
	return 0;
}

void records_unmap(struct records *r)
{
	if (r->page)
		munmap(r->page, records_total_bytes(r));
	r->page = NULL;
	r->fd = safe_close(r->fd);
}

size_t records_total_bytes(const struct records *r)
{
	return r->bytes + page_bytes();
}

void records_begin(struct records *r)
{
	r->head = __atomic_load_n(&r->page->data_head, __ATOMIC_ACQUIRE);
	r->tail = r->page->data_tail;
	r->size = 0;
}

/* The record at the tail, whole. The kernel wrote the ring, but the sizes are checked all the same:
 * a bad one would walk out of the mapping. */
static const void *record_at_tail(struct records *r, size_t *ret_size)
{
	const uint8_t *data = (const uint8_t *)r->page + page_bytes();
	size_t at = (size_t)(r->tail & (r->bytes - 1)), room = r->bytes - at;
	struct perf_event_header h;

	/* records are multiples of 8 bytes: a header never wraps */
	memcpy(&h, data + at, sizeof(h));
	if (h.size < sizeof(h) || h.size > r->head - r->tail)
		return NULL;
	*ret_size = h.size;
	if (h.size <= room)
		return data + at;

	memcpy(r->whole, data + at, room);
	memcpy((uint8_t *)r->whole + room, data, h.size - room);
	return r->whole;
}

const struct sideband_event *records_peek(struct records *r, struct records_counts *counts)
{
	if (r->size)
		return &r->event;

	while (r->tail < r->head) {
		size_t size;
		const void *record = record_at_tail(r, &size);
		int e;

		if (!record) {
			counts->bad++;
			r->tail = r->head;
			return NULL;
		}
		e = sideband_parse(record, size, &r->event);
		if (e < 0)
			counts->bad++;
		if (e <= 0) {
			r->tail += size;
			continue;
		}

		if (r->event.kind == SIDEBAND_LOST)
			counts->lost += r->event.lost;
		r->size = size;
		return &r->event;
	}
	return NULL;
}

void records_next(struct records *r)
{
	r->tail += r->size;
	r->size = 0;
}

void records_end(struct records *r)
{
	__atomic_store_n(&r->page->data_tail, r->tail, __ATOMIC_RELEASE);
}
