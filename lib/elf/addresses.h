/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The asked addresses of a batch, sorted, and what the sources have found for each. A source walks
 * its intervals in any order and writes to the addresses that lie in them.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cprof/symbolize.h"
#include "elf_file.h"

#define ADDRESS_NONE UINT64_MAX

/* What a symbol table says of an address. */
struct symbol_hit {
	uint64_t start, bytes;
	uint32_t name; /* offset in the table's strings */
	uint8_t table; /* index into the set of tables, see symtab.h */
	uint8_t rank;  /* 0: no symbol; higher is better */
	bool found;
};

struct address {
	uint64_t vaddr; /* ADDRESS_NONE sorts last and is in no interval */
	uint32_t index; /* place in the question */
	uint32_t name;  /* of the symbol or PLT stub, in the answer's strings, 0 none */
	uint32_t system_name;
	uint32_t source;                         /* enum symbolize_source */
	uint64_t function;                       /* start of the function, ADDRESS_NONE unknown */
	struct symbol_hit sized, unsized, label; /* label: local, untyped, without size */
	uint64_t last_start; /* greatest start of a sized symbol that is first seen here */
	/* DWARF */
	uint32_t first_line, n_lines; /* in struct dwarf_lines */
	uint32_t unit;      /* number of the unit that `die` is in, or whose ranges it is in */
	uint32_t node;      /* innermost inlined call, see dwarf_lines.c */
	const uint8_t *die; /* the subprogram, NULL none */
	uint64_t die_low, die_bytes; /* the range of it that holds the address */
};

struct addresses {
	struct address *items;
	size_t n;
	uint64_t text_start; /* lowest address of an executable segment */
};

/* Offsets become link-time addresses by the executable segments of f; sorts. vaddr: they are such
 * addresses already. */
int addresses_new(struct addresses *ret, const struct elf_file *f, const uint64_t *offsets,
		  size_t n_offsets, bool vaddr);
void addresses_done(struct addresses *a);
/* A copy of those that `wanted` takes; put back by addresses_join(). -ENOMEM. */
int addresses_select(struct addresses *ret, const struct addresses *a,
		     bool (*wanted)(const struct address *p));
/* The selected ones replace those that they were copied from, and are done with. */
void addresses_join(struct addresses *a, struct addresses *selected);
/* Index of the first address >= vaddr. */
size_t addresses_find(const struct addresses *a, uint64_t vaddr);
