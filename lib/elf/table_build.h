/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Between the files of the table builder: table.c puts the whole together, table_cfi.c makes rows of
 * CFI, table_roots.c and table_code.c speak where CFI does not, table_go.c for Go. */

#include "cfi.h"
#include "code.h"
#include "elf_file.h"
#include "extents.h"
#include "table.h"
#include "table_write.h"

enum extent_source {
	EXTENT_GO,
	EXTENT_CFI,       /* index: into cfi_fdes(CFI_EH_FRAME) */
	EXTENT_CFI_DEBUG, /* the same, of CFI_DEBUG_FRAME */
	EXTENT_RULE,      /* index: the rule's 16 bits */
	EXTENT_CODE,      /* index: its first row in code */
	EXTENT_PLT, /* index: the byte of an entry after which 8 bytes more are on the stack */
};

struct gopclntab;

struct build {
	struct elf_file *elf;
	struct cfi *cfi;
	struct gopclntab *go;
	struct extents extents;
	struct code_rows code; /* of what no CFI speaks of */
	struct table_writer *writer;
	bool bx;      /* follow rbx */
	bool bx_used; /* met a CFA in rbx */
	uint32_t flags;
	uint32_t n_functions;
	uint32_t n_cut;              /* before rows are made */
	const struct extent *extent; /* that gives rows now */
	uint64_t before;             /* where the one before it ended */
};

/* Adds extents. */
int table_cfi_extents(struct build *b, enum cfi_source source);
int table_go_extents(struct build *b);
int table_plt_extents(struct build *b);
int table_root_extents(struct build *b);
int table_signal_extents(struct build *b);
int table_clone_extents(struct build *b);
int table_code_extents(struct build *b);

/* Gives the rows of an extent to the writer. */
void table_cfi_rows(struct build *b, const struct extent *e);
void table_plt_rows(struct build *b, const struct extent *e);
void table_go_rows(struct build *b, const struct extent *e);
void table_code_rows(struct build *b, const struct extent *e);
/* The rule at an address, as its extent's rows would give it. */
uint16_t table_rule_at(struct build *b, const struct extent *e, uint64_t addr);

/* The rule that says what a state does; CPROF_RULE_NONE, counted, where there is none. */
uint16_t table_state_rule(struct build *b, const struct cfi_state *s);

/* True when [start, limit) lies in an executable segment; cuts what reaches past its end. */
bool table_clip_text(const struct build *b, uint64_t *start, uint64_t *limit);
