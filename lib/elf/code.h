/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * How deep the stack is at each instruction of code that no CFI speaks of, found by following it:
 * hand-written assembly, as in libgmp, nettle and parts of libcrypto. Nothing is guessed: a function
 * counts only when all paths that can be followed from its start agree, end in a return with the
 * return address on top (or in a jump to elsewhere, as deep), and contain no byte that is no
 * instruction. What lies behind a jump through a register is taken to be as deep as the jump.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Longer stretches are generated code (V8's builtins): frame pointers serve better there. */
#define CODE_MAX_BYTES (256U << 10)

struct code_row {
	uint64_t addr;  /* holds from here on */
	int32_t cfa;    /* CFA = rsp + cfa, or rbp + cfa; 0: nothing is known from here on */
	int32_t bp;     /* rbp is saved at CFA - bp; 0: it is the caller's */
	bool cfa_in_bp; /* the CFA hangs on rbp */
};

struct code_rows {
	struct code_row *rows;
	size_t n, allocated;
};

void code_rows_done(struct code_rows *r);

/* Adds the rows of code[0, bytes) at link-time address addr, ascending. Functions start at the
 * addresses `starts`, sorted and all within; others at 16-byte boundaries behind the end of one.
 * bytes <= CODE_MAX_BYTES. -ENOMEM. */
int code_rows_add(struct code_rows *r, const uint8_t *code, size_t bytes, uint64_t addr,
		  const uint64_t *starts, size_t n_starts);
