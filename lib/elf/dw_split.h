/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Split DWARF: a skeleton in the program has the addresses, ranges and lines of a unit; its entries are
 * in a .dwo file, or in a .dwp file that many .dwo files were put into. DWARF 5, and GNU's for DWARF 4
 * (https://gcc.gnu.org/wiki/DebugFission). The two know one another by an id: a file of another build
 * does not fit.
 */

#include "dw_unit.h"
#include "symbolize.h"

struct dw_splits;

/* main has the skeletons, and lives longer. open: NULL finds nothing. -ENOMEM. */
int dw_splits_new(struct dw_splits **ret, struct dw_file *main, symbolize_open_t open, void *arg);
struct dw_splits *dw_splits_free(struct dw_splits *s);

/* The unit with the entries, opened, until the next dw_splits_trim(). NULL: not to be had, which is
 * remembered. The skeleton is open. -ENOMEM. */
int dw_splits_get(struct dw_splits *s, struct dw_unit *skeleton, struct dw_unit **ret);
/* Closes files, the longest unused first, down to a part of max_bytes; not that of `keep`. */
void dw_splits_trim(struct dw_splits *s, uint64_t max_bytes, const struct dw_unit *keep);
/* Whether a file that was asked for since the last call was written to since it was opened. */
bool dw_splits_changed(struct dw_splits *s);
/* Drops what hangs on units. */
void dw_splits_reset(struct dw_splits *s);

struct dw_splits_stats {
	uint64_t bytes;
	bool missing; /* some were not to be had */
	bool broken;
};
void dw_splits_stats(const struct dw_splits *s, struct dw_splits_stats *ret);
