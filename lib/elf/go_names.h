/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Names, lines and inlined calls of Go functions, from .gopclntab: what a binary linked with -s -w
 * still has.
 */

#include "dwarf_lines.h"

/* For the addresses that have no lines yet (dwarf) or no name yet. 0; 1: some of it was broken;
 * -ENOMEM. No Go binary is no error. */
int go_resolve(const struct elf_file *f, bool dwarf, struct addresses *a,
	       struct symbol_names *names, struct dwarf_lines *lines);
