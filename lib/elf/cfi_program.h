/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Between the files of the CFI reader: cfi.c finds the records, cfi_run.c runs their instructions,
 * cfi_expr.c reads the expressions in them. */

#include "bytes.h"
#include "cfi.h"

struct cfi_cie {
	uint32_t at; /* offset in the section */
	uint8_t source;
	uint8_t encoding; /* DW_EH_PE_* of addresses */
	bool augmented;   /* z: FDEs have augmentation data */
	bool signal;
	bool broken; /* or not understood: its FDEs are left out */
	uint64_t code_align;
	int64_t data_align;
	uint64_t ra_register;
	struct cfi_state initial;
};

/* Runs instructions on *state. `row` is NULL for a CIE's. */
int cfi_run_program(const struct cfi_cie *cie, struct bytes program, uint64_t start, uint64_t limit,
		    struct cfi_state *state, cfi_row_t row, void *arg);

/* What an expression says of the CFA; CFI_CFA_UNKNOWN when it is not one of the known forms. */
struct cfi_cfa cfi_expr_cfa(struct bytes expr);
/* What DW_CFA_expression says of a register: the address where it is saved. */
struct cfi_value cfi_expr_value(struct bytes expr);
