/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Names for PLT stubs: `memcpy@plt`. A stub's own jump tells which GOT slot it goes through, and the
 * relocation of that slot whose function it is; no order of stubs is assumed, as .plt, .plt.sec and
 * .plt.got of the various link editors differ in it. System V ABI, AMD64 supplement, section 5.2.
 */

#include "addresses.h"
#include "symbol_names.h"
#include "symtab.h"

/* For the addresses in PLT sections that have no name yet. Broken tables give no names. -ENOMEM. */
int plt_resolve(const struct elf_file *f, const struct symtabs *symtabs, struct addresses *a,
		struct symbol_names *names);
