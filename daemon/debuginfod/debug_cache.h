/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Fetched debug files by build-id: on disk under a byte budget, the longest unused go first; or, where
 * there is no folder, the last few as descriptors. Only files whose build-id has been checked
 * enter it.
 */

#include <stddef.h>
#include <stdint.h>

#define DEBUG_CACHE_MAX_HELD  64  /* without a folder */
#define DEBUG_CACHE_HEX_BYTES 129 /* of a build-id as text */

struct debug_cache;

/* folder: made where it is missing; NULL: none. What an interrupted run left is removed. */
int debug_cache_new(struct debug_cache **ret, const char *folder, uint64_t max_bytes);
struct debug_cache *debug_cache_free(struct debug_cache *c);

/* A descriptor (O_RDONLY) of the caller's own; -ENOENT. */
int debug_cache_find(struct debug_cache *c, const char *hex);
/* An empty file to write to. On disk it has a name, for debug_cache_add() or debug_cache_drop(). */
int debug_cache_create(struct debug_cache *c, uint64_t number);
/* The file of that number is complete: it becomes hex's. fd stays the caller's. */
int debug_cache_add(struct debug_cache *c, uint64_t number, const char *hex, int fd,
		    uint64_t bytes);
void debug_cache_drop(struct debug_cache *c, uint64_t number);

uint64_t debug_cache_bytes(const struct debug_cache *c);
