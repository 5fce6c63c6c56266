/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * One ring of side-band records, read one at a time: so that the caller can merge two by time.
 *
 * records_begin() takes what is there, records_peek() shows the oldest of it, records_next() goes on, records_end()
 * gives the room back to the kernel.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sideband_record.h"

struct records {
	int fd;                            /* the event that owns it; -1: none */
	struct perf_event_mmap_page *page; /* followed by the data */
	size_t bytes;                      /* of the data; a power of two */
	uint64_t head, tail;
	size_t size; /* of the record that `event` was read from; 0: none yet */
	struct sideband_event event;
	void *whole; /* where a record that wraps around the ring's end is made whole; the caller's */
};

#define RECORDS_WHOLE_BYTES 65536 /* header.size is 16 bits */

struct records_counts {
	uint64_t lost; /* as the LOST records count */
	uint64_t bad;  /* records that could not be read */
};

/* Maps the ring of an event; fd becomes the ring's, also on failure. data_bytes: a power of two.
 * whole: RECORDS_WHOLE_BYTES, 8-byte aligned, in use from records_begin() to records_end(). */
int records_map(struct records *r, int fd, size_t data_bytes, void *whole);
void records_unmap(struct records *r);
size_t records_total_bytes(const struct records *r);

void records_begin(struct records *r);
/* The oldest record that is of use, or NULL; valid until records_next(). Counts what it passes. */
const struct sideband_event *records_peek(struct records *r, struct records_counts *counts);
void records_next(struct records *r);
void records_end(struct records *r);
