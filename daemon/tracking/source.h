/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Sources: what executable mappings map. One source stands for one file as the kernel names it
 * (device, inode, generation), shared by all processes that map it, from the moment a mapping is
 * seen until its object is there; or for memory without a file.
 *
 * A file is opened once, and not before somebody needs it: at once when the side-band shows a new
 * mapping, on the first sample where /proc told of it. A file that was opened stays known for
 * SOURCES_KEEP_NS after its last mapping went, so that a compiler that is started a thousand times
 * is opened once. A known file whose identity has changed is another source.
 */

#include <stdbool.h>
#include <stdint.h>

#include "object.h"
#include "opener.h"

#define SOURCES_KEEP_NS    (60 * 1000000000ULL)
#define SOURCES_MAX_UNUSED 1024
#define SOURCE_TOUCH_NS    (1000000000ULL)

enum source_kind {
	SOURCE_FILE,
	SOURCE_ANON, /* JIT code and other executable memory without a file */
	SOURCE_VDSO,
};

enum source_state {
	SOURCE_LAZY, /* nobody has asked for the object */
	SOURCE_OPENING,
	SOURCE_DONE, /* object is set; its fd may be an error */
};

struct source_key {
	uint32_t major, minor;
	uint64_t inode;
};

struct source;
struct sources;

/* opened: some source became DONE; runs in the event loop. */
int sources_new(struct sources **ret, struct object_table *objects, struct opener *opener,
		void (*opened)(void *arg), void *arg);
/* Frees every source too: the users and the opener must be gone. */
struct sources *sources_free(struct sources *s);

/* References. generation 0: unknown, fits any. */
int sources_file(struct sources *s, const struct source_key *key, uint64_t generation,
		 const char *path, struct source **ret);
struct source *sources_anon(struct sources *s);
/* The vDSO is the same in all processes: its object holds a copy of ours. */
struct source *sources_vdso(struct sources *s);

struct source *source_ref(struct source *s);
struct source *source_unref(struct source *s);

/* Has a LAZY file opened, by way of this mapping; one whose opening failed is tried again by way of
 * another process, a few times. */
void source_open(struct source *s, uint32_t pid, uint32_t ppid, uint64_t start, uint64_t limit);

enum source_kind source_kind(const struct source *s);
enum source_state source_state(const struct source *s);
/* NULL unless DONE; owned by the source. */
struct object *source_object(const struct source *s);
const char *source_path(const struct source *s); /* as the kernel names it */
bool source_is_file(const struct source *s, const struct source_key *key);

/* Whether its unwind table is due to be marked as used: at most once a SOURCE_TOUCH_NS, which this
 * call begins. */
bool source_touch_due(struct source *s, uint64_t now_ns);

/* Forgets what nobody has used for SOURCES_KEEP_NS. */
void sources_expire(struct sources *s, uint64_t now_ns);

struct sources_stats {
	unsigned known, unused;
	uint64_t failed;
	uint64_t bytes;
};
void sources_stats(const struct sources *s, struct sources_stats *ret);
