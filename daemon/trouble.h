/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What went wrong, for the log: once a minute one line of all that was counted since the last one,
 * and none when all is well. So whatever samples, files or clients bring about, the log grows by a
 * line a minute at most; the counters themselves are in the status.
 */

#include "parts.h"

struct trouble;

/* The engine outlives it. */
int trouble_new(struct trouble **ret, struct engine *e);
struct trouble *trouble_free(struct trouble *t);

/* Appends "N samples lost: ring full, M jobs of the worker crashed"; nothing when all is well. */
void trouble_line(const struct engine_stats *before, const struct engine_stats *now,
		  struct buf *out);
