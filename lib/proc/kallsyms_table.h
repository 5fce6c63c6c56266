/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * One reading of /proc/kallsyms, compact: 8 bytes a symbol and its name. Addresses are run-time
 * ones and stay inside lib/proc. Internal to kallsyms.c.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

struct kallsyms_symbol {
	uint32_t offset; /* of the address from table.base */
	uint32_t name;   /* in table.names; 0: nothing is known from here on */
};

struct kallsyms_module {
	char name[56];
	uint64_t start, limit; /* of its text symbols */
	uint32_t first_name;   /* its names are the first in table.names from here on */
};

struct kallsyms_table {
	struct kallsyms_symbol *symbols; /* by address */
	size_t n;
	char *names; /* type letter, name, NUL; in the order of the file */
	size_t names_bytes;
	struct kallsyms_module *modules; /* by first_name */
	size_t n_modules;
	uint64_t base;
	uint64_t text, text_limit;   /* vmlinux; text 0 unknown */
	uint64_t entry, entry_limit; /* that interrupts and exceptions enter by; 0 unknown */
	bool hidden;
	uint64_t dropped;
};

struct kallsyms_found {
	const char *name;
	const struct kallsyms_module *module; /* NULL vmlinux */
	uint64_t start, limit;
};

int kallsyms_table_read(struct kallsyms_table *t, FILE *file);
void kallsyms_table_done(struct kallsyms_table *t);
bool kallsyms_table_find(const struct kallsyms_table *t, uint64_t ip, struct kallsyms_found *ret);
const struct kallsyms_module *kallsyms_table_module(const struct kallsyms_table *t,
						    const char *name);
size_t kallsyms_table_bytes(const struct kallsyms_table *t);
