/* SPDX-License-Identifier: Apache-2.0 */
#include "ring.h"

#include <sys/mman.h>

#include "cleanup.h"

#define RING_HEADER_BYTES 8
#define RING_BUSY         (1U << 31)
#define RING_DISCARD      (1U << 30)

int ring_init(struct ring *r, int fd, uint32_t bytes)
{
	size_t page = (size_t)sysconf(_SC_PAGESIZE);
	uint8_t *p;

	*r = (struct ring){ .bytes = bytes, .page_bytes = page };
	r->consumer = mmap(NULL, page, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (r->consumer == MAP_FAILED) {
		r->consumer = NULL;
		return -errno;
	}
	p = mmap(NULL, page + 2 * (size_t)bytes, PROT_READ, MAP_SHARED, fd, (off_t)page);
	if (p == MAP_FAILED) {
		int saved = -errno;

		ring_done(r);
		return saved;
	}
	/* the records hold stack copies (docs/security.md 4) */
	(void)madvise(p, page + 2 * (size_t)bytes, MADV_DONTDUMP);
	r->producer = (const uint64_t *)p;
	r->data = p + page;
	return 0;
}

void ring_done(struct ring *r)
{
	if (r->consumer)
		munmap(r->consumer, r->page_bytes);
	if (r->producer)
		munmap((void *)r->producer, r->page_bytes + 2 * (size_t)r->bytes);
	*r = (struct ring){};
}

uint64_t ring_head(const struct ring *r)
{
	return __atomic_load_n(r->producer, __ATOMIC_ACQUIRE);
}

int ring_consume(struct ring *r, uint64_t until, ring_record_t record, void *arg)
{
	uint64_t at = __atomic_load_n(r->consumer, __ATOMIC_RELAXED);

	while (at < until) {
		const uint8_t *p = r->data + (at & (r->bytes - 1));
		uint32_t header = __atomic_load_n((const uint32_t *)p, __ATOMIC_ACQUIRE);
		uint32_t bytes = header & ~(RING_BUSY | RING_DISCARD);

		if (header & RING_BUSY)
			return 0;
		if (!(header & RING_DISCARD))
			record(arg, p + RING_HEADER_BYTES, bytes);
		at += (bytes + RING_HEADER_BYTES + 7) & ~7ULL;
		__atomic_store_n(r->consumer, at, __ATOMIC_RELEASE);
	}
	return 1;
}
