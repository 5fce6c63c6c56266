/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The reader's side of a BPF ring buffer (layout: Documentation/bpf/ringbuf.rst, linux/bpf.h).
 * libbpf's reader does not say how far it came; ours does, because "everything before time T has
 * been handed over" rests on it.
 */

#include <stddef.h>
#include <stdint.h>

struct ring {
	uint64_t *consumer;       /* position, ours */
	const uint64_t *producer; /* position, the kernel's */
	const uint8_t *data;      /* mapped twice in a row, so that no record wraps */
	uint64_t bytes;
	size_t page_bytes;
};

typedef void (*ring_record_t)(void *arg, const void *record, uint32_t record_bytes);

int ring_init(struct ring *r, int fd, uint32_t bytes);
void ring_done(struct ring *r);
/* Where the next record will be reserved. */
uint64_t ring_head(const struct ring *r);
/* Hands over the finished records before position `until`, up to the first one that is being
 * written. True when it came to `until`. */
int ring_consume(struct ring *r, uint64_t until, ring_record_t record, void *arg);
