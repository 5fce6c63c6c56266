/* SPDX-License-Identifier: Apache-2.0 */
#include "dwarf_lines.h"

#include <stdlib.h>

void dwarf_lines_done(struct dwarf_lines *l)
{
	free(l->items);
	*l = (struct dwarf_lines){ 0 };
}

struct symbolize_line *dwarf_lines_add(struct dwarf_lines *l)
{
	struct symbolize_line *items;

	if (l->n == l->allocated) {
		size_t allocated = l->allocated ? l->allocated * 2 : 256;

		if (allocated > UINT32_MAX)
			return NULL;
		items = reallocarray(l->items, allocated, sizeof(*items));
		if (!items)
			return NULL;
		l->items = items;
		l->allocated = allocated;
	}
	l->items[l->n] = (struct symbolize_line){ 0 };
	return &l->items[l->n++];
}
