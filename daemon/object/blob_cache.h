/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What was made of files, on disk, so that a restart costs nothing: DIR/XX/NAME.tbl, where NAME is a
 * hash of the object's identity and the version of what was made. A file is a blob, then a trailer that repeats the
 * identity: what is used was made from the very file that is held, whatever the name says. Written
 * to a temporary name and renamed. Removed, oldest use first, when all together pass the budget.
 * Nothing is synced: a torn file does not pass the check, and is made again.
 *
 * The folder is the daemon's own, 0700.
 */

#include <stddef.h>
#include <stdint.h>

#include "object.h"

struct blob_cache;

struct blob_cache_options {
	const char *suffix; /* ".tbl"; a string that lives on */
	uint64_t version;
	uint64_t max_bytes;      /* of all together */
	uint64_t max_blob_bytes; /* what is larger is not what it should be */
};

/* Makes the folder where it is missing. -EPERM: others may write to it. */
int blob_cache_new(struct blob_cache **ret, const char *dir,
		   const struct blob_cache_options *options);
struct blob_cache *blob_cache_free(struct blob_cache *c);

/* A descriptor (the caller's) of the file for an object, and how many bytes of it are the blob,
 * which is not checked yet; -ENOENT; -EBADMSG: it was not what it should be, and has been removed. */
int blob_cache_open(struct blob_cache *c, const struct object_identity *id, size_t *ret_bytes);
/* What was opened did not pass the check. */
void blob_cache_remove(struct blob_cache *c, const struct object_identity *id);
int blob_cache_store(struct blob_cache *c, const struct object_identity *id, const void *blob,
		     size_t bytes);

uint64_t blob_cache_bytes(const struct blob_cache *c);
