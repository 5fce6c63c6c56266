/* SPDX-License-Identifier: Apache-2.0 */
#include <dwarf.h>
#include <string.h>

#include "bytes.h"
#include "dw_form.h"

#define MAX_RANGES (1U << 20) /* of one entry */

const struct dw_abbrev *dw_entry_abbrev(const struct dw_unit *u, const uint8_t **at, bool *ret_end)
{
	const struct dw_abbrevs *t = u->abbrevs;
	uint64_t code;

	*ret_end = false;
	if (!dw_read_uleb(at, dw_unit_end(u), &code))
		return NULL;
	if (code == 0) {
		*ret_end = true;
		return NULL;
	}
	if (code >= t->n || t->items[code].tag == 0)
		return NULL;
	return &t->items[code];
}

bool dw_entry_skip(const struct dw_unit *u, const struct dw_abbrev *a, const uint8_t **at)
{
	const uint16_t *skips = u->abbrevs->skips + a->first_skip;
	const uint8_t *p = *at, *end = dw_unit_end(u);

	for (unsigned i = 0; i < a->n_skips; i++) {
		size_t fixed = skips[i] & DW_SKIP_FIXED;
		unsigned kind = skips[i] >> DW_SKIP_SHIFT;

		if ((size_t)(end - p) < fixed)
			return false;
		p += fixed;
		/* the two kinds that most entries have */
		if (kind == DW_SKIP_BLOCK && p < end && *p < 0x80 && *p < end - p)
			p += 1 + *p;
		else if (kind == DW_SKIP_ULEB && p < end && *p < 0x80)
			p++;
		else if (!dw_skip_variable(u, (enum dw_skip)kind, &p, end))
			return false;
	}
	*at = p;
	return true;
}

const uint8_t *dw_entry_sibling(const struct dw_unit *u, const struct dw_abbrev *a,
				const uint8_t *at)
{
	const uint8_t *end = dw_unit_end(u);
	uint32_t offset = 0;

	if ((size_t)(end - at) < (size_t)a->sibling_at + a->sibling_bytes)
		return NULL;
	memcpy(&offset, at + a->sibling_at, a->sibling_bytes);
	if (offset >= u->unit_bytes || dw_unit_start(u) + offset <= at)
		return NULL;
	return dw_unit_start(u) + offset;
}

int dw_entry_read(const struct dw_unit *u, const uint8_t *at, struct dw_entry *ret)
{
	const uint8_t *end = dw_unit_end(u);
	const struct dw_abbrev *a;
	bool is_end;

	ret->start = at;
	ret->have = 0;
	a = ret->abbrev = dw_entry_abbrev(u, &at, &is_end);
	ret->next = at;
	if (!a)
		return is_end ? 1 : -EBADMSG;

	for (uint32_t i = a->first; i < a->first + a->n; i++) {
		const struct dw_attribute *p = &u->abbrevs->attributes[i];
		struct dw_value v;

		if (!dw_form_read(u, p, &at, end, &v))
			return -EBADMSG;
		if (p->slot != DW_SLOT_NONE) {
			ret->values[p->slot] = v;
			ret->have |= 1U << p->slot;
		}
	}
	ret->next = at;
	return 0;
}

/* The index-th value of `size` bytes behind a base of a section. */
static bool indexed(struct dw_file *f, enum dw_section id, uint64_t base, uint64_t index,
		    unsigned size, uint64_t *ret)
{
	struct dw_span s = dw_file_section(f, id);
	uint64_t at;

	if (__builtin_mul_overflow(index, size, &at) || __builtin_add_overflow(at, base, &at) ||
	    at > s.bytes || s.bytes - at < size)
		return false;
	*ret = 0;
	memcpy(ret, s.data + at, size);
	return true;
}

bool dw_value_address(const struct dw_unit *u, const struct dw_value *v, uint64_t *ret)
{
	switch (v->form) {
	case DW_FORM_addr:
		*ret = v->n;
		return true;
	case DW_FORM_addrx:
	case DW_FORM_addrx1:
	case DW_FORM_addrx2:
	case DW_FORM_addrx3:
	case DW_FORM_addrx4:
	case DW_FORM_GNU_addr_index:
		return indexed(u->file, DW_ADDR, u->address_base, v->n, u->address_size, ret);
	default:
		return false;
	}
}

const char *dw_value_string(const struct dw_unit *u, const struct dw_value *v)
{
	uint64_t at;

	switch (v->form) {
	case DW_FORM_string:
		return (const char *)v->data;
	case DW_FORM_strp:
		return dw_file_string(u->file, DW_STR, v->n);
	case DW_FORM_line_strp:
		return dw_file_string(u->file, DW_LINE_STR, v->n);
	case DW_FORM_GNU_strp_alt:
	case DW_FORM_strp_sup:
		return u->file->alt ? dw_file_string(u->file->alt, DW_STR, v->n) : NULL;
	case DW_FORM_strx:
	case DW_FORM_strx1:
	case DW_FORM_strx2:
	case DW_FORM_strx3:
	case DW_FORM_strx4:
	case DW_FORM_GNU_str_index:
		if (!indexed(u->file, DW_STR_OFFSETS, u->strings_base, v->n, u->offset_size, &at))
			return NULL;
		return dw_file_string(u->file, DW_STR, at);
	default:
		return NULL;
	}
}

uint32_t dw_value_u32(const struct dw_value *v)
{
	return v->n <= UINT32_MAX ? (uint32_t)v->n : 0;
}

static const uint8_t *entry_in(struct dw_file *f, uint64_t offset, struct dw_unit **ret_unit)
{
	struct dw_unit *u = f ? dw_file_unit(f, offset) : NULL;

	if (!u || offset - u->offset < u->header_bytes || dw_unit_open(u) < 0)
		return NULL;
	*ret_unit = u;
	return dw_unit_start(u) + (offset - u->offset);
}

const uint8_t *dw_value_entry(const struct dw_unit *u, const struct dw_value *v,
			      struct dw_unit **ret_unit)
{
	switch (v->form) {
	case DW_FORM_ref1:
	case DW_FORM_ref2:
	case DW_FORM_ref4:
	case DW_FORM_ref8:
	case DW_FORM_ref_udata:
		if (v->n < u->header_bytes || v->n >= u->unit_bytes)
			return NULL;
		*ret_unit = (struct dw_unit *)u;
		return dw_unit_start(u) + v->n;
	case DW_FORM_ref_addr:
		return entry_in(u->file, v->n, ret_unit);
	case DW_FORM_GNU_ref_alt:
	case DW_FORM_ref_sup4:
	case DW_FORM_ref_sup8:
		return entry_in(u->file->alt, v->n, ret_unit);
	default:
		return NULL;
	}
}

/* DWARF 2 to 4, section 2.17.3 */
static int ranges_read_old(const struct dw_unit *u, struct bytes *b, dw_range_t fn, void *arg)
{
	uint64_t base = u->low, none = u->address_size == 8 ? UINT64_MAX : UINT32_MAX;

	for (size_t i = 0; i < MAX_RANGES; i++) {
		bool wide = u->address_size == 8;
		uint64_t low = wide ? bytes_u64(b) : bytes_u32(b);
		uint64_t high = wide ? bytes_u64(b) : bytes_u32(b);
		int r;

		if (b->failed)
			return -EBADMSG;
		if (low == 0 && high == 0)
			return 0;
		if (low == none) {
			base = high;
			continue;
		}
		r = fn(arg, base + low, base + high);
		if (r != 0)
			return r;
	}
	return -EBADMSG;
}

static uint64_t read_indexed(const struct dw_unit *u, struct bytes *b)
{
	uint64_t address = 0;

	if (!indexed(u->file, DW_ADDR, u->address_base, bytes_uleb(b), u->address_size, &address))
		b->failed = true;
	return address;
}

static uint64_t read_address(const struct dw_unit *u, struct bytes *b)
{
	return u->address_size == 8 ? bytes_u64(b) : bytes_u32(b);
}

/* DWARF 5, section 7.25. One entry: 1 a range, 0 none, 2 the end, -EBADMSG. */
static int rnglist_step(const struct dw_unit *u, struct bytes *b, uint64_t *base, uint64_t *low,
			uint64_t *high)
{
	switch (bytes_u8(b)) {
	case DW_RLE_end_of_list:
		return b->failed ? -EBADMSG : 2;
	case DW_RLE_base_addressx:
		*base = read_indexed(u, b);
		return 0;
	case DW_RLE_base_address:
		*base = read_address(u, b);
		return 0;
	case DW_RLE_startx_endx:
		*low = read_indexed(u, b);
		*high = read_indexed(u, b);
		return 1;
	case DW_RLE_startx_length:
		*low = read_indexed(u, b);
		*high = *low + bytes_uleb(b);
		return 1;
	case DW_RLE_offset_pair:
		*low = *base + bytes_uleb(b);
		*high = *base + bytes_uleb(b);
		return 1;
	case DW_RLE_start_end:
		*low = read_address(u, b);
		*high = read_address(u, b);
		return 1;
	case DW_RLE_start_length:
		*low = read_address(u, b);
		*high = *low + bytes_uleb(b);
		return 1;
	default:
		return -EBADMSG;
	}
}

static int ranges_read_new(const struct dw_unit *u, struct bytes *b, dw_range_t fn, void *arg)
{
	uint64_t base = u->low, low = 0, high = 0;

	for (size_t i = 0; i < MAX_RANGES; i++) {
		int r = rnglist_step(u, b, &base, &low, &high);

		if (b->failed || r < 0)
			return -EBADMSG;
		if (r == 2)
			return 0;
		if (r == 0)
			continue;
		r = fn(arg, low, high);
		if (r != 0)
			return r;
	}
	return -EBADMSG;
}

static int entry_range_list(const struct dw_unit *u, const struct dw_value *v, dw_range_t fn,
			    void *arg)
{
	struct dw_span s = dw_file_section(u->file, u->version < 5 ? DW_RANGES : DW_RNGLISTS);
	struct bytes b = { .at = s.data, .end = s.data + s.bytes };
	uint64_t offset = v->n;

	if (v->form == DW_FORM_rnglistx) {
		if (!indexed(u->file, DW_RNGLISTS, u->ranges_base, v->n, u->offset_size, &offset))
			return -EBADMSG;
		offset += u->ranges_base;
	}
	offset += u->ranges_start;
	if (!s.data || !bytes_skip(&b, offset))
		return -EBADMSG;
	return u->version < 5 ? ranges_read_old(u, &b, fn, arg) : ranges_read_new(u, &b, fn, arg);
}

int dw_entry_ranges(const struct dw_unit *u, const struct dw_entry *e, dw_range_t fn, void *arg)
{
	uint64_t low, high;

	if (dw_entry_has(e, DW_SLOT_RANGES))
		return entry_range_list(u, &e->values[DW_SLOT_RANGES], fn, arg);
	if (!dw_entry_has(e, DW_SLOT_LOW) || !dw_entry_has(e, DW_SLOT_HIGH))
		return 0;
	if (!dw_value_address(u, &e->values[DW_SLOT_LOW], &low))
		return -EBADMSG;
	/* an address, or a number of bytes */
	if (!dw_value_address(u, &e->values[DW_SLOT_HIGH], &high) &&
	    __builtin_add_overflow(low, e->values[DW_SLOT_HIGH].n, &high))
		return -EBADMSG;
	return fn(arg, low, high);
}
