/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The answers kept: for each object a hash of address → location, and its strings once each.
 * Memory is bounded by evicting whole objects, the longest unused first; one that a request is
 * at work on is pinned and stays.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "symbolizer.h"

struct symcache;
struct symcache_object;

struct symcache_entry {
	uint64_t address;
	uint64_t expires_ns; /* CLOCK_MONOTONIC, 0 never: an answer that may get better */
	uint32_t bytes;
	enum symbols_mode mode; /* FULL answers both */
	struct location location;
};

int symcache_new(struct symcache **ret, uint64_t max_bytes);
struct symcache *symcache_free(struct symcache *c);
uint64_t symcache_bytes(const struct symcache *c);
uint64_t symcache_evicted(const struct symcache *c);

/* Pinned until symcache_unpin(); made where there is none. */
int symcache_pin(struct symcache *c, uint32_t object_id, struct symcache_object **ret);
void symcache_unpin(struct symcache *c, struct symcache_object *o);
/* NULL where nothing is kept of it. */
struct symcache_object *symcache_find(struct symcache *c, uint32_t object_id);
/* Frees what is over the budget and not pinned. */
void symcache_trim(struct symcache *c);

const struct symcache_entry *symcache_get(const struct symcache_object *o, uint64_t address);
/* Copies the lines and their strings. Replaces what is there, which becomes invalid. */
int symcache_put(struct symcache *c, struct symcache_object *o, uint64_t address,
		 enum symbols_mode mode, uint64_t expires_ns, bool synthetic,
		 const struct symbol_line *lines, uint32_t n_lines);
/* All that is kept of it is an answer until then only. */
void symcache_expire(struct symcache_object *o, uint64_t expires_ns);

/* What is known of an object as a whole. */
struct symcache_info {
	char build_id[129];
	bool has_names, has_lines, has_inlines, debug_missing;
};
struct symcache_info *symcache_info(struct symcache_object *o);

/* What is kept of an object on disk: the store's (symstore.h). Freed by `gone`, which is called before
 * the answers go. */
struct symsaved;
struct symsaved **symcache_saved(struct symcache_object *o);
void symcache_set_gone(struct symcache *c, void (*gone)(void *arg, struct symcache_object *o),
		       void *arg);
/* Memory that somebody else holds for this object, until it goes. */
void symcache_charge(struct symcache *c, struct symcache_object *o, uint64_t bytes);
size_t symcache_count(const struct symcache_object *o);
/* All answers, by address; as many as symcache_count(). */
void symcache_sorted(const struct symcache_object *o, const struct symcache_entry **ret);
