/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What a symbolizing job said, checked. A job has read a hostile file and may be in its hands:
 * nothing of its answer is used before all of it has been looked at.
 */

#include <stddef.h>
#include <stdint.h>

#include "cprof/symbolize.h"

struct symanswer {
	struct symbolize_answer head;
	const char *segments, *locations; /* unaligned */
	const char *strings;
};

/*
 * Checks all of it against the question: sizes to the byte, one location for each offset in the
 * order asked, addresses that follow from the segments, functions that start at or before their
 * address, names that are there, strings that are whole, bounded and UTF-8. -EBADMSG.
 */
int symanswer_check(const void *data, size_t bytes, const uint64_t *offsets, size_t n_offsets,
		    struct symanswer *ret);
/* The same where link-time addresses were asked for (SYMBOLIZE_VADDR). */
int symanswer_check_vaddrs(const void *data, size_t bytes, const uint64_t *vaddrs, size_t n_vaddrs,
			   struct symanswer *ret);

struct symanswer_cursor {
	const char *at;
};
/* The next location and where its lines are (unaligned; symanswer_line()). */
void symanswer_next(const struct symanswer *a, struct symanswer_cursor *cursor,
		    struct symbolize_location *ret, const char **ret_lines);
void symanswer_line(const char *lines, uint32_t index, struct symbolize_line *ret);
