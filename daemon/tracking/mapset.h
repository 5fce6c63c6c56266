/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The executable mappings of a process: ranges sorted by address that do not overlap. Sets are
 * shared by reference (a forked child's, a waiting sample's) and copied when one sharer changes
 * its own.
 *
 * There is no record of an munmap: a range stays until another one replaces it.
 */

#include <stddef.h>
#include <stdint.h>

#include "source.h"

#define MAPSET_MAX 16384 /* ranges of one process */

struct mapping {
	uint64_t start, limit; /* [start, limit) */
	uint64_t offset;       /* in the file, of start */
	struct source *source; /* a reference */
};

struct mapset {
	unsigned refs;
	size_t n, allocated;
	struct mapping *m;
};

struct mapset *mapset_new(void);
struct mapset *mapset_ref(struct mapset *s);
struct mapset *mapset_unref(struct mapset *s);

/* Puts a range into *s (NULL: an empty set), over what it overlaps; takes a reference on the
 * source of its own. 1 when something changed, 0 when it was there already, -ENOSPC beyond
 * MAPSET_MAX, -ENOMEM. */
int mapset_add(struct mapset **s, const struct mapping *m);

/* The range that holds the address, or NULL; s may be NULL. */
const struct mapping *mapset_find(const struct mapset *s, uint64_t address);
