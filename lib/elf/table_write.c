/* SPDX-License-Identifier: Apache-2.0 */
#include "table_write.h"

#include <stdbool.h>
#include <string.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

/* Blocks that still take pages. With sixteen to choose from, under 1 % of the rows are padding. */
#define OPEN_BLOCKS 16
#define RULE_SLOTS  (1U << 16) /* power of two, twice the largest index */

struct table_writer {
	int error;
	uint32_t n_cut;

	uint64_t row_addr; /* the row that waits for a successor */
	uint16_t row_rule;
	bool row_waits;

	bool started;
	uint64_t base_page, page; /* of the first row; of rows[] below */
	uint16_t in_force;
	uint32_t rows[CPROF_ROWS_PER_BLOCK];
	uint32_t n_page_rows;

	struct cprof_page *pages;
	uint32_t n_pages, allocated_pages;
	uint32_t *blocks; /* n_blocks * CPROF_ROWS_PER_BLOCK */
	uint32_t n_blocks, allocated_blocks;
	uint64_t n_rows;
	struct {
		uint32_t block, used;
	} open[OPEN_BLOCKS];
	unsigned n_open;

	struct cprof_rule *rules;
	uint32_t n_rules, allocated_rules;
	uint16_t *rule_slots; /* index, 0 free */
};

int table_writer_new(struct table_writer **ret)
{
	_cleanup_(table_writer_freep) struct table_writer *w = NULL;

	w = calloc(1, sizeof(*w));
	if (!w)
		return -ENOMEM;
	w->rule_slots = calloc(RULE_SLOTS, sizeof(*w->rule_slots));
	if (!w->rule_slots)
		return -ENOMEM;

	*ret = TAKE_PTR(w);
	return 0;
}

struct table_writer *table_writer_free(struct table_writer *w)
{
	if (!w)
		return NULL;

	free(w->pages);
	free(w->blocks);
	free(w->rules);
	free(w->rule_slots);
	free(w);
	return NULL;
}

void table_writer_cut(struct table_writer *w, uint32_t n)
{
	if (__builtin_add_overflow(w->n_cut, n, &w->n_cut))
		w->n_cut = UINT32_MAX;
}

static int grow(void **array, uint32_t *allocated, uint32_t need, size_t size)
{
	uint32_t n = MAX(*allocated, 64U);
	void *p;

	if (need <= *allocated)
		return 0;
	while (n < need)
		n *= 2;
	p = reallocarray(*array, n, size);
	if (!p)
		return -ENOMEM;

	*array = p;
	*allocated = n;
	return 0;
}

static int new_block(struct table_writer *w, unsigned *ret_open)
{
	const size_t bytes = CPROF_ROWS_PER_BLOCK * sizeof(uint32_t);
	unsigned slot = w->n_open;
	int r;

	if (w->n_blocks == CPROF_TABLE_MAX_BLOCKS)
		return -ENOSPC;
	r = grow((void **)&w->blocks, &w->allocated_blocks, w->n_blocks + 1, bytes);
	if (r < 0)
		return r;
	memset(w->blocks + (size_t)w->n_blocks * CPROF_ROWS_PER_BLOCK, 0, bytes);

	if (slot == OPEN_BLOCKS) {
		slot = 0;
		for (unsigned i = 1; i < OPEN_BLOCKS; i++)
			if (w->open[i].used > w->open[slot].used)
				slot = i;
	} else {
		w->n_open++;
	}
	w->open[slot].block = w->n_blocks++;
	w->open[slot].used = 0;
	*ret_open = slot;
	return 0;
}

/* The fullest open block that has room: best fit. */
static int place_rows(struct table_writer *w, struct cprof_page *page)
{
	uint32_t n = w->n_page_rows;
	unsigned best = OPEN_BLOCKS;
	int r;

	for (unsigned i = 0; i < w->n_open; i++)
		if (w->open[i].used + n <= CPROF_ROWS_PER_BLOCK &&
		    (best == OPEN_BLOCKS || w->open[i].used > w->open[best].used))
			best = i;
	if (best == OPEN_BLOCKS) {
		r = new_block(w, &best);
		if (r < 0)
			return r;
	}

	page->block = w->open[best].block;
	page->first = (__u16)w->open[best].used;
	page->count = (__u16)n;
	memcpy(w->blocks + (size_t)page->block * CPROF_ROWS_PER_BLOCK + page->first, w->rows,
	       n * sizeof(*w->rows));
	w->open[best].used += n;
	w->n_rows += n;
	return 0;
}

/* Ends the page at hand; the next begins with the rule in force. */
static int end_page(struct table_writer *w)
{
	struct cprof_page page = {};
	int r;

	if (w->n_pages == CPROF_TABLE_MAX_PAGES)
		return -ENOSPC;
	r = grow((void **)&w->pages, &w->allocated_pages, w->n_pages + 1, sizeof(*w->pages));
	if (r < 0)
		return r;

	if (w->n_page_rows > 1 || CPROF_ROW_RULE(w->rows[0]) != CPROF_RULE_NONE) {
		r = place_rows(w, &page);
		if (r < 0)
			return r;
	}

	w->pages[w->n_pages++] = page;
	w->page++;
	w->rows[0] = CPROF_ROW(0, w->in_force);
	w->n_page_rows = 1;
	return 0;
}

static int commit_row(struct table_writer *w, uint64_t addr, uint16_t rule)
{
	uint64_t page = addr >> CPROF_PAGE_SHIFT;
	uint32_t at = addr & (CPROF_PAGE_SIZE - 1);
	int r;

	if (rule == w->in_force)
		return 0;
	if (!w->started) {
		w->started = true;
		w->base_page = w->page = page;
		w->rows[0] = CPROF_ROW(0, CPROF_RULE_NONE);
		w->n_page_rows = 1;
	}
	/* more text than a table can hold: the rest stays without rows */
	if (page - w->base_page >= CPROF_TABLE_MAX_PAGES) {
		table_writer_cut(w, 1);
		return 0;
	}
	while (w->page < page) {
		r = end_page(w);
		if (r < 0)
			return r;
	}

	w->in_force = rule;
	if (at == 0) {
		w->rows[0] = CPROF_ROW(0, rule);
	} else if (w->n_page_rows < CPROF_ROWS_PER_BLOCK) {
		w->rows[w->n_page_rows++] = CPROF_ROW(at, rule);
	} else {
		/* a page of 1,024 rows is full: nothing is known of what comes after */
		uint32_t last = CPROF_ROW_ADDR(w->rows[CPROF_ROWS_PER_BLOCK - 1]);

		w->rows[CPROF_ROWS_PER_BLOCK - 1] = CPROF_ROW(last, CPROF_RULE_NONE);
		table_writer_cut(w, 1);
	}
	return 0;
}

void table_writer_row(struct table_writer *w, uint64_t addr, uint16_t rule)
{
	if (w->error)
		return;

	if (w->row_waits && addr < w->row_addr)
		return;
	if (w->row_waits && addr > w->row_addr)
		w->error = commit_row(w, w->row_addr, w->row_rule);
	w->row_addr = addr;
	w->row_rule = rule;
	w->row_waits = true;
}

uint16_t table_writer_rule(struct table_writer *w, const struct cprof_rule *rule)
{
	uint32_t slot = (uint32_t)XXH3_64bits(rule, sizeof(*rule)) & (RULE_SLOTS - 1);

	while (w->rule_slots[slot] != 0) {
		uint16_t i = w->rule_slots[slot];

		if (memcmp(&w->rules[i], rule, sizeof(*rule)) == 0)
			return CPROF_RULE_INDEXED | i;
		slot = (slot + 1) & (RULE_SLOTS - 1);
	}

	if (w->n_rules == 0)
		w->n_rules = CPROF_RULE_RESERVED;
	if (w->n_rules == CPROF_MAX_RULES) {
		table_writer_cut(w, 1);
		return CPROF_RULE_NONE;
	}
	if (grow((void **)&w->rules, &w->allocated_rules, w->n_rules + 1, sizeof(*w->rules)) < 0) {
		w->error = -ENOMEM;
		return CPROF_RULE_NONE;
	}
	if (w->n_rules == CPROF_RULE_RESERVED)
		memset(w->rules, 0, CPROF_RULE_RESERVED * sizeof(*w->rules));

	w->rules[w->n_rules] = *rule;
	w->rule_slots[slot] = (uint16_t)w->n_rules;
	return CPROF_RULE_INDEXED | (uint16_t)w->n_rules++;
}

static size_t page_align(size_t n)
{
	return (n + CPROF_PAGE_SIZE - 1) & ~(size_t)(CPROF_PAGE_SIZE - 1);
}

static int end_rows(struct table_writer *w)
{
	int r;

	if (!w->error && w->row_waits)
		w->error = commit_row(w, w->row_addr, w->row_rule);
	/* reserved rules are in the table as soon as a row may index it */
	if (!w->error && w->started && w->n_rules == 0) {
		static const struct cprof_rule none;

		r = grow((void **)&w->rules, &w->allocated_rules, CPROF_RULE_RESERVED,
			 sizeof(none));
		if (r < 0)
			return r;
		memset(w->rules, 0, CPROF_RULE_RESERVED * sizeof(none));
		w->n_rules = CPROF_RULE_RESERVED;
	}
	if (!w->error && w->started)
		w->error = end_page(w);
	return w->error;
}

int table_writer_finish(struct table_writer *w, uint32_t flags,
			const struct cprof_table_segment *segments, uint32_t n_segments,
			struct buf *out)
{
	size_t pages_bytes, rows_bytes, rules_bytes, bytes;
	struct cprof_table h;
	char *p;
	int r;

	r = end_rows(w);
	if (r < 0)
		return r;

	pages_bytes = page_align(w->n_pages * sizeof(*w->pages));
	rows_bytes = (size_t)w->n_blocks * CPROF_PAGE_SIZE;
	rules_bytes = page_align(w->n_rules * sizeof(*w->rules));
	bytes = CPROF_PAGE_SIZE + pages_bytes + rows_bytes + rules_bytes;
	p = buf_reserve(out, bytes);
	if (!p)
		return out->error;
	memset(p, 0, CPROF_PAGE_SIZE + pages_bytes);
	memset(p + CPROF_PAGE_SIZE + pages_bytes + rows_bytes, 0, rules_bytes);

	h = (struct cprof_table){
		.magic = CPROF_TABLE_MAGIC,
		.version = CPROF_TABLE_VERSION,
		.flags = flags | (w->n_cut ? CPROF_TABLE_CUT : 0) |
			 (w->n_rows ? 0 : CPROF_TABLE_NO_CFI),
		.base = w->base_page << CPROF_PAGE_SHIFT,
		.n_pages = w->n_pages,
		.n_blocks = w->n_blocks,
		.n_rows = (__u32)w->n_rows,
		.n_rules = w->n_rules,
		.bytes = bytes,
		.n_segments = n_segments,
		.n_cut = w->n_cut,
	};
	memcpy(p, &h, sizeof(h));
	if (n_segments)
		memcpy(p + sizeof(h), segments, n_segments * sizeof(*segments));
	if (w->n_pages)
		memcpy(p + CPROF_PAGE_SIZE, w->pages, w->n_pages * sizeof(*w->pages));
	if (rows_bytes)
		memcpy(p + CPROF_PAGE_SIZE + pages_bytes, w->blocks, rows_bytes);
	if (w->n_rules)
		memcpy(p + CPROF_PAGE_SIZE + pages_bytes + rows_bytes, w->rules,
		       w->n_rules * sizeof(*w->rules));

	h.checksum = XXH3_64bits(p, bytes);
	memcpy(p, &h, sizeof(h));
	out->size += bytes;
	out->data[out->size] = 0;
	return 0;
}
