/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Debug files from debuginfod servers. Nothing waits here: what is not in the cache is fetched by a
 * process without privileges (cprof-fetch), one a file and a few at a time, and whoever asked is
 * told when it is there. A fetched file counts only if the worker finds the build-id in it that was
 * asked for; where servers have none, they are not asked again for a while.
 */

#include <stddef.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#define DEBUGINFOD_MAX_RUNNING    4
#define DEBUGINFOD_MAX_WAITING    256
#define DEBUGINFOD_MAX_FILE_BYTES (2ULL << 30)
#define DEBUGINFOD_TIMEOUT_NS     (300 * 1000000000ULL) /* of one file */
#define DEBUGINFOD_MISSING_NS     (600 * 1000000000ULL) /* before a server is asked again */

struct debuginfod;
struct pool;

struct debuginfod_options {
	struct pool *pool;
	const char *fetch_path; /* the cprof-fetch binary */
	const char *urls;       /* separated by blanks */
	const char *folder;     /* of the cache; NULL: a few files are held open */
	uint64_t cache_bytes;
	/* A file that was asked for has come, or not: it is asked for again. */
	void (*done)(void *arg, const uint8_t *build_id, size_t bytes);
	void *arg;
};

int debuginfod_new(struct debuginfod **ret, sd_event *event,
		   const struct debuginfod_options *options);
struct debuginfod *debuginfod_free(struct debuginfod *d);

/* A descriptor of the caller's own, or -EINPROGRESS: `done` will be called; -ENOENT: no server has
 * it; -EINVAL, -EBUSY. */
int debuginfod_get(struct debuginfod *d, const uint8_t *build_id, size_t bytes);

struct debuginfod_stats {
	uint64_t fetched, missing; /* missing: servers said that they have none */
	uint64_t failed;           /* servers not reached, too slow, answers cut short */
	uint64_t too_large;
	uint64_t wrong; /* not the file that was asked for */
	uint64_t refused;
	uint64_t cache_bytes;
	unsigned running, waiting;
};
void debuginfod_stats(const struct debuginfod *d, struct debuginfod_stats *ret);
