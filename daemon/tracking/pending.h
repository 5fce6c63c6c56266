/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * One sample between the ring and its delivery: what was copied of its record, and what it was
 * found to belong to at its time.
 */

#include <stdbool.h>
#include <stdint.h>

#include "processes.h"
#include "sample.h"

#define PENDING_MAX_NEEDS 64

enum pending_stage {
	PENDING_QUEUED,  /* for its time to come */
	PENDING_OBJECTS, /* for the files of its frames to be opened */
	PENDING_TABLES,  /* for the tables that its walk may need */
	PENDING_READY,   /* for a job */
	PENDING_WALKING,
	PENDING_DONE,
};

struct pending {
	struct cprof_sample
		*record; /* header and frames; flags without the stack if it was dropped */
	/* registers and stack copy: secret memory, NULL none */
	struct pending_stack {
		struct cprof_stack from;
		uint8_t bytes[];
	} * stack;
	size_t stack_bytes;
	size_t bytes; /* that it takes */

	struct process *process; /* NULL unknown */
	struct image *image;
	struct mapset *maps; /* as of its time */

	enum pending_stage stage;
	uint64_t deadline_ns;              /* CLOCK_MONOTONIC: then it goes on with what there is */
	uint32_t needs[PENDING_MAX_NEEDS]; /* mappings in maps that its walk may come through */
	size_t n_needs;
	bool walked;    /* or given up: it only waits for objects */
	uint64_t *more; /* frames that the walk added */
	size_t n_more;
	enum cprof_end end;
	struct pending *prev, *next;
};

/* Copies a checked record; keep_stack false: without its stack. */
struct pending *pending_new(const struct cprof_sample *record, bool keep_stack);
struct pending *pending_free(struct pending *p);

/* Bytes that pending_new() would take. */
size_t pending_bytes_of(const struct cprof_sample *record);

/* The registers and the stack are not needed any more. Returns the bytes that were freed. */
size_t pending_forget_stack(struct pending *p);

/* Chooses `needs`: the mappings that hold the instruction pointer, or a word of the stack copy, which
 * a return address would be; at most max_objects files among them, nearest to the leaf first. */
void pending_find_needs(struct pending *p, size_t max_objects);
