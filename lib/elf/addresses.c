/* SPDX-License-Identifier: Apache-2.0 */
#include "addresses.h"

#include <stdlib.h>

static uint64_t address_of_offset(const struct elf_file *f, uint64_t offset)
{
	for (size_t i = 0; i < f->n_segments; i++) {
		const struct elf_segment *s = &f->segments[i];
		uint64_t vaddr;

		if (s->type != PT_LOAD || !(s->flags & PF_X))
			continue;
		if (offset < s->offset || offset - s->offset >= s->file_bytes)
			continue;
		if (__builtin_add_overflow(s->vaddr, offset - s->offset, &vaddr))
			continue;
		return vaddr;
	}
	return ADDRESS_NONE;
}

static uint64_t address_of_code(const struct elf_file *f, uint64_t vaddr)
{
	return elf_file_is_text(f, vaddr, NULL) ? vaddr : ADDRESS_NONE;
}

static int address_compare(const void *a, const void *b)
{
	const struct address *x = a, *y = b;

	if (x->vaddr != y->vaddr)
		return x->vaddr < y->vaddr ? -1 : 1;
	return x->index < y->index ? -1 : x->index > y->index;
}

int addresses_new(struct addresses *ret, const struct elf_file *f, const uint64_t *offsets,
		  size_t n_offsets, bool vaddr)
{
	struct address *items = calloc(n_offsets ? n_offsets : 1, sizeof(*items));
	bool sorted = true;

	if (!items)
		return -ENOMEM;

	for (size_t i = 0; i < n_offsets; i++) {
		items[i].vaddr = vaddr ? address_of_code(f, offsets[i])
				       : address_of_offset(f, offsets[i]);
		items[i].index = (uint32_t)i;
		items[i].function = ADDRESS_NONE;
		if (i > 0 && items[i].vaddr < items[i - 1].vaddr)
			sorted = false;
	}
	if (!sorted)
		qsort(items, n_offsets, sizeof(*items), address_compare);

	*ret = (struct addresses){ .items = items, .n = n_offsets, .text_start = UINT64_MAX };
	for (size_t i = 0; i < f->n_segments; i++)
		if (f->segments[i].type == PT_LOAD && f->segments[i].flags & PF_X)
			ret->text_start = MIN(ret->text_start, f->segments[i].vaddr);
	return 0;
}

void addresses_done(struct addresses *a)
{
	free(a->items);
	*a = (struct addresses){ 0 };
}

int addresses_select(struct addresses *ret, const struct addresses *a,
		     bool (*wanted)(const struct address *p))
{
	struct address *items;
	size_t n = 0, to = 0;

	for (size_t i = 0; i < a->n; i++)
		n += wanted(&a->items[i]);
	items = calloc(n + 1, sizeof(*items));
	if (!items)
		return -ENOMEM;
	for (size_t i = 0; i < a->n; i++)
		if (wanted(&a->items[i]))
			items[to++] = a->items[i];
	*ret = (struct addresses){ .items = items, .n = n, .text_start = a->text_start };
	return 0;
}

void addresses_join(struct addresses *a, struct addresses *selected)
{
	size_t from = 0;

	/* both are in one order; an index is a place in the question, and no two are the same */
	for (size_t i = 0; i < a->n && from < selected->n; i++)
		if (a->items[i].index == selected->items[from].index)
			a->items[i] = selected->items[from++];
	addresses_done(selected);
}

size_t addresses_find(const struct addresses *a, uint64_t vaddr)
{
	size_t low = 0, high = a->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (a->items[middle].vaddr < vaddr)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}
