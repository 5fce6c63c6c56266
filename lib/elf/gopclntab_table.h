/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Inside gopclntab*.c: the table and how its parts are read. */

#include <string.h>

#include "elf_file.h"
#include "gopclntab.h"

enum gopclntab_layout { GO_1_2 = 2, GO_1_16 = 16, GO_1_18 = 18, GO_1_20 = 20 };

struct gopclntab {
	struct elf_data data;
	enum gopclntab_layout layout;
	uint64_t text; /* what 32-bit offsets of functions are from; 0 for absolute addresses */
	uint32_t n;
	/* offsets into data */
	uint64_t functions, names, pctab, units, files;
	unsigned entry_bytes; /* half of a function table's entry */
	uint64_t inlines;     /* address that the offsets of inline trees are from, 0 not known */
};

static inline bool gopclntab_get32(const struct gopclntab *g, uint64_t at, uint32_t *ret)
{
	if (at > g->data.bytes || g->data.bytes - at < sizeof(*ret))
		return false;
	memcpy(ret, g->data.data + at, sizeof(*ret));
	return true;
}

static inline bool gopclntab_get64(const struct gopclntab *g, uint64_t at, uint64_t *ret)
{
	if (at > g->data.bytes || g->data.bytes - at < sizeof(*ret))
		return false;
	memcpy(ret, g->data.data + at, sizeof(*ret));
	return true;
}

/* The string at an offset of the table; NULL when it does not end. */
const char *gopclntab_text(const struct gopclntab *g, uint64_t at);
/* What the pc-value table at `offset` of f says of an address. -ENOENT, -EBADMSG. */
int gopclntab_value(const struct gopclntab *g, const struct gopclntab_function *f, uint32_t offset,
		    uint64_t vaddr, int32_t *ret);
