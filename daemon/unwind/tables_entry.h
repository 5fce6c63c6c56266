/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Between the files of this room: tables.c knows the objects and answers, tables_make.c makes their
 * tables (jobs, the check, the cache), tables_residence.c decides what stays in the kernel and in
 * memory.
 */

#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>

#include "cprof/unwind.h"
#include "pool.h"
#include "blob_cache.h"
#include "tables.h"

struct table_entry {
	uint32_t id; /* the object's */
	struct object *object;
	struct tables *tables;
	enum table_state state;
	bool announce; /* somebody was told BUILDING */
	bool waits;    /* the pool was full: submit later */
	struct job *job;
	int job_fd;    /* what the running job writes to */
	unsigned slot; /* 0: none */
	uint64_t used_ns;

	int fd;         /* of the blob, or -1: evicted */
	bool in_memory; /* the blob is a memfd, not a file of the cache */
	size_t blob_bytes;
	struct cprof_table *head; /* header and segments, kept when the blob is gone */

	bool loaded;
	uint64_t kernel_bytes;
	uint64_t refused_ns; /* not to be loaded before */

	enum table_failure failure;
	uint64_t failed_ns;
	UT_hash_handle hh;
};

struct tables {
	sd_event *event;
	sd_event_source *expire, *retry;
	struct tables_options options;
	struct blob_cache *cache;
	tables_ready_t ready;
	void *ready_arg;
	struct table_entry *entries;
	bool slots[CPROF_MAX_TABLES];
	unsigned next_slot;
	struct tables_stats stats;
};

uint64_t tables_now_ns(void);

/* tables_residence.c */
/* 0: none left. */
unsigned table_slot_take(struct tables *t);
/* Unloads, too. */
void table_slot_give(struct table_entry *e);
/* Offers a checked blob to the kernel side, unless it is there, or was refused lately. */
void table_load_blob(struct table_entry *e, const void *blob, uint64_t now);
/* Brings an evicted table back from the blob at hand. */
void table_reload(struct table_entry *e, uint64_t now);
void *table_blob_map(int fd, size_t bytes);
void table_blob_close(struct table_entry *e);
void table_blob_forget(struct table_entry *e);
/* Closes blobs in memory until `need` bytes more are within the budget. */
void table_blob_evict(struct tables *t, uint64_t need);
int table_blob_keep_head(struct table_entry *e, const struct cprof_table *blob);

/* tables_make.c */
void table_fail(struct table_entry *e, enum table_failure f);
/* True: the entry's state is final. */
bool table_from_cache(struct table_entry *e);
void table_start_build(struct table_entry *e);
/* Tells the owner, if he was told BUILDING before. Anything may happen to entries in there. */
void table_announce(struct table_entry *e);
/* Submits what found the pool full. */
void tables_retry(struct tables *t);
