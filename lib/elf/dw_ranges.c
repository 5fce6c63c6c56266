/* SPDX-License-Identifier: Apache-2.0 */
#include "dw_ranges.h"

#include <dwarf.h>

#include "bytes.h"
#include "dw_functions.h"

#define MAX_UNIT_RANGES (1U << 24)

struct adding {
	struct dw_ranges *r;
	struct dw_file *f;
	uint32_t unit;
	bool some;
};

static int ranges_add(void *arg, uint64_t low, uint64_t high)
{
	struct adding *a = arg;
	struct dw_ranges *r = a->r;

	a->some = true;
	if (low <= 1 || low >= high || low < a->f->text_start)
		return 0;
	if (r->n == r->allocated) {
		size_t n = r->allocated ? r->allocated * 2 : 256;
		struct dw_unit_range *items;

		if (n > MAX_UNIT_RANGES)
			return -EBADMSG;
		items = reallocarray(r->items, n, sizeof(*items));
		if (!items)
			return -ENOMEM;
		r->items = items;
		r->allocated = n;
	}
	r->items[r->n++] = (struct dw_unit_range){ low, high, a->unit, 0 };
	return 0;
}

static int range_compare(const void *a, const void *b)
{
	const struct dw_unit_range *x = a, *y = b;

	if (x->low != y->low)
		return x->low < y->low ? -1 : 1;
	return x->unit < y->unit ? -1 : x->unit > y->unit;
}

static void ranges_sort(struct dw_ranges *r)
{
	uint64_t reach = 0;
	uint32_t group = 0;

	if (r->n > 0)
		qsort(r->items, r->n, sizeof(*r->items), range_compare);
	for (size_t i = 0; i < r->n; i++) {
		if (r->items[i].low >= reach)
			group = (uint32_t)i;
		r->items[i].group = group;
		reach = MAX(reach, r->items[i].high);
	}
}

/* One set of .debug_aranges: DWARF 5, section 6.1.2. 1: there is a next one. */
static int aranges_read_set(struct adding *a, struct bytes *section)
{
	const uint8_t *start = section->at;
	uint64_t length = bytes_u32(section), offset;
	bool is_64 = length == UINT32_MAX;
	struct dw_unit *u;
	struct bytes b;
	unsigned size;

	if (is_64)
		length = bytes_u64(section);
	b = (struct bytes){ .at = section->at };
	if (section->failed || !bytes_skip(section, length))
		return -EBADMSG;
	b.end = section->at;
	bytes_u16(&b);
	offset = is_64 ? bytes_u64(&b) : bytes_u32(&b);
	size = bytes_u8(&b);
	if (bytes_u8(&b) != 0 || size != 8 || b.failed)
		return 1;
	u = dw_file_unit(a->f, offset);
	if (!u || u->offset != offset)
		return 1;

	a->unit = (uint32_t)(u - a->f->units);
	bytes_skip(&b, (uint64_t) - (b.at - start) & (2 * size - 1));
	while (bytes_left(&b) >= 2 * size) {
		uint64_t low = bytes_u64(&b), bytes = bytes_u64(&b);
		int r;

		if (low == 0 && bytes == 0)
			break;
		r = ranges_add(a, low, low + bytes);
		if (r < 0)
			return r;
		a->r->listed[a->unit] = true;
	}
	return 1;
}

int dw_ranges_init(struct dw_ranges *r, struct dw_file *f)
{
	struct dw_span s = dw_file_section(f, DW_ARANGES);
	struct bytes b = { .at = s.data, .end = s.data + s.bytes };
	struct adding a = { .r = r, .f = f };
	int error = 1;

	*r = (struct dw_ranges){ .listed = calloc(f->n_units + 1, sizeof(bool)) };
	if (!r->listed)
		return -ENOMEM;
	while (error == 1 && bytes_left(&b) > 0)
		error = aranges_read_set(&a, &b);
	if (error == -ENOMEM)
		return error;
	f->broken |= error < 0;
	ranges_sort(r);
	return 0;
}

/* A unit that does not say where its code is: its functions do. */
static int ranges_add_functions(struct adding *a, struct dw_unit *u)
{
	const struct dw_functions *functions;
	int r;

	r = dw_unit_open(u);
	if (r == 0)
		r = dw_functions_all(u, &functions);
	for (size_t i = 0; r == 0 && i < functions->n; i++)
		r = ranges_add(a, functions->intervals[i].low,
			       functions->intervals[i].low + functions->intervals[i].bytes);
	return r;
}

static int ranges_add_unit(struct adding *a, struct dw_unit *u)
{
	struct dw_entry e;
	int r;

	if (u->bad || (u->type != DW_UT_compile && u->type != DW_UT_skeleton))
		return 0;
	r = dw_unit_peek(u, &e);
	if (r < 0)
		return r;
	if (!u->is_code)
		return 0;
	a->some = false;
	r = dw_entry_ranges(u, &e, ranges_add, a);
	if (r < 0 || a->some || u->is_split)
		return r;
	/* a low_pc alone says nothing; ranges that were thrown away are empty all the same */
	return dw_entry_has(&e, DW_SLOT_RANGES) ? 0 : ranges_add_functions(a, u);
}

int dw_ranges_complete(struct dw_ranges *r, struct dw_file *f)
{
	struct dw_span info = dw_file_section(f, DW_INFO);
	struct adding a = { .r = r, .f = f };

	if (r->complete)
		return 0;
	r->complete = true;
	for (size_t i = 0; i < f->n_units; i++) {
		int error;

		if (r->listed[i])
			continue;
		a.unit = (uint32_t)i;
		error = ranges_add_unit(&a, &f->units[i]);
		if (error == -ENOMEM)
			return error;
		f->broken |= error < 0;
	}
	dw_file_forget(f, info.data, info.data + info.bytes);
	ranges_sort(r);
	return 0;
}

void dw_ranges_done(struct dw_ranges *r)
{
	free(r->items);
	free(r->listed);
	*r = (struct dw_ranges){ 0 };
}

int dw_ranges_each(const struct dw_ranges *r, uint64_t vaddr, int (*fn)(void *arg, uint32_t unit),
		   void *arg)
{
	size_t low = 0, high = r->n;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (r->items[middle].low <= vaddr)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0)
		return 0;
	for (size_t i = low; i-- > r->items[low - 1].group;) {
		int error = vaddr < r->items[i].high ? fn(arg, r->items[i].unit) : 0;

		if (error != 0)
			return error;
	}
	return 0;
}
