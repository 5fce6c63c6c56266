/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Unwind tables by object: made by a job from the object's file, kept as checked blobs (sealed
 * memfds, or files of the cache on disk), and loaded into BPF slots under a byte budget. A slot
 * stays an object's for as long as anybody but us holds the object; an evicted table leaves the
 * slot empty, which the walker reports as CPROF_END_NEED_TABLE, upon which tables_touch() brings it
 * back.
 *
 * Everything has a bound: TABLES_MAX_ENTRIES objects, CPROF_MAX_TABLES slots, and bytes as the
 * options say. Who was touched longest ago goes first. Objects that only we hold are let go when
 * they have not been touched for a minute.
 */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "object.h"

struct tables;
struct pool;
struct sampler;

#define TABLES_MAX_ENTRIES 16384
/* A file that failed is tried again after this. */
#define TABLES_FAILURE_NS (300ULL * 1000000000ULL)

struct tables_options {
	struct pool *pool;
	struct sampler *sampler; /* NULL in tests: nothing is loaded */
	const char *cache_dir;   /* NULL: no cache on disk */
	uint64_t kernel_bytes;   /* budget of loaded tables */
	uint64_t memory_bytes;   /* budget of blobs held in memory */
	uint64_t cache_bytes;    /* budget of the cache on disk */
};

enum table_state {
	TABLE_BUILDING, /* a callback will follow */
	TABLE_READY,
	TABLE_NO_CFI, /* the file has none: frame pointers */
	TABLE_FAILED, /* could not be read (counted): treated like NO_CFI */
};

int tables_new(struct tables **ret, sd_event *event, const struct tables_options *options);
struct tables *tables_free(struct tables *t);

typedef void (*tables_ready_t)(void *arg, struct object *object, enum table_state state);
/* Called from the event loop, once for every TABLE_BUILDING that tables_touch() answered. */
void tables_set_ready(struct tables *t, tables_ready_t ready, void *arg);

/* Starts making the object's table where there is none yet, and says how far it is. *ret_slot is the
 * BPF slot to put in mappings in any case (a reserved one for NO_CFI and FAILED, the object's own
 * while BUILDING and when READY). Marks it used now (CLOCK_MONOTONIC). */
enum table_state tables_touch(struct tables *t, struct object *object, uint64_t now_ns,
			      unsigned *ret_slot);

/* The blob of a READY table as a descriptor, owned by tables and valid until the event loop runs
 * again. -ENOENT: not READY; -EAGAIN: evicted, it is being made again and a callback will follow. */
int tables_blob_fd(struct tables *t, struct object *object);
/* Link-time address of a file offset, from the object's program headers: what is needed to compute
 * bias = start - mapping offset + vaddr - ... READY and NO_CFI; -ENOENT. */
int tables_vaddr(struct tables *t, struct object *object, uint64_t offset, uint64_t *ret_vaddr);

/* Why tables could not be had; names as in the status document. */
enum table_failure {
	TABLE_FAILURE_UNOPENED, /* there is no descriptor to read */
	TABLE_FAILURE_NOT_ELF,
	TABLE_FAILURE_BROKEN,
	TABLE_FAILURE_CHANGED, /* while it was read */
	TABLE_FAILURE_CRASHED, /* the job */
	TABLE_FAILURE_TIMEOUT,
	TABLE_FAILURE_MEMORY,
	TABLE_FAILURE_ANSWER, /* what the job made did not pass the check */
	TABLE_FAILURE_FULL,   /* no slot or entry left */
	TABLE_FAILURE_OTHER,
	TABLE_FAILURE_MAX
};
const char *table_failure_name(enum table_failure f);

/* Files that failed in the last five minutes. */
typedef void (*tables_failure_t)(void *arg, const struct object *object, enum table_failure failure,
				 uint64_t time_ns);
void tables_each_failure(const struct tables *t, tables_failure_t failure, void *arg);

struct tables_stats {
	uint64_t built, from_cache, failed, evicted, reloaded;
	uint64_t rows, kernel_bytes, memory_bytes;
	unsigned loaded, building;
	unsigned entries;
	uint64_t failures[TABLE_FAILURE_MAX];
	uint64_t not_loaded;   /* refused by the kernel side, or larger than its budget */
	uint64_t cut;          /* functions and rows that tables in use had to leave out */
	uint64_t cache_bytes;  /* on disk */
	uint64_t cache_bad;    /* files there that did not pass the check, and were removed */
	uint64_t cache_errors; /* files that could not be written */
};
void tables_stats(const struct tables *t, struct tables_stats *ret);

/* What the timer does: lets go of what nobody has used, retries what had to wait. */
void tables_expire(struct tables *t, uint64_t now_ns);
