/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Answers on disk, so that a restart looks names up at once. Kept by the object's identity
 * (docs/security.md 1), together with the identities of the debug files that they came from: when one of those
 * has changed, come or gone, they are forgotten. Written when enough is new, when an object leaves the
 * memory, and at the end; an answer that may get better is not.
 */

#include "symcache.h"

struct symstore;

struct symstore_options {
	const char *folder;
	uint64_t max_bytes;
	bool fetches; /* debug files are fetched: what was found without is not used, nor the other way */
	int (*open_debug)(void *arg, struct object *object, const char *path);
	void *open_debug_arg;
};

struct symstore_stats {
	uint64_t hits;   /* answers that came from disk */
	uint64_t bytes;  /* on disk */
	uint64_t bad;    /* files that were not what they should be */
	uint64_t stale;  /* whose debug files are others now */
	uint64_t errors; /* that could not be written */
};

/* Errors of blob_cache_new(). The cache tells it when an object goes, and is freed first. */
int symstore_new(struct symstore **ret, struct symcache *cache,
		 const struct symstore_options *options);
struct symstore *symstore_free(struct symstore *s);
void symstore_stats(const struct symstore *s, struct symstore_stats *ret);

/* Puts into the cache what is kept of these addresses; how many. s may be NULL here and below. */
size_t symstore_load(struct symstore *s, struct symcache_object *cached, struct object *object,
		     enum symbols_mode mode, const uint64_t *addresses, size_t n);
/* A place where a debug file was looked for: fd, or a negative errno. True: it has come or changed since
 * the answers that are kept, which are then forgotten here; those in the cache are the caller's to expire. */
bool symstore_opened(struct symstore *s, struct symcache_object *cached, const char *path, int fd);
/* n answers are new in the cache. */
void symstore_added(struct symstore *s, struct symcache_object *cached, size_t n);
