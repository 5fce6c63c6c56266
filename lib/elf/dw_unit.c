/* SPDX-License-Identifier: Apache-2.0 */
#include "dw_unit.h"

#include <dwarf.h>
#include <string.h>

#include "bytes.h"
#include "dw_form.h"
#include "dw_functions.h"
#include "dw_rows.h"

#define MAX_ABBREVS    (1U << 18)
#define MAX_ATTRIBUTES (1U << 22)

static uint64_t read_offset(struct bytes *b, bool is_64)
{
	return is_64 ? bytes_u64(b) : bytes_u32(b);
}

/* What stands between the sizes and the first entry depends on the unit's type. */
static void read_header_rest(struct dw_unit *u, struct bytes *b)
{
	bool is_64 = u->offset_size == 8;

	u->type = DW_UT_compile;
	if (u->version < 5) {
		u->abbrev_offset = read_offset(b, is_64);
		u->address_size = bytes_u8(b);
		return;
	}
	u->type = bytes_u8(b);
	u->address_size = bytes_u8(b);
	u->abbrev_offset = read_offset(b, is_64);
	if (u->type == DW_UT_skeleton || u->type == DW_UT_split_compile)
		u->dwo_id = bytes_u64(b);
	else if (u->type == DW_UT_type || u->type == DW_UT_split_type)
		bytes_skip(b, 8 + u->offset_size);
}

int dw_unit_read_header(struct dw_unit *u, struct dw_file *f, uint64_t offset)
{
	struct dw_span info = dw_file_section(f, DW_INFO);
	struct bytes b = { .at = info.data + offset, .end = info.data + info.bytes };
	const uint8_t *start = b.at;
	uint64_t length;

	*u = (struct dw_unit){ .file = f, .offset = offset, .offset_size = 4 };
	length = bytes_u32(&b);
	if (length == UINT32_MAX) {
		u->offset_size = 8;
		length = bytes_u64(&b);
	}
	if (b.failed || length > bytes_left(&b) || length < 7 || length > UINT32_MAX)
		return -EBADMSG;
	u->unit_bytes = (uint64_t)(b.at - start) + length;
	b.end = start + u->unit_bytes;

	u->version = bytes_u16(&b);
	if (u->version < 2 || u->version > 5) {
		u->bad = true; /* the next one may be of a kind that we know */
		return 0;
	}
	read_header_rest(u, &b);
	u->header_bytes = (uint16_t)(b.at - start);
	u->bad = b.failed || (u->address_size != 8 && u->address_size != 4);
	return 0;
}

static uint8_t attribute_slot(uint64_t name)
{
	switch (name) {
	case DW_AT_sibling:
		return DW_SLOT_SIBLING;
	case DW_AT_low_pc:
		return DW_SLOT_LOW;
	case DW_AT_high_pc:
		return DW_SLOT_HIGH;
	case DW_AT_ranges:
		return DW_SLOT_RANGES;
	case DW_AT_name:
		return DW_SLOT_NAME;
	case DW_AT_linkage_name:
	case DW_AT_MIPS_linkage_name:
		return DW_SLOT_LINKAGE;
	case DW_AT_abstract_origin:
	case DW_AT_specification:
		return DW_SLOT_ORIGIN;
	case DW_AT_decl_line:
		return DW_SLOT_DECL_LINE;
	case DW_AT_call_file:
		return DW_SLOT_CALL_FILE;
	case DW_AT_call_line:
		return DW_SLOT_CALL_LINE;
	case DW_AT_call_column:
		return DW_SLOT_CALL_COLUMN;
	case DW_AT_comp_dir:
		return DW_SLOT_FOLDER;
	case DW_AT_stmt_list:
		return DW_SLOT_LINES;
	case DW_AT_str_offsets_base:
		return DW_SLOT_STRINGS_BASE;
	case DW_AT_addr_base:
	case DW_AT_GNU_addr_base:
		return DW_SLOT_ADDRESS_BASE;
	case DW_AT_rnglists_base:
	case DW_AT_GNU_ranges_base:
		return DW_SLOT_RANGES_BASE;
	case DW_AT_dwo_name:
	case DW_AT_GNU_dwo_name:
		return DW_SLOT_DWO;
	case DW_AT_GNU_dwo_id:
		return DW_SLOT_DWO_ID;
	default:
		return DW_SLOT_NONE;
	}
}

/* An array grown by doubling; NULL without memory. */
static void *grow(void *items, size_t n, size_t *allocated, size_t item_bytes)
{
	size_t more = *allocated ? *allocated * 2 : 64;
	void *p;

	if (n < *allocated)
		return items;
	p = reallocarray(items, more, item_bytes);
	if (p)
		*allocated = more;
	return p;
}

static int abbrevs_add_skip(struct dw_abbrevs *t, struct dw_abbrev *a, uint32_t fixed, int kind)
{
	uint16_t *skips;

	do {
		uint32_t now = MIN(fixed, DW_SKIP_FIXED);

		skips = grow(t->skips, t->n_skips, &t->allocated_skips, sizeof(*skips));
		if (!skips)
			return -ENOMEM;
		t->skips = skips;
		fixed -= now;
		skips[t->n_skips++] = (uint16_t)(now | (fixed ? 0U : (unsigned)kind)
							       << DW_SKIP_SHIFT);
		a->n_skips++;
	} while (fixed > 0);
	return 0;
}

/* Among fixed fields, so that it is found without looking at them. */
static void abbrev_note_sibling(struct dw_abbrev *a, unsigned form, uint32_t at, bool known)
{
	unsigned bytes = form == DW_FORM_ref4 ? 4 : form == DW_FORM_ref2 ? 2 : form == DW_FORM_ref1;

	if (!known || bytes == 0 || at > UINT16_MAX)
		return;
	a->sibling_at = (uint16_t)at;
	a->sibling_bytes = bytes & 15;
}

static int abbrevs_add_attribute(struct dw_abbrevs *t, struct dw_abbrev *a, uint64_t name,
				 uint64_t form, int64_t implicit)
{
	struct dw_attribute *p;

	if (form > UINT16_MAX || t->n_attributes >= MAX_ATTRIBUTES || a->n == UINT16_MAX)
		return -EBADMSG;
	p = grow(t->attributes, t->n_attributes, &t->allocated_attributes, sizeof(*p));
	if (!p)
		return -ENOMEM;
	t->attributes = p;
	p[t->n_attributes++] = (struct dw_attribute){
		.implicit = implicit,
		.form = (uint16_t)form,
		.slot = attribute_slot(name),
	};
	a->n++;
	return 0;
}

static bool tag_is_stepped_over(unsigned tag)
{
	return tag != DW_TAG_compile_unit && tag != DW_TAG_partial_unit &&
	       tag != DW_TAG_namespace && tag != DW_TAG_module && tag != DW_TAG_skeleton_unit;
}

/* The attributes of one abbreviation, and how to step over an entry of it. */
static int abbrevs_read_attributes(const struct dw_unit *u, struct dw_abbrevs *t,
				   struct dw_abbrev *a, struct bytes *b)
{
	uint32_t fixed = 0, at = 0;
	bool known = true;
	int r;

	a->first = (uint32_t)t->n_attributes;
	a->first_skip = (uint32_t)t->n_skips;
	for (;;) {
		uint64_t name = bytes_uleb(b), form = bytes_uleb(b);
		int64_t implicit = form == DW_FORM_implicit_const ? bytes_sleb(b) : 1;
		int bytes, kind;

		if (b->failed)
			return -EBADMSG;
		if (name == 0 && form == 0)
			break;
		r = abbrevs_add_attribute(t, a, name, form, implicit);
		if (r < 0)
			return r;
		if (name == DW_AT_sibling)
			abbrev_note_sibling(a, (unsigned)form, at, known);
		a->code |= name == DW_AT_low_pc || name == DW_AT_ranges;

		bytes = dw_form_bytes(u, (unsigned)form);
		if (bytes >= 0) {
			fixed += (uint32_t)bytes;
			at += (uint32_t)bytes;
			continue;
		}
		kind = dw_form_skip((unsigned)form);
		if (kind < 0)
			return -EBADMSG;
		known = false;
		r = abbrevs_add_skip(t, a, fixed, kind);
		if (r < 0)
			return r;
		fixed = 0;
	}
	return fixed ? abbrevs_add_skip(t, a, fixed, DW_SKIP_NOTHING) : 0;
}

static int abbrevs_make_room(struct dw_abbrevs *t, uint64_t code)
{
	struct dw_abbrev *items;
	size_t n;

	if (code < t->allocated) {
		t->n = MAX(t->n, (size_t)code + 1);
		return 0;
	}
	n = MAX(t->allocated * 2, (size_t)64);
	n = MAX((size_t)code + 1, n);
	items = reallocarray(t->items, n, sizeof(*items));
	if (!items)
		return -ENOMEM;
	memset(items + t->allocated, 0, (n - t->allocated) * sizeof(*items));
	t->items = items;
	t->allocated = n;
	t->n = (size_t)code + 1;
	return 0;
}

/* The table at the unit's place; `only`: up to this code, 0 all. */
static int abbrevs_read(const struct dw_unit *u, struct dw_abbrevs *t, uint64_t only)
{
	struct dw_span s = dw_file_section(u->file, DW_ABBREV);
	struct bytes b = { .at = s.data, .end = s.data + s.bytes };
	int r;

	if (!bytes_skip(&b, u->abbrev_offset))
		return -EBADMSG;
	for (;;) {
		uint64_t code = bytes_uleb(&b);
		struct dw_abbrev a = { 0 };

		if (b.failed || code >= MAX_ABBREVS)
			return -EBADMSG;
		if (code == 0)
			return only ? -EBADMSG : 0;
		a.tag = (uint16_t)bytes_uleb(&b);
		a.children = bytes_u8(&b) == DW_CHILDREN_yes;
		a.over = tag_is_stepped_over(a.tag);
		r = abbrevs_read_attributes(u, t, &a, &b);
		if (r < 0)
			return r;
		a.code &= a.tag == DW_TAG_subprogram || a.tag == DW_TAG_inlined_subroutine;
		r = abbrevs_make_room(t, code);
		if (r < 0)
			return r;
		if (t->items[code].tag == 0)
			t->items[code] = a;
		if (code == only)
			return 0;
	}
}

static struct dw_abbrevs *abbrevs_free(struct dw_abbrevs *t)
{
	if (t) {
		free(t->items);
		free(t->attributes);
		free(t->skips);
		free(t);
	}
	return NULL;
}

static uint64_t abbrevs_bytes(const struct dw_abbrevs *t)
{
	return sizeof(*t) + t->allocated * sizeof(*t->items) +
	       t->allocated_attributes * sizeof(*t->attributes) +
	       t->allocated_skips * sizeof(*t->skips);
}

static int unit_read_abbrevs(struct dw_unit *u, uint64_t only)
{
	struct dw_abbrevs *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return -ENOMEM;
	r = abbrevs_read(u, t, only);
	if (r < 0) {
		abbrevs_free(t);
		return r;
	}
	u->abbrevs = t;
	return 0;
}

static uint64_t entry_number(const struct dw_entry *e, enum dw_slot slot, uint64_t none)
{
	return dw_entry_has(e, slot) ? e->values[slot].n : none;
}

/* What all entries of the unit refer to. */
static void unit_take_bases(struct dw_unit *u, const struct dw_entry *e)
{
	u->is_code = e->abbrev->tag == DW_TAG_compile_unit ||
		     e->abbrev->tag == DW_TAG_skeleton_unit;
	u->is_split = !u->skeleton && (u->type == DW_UT_skeleton || dw_entry_has(e, DW_SLOT_DWO));
	if (dw_entry_has(e, DW_SLOT_DWO_ID))
		u->dwo_id = e->values[DW_SLOT_DWO_ID].n;
	/* where nothing is said, behind the first header of the section */
	u->strings_base = entry_number(e, DW_SLOT_STRINGS_BASE,
				       u->version < 5        ? 0
				       : u->offset_size == 8 ? 16
							     : 8);
	u->address_base = entry_number(e, DW_SLOT_ADDRESS_BASE, u->version < 5 ? 0 : 8);
	u->ranges_base = entry_number(e, DW_SLOT_RANGES_BASE,
				      u->version < 5        ? 0
				      : u->offset_size == 8 ? 20
							    : 12);
	u->lines = entry_number(e, DW_SLOT_LINES, DW_NO_OFFSET);
	u->low = 0;
	if (u->skeleton) {
		u->address_base = u->skeleton->address_base;
		u->low = u->skeleton->low;
		/* GNU's ranges of DWARF 4 stay in the program, and the skeleton has their start */
		u->ranges_start = u->version < 5 ? u->skeleton->ranges_base : 0;
	}
	if (dw_entry_has(e, DW_SLOT_LOW))
		dw_value_address(u, &e->values[DW_SLOT_LOW], &u->low);
	u->dwo = dw_entry_has(e, DW_SLOT_DWO) ? dw_value_string(u, &e->values[DW_SLOT_DWO]) : NULL;
	u->folder = dw_entry_has(e, DW_SLOT_FOLDER) ? dw_value_string(u, &e->values[DW_SLOT_FOLDER])
						    : NULL;
}

static int unit_read_first(struct dw_unit *u, struct dw_entry *e)
{
	if (dw_entry_read(u, dw_unit_start(u) + u->header_bytes, e) != 0)
		return -EBADMSG;
	unit_take_bases(u, e);
	return 0;
}

int dw_unit_peek(struct dw_unit *u, struct dw_entry *ret)
{
	const uint8_t *at = dw_unit_start(u) + u->header_bytes;
	uint64_t code;
	int r;

	if (u->bad || !dw_read_uleb(&at, dw_unit_end(u), &code) || code == 0)
		return -EBADMSG;
	if (u->opened)
		return unit_read_first(u, ret);

	r = unit_read_abbrevs(u, code);
	if (r < 0)
		return r;
	r = unit_read_first(u, ret);
	u->abbrevs = abbrevs_free(u->abbrevs);
	ret->abbrev = NULL;
	return r;
}

int dw_unit_open(struct dw_unit *u)
{
	struct dw_entry e;
	int r;

	if (u->opened)
		return 0;
	if (u->bad)
		return -EBADMSG;

	r = unit_read_abbrevs(u, 0);
	if (r == 0) {
		r = unit_read_first(u, &e);
		if (r < 0)
			u->abbrevs = abbrevs_free(u->abbrevs);
	}
	if (r < 0) {
		u->bad = r != -ENOMEM;
		return r;
	}
	u->opened = true;
	dw_unit_account(u, abbrevs_bytes(u->abbrevs));
	return 0;
}

void dw_unit_drop(struct dw_unit *u)
{
	u->functions = dw_functions_free(u->functions);
	u->rows = dw_rows_free(u->rows);
	u->abbrevs = abbrevs_free(u->abbrevs);
	u->opened = false;
	u->file->unit_bytes -= u->bytes;
	u->bytes = 0;
}
