/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of assembly that has no CFI, in the gaps that CFI leaves: code.h. */
#include "table_build.h"

#include "symtab.h"

/* Shorter gaps are padding. */
#define GAP_MIN_BYTES 8
/* Of all gaps of a file together: a bound on the time that a hostile one takes. */
#define GAPS_MAX_BYTES (4U << 20)

struct starts {
	uint64_t *addr; /* sorted; some twice */
	size_t n, allocated;
};

static void starts_done(struct starts *s)
{
	free(s->addr);
}

static int starts_add(struct starts *s, uint64_t addr)
{
	if (s->n == s->allocated) {
		size_t n = MAX((size_t)256, s->allocated * 2);
		uint64_t *p = reallocarray(s->addr, n, sizeof(*p));

		if (!p)
			return -ENOMEM;
		s->addr = p;
		s->allocated = n;
	}
	s->addr[s->n++] = addr;
	return 0;
}

static int by_address(const void *a, const void *b)
{
	const uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return x < y ? -1 : x > y;
}

/* Symbols of functions, and untyped ones: assembly does not always say what is one. */
static int find_starts(const struct build *b, struct starts *s)
{
	_cleanup_(symtabs_done) struct symtabs tables = {};
	int r;

	r = symtabs_add_file(&tables, b->elf);
	if (r == -ENOMEM)
		return r;
	for (size_t t = 0; t < tables.n; t++)
		for (size_t i = 0; i < tables.tables[t].n_symbols; i++) {
			const Elf64_Sym *sym = &tables.tables[t].symbols[i];
			const unsigned type = ELF64_ST_TYPE(sym->st_info);
			size_t next;

			if (sym->st_shndx == SHN_UNDEF || sym->st_value == 0 ||
			    (type != STT_FUNC && type != STT_NOTYPE && type != STT_GNU_IFUNC))
				continue;
			next = extents_after(&b->extents, sym->st_value);
			if (next < b->extents.n && b->extents.e[next].start <= sym->st_value)
				continue;
			r = starts_add(s, sym->st_value);
			if (r < 0)
				return r;
		}
	if (s->n > 0)
		qsort(s->addr, s->n, sizeof(*s->addr), by_address);
	return 0;
}

/* The starts within [start, limit), each once, moved to the front of what is left of them. */
static size_t starts_within(struct starts *s, size_t *at, uint64_t start, uint64_t limit,
			    uint64_t **ret)
{
	size_t n = 0;

	while (*at < s->n && s->addr[*at] < start)
		(*at)++;
	*ret = s->addr + *at;
	for (; *at < s->n && s->addr[*at] < limit; (*at)++)
		if (n == 0 || (*ret)[n - 1] != s->addr[*at])
			(*ret)[n++] = s->addr[*at];
	return n;
}

struct gaps {
	struct build *b;
	struct starts starts;
	size_t at; /* in starts */
	uint64_t left;
	struct extent *list;
	size_t n, allocated;
};

static void gaps_done(struct gaps *g)
{
	starts_done(&g->starts);
	free(g->list);
}

static int gaps_put(struct gaps *g, const struct extent *e)
{
	if (g->n == g->allocated) {
		size_t n = MAX((size_t)64, g->allocated * 2);
		struct extent *p = reallocarray(g->list, n, sizeof(*p));

		if (!p)
			return -ENOMEM;
		g->list = p;
		g->allocated = n;
	}
	g->list[g->n++] = *e;
	return 0;
}

/* An extent for each stretch of rows that say something. */
static int put_extents(struct gaps *g, size_t first)
{
	const struct code_rows *rows = &g->b->code;

	for (size_t i = first; i < rows->n; i++) {
		struct extent e = {
			.start = rows->rows[i].addr,
			.index = (uint32_t)i,
			.source = EXTENT_CODE,
		};
		int r;

		if (rows->rows[i].cfa == 0)
			continue;
		while (i < rows->n && rows->rows[i].cfa != 0)
			i++;
		/* the last row of a gap is always one that says nothing */
		e.limit = rows->rows[i].addr;
		r = gaps_put(g, &e);
		if (r < 0)
			return r;
	}
	return 0;
}

static int gap(struct gaps *g, uint64_t start, uint64_t limit)
{
	_cleanup_(elf_data_done) struct elf_data d = {};
	uint64_t *starts, offset, follows;
	size_t n, first = g->b->code.n;
	int r;

	if (limit - start < GAP_MIN_BYTES || limit - start > MIN(g->left, (uint64_t)CODE_MAX_BYTES))
		return 0;
	r = elf_file_offset(g->b->elf, start, &offset, &follows);
	if (r == 0)
		r = elf_file_load(g->b->elf, offset, MIN(follows, limit - start), CODE_MAX_BYTES,
				  &d);
	if (r < 0)
		return r == -ENOMEM ? r : 0;

	g->left -= d.bytes;
	n = starts_within(&g->starts, &g->at, start, start + d.bytes, &starts);
	r = code_rows_add(&g->b->code, d.data, d.bytes, start, starts, n);
	return r < 0 ? r : put_extents(g, first);
}

/* The gaps in a section of code; what has no sections is left alone. */
static int section_gaps(struct gaps *g, const struct elf_section *s)
{
	const struct extents *x = &g->b->extents;
	uint64_t at = s->addr, limit = s->addr + s->bytes;
	int r = 0;

	if (!table_clip_text(g->b, &at, &limit))
		return 0;
	for (size_t i = extents_after(x, at); i < x->n && x->e[i].start < limit && r == 0; i++) {
		if (x->e[i].start > at)
			r = gap(g, at, x->e[i].start);
		at = MAX(at, x->e[i].limit);
	}
	return r == 0 && at < limit ? gap(g, at, limit) : r;
}

int table_code_extents(struct build *b)
{
	_cleanup_(gaps_done) struct gaps g = { .b = b, .left = GAPS_MAX_BYTES };
	int r;

	/* Go's own tables know its assembly */
	if (b->flags & CPROF_TABLE_GO)
		return 0;
	r = find_starts(b, &g.starts);
	for (size_t i = 1; i < b->elf->n_sections && r == 0; i++) {
		const struct elf_section *s = &b->elf->sections[i];

		if (s->type != SHT_PROGBITS || !(s->flags & SHF_EXECINSTR) ||
		    s->bytes > UINT64_MAX - s->addr)
			continue;
		/* symbols are sorted, sections need not be */
		g.at = 0;
		r = section_gaps(&g, s);
	}
	if (r < 0 || g.n == 0)
		return r;
	return extents_add(&b->extents, g.list, g.n, NULL);
}

void table_code_rows(struct build *b, const struct extent *e)
{
	b->n_functions++;
	for (size_t i = e->index; i < b->code.n && b->code.rows[i].addr < e->limit; i++) {
		const struct code_row *row = &b->code.rows[i];
		struct cfi_state s = {
			.cfa = { .kind = CFI_CFA_REG,
				 .reg = row->cfa_in_bp ? CFI_RBP : CFI_RSP,
				 .off = row->cfa },
			.ra = { .kind = CFI_AT_CFA, .off = -8 },
			.bp = { .kind = row->bp ? CFI_AT_CFA : CFI_SAME, .off = -row->bp },
		};

		if (row->addr >= e->start)
			table_writer_row(b->writer, row->addr, table_state_rule(b, &s));
	}
}
