/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Functions, inlined calls, files and lines of one file's DWARF 2 to 5, fast and in little memory:
 *
 *	1. at the start, unit headers and .debug_aranges alone: an array of (range, unit); units that are not
 *	   listed there are asked for theirs when an address is in none (their first entry only);
 *	2. a unit is read when an address lies in it: one pass over its entries, into intervals of
 *	   functions, and one run of its line program, into rows;
 *	3. the inlined calls of a function are read when an address lies in it.
 *
 * All of it is kept for the next question, up to max_bytes: then the units that were not asked for
 * longest are dropped. Units whose entries are in .dwo files: dw_split.h.
 */

#include <stdbool.h>

#include "addresses.h"
#include "dw_file.h"
#include "dwarf_lines.h"
#include "symbol_names.h"
#include "symbolize.h"

struct dw_index;

/* alt: the file that dwz(1) made, or NULL. Both stay the caller's and live longer. -ENOENT: no
 * DWARF; -EBADMSG, -ENOMEM. */
int dw_index_new(struct dw_index **ret, const struct elf_file *elf, const struct elf_file *alt,
		 uint64_t max_bytes);
struct dw_index *dw_index_free(struct dw_index *x);
/* How .dwo and .dwp files are opened, before the first question; else they are not. -ENOMEM. */
int dw_index_open_splits(struct dw_index *x, symbolize_open_t open, void *arg);

/* For those addresses that have no lines yet. -ENOMEM. */
int dw_index_resolve(struct dw_index *x, struct addresses *a, struct symbol_names *names,
		     struct dwarf_lines *lines);
/* Whether a .dwo or .dwp file was written to while the last question was answered. */
bool dw_index_changed(struct dw_index *x);
/* Forgets all strings of the answer: before `names` begins anew. */
void dw_index_reset(struct dw_index *x);

struct dw_index_stats {
	uint64_t bytes;     /* kept */
	uint64_t evictions; /* of units */
	bool broken;        /* some of the DWARF could not be read */
	bool missing;       /* some is in .dwo files that were not found */
};
void dw_index_stats(const struct dw_index *x, struct dw_index_stats *ret);
