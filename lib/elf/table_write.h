/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Rows in ascending order go in, pages and blocks come out. Adjacent rows of one rule become one.
 * A failure is remembered and comes out of table_writer_finish().
 */

#include <stdint.h>

#include "buf.h"
#include "cprof/unwind.h"

struct table_writer;

int table_writer_new(struct table_writer **ret);
struct table_writer *table_writer_free(struct table_writer *w);
DEFINE_CLEANUP(struct table_writer *, table_writer_free)

/* `rule` holds from addr on. Of several rows with one address the last counts; one below the last
 * address is ignored. */
void table_writer_row(struct table_writer *w, uint64_t addr, uint16_t rule);
/* The 16 bits for a rule that is not inline. With the table full: CPROF_RULE_NONE, counted. */
uint16_t table_writer_rule(struct table_writer *w, const struct cprof_rule *rule);
/* Something had to be left out. */
void table_writer_cut(struct table_writer *w, uint32_t n);

/* Appends the blob; segments at most CPROF_TABLE_MAX_SEGMENTS. */
int table_writer_finish(struct table_writer *w, uint32_t flags,
			const struct cprof_table_segment *segments, uint32_t n_segments,
			struct buf *out);
