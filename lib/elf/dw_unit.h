/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * One unit of .debug_info: its header, its abbreviations and its entries, read straight from the
 * section. DWARF 2 to 5, section 7.5 of each. The abbreviations are compiled first: an entry that nobody
 * asks for costs one addition, or a few where it has fields of variable size.
 *
 * What is made of a unit (dw_functions.h, dw_rows.h) hangs on it and can be dropped at any time
 * between two questions.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "dw_file.h"

#define DW_NO_OFFSET UINT64_MAX

/* The attributes that somebody asks for. */
enum dw_slot {
	DW_SLOT_NONE,
	DW_SLOT_SIBLING,
	DW_SLOT_LOW,
	DW_SLOT_HIGH,
	DW_SLOT_RANGES,
	DW_SLOT_NAME,
	DW_SLOT_LINKAGE,
	DW_SLOT_ORIGIN, /* DW_AT_abstract_origin, DW_AT_specification */
	DW_SLOT_DECL_LINE,
	DW_SLOT_CALL_FILE,
	DW_SLOT_CALL_LINE,
	DW_SLOT_CALL_COLUMN,
	DW_SLOT_FOLDER,
	DW_SLOT_LINES,
	DW_SLOT_STRINGS_BASE,
	DW_SLOT_ADDRESS_BASE,
	DW_SLOT_RANGES_BASE,
	DW_SLOT_DWO,
	DW_SLOT_DWO_ID,
	DW_SLOTS,
};

struct dw_attribute {
	int64_t implicit; /* of DW_FORM_implicit_const */
	uint16_t form;
	uint8_t slot;
};

struct dw_abbrev {
	uint16_t tag; /* 0: not defined */
	uint8_t children : 1;
	uint8_t code : 1;          /* a function or an inlined call with code */
	uint8_t over : 1;          /* below it functions are rare */
	uint8_t sibling_bytes : 4; /* of DW_AT_sibling at a known place, 0 unknown */
	uint16_t sibling_at;       /* bytes behind the abbreviation's code */
	uint16_t n, n_skips;
	uint32_t first, first_skip;
};

struct dw_abbrevs {
	struct dw_abbrev *items; /* by code */
	size_t n, allocated;
	struct dw_attribute *attributes;
	size_t n_attributes, allocated_attributes;
	uint16_t *skips;
	size_t n_skips, allocated_skips;
};

struct dw_value {
	uint64_t n;          /* number, or size of a block */
	const uint8_t *data; /* block or string */
	uint16_t form;
};

struct dw_entry {
	const struct dw_abbrev *abbrev;
	const uint8_t *start, *next; /* next: behind its attributes */
	uint32_t have;               /* 1 << enum dw_slot */
	struct dw_value values[DW_SLOTS];
};

struct dw_functions;
struct dw_rows;

struct dw_unit {
	struct dw_file *file;
	uint64_t offset, unit_bytes;
	uint16_t version;
	uint8_t address_size, offset_size, type;
	bool opened, bad; /* bad: do not try again */
	uint16_t header_bytes;
	uint64_t abbrev_offset;
	struct dw_abbrevs *abbrevs;
	/* of its first entry, once opened */
	uint64_t low, strings_base, address_base, ranges_base, lines; /* DW_NO_OFFSET: none */
	const char *folder;
	const char *dwo; /* its name, or NULL */
	uint64_t dwo_id; /* what the two parts of a unit know one another by, 0 none */
	bool is_split;   /* its entries are in a .dwo file */
	struct dw_unit
		*skeleton;     /* of a unit in a .dwo file: has the addresses, ranges and lines */
	uint64_t ranges_start; /* what DW_AT_ranges counts from */
	bool is_code;          /* a compile unit, no partial or type unit */
	struct dw_functions *functions;
	struct dw_rows *rows;
	uint64_t used;  /* when, by the index's own clock */
	uint64_t bytes; /* of what hangs on it */
};

/* -EBADMSG. */
int dw_unit_read_header(struct dw_unit *u, struct dw_file *f, uint64_t offset);
/* Abbreviations and first entry. -EBADMSG, -ENOMEM. */
int dw_unit_open(struct dw_unit *u);
/* The first entry alone, without keeping the abbreviations. */
int dw_unit_peek(struct dw_unit *u, struct dw_entry *ret);
/* Frees what hangs on it. */
void dw_unit_drop(struct dw_unit *u);

static inline const uint8_t *dw_unit_start(const struct dw_unit *u)
{
	return u->file->sections[DW_INFO].data + u->offset;
}
static inline const uint8_t *dw_unit_end(const struct dw_unit *u)
{
	return dw_unit_start(u) + u->unit_bytes;
}

/* Memory that now hangs on it. */
static inline void dw_unit_account(struct dw_unit *u, uint64_t bytes)
{
	u->bytes += bytes;
	u->file->unit_bytes += bytes;
}

/* Reads the entry at `at`. 0; 1: the end of a list of children; -EBADMSG. Only of an opened unit. */
int dw_entry_read(const struct dw_unit *u, const uint8_t *at, struct dw_entry *ret);
static inline bool dw_entry_has(const struct dw_entry *e, enum dw_slot slot)
{
	return e->have >> slot & 1;
}
/* The abbreviation of the entry at *at, which moves behind its code; NULL with *ret_end the end of
 * a list, or broken without. */
const struct dw_abbrev *dw_entry_abbrev(const struct dw_unit *u, const uint8_t **at, bool *ret_end);
/* Moves *at from behind the code to behind the entry. */
bool dw_entry_skip(const struct dw_unit *u, const struct dw_abbrev *a, const uint8_t **at);
/* DW_AT_sibling, from behind the code of an abbreviation with sibling_bytes; NULL nonsense. */
const uint8_t *dw_entry_sibling(const struct dw_unit *u, const struct dw_abbrev *a,
				const uint8_t *at);

/* Values of an entry of u. */
bool dw_value_address(const struct dw_unit *u, const struct dw_value *v, uint64_t *ret);
const char *dw_value_string(const struct dw_unit *u, const struct dw_value *v);
uint32_t dw_value_u32(const struct dw_value *v); /* 0 where it does not fit */
/* The entry that is referred to, in an opened unit; NULL. */
const uint8_t *dw_value_entry(const struct dw_unit *u, const struct dw_value *v,
			      struct dw_unit **ret_unit);

typedef int (*dw_range_t)(void *arg, uint64_t low, uint64_t high);
/* Calls for each range of code that the entry has. What `fn` returned when not 0; -EBADMSG. */
int dw_entry_ranges(const struct dw_unit *u, const struct dw_entry *e, dw_range_t fn, void *arg);
