/* SPDX-License-Identifier: Apache-2.0 */

/*
 * Unwind tables into BPF maps. An inner map is filled through shared memory before it is put in
 * its slot, so that loading takes one bpf() call however large the table is: the kernel skips
 * perf_event programs on a CPU that is in a map call. Rules that do not fit into their rows are
 * kept once for all files.
 */

#include "sampling.h"

#include <bpf/bpf.h>
#include <string.h>
#include <sys/mman.h>

#include "cleanup.h"

/* Open addressing, twice as many as there can be rules. */
#define HASH_SLOTS          (2 * CPROF_MAX_RULES)
#define ROW_IS_INDEXED(row) ((row) >> 31)

struct loaded {
	uint16_t *rules; /* global ones that it holds */
	uint32_t n_rules;
	uint64_t bytes; /* 0: nothing loaded */
};

struct kernel_tables {
	struct kernel *kernel;
	struct loaded slots[CPROF_MAX_TABLES];
	uint32_t refs[CPROF_MAX_RULES];
	uint16_t hash[HASH_SLOTS]; /* rule index, 0: free */
	uint16_t *free;            /* stack of free rule indices */
	uint32_t n_free;
	uint32_t next; /* rules never used yet */
	uint64_t bytes;
};

/* The parts of a blob. */
struct blob {
	const struct cprof_table *header;
	const struct cprof_page *pages;
	const uint32_t *rows;
	const struct cprof_rule *rules;
	uint32_t page_blocks;
};

int kernel_tables_new(struct kernel_tables **ret, struct kernel *k)
{
	struct kernel_tables *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;
	t->free = calloc(CPROF_MAX_RULES, sizeof(*t->free));
	if (!t->free) {
		free(t);
		return -ENOMEM;
	}
	t->kernel = k;
	t->next = CPROF_RULE_RESERVED;
	*ret = t;
	return 0;
}

struct kernel_tables *kernel_tables_free(struct kernel_tables *t)
{
	if (!t)
		return NULL;
	for (unsigned i = 0; i < CPROF_MAX_TABLES; i++)
		free(t->slots[i].rules);
	free(t->free);
	free(t);
	return NULL;
}

uint64_t kernel_tables_bytes(const struct kernel_tables *t)
{
	return t->bytes;
}

static uint32_t page_blocks(uint32_t n_pages)
{
	return (n_pages + CPROF_PAGES_PER_BLOCK - 1) / CPROF_PAGES_PER_BLOCK;
}

uint64_t sampler_table_bytes(uint32_t n_pages, uint32_t n_blocks)
{
	/* and the page that the kernel keeps the map itself in */
	return ((uint64_t)page_blocks(n_pages) + n_blocks + 1) * CPROF_PAGE_SIZE;
}

/* Bounds only: what the rows say is the caller's. */
static int blob_open(const void *data, size_t bytes, struct blob *ret)
{
	const struct cprof_table *h = data;
	uint64_t rows_at, rules_at;

	if (bytes < CPROF_PAGE_SIZE || h->magic != CPROF_TABLE_MAGIC ||
	    h->version != CPROF_TABLE_VERSION || h->n_pages > CPROF_TABLE_MAX_PAGES ||
	    !h->n_pages || h->n_blocks > CPROF_TABLE_MAX_BLOCKS || h->n_rules > CPROF_MAX_RULES)
		return -EINVAL;
	rows_at = (1 + (uint64_t)page_blocks(h->n_pages)) * CPROF_PAGE_SIZE;
	rules_at = rows_at + (uint64_t)h->n_blocks * CPROF_PAGE_SIZE;
	if (rules_at + (uint64_t)h->n_rules * sizeof(struct cprof_rule) > bytes)
		return -EINVAL;
	*ret = (struct blob){
		.header = h,
		.pages = (const void *)((const char *)data + CPROF_PAGE_SIZE),
		.rows = (const void *)((const char *)data + rows_at),
		.rules = (const void *)((const char *)data + rules_at),
		.page_blocks = page_blocks(h->n_pages),
	};
	return 0;
}

static uint32_t rule_hash(const struct cprof_rule *rule)
{
	const uint8_t *p = (const uint8_t *)rule;
	uint32_t h = 2166136261U;

	for (size_t i = 0; i < sizeof(*rule); i++)
		h = (h ^ p[i]) * 16777619U;
	return h ^ h >> 15;
}

/* The hash slot that holds an equal rule, or the free one where it would go. */
static uint32_t rule_find(const struct kernel_tables *t, const struct cprof_rule *rule)
{
	uint32_t at = rule_hash(rule) % HASH_SLOTS;

	while (t->hash[at] && memcmp(&t->kernel->rules[t->hash[at]], rule, sizeof(*rule)) != 0)
		at = (at + 1) % HASH_SLOTS;
	return at;
}

/* A reference on the global rule equal to this one; its index, or -ENOSPC. */
static int rule_get(struct kernel_tables *t, const struct cprof_rule *rule)
{
	uint32_t at = rule_find(t, rule), index = t->hash[at];

	if (!index) {
		if (t->n_free)
			index = t->free[--t->n_free];
		else if (t->next < CPROF_MAX_RULES)
			index = t->next++;
		else
			return -ENOSPC;
		t->kernel->rules[index] = *rule;
		t->hash[at] = (uint16_t)index;
	}
	t->refs[index]++;
	return (int)index;
}

/* Takes the entry at hash slot `at` out, and moves those that it displaced back. */
static void rule_unhash(struct kernel_tables *t, uint32_t at)
{
	uint32_t next = at;

	t->hash[at] = 0;
	for (;;) {
		uint32_t home;

		next = (next + 1) % HASH_SLOTS;
		if (!t->hash[next])
			return;
		home = rule_hash(&t->kernel->rules[t->hash[next]]) % HASH_SLOTS;
		if ((next - home) % HASH_SLOTS < (next - at) % HASH_SLOTS)
			continue;
		t->hash[at] = t->hash[next];
		t->hash[next] = 0;
		at = next;
	}
}

static void rule_put(struct kernel_tables *t, uint32_t index)
{
	if (--t->refs[index])
		return;
	rule_unhash(t, rule_find(t, &t->kernel->rules[index]));
	t->free[t->n_free++] = (uint16_t)index;
}

static void put_rules(struct kernel_tables *t, struct loaded *l)
{
	uint32_t n_free = t->n_free;

	for (uint32_t i = 0; i < l->n_rules; i++)
		rule_put(t, l->rules[i]);
	/* cached rules may name an index that is about to mean something else */
	if (t->n_free != n_free)
		__atomic_fetch_add(&t->kernel->control->rules_epoch, 1, __ATOMIC_SEQ_CST);
	free(l->rules);
	*l = (struct loaded){};
}

/* Global rules for those of the file; map[i] for the file's rule i. */
static int get_rules(struct kernel_tables *t, const struct blob *b, struct loaded *l)
{
	uint32_t n = b->header->n_rules;

	if (n <= CPROF_RULE_RESERVED)
		return 0;
	l->rules = calloc(n - CPROF_RULE_RESERVED, sizeof(*l->rules));
	if (!l->rules)
		return -ENOMEM;
	for (uint32_t i = CPROF_RULE_RESERVED; i < n; i++) {
		int r = rule_get(t, &b->rules[i]);

		if (r < 0) {
			put_rules(t, l);
			return r;
		}
		l->rules[l->n_rules++] = (uint16_t)r;
	}
	return 0;
}

static uint32_t global_row(uint32_t row, const struct loaded *l)
{
	uint32_t index = CPROF_ROW_RULE(row) & (CPROF_RULE_INDEXED - 1U);

	if (!ROW_IS_INDEXED(row) || index < CPROF_RULE_RESERVED)
		return row;
	index -= CPROF_RULE_RESERVED;
	if (index >= l->n_rules)
		return CPROF_ROW(CPROF_ROW_ADDR(row), CPROF_RULE_NONE);
	return CPROF_ROW(CPROF_ROW_ADDR(row), CPROF_RULE_INDEXED | (uint32_t)l->rules[index]);
}

static void fill(void *to, const struct blob *b, const struct loaded *l)
{
	uint32_t *rows = (uint32_t *)((char *)to + (size_t)b->page_blocks * CPROF_PAGE_SIZE);
	size_t n = (size_t)b->header->n_blocks * CPROF_ROWS_PER_BLOCK;

	memcpy(to, b->pages, b->header->n_pages * sizeof(struct cprof_page));
	if (!l->n_rules) {
		memcpy(rows, b->rows, n * sizeof(*rows));
		return;
	}
	for (size_t i = 0; i < n; i++)
		rows[i] = global_row(b->rows[i], l);
}

/* An inner map that holds the table; its descriptor. */
static int make_map(const struct blob *b, const struct loaded *l)
{
	LIBBPF_OPTS(bpf_map_create_opts, opts, .map_flags = BPF_F_INNER_MAP | BPF_F_MMAPABLE);
	uint32_t n = b->page_blocks + b->header->n_blocks;
	_cleanup_close_ int fd = -1;
	void *p;

	fd = bpf_map_create(BPF_MAP_TYPE_ARRAY, "cprof_table", sizeof(uint32_t), CPROF_PAGE_SIZE, n,
			    &opts);
	if (fd < 0)
		return -errno;
	p = mmap(NULL, (size_t)n * CPROF_PAGE_SIZE, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	if (p == MAP_FAILED)
		return -errno;
	fill(p, b, l);
	munmap(p, (size_t)n * CPROF_PAGE_SIZE);
	return TAKE_FD(fd);
}

int sampler_table_unload(struct sampler *s, unsigned slot)
{
	struct kernel_tables *t = s->tables;
	uint32_t key = slot;

	if (slot < CPROF_SLOT_FIRST || slot >= CPROF_MAX_TABLES)
		return -EINVAL;
	if (!t->slots[slot].bytes)
		return 0;
	s->kernel.slots[slot] = (struct cprof_slot_info){};
	if (bpf_map_delete_elem(s->kernel.tables_fd, &key) < 0)
		return -errno;
	t->bytes -= t->slots[slot].bytes;
	put_rules(t, &t->slots[slot]);
	return 0;
}

static int put_map(struct sampler *s, unsigned slot, const struct blob *b, const struct loaded *l)
{
	_cleanup_close_ int fd = -1;
	uint32_t key = slot;

	fd = make_map(b, l);
	if (fd < 0)
		return fd;
	if (bpf_map_update_elem(s->kernel.tables_fd, &key, &fd, BPF_ANY) < 0)
		return -errno;
	s->kernel.slots[slot].base = b->header->base;
	s->kernel.slots[slot].page_blocks = b->page_blocks;
	s->kernel.slots[slot].n_blocks = b->header->n_blocks;
	__atomic_store_n(&s->kernel.slots[slot].n_pages, b->header->n_pages, __ATOMIC_RELEASE);
	return 0;
}

int sampler_table_load(struct sampler *s, unsigned slot, const void *blob, size_t blob_bytes)
{
	struct kernel_tables *t = s->tables;
	struct loaded l = {};
	struct blob b;
	int r;

	if (slot < CPROF_SLOT_FIRST || slot >= CPROF_MAX_TABLES)
		return -EINVAL;
	r = blob_open(blob, blob_bytes, &b);
	if (r < 0)
		return r;
	r = sampler_table_unload(s, slot);
	if (r < 0)
		return r;
	r = get_rules(t, &b, &l);
	if (r < 0)
		return r;
	r = put_map(s, slot, &b, &l);
	if (r < 0) {
		put_rules(t, &l);
		return r;
	}
	l.bytes = sampler_table_bytes(b.header->n_pages, b.header->n_blocks);
	t->slots[slot] = l;
	t->bytes += l.bytes;
	return 0;
}
