/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The comment lines of many profiles, for lib/profile only. A line of cprofd ("cprofd 0.1.0 on HOST, ...:
 * samples taken 12, lost 3 (...)") counts: of lines that differ only in the numbers behind the colon one
 * is kept, with the sums. Other lines are united.
 */

#include "buf.h"

struct comments {
	struct comment *items;
	size_t n, allocated;
	uint64_t left_out; /* beyond COMMENTS_MAX */
};

#define COMMENTS_MAX 1024 /* lines of different shape */

void comments_done(struct comments *c);
/* 0, -ENOMEM. */
int comments_add(struct comments *c, const char *s, size_t size);
/* Line i of the result, appended to out. */
int comments_line(const struct comments *c, size_t i, struct buf *out);
