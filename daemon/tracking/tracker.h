/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Who runs what, where: processes and their mappings from perf side-band records, and the
 * normalizing of raw samples against them as they were at the time of the sample.
 *
 * In: raw records (tracker_record) and "all until T has been handed over" (tracker_advance). Out:
 * normalized samples, and "all before T have come out". Between the two lie the side-band rings
 * (read at once, by file descriptors in the event loop), the opener thread that takes hold of the
 * files of new mappings, and stacks that wait for a table (finished by JOB_WALK).
 */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "attacher.h"
#include "cprof/record.h"
#include "object.h"
#include "jit_files.h"
#include "sample.h"

struct tracker;
struct sampler;
struct tables;
struct pool;

struct tracker_options {
	struct object_table *objects;
	struct sampler *sampler;
	struct tables *tables;
	struct pool *pool;
	unsigned max_processes; /* remembered at once; beyond it the longest unused go, counted */
	unsigned max_mappings;  /* of all processes together */
	uint64_t max_pending_bytes; /* of samples that wait for side-band or tables */
	void (*sample)(void *arg, const struct sample *sample);
	/* Every sample with time < until_ns has been delivered. Never goes backwards. */
	void (*advanced)(void *arg, uint64_t until_ns);
	void *arg;
	/* A kernel instruction pointer as it is to appear in frames (symbolizer_kernel_link_address);
	 * NULL: as it is. */
	uint64_t (*kernel_address)(void *arg, uint64_t ip);
	/* symbolizer_kernel_entry; NULL: none is one */
	bool (*kernel_entry)(void *arg, uint64_t ip);
	void *kernel_arg;
	/* The worker's program, where Java programs without a map are asked for one: attacher.h. NULL:
	 * they are not. */
	const char *attach_path;
};

int tracker_new(struct tracker **ret, sd_event *event, const struct tracker_options *options);
struct tracker *tracker_free(struct tracker *t);

/* Reads what runs already from /proc. Done once, before the first clock starts. */
int tracker_scan(struct tracker *t);

void tracker_record(struct tracker *t,
		    const struct cprof_sample *record); /* copies what it keeps */
void tracker_advance(struct tracker *t, uint64_t until_ns);
/* Somebody waits for the samples up to now: what would be gathered to be cheaper is not. */
void tracker_hurry(struct tracker *t);

/* The process that has this pid now, from the tables or /proc, or that had it until a moment ago; a reference, or
 * NULL. Its executable may still have to be opened, and is then there at a later call. */
struct process_info *tracker_process(struct tracker *t, uint32_t pid);
/* Calls for every living process. */
void tracker_each(struct tracker *t, void (*fn)(void *arg, struct process_info *p), void *arg);

/* A debug file for an object, by absolute path beneath the root of the container that the object came
 * from, or the host's when it came from there (docs/security.md 2). A descriptor or a negative errno;
 * waits for at most a quarter of a second, then -ETIME. */
int tracker_open_debug(struct tracker *t, struct object *object, const char *path);

/* The files with names for the code of an OBJECT_JIT (jits.h); descriptors stay the object's. */
void tracker_open_jit(struct tracker *t, const struct object *object, struct jit_fds *ret);

struct tracker_stats {
	uint64_t processes, mappings, spaces;
	uint64_t sideband_records, sideband_lost; /* lost: records of the kernel's LOST records */
	uint64_t rescans;
	uint64_t opened, open_failed, open_timeout;
	uint64_t lost_pending_full;   /* samples dropped because max_pending_bytes was reached */
	uint64_t unknown_process;     /* samples that know no more than their record; delivered */
	uint64_t walked, walk_failed; /* stacks finished by the worker */
	uint64_t finished[CPROF_END_MAX]; /* ends of delivered samples */
	uint64_t bytes;                   /* memory */
	uint64_t sideband_bad;            /* records that could not be read */
	uint64_t sideband_early;          /* applied before their time: too many waited */
	uint64_t stacks_dropped;      /* samples that lost their stack copy to max_pending_bytes */
	uint64_t processes_forgotten; /* living ones, beyond max_processes */
	uint64_t mappings_refused;    /* beyond max_mappings or the limit of one process */
	uint64_t entries;             /* of address spaces in the kernel */
	uint64_t entries_refused;     /* mappings that found no room there: walked in user space */
	uint64_t spaces_evicted;
	uint64_t bad_records;         /* samples whose record contradicts itself: dropped */
	uint64_t opener_stuck;        /* threads that wait for a file server */
	uint64_t pending;             /* samples that wait */
	uint64_t jits;                /* images with JIT code, known now */
	uint64_t jit_maps, jit_dumps; /* files with its names, found so far */
	uint64_t jit_refused;         /* files that are not that process's own */
	uint64_t jit_full;            /* images beyond the table */
	uint64_t jit_seen;            /* programs with executable memory of no file */
	uint64_t jit_forgotten;       /* of these, for lack of room */
	struct attacher_stats jvm;
};
void tracker_stats(const struct tracker *t, struct tracker_stats *ret);
