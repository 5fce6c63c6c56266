/* SPDX-License-Identifier: Apache-2.0 */
#include "symtab.h"

#include <ctype.h>
#include <string.h>

#include "demangle.h"

enum { RANK_LOCAL_UNTYPED = 1, RANK_UNTYPED, RANK_FUNCTION };

void symtabs_done(struct symtabs *t)
{
	for (size_t i = 0; i < t->n; i++) {
		free(t->tables[i].owned);
		free(t->tables[i].sections);
	}
	*t = (struct symtabs){ 0 };
}

static int symtab_sections(struct symtab *table, const struct elf_file *f)
{
	table->sections = calloc(f->n_sections + 1, sizeof(*table->sections));
	if (!table->sections)
		return -ENOMEM;

	for (size_t i = 0; i < f->n_sections; i++) {
		const struct elf_section *s = &f->sections[i];
		uint64_t limit;

		if (__builtin_add_overflow(s->addr, s->bytes, &limit))
			continue;
		table->sections[i] = (struct symtab_section){
			.start = s->addr,
			.limit = limit,
			.text = (s->flags & SHF_ALLOC) && (s->flags & SHF_EXECINSTR),
		};
	}
	table->n_sections = f->n_sections;
	return 0;
}

/* In an object file a symbol is a place in its section: as if it were linked, from here on. */
static void symtab_lay_out(Elf64_Sym *symbols, size_t n, const struct elf_file *f)
{
	for (size_t i = 0; i < n; i++)
		if (symbols[i].st_shndx < f->n_sections)
			symbols[i].st_value += f->sections[symbols[i].st_shndx].addr;
}

static int symtabs_add_section(struct symtabs *t, const struct elf_file *f,
			       const struct elf_section *s)
{
	struct symtab *table = &t->tables[t->n];
	const struct elf_section *strings;
	struct elf_data data = { 0 };
	int r;

	if (t->n == SYMTAB_MAX_TABLES)
		return -ENOSPC;
	if (s->link == 0 || s->link >= f->n_sections)
		return -EBADMSG;
	strings = &f->sections[s->link];
	if (strings->type != SHT_STRTAB)
		return -EBADMSG;

	r = elf_section_load(f, s, SYMTAB_MAX_BYTES, &data);
	if (r < 0)
		return r;
	*table = (struct symtab){
		.symbols = (const Elf64_Sym *)data.data,
		.n_symbols = data.bytes / sizeof(Elf64_Sym),
		.file = f,
		.strings_offset = strings->offset,
		.strings_bytes = strings->bytes,
		.source = s->type == SHT_SYMTAB ? SYMBOLIZE_SOURCE_SYMTAB : SYMBOLIZE_SOURCE_DYNSYM,
		.owned = data.data,
	};
	t->n++; /* symtabs_done() frees it from here on */
	if (f->type == ET_REL)
		symtab_lay_out(table->owned, table->n_symbols, f);
	return symtab_sections(table, f);
}

int symtabs_add_file(struct symtabs *t, const struct elf_file *f)
{
	int r, error = 0;

	for (size_t i = 0; i < f->n_sections; i++) {
		const struct elf_section *s = &f->sections[i];

		if (s->type != SHT_SYMTAB && s->type != SHT_DYNSYM)
			continue;
		r = symtabs_add_section(t, f, s);
		if (r == -ENOMEM)
			return r;
		if (r < 0 && r != -ENOENT)
			error = -EBADMSG;
	}
	return error;
}

/* NUL-terminated, cut at size; "" where the offset lies outside. */
static const char *symtab_name(const struct symtab *t, uint32_t offset, char *name, size_t size)
{
	uint64_t n;

	name[0] = '\0';
	if (offset >= t->strings_bytes)
		return name;
	n = MIN((uint64_t)size - 1, t->strings_bytes - offset);
	if (t->strings)
		memcpy(name, t->strings + offset, n);
	else if (elf_file_read(t->file, t->strings_offset + offset, name, n) < 0)
		n = 0;
	name[n] = '\0';
	return name;
}

static const struct symtab_section *symtab_section(const struct symtab *t, const Elf64_Sym *s)
{
	if (s->st_shndx == SHN_UNDEF || s->st_shndx >= t->n_sections)
		return NULL;
	return &t->sections[s->st_shndx];
}

/* Names that the link editor or the compiler left behind and nobody can call: mapping symbols,
 * local labels, and file markers of LTO (`picklebufobject.c.51f5cdde`). */
static bool symtab_is_leftover(const char *name)
{
	const char *dot = strrchr(name, '.');

	if (name[0] == '\0' || name[0] == '$' || name[0] == '.')
		return true;
	return dot && strlen(dot + 1) == 8 && strspn(dot + 1, "0123456789abcdef") == 8;
}

/* 0 where the symbol is no function. */
static uint8_t symtab_rank(const struct symtab *t, const Elf64_Sym *s)
{
	unsigned type = ELF64_ST_TYPE(s->st_info);
	char name[256];

	if (type == STT_FUNC || type == STT_GNU_IFUNC)
		return RANK_FUNCTION;
	if (type != STT_NOTYPE ||
	    symtab_is_leftover(symtab_name(t, s->st_name, name, sizeof(name))))
		return 0;
	return ELF64_ST_BIND(s->st_info) == STB_LOCAL ? RANK_LOCAL_UNTYPED : RANK_UNTYPED;
}

static int symtab_compare_names(const struct symtabs *set, const struct symbol_hit *a,
				const struct symbol_hit *b)
{
	char x[512], y[512];
	size_t i, j;

	symtab_name(&set->tables[a->table], a->name, x, sizeof(x));
	symtab_name(&set->tables[b->table], b->name, y, sizeof(y));
	i = strspn(x, "_");
	j = strspn(y, "_");
	if (i != j)
		return i < j ? -1 : 1;
	i = strcspn(x, "@");
	j = strcspn(y, "@");
	if (i != j)
		return i < j ? -1 : 1;
	return strcmp(x, y);
}

/* Is a better than b, of which both cover the address? rank: kind << 2 | binding. */
static bool symtab_better(const struct symtabs *set, const struct symbol_hit *a,
			  const struct symbol_hit *b, bool sized)
{
	if (!b->found)
		return true;
	/* a function is not named after a label inside it; without sizes nothing is "inside" */
	if (sized && (a->rank >> 2 == RANK_FUNCTION) != (b->rank >> 2 == RANK_FUNCTION))
		return a->rank > b->rank;
	if (a->start != b->start)
		return a->start > b->start;
	if (a->rank >> 2 != b->rank >> 2)
		return a->rank > b->rank;
	if (a->bytes != b->bytes)
		return a->bytes < b->bytes;
	if (a->rank != b->rank)
		return a->rank > b->rank;
	return symtab_compare_names(set, a, b) < 0;
}

static uint8_t symtab_binding_rank(const Elf64_Sym *s)
{
	switch (ELF64_ST_BIND(s->st_info)) {
	case STB_GLOBAL:
	case STB_GNU_UNIQUE:
		return 2;
	case STB_WEAK:
		return 1;
	default:
		return 0;
	}
}

static void symtab_match_symbol(const struct symtabs *set, size_t table, const Elf64_Sym *s,
				struct addresses *a)
{
	const struct symtab *t = &set->tables[table];
	const struct symtab_section *section = symtab_section(t, s);
	unsigned type = ELF64_ST_TYPE(s->st_info);
	struct symbol_hit hit = { .start = s->st_value,
				  .bytes = s->st_size,
				  .name = s->st_name,
				  .table = (uint8_t)table,
				  .found = true };
	struct symbol_hit *to;
	uint64_t limit;
	size_t i;
	uint8_t rank;

	if (type != STT_FUNC && type != STT_GNU_IFUNC && type != STT_NOTYPE)
		return;
	if (!section || !section->text || s->st_value < section->start ||
	    s->st_value >= section->limit)
		return;

	i = addresses_find(a, s->st_value);
	if (i == a->n || a->items[i].vaddr >= section->limit)
		return;
	rank = symtab_rank(t, s);
	if (rank == 0)
		return;
	hit.rank = (uint8_t)(rank << 2 | symtab_binding_rank(s));

	if (s->st_size == 0) {
		hit.bytes = section->limit - s->st_value;
		to = rank == RANK_LOCAL_UNTYPED ? &a->items[i].label : &a->items[i].unsized;
		if (symtab_better(set, &hit, to, false))
			*to = hit;
		return;
	}

	a->items[i].last_start = MAX(a->items[i].last_start, s->st_value);
	if (__builtin_add_overflow(s->st_value, s->st_size, &limit) || limit > section->limit)
		limit = section->limit;
	for (; i < a->n && a->items[i].vaddr < limit; i++)
		if (symtab_better(set, &hit, &a->items[i].sized, true))
			a->items[i].sized = hit;
}

void symtabs_match(const struct symtabs *t, struct addresses *a)
{
	for (size_t i = 0; i < t->n; i++)
		for (size_t j = 0; j < t->tables[i].n_symbols; j++)
			symtab_match_symbol(t, i, &t->tables[i].symbols[j], a);
}

/* `name@VERSION` and `name@@VERSION` are the symbol `name`. */
static uint32_t symtab_add_name(const struct symtab *t, uint32_t offset, struct symbol_names *names)
{
	char name[SYMBOLIZE_MAX_NAME_BYTES];
	const char *at;

	symtab_name(t, offset, name, sizeof(name));
	at = strchr(name, '@');
	return symbol_names_add(names, name, at && at > name ? (size_t)(at - name) : strlen(name));
}

/* The last symbol without a size, seen from address p on. */
static void symtab_follow(const struct symtabs *t, struct symbol_hit *last,
			  const struct symbol_hit *h)
{
	if (h->found && symtab_better(t, h, last, false))
		*last = *h;
}

static bool symtab_reaches(const struct symbol_hit *h, uint64_t last_start, uint64_t vaddr)
{
	return h->found && h->start >= last_start && vaddr - h->start < h->bytes;
}

void symtabs_resolve(const struct symtabs *t, struct addresses *a, struct symbol_names *names)
{
	struct symbol_hit unsized = { 0 }, label = { 0 };
	uint64_t last_start = 0;

	for (size_t i = 0; i < a->n; i++) {
		struct address *p = &a->items[i];
		const struct symbol_hit *hit = NULL;

		if (p->vaddr == ADDRESS_NONE)
			break;
		symtab_follow(t, &unsized, &p->unsized);
		symtab_follow(t, &label, &p->label);
		last_start = MAX(last_start, p->last_start);

		if (p->sized.found)
			hit = &p->sized;
		else if (symtab_reaches(&unsized, last_start, p->vaddr))
			hit = &unsized;
		else if (symtab_reaches(&label, last_start, p->vaddr))
			hit = &label;
		if (!hit)
			continue;

		p->system_name = symtab_add_name(&t->tables[hit->table], hit->name, names);
		p->name = symbol_names_demangled(names, p->system_name);
		p->function = hit->start;
		p->source = t->tables[hit->table].source;
	}
}

uint32_t symtabs_name_at(const struct symtabs *t, uint64_t vaddr, struct symbol_names *names)
{
	struct address item = { .vaddr = vaddr, .function = ADDRESS_NONE };
	struct addresses one = { .items = &item, .n = 1 };

	symtabs_match(t, &one);
	symtabs_resolve(t, &one, names);
	return item.function == vaddr ? item.system_name : 0;
}
