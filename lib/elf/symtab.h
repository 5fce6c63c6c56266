/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Function names from symbol tables: .symtab and .dynsym of a file and of its debug file, and the
 * xz-compressed table in .gnu_debugdata. All tables of a file are passed over the addresses, then
 * symtab_resolve() settles which symbol each address is in.
 *
 * A symbol with a size ends there. One without reaches to the next symbol or its section's end.
 * Among symbols that cover the same address the one that starts last wins, then functions over
 * untyped ones, then the smaller, then global over weak over local, fewer leading underscores, the
 * shorter name, and the alphabet: the answer never depends on the order of the table.
 */

#include <stddef.h>
#include <stdint.h>

#include "addresses.h"
#include "elf_file.h"
#include "symbol_names.h"

#define SYMTAB_MAX_TABLES 6
#define SYMTAB_MAX_BYTES  (192U << 20)

struct symtab_section {
	uint64_t start, limit;
	bool text;
};

struct symtab {
	const Elf64_Sym *symbols; /* aligned */
	size_t n_symbols;
	/* names are read where they are needed: from the file, or from memory */
	const struct elf_file *file;
	uint64_t strings_offset;
	const char *strings;
	uint64_t strings_bytes;
	struct symtab_section *sections;
	size_t n_sections;
	uint32_t source; /* enum symbolize_source */
	void *owned;     /* what symbols points into */
};

struct symtabs {
	struct symtab tables[SYMTAB_MAX_TABLES];
	size_t n;
};

void symtabs_done(struct symtabs *t);
/* Adds the tables that f has. Broken ones are left out: -EBADMSG is returned when one was. */
int symtabs_add_file(struct symtabs *t, const struct elf_file *f);
/* Adds the table inside .gnu_debugdata. -ENOENT: f has none; -EBADMSG, -EFBIG, -ENOMEM. */
int symtabs_add_debugdata(struct symtabs *t, const struct elf_file *f);

void symtabs_match(const struct symtabs *t, struct addresses *a);
/* Fills name, system_name, function and source of the addresses that are in a symbol. */
void symtabs_resolve(const struct symtabs *t, struct addresses *a, struct symbol_names *names);
/* The best name of a function that starts exactly at vaddr, as an answer's string; 0 none. */
uint32_t symtabs_name_at(const struct symtabs *t, uint64_t vaddr, struct symbol_names *names);
