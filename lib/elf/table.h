/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Unwind tables: a file's CFI (or Go's pcsp tables) as the blob of include/cprof/unwind.h.
 *
 * Where several sources speak of an address, the first of these decides: .gopclntab, .eh_frame,
 * .debug_frame, the shape of PLT sections, the ELF entry point (a root), the instructions of a
 * signal trampoline. What is broken, or says what no rule can, becomes CPROF_RULE_NONE and is
 * counted in n_cut; it never becomes a wrong rule.
 */

#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "cprof/unwind.h"

/* Of a whole blob, and so of what an untrusted job may hand over. */
#define TABLE_MAX_BYTES (128UL << 20)

struct table_summary {
	uint32_t flags; /* enum cprof_table_flags */
	uint32_t n_rows, n_pages, n_blocks, n_rules, n_segments;
	uint32_t n_cut;
	uint32_t n_functions; /* FDEs, or Go functions, that gave rows */
	uint64_t bytes;
};

/* Builds the table of an ELF file. A file without any unwind information is a success with
 * CPROF_TABLE_NO_CFI. Errors: those of elf_file_new(), -ENOSPC over out's maximum, -ENOMEM. ret may
 * be NULL. */
int table_build(int fd, struct buf *out, struct table_summary *ret);

/* Checks everything that a reader relies on: sizes, order, ranges, rules, checksum. Bytes must not
 * change afterwards (sealed memory). -EBADMSG, -EPROTONOSUPPORT for another version. */
int table_check(const void *blob, size_t bytes);
/* The same but for pages, rows and checksum, which in a large table take longer than a few stacks do:
 * for one that has passed table_check() in another process. table_find() and table_rule() stay within
 * such a blob whatever its rows say. */
int table_check_head(const void *blob, size_t bytes);

/* All below: of a checked blob. */
void table_summarize(const void *blob, struct table_summary *ret);
/* The rule in force at an address: a row's 16 bits; CPROF_RULE_NONE outside. */
uint16_t table_find(const void *blob, uint64_t vaddr);
/* What an indexed rule of the file's own says; NULL for reserved and inline ones. */
const struct cprof_rule *table_rule(const void *blob, uint16_t rule);
/* Link-time address of a file offset, also of one that is in an executable segment's first or last
 * page only; -ENOENT. */
int table_vaddr(const void *blob, uint64_t offset, uint64_t *ret_vaddr);
