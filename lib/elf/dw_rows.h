/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A unit's line program, run once into sorted rows of 12 bytes. DWARF 2 to 5, section 6.2 of each.
 * Of rows at one address the last counts. Line 0 is code that the compiler ascribes to no line:
 * the row before reaches over it.
 */

#include "dw_unit.h"
#include "symbol_names.h"

struct dw_row {
	uint32_t address; /* from the file's text_start */
	uint32_t line;    /* DW_ROW_END: of a sequence */
	uint16_t file, column;
};
#define DW_ROW_END UINT32_MAX

struct dw_line_file {
	const char *name;
	uint32_t folder;
	uint32_t path; /* as a string of the answer, DW_PATH_UNKNOWN not asked for yet */
};
#define DW_PATH_UNKNOWN UINT32_MAX

struct dw_rows {
	struct dw_row *items;
	size_t n, allocated;
	struct dw_line_file *files; /* by number: [0] is nothing before DWARF 5 */
	size_t n_files, allocated_files;
	const char **folders;
	size_t n_folders, allocated_folders;
};

/* Reads them once, broken or not, and counts their bytes in u->bytes. -ENOMEM. */
int dw_rows_get(struct dw_unit *u, struct dw_rows **ret);
struct dw_rows *dw_rows_free(struct dw_rows *r);
/* The row that an address belongs to and that does not start before `low`; NULL. */
const struct dw_row *dw_rows_find(const struct dw_unit *u, const struct dw_rows *r, uint64_t vaddr,
				  uint64_t low);
/* The path of a file number, 0 unknown. */
uint32_t dw_rows_path(const struct dw_unit *u, struct dw_rows *r, uint64_t number,
		      struct symbol_names *names);
