/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * .debug_cu_index of a .dwp file: which part of each section belongs to a unit, by the id that its
 * skeleton has. Version 2 (GNU, for DWARF 4: https://gcc.gnu.org/wiki/DebugFissionDWP) and 5 (DWARF 5,
 * section 7.3.5).
 */

#include <stddef.h>
#include <stdint.h>

enum dwp_section { DWP_INFO, DWP_ABBREV, DWP_STR_OFFSETS, DWP_RNGLISTS, DWP_SECTIONS };

struct dwp_part {
	uint64_t offset, bytes; /* 0 bytes: it has none. Not checked against the section. */
};

/* -ENOENT: no such unit; -EBADMSG. */
int dwp_index_find(const uint8_t *index, size_t index_bytes, uint64_t id,
		   struct dwp_part parts[DWP_SECTIONS]);
