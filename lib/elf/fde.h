/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Where functions start, for addresses without a symbol, from .eh_frame through the sorted table of
 * .eh_frame_hdr (LSB Core, "Exception Frames").
 */

#include "addresses.h"

/* Sets `function` of the addresses that have no name and lie in an FDE. Broken tables leave them
 * as they are. -ENOMEM. */
int fde_resolve(const struct elf_file *f, struct addresses *a);
