/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The two sides of a diff: what time each of them covers. Of ranges that is not what was asked for: windows
 * are taken whole, and those of a while ago are merged into longer ones, or were never recorded.
 */

#include "daemon.h"
#include "profile.h"
#include "query.h"

struct side {
	const char *file;         /* NULL: a range */
	int64_t start_ns, end_ns; /* since 1970; of a file only the start, 0 unknown */
	double covered_s;         /* recorded of it; 0 unknown */
	size_t windows;
	double samples; /* that meet the filters */
};

struct sides {
	struct side before, after;
};

/* Of q's ranges. No window is on both sides: q's baseline ends where the first window of the range begins,
 * or begins where the last one ends. 0; an exit status, said, also where a side has nothing. */
int sides_of_ranges(struct daemon *d, struct query *q, struct sides *ret);
void sides_of_file(const char *file, const struct profile *p, struct side *ret);

/* What before's values are to be multiplied with, so that it covers as much time as after; 1 where they are
 * about as long (5 %), or one is unknown. */
double sides_scale(const struct sides *s);
/* {start, end, duration_ns, windows} or {file, start, duration_ns}: what is not known is null. */
json_t *side_json(const struct side *s);
/* A line a side, and one that tells of unequal lengths and whether the values are scaled. */
void sides_tell(const struct sides *s, bool scaled, struct buf *out);
