/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The strings of an answer: each distinct one once, demangled once. What enters becomes valid UTF-8
 * of at most SYMBOLIZE_MAX_NAME_BYTES. Failures are remembered in bytes.error, and 0 (the empty
 * string) is returned: callers look once, at the end.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"

struct symbol_name;

struct symbol_names {
	struct buf bytes;
	bool short_form;
	struct symbol_name *table; /* open addressing, power of two */
	size_t n, allocated;
	struct buf scratch;
};

int symbol_names_init(struct symbol_names *n, bool short_form, size_t max_bytes);
void symbol_names_done(struct symbol_names *n);
uint32_t symbol_names_add(struct symbol_names *n, const char *s, size_t size);
/* The readable name of a linkage name that was added. */
uint32_t symbol_names_demangled(struct symbol_names *n, uint32_t linkage_name);
/* A path with `.`, `..` and doubled slashes taken out, below folder unless absolute. */
uint32_t symbol_names_add_path(struct symbol_names *n, const char *folder, const char *path);
