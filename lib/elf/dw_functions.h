/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Where the functions of a unit lie, from one pass over its entries; and of a function that is
 * asked for, the inlined calls in it, as pieces of code that each belong to one call. The pass steps
 * over whole subtrees where DW_AT_sibling says how far (types, bodies of functions); only for an
 * address that is in no function so found, and not in padding, it is made again through everything.
 */

#include "dw_unit.h"
#include "symbol_names.h"

#define DW_NAME_UNKNOWN UINT32_MAX

/* Names of a function or an inlined call: strings of the answer, 0 none. */
struct dw_name {
	uint32_t name, system_name; /* name: DW_NAME_UNKNOWN until it is asked for */
	uint32_t start_line;
};

/* An inlined call. Number 0 is the function itself. */
struct dw_call {
	uint32_t entry; /* from the start of the unit */
	uint32_t parent;
	uint32_t file, line, column; /* of the call; file: number in the line table */
	struct dw_name name;
};

struct dw_piece {
	uint32_t start; /* from the function's base; to the next one */
	uint32_t call;  /* innermost */
};

struct dw_function {
	uint64_t base;
	struct dw_call *calls;
	size_t n_calls;
	struct dw_piece *pieces;
	size_t n_pieces;
};

struct dw_interval {
	uint64_t low;
	uint32_t bytes;
	uint32_t group;    /* the first interval that may reach to this one */
	uint32_t function; /* number */
};

struct dw_functions {
	struct dw_interval *intervals; /* by low */
	size_t n, allocated;
	uint32_t *entries; /* by function, from the start of the unit */
	size_t n_functions, allocated_functions;
	struct dw_function **details; /* by function, made when asked for */
	bool deep, skipped;
};

/* The interval that holds an address, NULL none. The unit is open. -ENOMEM; broken units give what
 * was read of them. */
int dw_functions_find(struct dw_unit *u, uint64_t vaddr, const struct dw_interval **ret);
int dw_functions_detail(struct dw_unit *u, uint32_t function, struct dw_function **ret);
struct dw_functions *dw_functions_free(struct dw_functions *f);
/* The innermost call at an address of the function. */
uint32_t dw_function_call(const struct dw_function *f, uint64_t vaddr);
/* Through origins and specifications, once. */
const struct dw_name *dw_call_name(struct dw_unit *u, struct dw_call *call,
				   struct symbol_names *names);
/* All intervals, for units that do not say where their code is. */
int dw_functions_all(struct dw_unit *u, const struct dw_functions **ret);
