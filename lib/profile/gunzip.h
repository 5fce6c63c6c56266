/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The bytes of a profile as they are before gzip, for lib/profile only. libdeflate, not zlib: the whole
 * is in memory anyway, and it takes less than half the time.
 */

#include <stdbool.h>

#include "buf.h"

struct gunzip {
	struct libdeflate_decompressor *z; /* NULL: made when first needed */
	struct buf plain;                  /* of the last call */
};

#define GUNZIP_INIT(max_bytes) ((struct gunzip){ .plain = BUF_INIT(max_bytes) })

void gunzip_done(struct gunzip *g);
/* RFC 1952's magic. */
bool gunzip_is_gzip(const void *data, size_t size);
/* One or more members, to the end of data, into g->plain. 0, -EBADMSG, -ENOSPC, -ENOMEM. */
int gunzip(struct gunzip *g, const void *data, size_t size);
