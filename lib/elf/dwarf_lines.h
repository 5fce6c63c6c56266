/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The lines of all addresses, found by first_line and n_lines of an address; innermost first. A last
 * line without name means that only the line table knows the address.
 */

#include "addresses.h"
#include "symbol_names.h"

struct dwarf_lines {
	struct symbolize_line *items;
	size_t n, allocated;
};

void dwarf_lines_done(struct dwarf_lines *l);
/* Appends one zeroed line; NULL without memory. */
struct symbolize_line *dwarf_lines_add(struct dwarf_lines *l);
