/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Reading and stepping over attribute values; private to dw_*.c. */

#include <dwarf.h>

#include "dw_unit.h"

/* Bytes of a form where they do not depend on the entry, else -1. */
int dw_form_bytes(const struct dw_unit *u, unsigned form);

/* What follows the fixed bytes of one step over an entry, in the top bits of a step. */
enum dw_skip {
	DW_SKIP_NOTHING,
	DW_SKIP_ULEB,
	DW_SKIP_BLOCK, /* size as uleb */
	DW_SKIP_BLOCK1,
	DW_SKIP_BLOCK2,
	DW_SKIP_BLOCK4,
	DW_SKIP_STRING,
	DW_SKIP_INDIRECT,
};
#define DW_SKIP_SHIFT 13
#define DW_SKIP_FIXED ((1U << DW_SKIP_SHIFT) - 1)

/* The kind of a form without fixed size; -1 unknown. */
int dw_form_skip(unsigned form);
bool dw_skip_variable(const struct dw_unit *u, enum dw_skip kind, const uint8_t **at,
		      const uint8_t *end);
bool dw_form_read(const struct dw_unit *u, const struct dw_attribute *a, const uint8_t **at,
		  const uint8_t *end, struct dw_value *ret);

static inline bool dw_read_uleb(const uint8_t **at, const uint8_t *end, uint64_t *ret)
{
	const uint8_t *p = *at;
	uint64_t v;

	if (p >= end)
		return false;
	v = *p++;
	if (v & 0x80) {
		v &= 0x7f;
		for (unsigned shift = 7;; shift += 7) {
			if (p >= end)
				return false;
			if (shift < 64)
				v |= (uint64_t)(*p & 0x7f) << shift;
			if (!(*p++ & 0x80))
				break;
		}
	}
	*at = p;
	*ret = v;
	return true;
}
