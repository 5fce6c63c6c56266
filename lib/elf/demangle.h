/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Linkage names as people write them: C++ (Itanium ABI), Rust (legacy and v0), D, by libiberty. The
 * hash of a Rust name and the clone suffixes that compilers append (`.isra.0`, `.part.0`, `.constprop.0`,
 * `.cold`, `.llvm.123`, `.lto_priv.0`) are dropped: they tell one copy of a function from another,
 * and a profile wants the function.
 */

#include <stdbool.h>
#include <stddef.h>

#include "buf.h"

/* Appends the readable name, or the linkage name itself without its clone suffix where it is not
 * mangled. short_form leaves out parameters and template arguments. 1 demangled, 0 not mangled,
 * -ENOMEM, -ENOSPC. Output and recursion are bounded. */
int demangle(const char *linkage_name, bool short_form, struct buf *out);

/* Does it look like one of those? */
bool demangle_is_mangled(const char *linkage_name);
/* Length of a linkage name without clone suffixes. */
size_t demangle_base_length(const char *linkage_name);
