/* SPDX-License-Identifier: Apache-2.0 */
#include "dwp_index.h"

#include <errno.h>
#include <string.h>

#include "bytes.h"

#define MAX_COLUMNS 16

/*
 * Header; n_slots ids; n_slots row numbers from 1, 0 for a free slot; then a row of section numbers, and n_units
 * rows of offsets, and as many of sizes, n_columns each.
 */
struct dwp_index {
	uint32_t version, n_columns, n_units, n_slots;
	const uint8_t *ids, *rows, *columns, *offsets, *sizes;
};

static uint32_t get32(const uint8_t *table, uint64_t i)
{
	uint32_t v;

	memcpy(&v, table + i * sizeof(v), sizeof(v));
	return v;
}

static uint64_t get64(const uint8_t *table, uint64_t i)
{
	uint64_t v;

	memcpy(&v, table + i * sizeof(v), sizeof(v));
	return v;
}

static int index_read(struct dwp_index *x, const uint8_t *data, size_t bytes)
{
	struct bytes b = { .at = data, .end = data + bytes };
	uint64_t n;

	/* 5 is a half word, followed by a half word that means nothing */
	x->version = bytes_u32(&b) & 0xffff;
	x->n_columns = bytes_u32(&b);
	x->n_units = bytes_u32(&b);
	x->n_slots = bytes_u32(&b);
	if (b.failed || (x->version != 2 && x->version != 5) || x->n_columns > MAX_COLUMNS ||
	    (x->n_slots & (x->n_slots - 1)) != 0)
		return -EBADMSG;

	n = (uint64_t)x->n_columns * x->n_units;
	x->ids = bytes_skip(&b, 8ULL * x->n_slots);
	x->rows = bytes_skip(&b, 4ULL * x->n_slots);
	x->columns = bytes_skip(&b, 4ULL * x->n_columns);
	x->offsets = bytes_skip(&b, 4 * n);
	x->sizes = bytes_skip(&b, 4 * n);
	return b.failed ? -EBADMSG : 0;
}

/* The unit's row from 0. */
static int index_row(const struct dwp_index *x, uint64_t id, uint32_t *ret)
{
	uint32_t mask = x->n_slots - 1, slot = (uint32_t)id & mask;
	uint32_t step = ((uint32_t)(id >> 32) & mask) | 1;

	for (uint32_t i = 0; i < x->n_slots; i++, slot = (slot + step) & mask) {
		uint32_t row = get32(x->rows, slot);

		if (row == 0)
			return -ENOENT;
		if (get64(x->ids, slot) != id)
			continue;
		if (row > x->n_units)
			return -EBADMSG;
		*ret = row - 1;
		return 0;
	}
	return -ENOENT;
}

/* DW_SECT_*, 0 for those that nobody reads. In version 2, 8 is .debug_macro. */
static int dwp_section_of(const struct dwp_index *x, uint32_t column)
{
	switch (get32(x->columns, column)) {
	case 1:
		return 1 + DWP_INFO;
	case 3:
		return 1 + DWP_ABBREV;
	case 6:
		return 1 + DWP_STR_OFFSETS;
	case 8:
		return x->version == 5 ? 1 + DWP_RNGLISTS : 0;
	default:
		return 0;
	}
}

int dwp_index_find(const uint8_t *index, size_t index_bytes, uint64_t id,
		   struct dwp_part parts[DWP_SECTIONS])
{
	struct dwp_index x;
	uint32_t row;
	int r;

	r = index_read(&x, index, index_bytes);
	if (r < 0)
		return r;
	r = index_row(&x, id, &row);
	if (r < 0)
		return r;

	memset(parts, 0, DWP_SECTIONS * sizeof(*parts));
	for (uint32_t i = 0; i < x.n_columns; i++) {
		int section = dwp_section_of(&x, i);
		uint64_t at = (uint64_t)row * x.n_columns + i;

		if (section > 0)
			parts[section - 1] = (struct dwp_part){ get32(x.offsets, at),
								get32(x.sizes, at) };
	}
	return parts[DWP_INFO].bytes > 0 ? 0 : -EBADMSG;
}
