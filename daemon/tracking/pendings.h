/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The samples on their way: they wait for the files of their frames to be opened, those without
 * tables for the tables and for the job that finishes their walk. None waits for more than
 * PENDINGS_TABLES_NS for tables and PENDINGS_WAIT_NS in each other stage: then it goes on with what there
 * is.
 */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "pending.h"
#include "spaces.h"

#define PENDINGS_WAIT_NS (3 * 1000000000ULL)
/* A table of 50 ms takes seconds where the worker is one of dozens that want a CPU. */
#define PENDINGS_TABLES_NS (10 * 1000000000ULL)
/* A stack that could be walked waits this long for others: a job costs the more the fewer share it. */
#define PENDINGS_GATHER_NS (500 * 1000000ULL)

struct pool;
struct tables;
struct pendings;

struct pendings_options {
	struct tables *tables;
	struct pool *pool;
	struct spaces *spaces;
	size_t max_bytes;
	/* All that can be known of it is. Freed afterwards. */
	void (*deliver)(void *arg, struct pending *p);
	/* Some came out outside of pendings_start() and pendings_step(). */
	void (*moved)(void *arg);
	/* False when the process is gone by now, or has become another program. */
	bool (*alive)(void *arg, const struct process *p);
	void *arg;
};

int pendings_new(struct pendings **ret, sd_event *event, const struct pendings_options *options);
struct pendings *pendings_free(struct pendings *ps);

/* A copy of a checked record. When memory is short it loses its stack (and ends as it would have
 * without one), then NULL: the sample is dropped and counted. */
struct pending *pendings_admit(struct pendings *ps, const struct cprof_sample *record);
/* One that is not started. */
void pendings_drop(struct pendings *ps, struct pending *p);
/* Takes p, whose process, image and maps are set. */
void pendings_start(struct pendings *ps, struct pending *p);
/* Moves on what can. */
void pendings_step(struct pendings *ps);
/* Somebody waits for the samples up to this time: their stacks do not wait for others. */
void pendings_hurry(struct pendings *ps, uint64_t until_ns);
/* The same as a step soon, from the event loop: something that some may wait for has come. */
void pendings_kick(struct pendings *ps);

/* Time of the oldest sample that has started and is not delivered; UINT64_MAX none. */
uint64_t pendings_oldest(const struct pendings *ps);

struct pendings_stats {
	uint64_t waiting, bytes;
	uint64_t lost_full;      /* dropped: max_bytes */
	uint64_t stacks_dropped; /* kept without their stack: max_bytes */
	uint64_t walked, walk_failed;
};
void pendings_stats(const struct pendings *ps, struct pendings_stats *ret);
