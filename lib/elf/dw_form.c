/* SPDX-License-Identifier: Apache-2.0 */
#include "dw_form.h"

#include <string.h>

int dw_form_bytes(const struct dw_unit *u, unsigned form)
{
	switch (form) {
	case DW_FORM_flag_present:
	case DW_FORM_implicit_const:
		return 0;
	case DW_FORM_data1:
	case DW_FORM_ref1:
	case DW_FORM_flag:
	case DW_FORM_strx1:
	case DW_FORM_addrx1:
		return 1;
	case DW_FORM_data2:
	case DW_FORM_ref2:
	case DW_FORM_strx2:
	case DW_FORM_addrx2:
		return 2;
	case DW_FORM_strx3:
	case DW_FORM_addrx3:
		return 3;
	case DW_FORM_data4:
	case DW_FORM_ref4:
	case DW_FORM_strx4:
	case DW_FORM_addrx4:
	case DW_FORM_ref_sup4:
		return 4;
	case DW_FORM_data8:
	case DW_FORM_ref8:
	case DW_FORM_ref_sig8:
	case DW_FORM_ref_sup8:
		return 8;
	case DW_FORM_data16:
		return 16;
	case DW_FORM_addr:
		return u->address_size;
	case DW_FORM_ref_addr:
		return u->version <= 2 ? u->address_size : u->offset_size;
	case DW_FORM_strp:
	case DW_FORM_line_strp:
	case DW_FORM_sec_offset:
	case DW_FORM_strp_sup:
	case DW_FORM_GNU_ref_alt:
	case DW_FORM_GNU_strp_alt:
		return u->offset_size;
	default:
		return -1;
	}
}

int dw_form_skip(unsigned form)
{
	switch (form) {
	case DW_FORM_string:
		return DW_SKIP_STRING;
	case DW_FORM_sdata:
	case DW_FORM_udata:
	case DW_FORM_ref_udata:
	case DW_FORM_strx:
	case DW_FORM_addrx:
	case DW_FORM_loclistx:
	case DW_FORM_rnglistx:
	case DW_FORM_GNU_str_index:
	case DW_FORM_GNU_addr_index:
		return DW_SKIP_ULEB;
	case DW_FORM_block:
	case DW_FORM_exprloc:
		return DW_SKIP_BLOCK;
	case DW_FORM_block1:
		return DW_SKIP_BLOCK1;
	case DW_FORM_block2:
		return DW_SKIP_BLOCK2;
	case DW_FORM_block4:
		return DW_SKIP_BLOCK4;
	case DW_FORM_indirect:
		return DW_SKIP_INDIRECT;
	default:
		return -1;
	}
}

/* Little-endian, as all that this reads is. */
static bool read_fixed(const uint8_t **at, const uint8_t *end, size_t size, uint64_t *ret)
{
	*ret = 0;
	if ((size_t)(end - *at) < size)
		return false;
	memcpy(ret, *at, MIN(size, sizeof(*ret)));
	*at += size;
	return true;
}

static bool skip_bytes(const uint8_t **at, const uint8_t *end, uint64_t n)
{
	if (n > (uint64_t)(end - *at))
		return false;
	*at += n;
	return true;
}

static bool skip_indirect(const struct dw_unit *u, const uint8_t **at, const uint8_t *end)
{
	uint64_t form;
	int bytes, kind;

	if (!dw_read_uleb(at, end, &form) || form == DW_FORM_indirect ||
	    form == DW_FORM_implicit_const || form > UINT16_MAX)
		return false;
	bytes = dw_form_bytes(u, (unsigned)form);
	if (bytes >= 0)
		return skip_bytes(at, end, (uint64_t)bytes);
	kind = dw_form_skip((unsigned)form);
	return kind > 0 && dw_skip_variable(u, (enum dw_skip)kind, at, end);
}

bool dw_skip_variable(const struct dw_unit *u, enum dw_skip kind, const uint8_t **at,
		      const uint8_t *end)
{
	const uint8_t *nul;
	uint64_t n = 0;

	switch (kind) {
	case DW_SKIP_ULEB:
		return dw_read_uleb(at, end, &n);
	case DW_SKIP_BLOCK:
		return dw_read_uleb(at, end, &n) && skip_bytes(at, end, n);
	case DW_SKIP_BLOCK1:
		return read_fixed(at, end, 1, &n) && skip_bytes(at, end, n);
	case DW_SKIP_BLOCK2:
		return read_fixed(at, end, 2, &n) && skip_bytes(at, end, n);
	case DW_SKIP_BLOCK4:
		return read_fixed(at, end, 4, &n) && skip_bytes(at, end, n);
	case DW_SKIP_STRING:
		nul = memchr(*at, 0, (size_t)(end - *at));
		if (!nul)
			return false;
		*at = nul + 1;
		return true;
	case DW_SKIP_INDIRECT:
		return skip_indirect(u, at, end);
	default:
		return true;
	}
}

static bool read_block(const struct dw_unit *u, enum dw_skip kind, const uint8_t **at,
		       const uint8_t *end, struct dw_value *ret)
{
	const uint8_t *start = *at;

	if (!dw_skip_variable(u, kind, at, end))
		return false;
	ret->data = start;
	ret->n = (uint64_t)(*at - start);
	return true;
}

static bool read_sleb(const uint8_t **at, const uint8_t *end, uint64_t *ret)
{
	const uint8_t *start = *at;
	size_t bits;

	if (!dw_read_uleb(at, end, ret))
		return false;
	bits = 7 * (size_t)(*at - start);
	if (bits < 64 && ((*at)[-1] & 0x40))
		*ret |= ~0ULL << bits;
	return true;
}

bool dw_form_read(const struct dw_unit *u, const struct dw_attribute *a, const uint8_t **at,
		  const uint8_t *end, struct dw_value *ret)
{
	int bytes = dw_form_bytes(u, a->form), kind;
	struct dw_attribute inner = { .slot = a->slot };
	uint64_t form;

	*ret = (struct dw_value){ .form = a->form };
	if (a->form == DW_FORM_implicit_const || a->form == DW_FORM_flag_present) {
		ret->n = (uint64_t)a->implicit;
		return true;
	}
	if (bytes >= 0)
		return read_fixed(at, end, (size_t)bytes, &ret->n);
	if (a->form == DW_FORM_sdata)
		return read_sleb(at, end, &ret->n);
	if (a->form == DW_FORM_indirect) {
		if (!dw_read_uleb(at, end, &form) || form == DW_FORM_indirect ||
		    form == DW_FORM_implicit_const || form > UINT16_MAX)
			return false;
		inner.form = (uint16_t)form;
		return dw_form_read(u, &inner, at, end, ret);
	}

	kind = dw_form_skip(a->form);
	if (kind < 0)
		return false;
	if (kind == DW_SKIP_ULEB)
		return dw_read_uleb(at, end, &ret->n);
	return read_block(u, (enum dw_skip)kind, at, end, ret);
}
