/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A JOB_WALK of several stacks of one uid (daemon/jobs/walk.h): what one user's stacks do to the job
 * harms no other's.
 */

#include <stdbool.h>
#include <stdint.h>

#include "pending.h"
#include "pool.h"
#include "walk.h"

#define WALK_BATCH_STACKS 64
#define WALK_BATCH_BYTES  (4U << 20)

struct tables;
struct walk_batch;

/* The stack was walked: n_frames further frames, of a checked answer. error: negative errno, the
 * job failed and there are none. */
typedef void (*walk_batch_done_t)(void *arg, struct pending *p, int error, const uint64_t *frames,
				  size_t n_frames, enum cprof_end end);

int walk_batch_new(struct walk_batch **ret, struct tables *tables, uint32_t uid);
/* Forgets its stacks without a word. */
struct walk_batch *walk_batch_free(struct walk_batch *b);
uint32_t walk_batch_uid(const struct walk_batch *b);

/* For a list of the submitted ones. */
struct walk_batch **walk_batch_next(struct walk_batch *b);

/* Adds a stack, whose `needs` are as ready as they will be. -ENOSPC: full, begin another one. The
 * batch borrows p until done. */
int walk_batch_add(struct walk_batch *b, struct pending *p);
/* -EBUSY: the pool has too much to do; the batch's stacks are the caller's again, and the batch is
 * freed. Else done is called for each, then finished, then the batch frees itself. */
int walk_batch_submit(struct walk_batch *b, struct pool *pool, walk_batch_done_t done,
		      void (*finished)(void *arg, struct walk_batch *b), void *arg);
/* A submitted batch is cancelled; done is not called. */
struct walk_batch *walk_batch_cancel(struct walk_batch *b);

/* Reads an answer to n_stacks stacks. Calls fn for each; -EBADMSG, before any call, when it is not
 * what was asked for. */
int walk_answer_parse(const void *answer, size_t size, size_t n_stacks,
		      void (*fn)(void *arg, size_t i, const uint64_t *frames, size_t n_frames,
				 enum cprof_end end),
		      void *arg);
