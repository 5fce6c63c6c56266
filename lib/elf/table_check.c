/* SPDX-License-Identifier: Apache-2.0 */
/* Readers of a blob, and the check that lets them trust it. */
#include "table.h"

#include <stdbool.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

static size_t pages_bytes(const struct cprof_table *t)
{
	return ((size_t)t->n_pages * sizeof(struct cprof_page) + CPROF_PAGE_SIZE - 1) &
	       ~(size_t)(CPROF_PAGE_SIZE - 1);
}

static const struct cprof_page *table_pages(const void *blob)
{
	return (const void *)((const char *)blob + CPROF_PAGE_SIZE);
}

static const uint32_t *table_rows(const void *blob)
{
	return (const void *)((const char *)blob + CPROF_PAGE_SIZE + pages_bytes(blob));
}

static const struct cprof_rule *table_rules(const void *blob)
{
	const struct cprof_table *t = blob;

	return (const void *)((const char *)table_rows(blob) +
			      (size_t)t->n_blocks * CPROF_PAGE_SIZE);
}

static const struct cprof_table_segment *table_segments(const void *blob)
{
	return (const void *)((const char *)blob + sizeof(struct cprof_table));
}

static int check_header(const struct cprof_table *t, size_t bytes)
{
	const uint32_t known = CPROF_TABLE_NO_CFI | CPROF_TABLE_GO | CPROF_TABLE_CUT;
	size_t rules;

	if (t->magic != CPROF_TABLE_MAGIC)
		return -EBADMSG;
	if (t->version != CPROF_TABLE_VERSION)
		return -EPROTONOSUPPORT;
	if (t->bytes != bytes || (t->flags & ~known) || t->n_pages > CPROF_TABLE_MAX_PAGES ||
	    t->n_blocks > CPROF_TABLE_MAX_BLOCKS || t->n_rules > CPROF_MAX_RULES ||
	    (t->n_rules != 0 && t->n_rules < CPROF_RULE_RESERVED) ||
	    t->n_segments > CPROF_TABLE_MAX_SEGMENTS || t->base % CPROF_PAGE_SIZE != 0 ||
	    t->base > UINT64_MAX - ((uint64_t)CPROF_TABLE_MAX_PAGES << CPROF_PAGE_SHIFT))
		return -EBADMSG;
	if (!(t->flags & CPROF_TABLE_NO_CFI) != (t->n_rows != 0))
		return -EBADMSG;

	rules = (t->n_rules * sizeof(struct cprof_rule) + CPROF_PAGE_SIZE - 1) &
		~(size_t)(CPROF_PAGE_SIZE - 1);
	if (bytes !=
	    CPROF_PAGE_SIZE + pages_bytes(t) + (size_t)t->n_blocks * CPROF_PAGE_SIZE + rules)
		return -EBADMSG;
	for (unsigned i = 0; i < ARRAY_SIZE(t->reserved); i++)
		if (t->reserved[i])
			return -EBADMSG;
	return 0;
}

static bool checksum_right(const void *blob, size_t bytes)
{
	struct cprof_table h;
	XXH3_state_t *x = XXH3_createState();
	uint64_t sum;

	if (!x)
		return false;
	memcpy(&h, blob, sizeof(h));
	h.checksum = 0;
	XXH3_64bits_reset(x);
	XXH3_64bits_update(x, &h, sizeof(h));
	XXH3_64bits_update(x, (const char *)blob + sizeof(h), bytes - sizeof(h));
	sum = XXH3_64bits_digest(x);
	XXH3_freeState(x);
	return sum == ((const struct cprof_table *)blob)->checksum;
}

static int check_segments(const struct cprof_table *t)
{
	const struct cprof_table_segment *s = table_segments(t);

	for (uint32_t i = 0; i < t->n_segments; i++) {
		if (s[i].bytes > UINT64_MAX - s[i].offset || s[i].bytes > UINT64_MAX - s[i].vaddr)
			return -EBADMSG;
		if (i > 0 && s[i].offset < s[i - 1].offset)
			return -EBADMSG;
	}
	return 0;
}

static bool value_right(uint8_t kind, int32_t off)
{
	return kind <= CPROF_SAVE_UNDEFINED && (kind != CPROF_SAVE_REG || (off >= 0 && off <= 15));
}

static int check_rules(const struct cprof_table *t)
{
	static const struct cprof_rule zero;
	const struct cprof_rule *rules = table_rules(t);

	for (uint32_t i = 0; i < t->n_rules; i++) {
		const struct cprof_rule *r = &rules[i];

		if (i < CPROF_RULE_RESERVED) {
			if (memcmp(r, &zero, sizeof(zero)) != 0)
				return -EBADMSG;
			continue;
		}
		if (r->cfa_kind > CPROF_CFA_INDEX_DEREF ||
		    (r->cfa_reg > 15 && r->cfa_kind != CPROF_CFA_INDEX_DEREF) ||
		    r->ra_kind == CPROF_SAVE_SAME || r->ra_kind == CPROF_SAVE_UNDEFINED ||
		    !value_right(r->ra_kind, r->ra_off) || !value_right(r->bp_kind, r->bp_off) ||
		    !value_right(r->bx_kind_off & 0xff, (int32_t)r->bx_kind_off >> 8))
			return -EBADMSG;
	}
	return 0;
}

static bool rule_right(const struct cprof_table *t, uint32_t rule)
{
	uint32_t i = rule & ~CPROF_RULE_INDEXED;

	if (!(rule & CPROF_RULE_INDEXED))
		return true;
	if (i < CPROF_RULE_RESERVED)
		return i <= CPROF_RULE_CLONE;
	return i < t->n_rules;
}

static bool page_right(const struct cprof_table *t, const struct cprof_page *p)
{
	return p->block < t->n_blocks && p->first + p->count <= CPROF_ROWS_PER_BLOCK;
}

static int check_pages(const struct cprof_table *t)
{
	const struct cprof_page *pages = table_pages(t);
	const uint32_t *rows = table_rows(t);
	uint64_t n_rows = 0;

	for (uint32_t i = 0; i < t->n_pages; i++) {
		const struct cprof_page *p = &pages[i];
		const uint32_t *row;
		uint32_t last = 0;

		if (p->count == 0)
			continue;
		if (!page_right(t, p))
			return -EBADMSG;

		row = rows + (size_t)p->block * CPROF_ROWS_PER_BLOCK + p->first;
		for (uint32_t j = 0; j < p->count; j++) {
			uint32_t addr = CPROF_ROW_ADDR(row[j]);

			if ((j == 0 ? addr != 0 : addr <= last) || addr >= CPROF_PAGE_SIZE ||
			    !rule_right(t, CPROF_ROW_RULE(row[j])))
				return -EBADMSG;
			last = addr;
		}
		n_rows += p->count;
	}
	return n_rows == t->n_rows ? 0 : -EBADMSG;
}

int table_check_head(const void *blob, size_t bytes)
{
	int r;

	if (bytes < CPROF_PAGE_SIZE || bytes > TABLE_MAX_BYTES)
		return -EBADMSG;

	r = check_header(blob, bytes);
	if (r == 0)
		r = check_segments(blob);
	if (r == 0)
		r = check_rules(blob);
	return r;
}

int table_check(const void *blob, size_t bytes)
{
	int r = table_check_head(blob, bytes);

	if (r < 0)
		return r;
	return checksum_right(blob, bytes) ? check_pages(blob) : -EBADMSG;
}

void table_summarize(const void *blob, struct table_summary *ret)
{
	const struct cprof_table *t = blob;

	*ret = (struct table_summary){
		.flags = t->flags,
		.n_rows = t->n_rows,
		.n_pages = t->n_pages,
		.n_blocks = t->n_blocks,
		.n_rules = t->n_rules,
		.n_segments = t->n_segments,
		.n_cut = t->n_cut,
		.bytes = t->bytes,
	};
}

uint16_t table_find(const void *blob, uint64_t vaddr)
{
	const struct cprof_table *t = blob;
	uint64_t page = (vaddr - t->base) >> CPROF_PAGE_SHIFT;
	uint32_t at = vaddr & (CPROF_PAGE_SIZE - 1), lo = 0, hi;
	const struct cprof_page *p;
	const uint32_t *rows;

	if (vaddr < t->base || page >= t->n_pages)
		return CPROF_RULE_NONE;
	p = &table_pages(blob)[page];
	if (p->count == 0 || !page_right(t, p))
		return CPROF_RULE_NONE;

	/* rows[0] is at address 0: the row asked for is at lo, and hi is past it */
	rows = table_rows(blob) + (size_t)p->block * CPROF_ROWS_PER_BLOCK + p->first;
	for (hi = p->count; hi - lo > 1;) {
		uint32_t mid = lo + (hi - lo) / 2;

		if (CPROF_ROW_ADDR(rows[mid]) <= at)
			lo = mid;
		else
			hi = mid;
	}
	return CPROF_ROW_RULE(rows[lo]);
}

const struct cprof_rule *table_rule(const void *blob, uint16_t rule)
{
	uint32_t i = rule & ~CPROF_RULE_INDEXED;

	if (!(rule & CPROF_RULE_INDEXED) || i < CPROF_RULE_RESERVED ||
	    i >= ((const struct cprof_table *)blob)->n_rules)
		return NULL;
	return &table_rules(blob)[i];
}

int table_vaddr(const void *blob, uint64_t offset, uint64_t *ret_vaddr)
{
	const struct cprof_table_segment *s = table_segments(blob);
	const struct cprof_table *t = blob;
	const uint64_t mask = CPROF_PAGE_SIZE - 1;

	for (uint32_t i = 0; i < t->n_segments; i++)
		if (offset >= s[i].offset && offset - s[i].offset < s[i].bytes) {
			*ret_vaddr = s[i].vaddr + (offset - s[i].offset);
			return 0;
		}

	/* what is mapped is whole pages: a mapping begins before the segment, or reaches past it */
	for (uint32_t i = 0; i < t->n_segments; i++) {
		uint64_t before = s[i].offset & mask, start = s[i].offset - before;
		uint64_t bytes = before + s[i].bytes;

		if (before > s[i].vaddr || bytes > UINT64_MAX - mask)
			continue;
		bytes = (bytes + mask) & ~mask;
		if (offset >= start && offset - start < bytes) {
			*ret_vaddr = s[i].vaddr - before + (offset - start);
			return 0;
		}
	}
	return -ENOENT;
}
