/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The DWARF sections of one file, and its units by offset. Sections are mapped where they stand in the
 * file as they are, and uncompressed into memory of their own when they are first asked for. A
 * file that shrinks while it is mapped costs its process (SIGBUS): that is why this runs in one of
 * its own.
 *
 * Strings and entries are pointers into the sections: they live as long as the file does.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "elf_file.h"

enum dw_section {
	DW_INFO,
	DW_ABBREV,
	DW_STR,
	DW_LINE,
	DW_LINE_STR,
	DW_RANGES,
	DW_RNGLISTS,
	DW_ADDR,
	DW_STR_OFFSETS,
	DW_ARANGES,
	DW_CU_INDEX, /* of .dwp files */
	DW_SECTIONS,
};

#define DW_SECTION_MAX_BYTES (1U << 30) /* uncompressed */
#define DW_MAX_UNITS         (1U << 20)

struct dw_span {
	const uint8_t *data;
	size_t bytes;
};

struct dw_unit;

struct dw_file {
	const struct elf_file *elf; /* the caller's */
	struct dw_file *alt;        /* what dwz(1) took out, or NULL; the caller's */
	uint64_t text_start;        /* lowest address of code; 0 in an alt file */
	const uint8_t *map;
	size_t map_bytes;
	struct dw_span sections[DW_SECTIONS];
	uint8_t *owned[DW_SECTIONS];
	bool asked[DW_SECTIONS];
	uint64_t bytes;        /* of memory that is not the file's, without */
	uint64_t unit_bytes;   /* what hangs on units */
	struct dw_unit *units; /* by offset */
	size_t n_units;
	bool broken; /* some of it could not be read */
};

/* -ENOENT: no .debug_info; -EBADMSG, -ENOMEM. */
int dw_file_init(struct dw_file *f, const struct elf_file *elf);
/* What dwz(1) took out of other files; it may be strings alone. -ENOMEM and others. */
int dw_file_init_alt(struct dw_file *f, const struct elf_file *elf);
/* The sections of a .dwo or .dwp file: those whose names end in .dwo. All are there when this returns,
 * and elf may go; no units are read. -ENOENT, -EBADMSG. */
int dw_file_init_dwo(struct dw_file *f, const struct elf_file *elf);
/* The headers of all units in DW_INFO, which is there. -ENOMEM; broken ones set f->broken. */
int dw_file_read_units(struct dw_file *f);
void dw_file_done(struct dw_file *f);
/* Empty where there is none, or it cannot be read. */
struct dw_span dw_file_section(struct dw_file *f, enum dw_section id);
/* What was read in one pass may leave memory again: it can be had from the file. */
void dw_file_forget(const struct dw_file *f, const uint8_t *from, const uint8_t *to);
/* The string at an offset of a section; NULL outside or without an end. */
const char *dw_file_string(struct dw_file *f, enum dw_section id, uint64_t offset);
/* The unit that holds an offset of .debug_info, or NULL. */
struct dw_unit *dw_file_unit(struct dw_file *f, uint64_t offset);
