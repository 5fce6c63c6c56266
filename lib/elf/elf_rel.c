/* SPDX-License-Identifier: Apache-2.0 */
#include "elf_rel.h"

#include <string.h>

#define SECTION_MAX_BYTES (1ULL << 32)
#define SECTION_ALIGN     64ULL

static bool elf_rel_is_code(const struct elf_section *s)
{
	return (s->flags & SHF_ALLOC) && (s->flags & SHF_EXECINSTR) && s->bytes > 0 &&
	       s->bytes < SECTION_MAX_BYTES;
}

int elf_rel_lay_out(struct elf_file *f)
{
	struct elf_segment *all = calloc(1, sizeof(*all));
	uint64_t next = ELF_REL_BASE;

	if (!all)
		return -ENOMEM;
	for (size_t i = 0; i < f->n_sections; i++) {
		struct elf_section *s = &f->sections[i];

		s->addr = 0;
		if (!elf_rel_is_code(s))
			continue;
		s->addr = next;
		next += (s->bytes + 2 * SECTION_ALIGN - 1) & ~(SECTION_ALIGN - 1);
	}

	/* no bytes of the file: what is read by address is not relocated */
	*all = (struct elf_segment){
		.type = PT_LOAD,
		.flags = PF_X,
		.vaddr = ELF_REL_BASE,
		.memory_bytes = next - ELF_REL_BASE,
	};
	free(f->segments);
	f->segments = all;
	f->n_segments = 1;
	return 0;
}

static void elf_rel_add(struct elf_rel *r, const struct elf_section *s, uint64_t asked)
{
	if (asked <= UINT64_MAX - s->bytes)
		r->items[r->n++] = (struct elf_rel_section){ asked, s->addr, s->bytes };
}

/* Those that are no larger than one before them are never the first to hold an address. */
static void elf_rel_add_all(struct elf_rel *r, const struct elf_file *f)
{
	uint64_t largest = 0;

	for (size_t i = 0; i < f->n_sections && r->n < ELF_REL_MAX_SECTIONS; i++) {
		const struct elf_section *s = &f->sections[i];

		if (!elf_rel_is_code(s) || s->bytes <= largest)
			continue;
		elf_rel_add(r, s, 0);
		largest = s->bytes;
	}
}

static void elf_rel_add_wanted(struct elf_rel *r, const struct elf_file *f,
			       const struct symbolize_section *wanted)
{
	for (size_t i = 0; i < f->n_sections; i++) {
		const struct elf_section *s = &f->sections[i];

		if (elf_rel_is_code(s) && strcmp(s->name, wanted->name) == 0) {
			elf_rel_add(r, s, wanted->address);
			return;
		}
	}
}

int elf_rel_init(struct elf_rel *r, const struct elf_file *f,
		 const struct symbolize_section *wanted, size_t n_wanted)
{
	size_t n = n_wanted ? n_wanted : MIN(f->n_sections, (size_t)ELF_REL_MAX_SECTIONS);

	*r = (struct elf_rel){ .items = calloc(n + 1, sizeof(*r->items)) };
	if (!r->items)
		return -ENOMEM;
	if (n_wanted == 0)
		elf_rel_add_all(r, f);
	for (size_t i = 0; i < n_wanted; i++)
		elf_rel_add_wanted(r, f, &wanted[i]);
	return 0;
}

void elf_rel_done(struct elf_rel *r)
{
	free(r->items);
	*r = (struct elf_rel){ 0 };
}

uint64_t elf_rel_vaddr(const struct elf_rel *r, uint64_t asked)
{
	for (size_t i = 0; i < r->n; i++)
		if (asked - r->items[i].asked < r->items[i].bytes)
			return r->items[i].vaddr + (asked - r->items[i].asked);
	return UINT64_MAX;
}

uint64_t elf_rel_asked(const struct elf_rel *r, uint64_t vaddr, uint64_t *start)
{
	for (size_t i = 0; i < r->n; i++) {
		const struct elf_rel_section *s = &r->items[i];

		if (vaddr - s->vaddr >= s->bytes)
			continue;
		*start = *start - s->vaddr < s->bytes ? *start - s->vaddr + s->asked : UINT64_MAX;
		return vaddr - s->vaddr + s->asked;
	}
	*start = UINT64_MAX;
	return UINT64_MAX;
}

/* The next table of relocations for section number `index`, from *at on. */
static const struct elf_section *elf_rel_table(const struct elf_file *f, size_t index, size_t *at)
{
	while (*at < f->n_sections) {
		const struct elf_section *s = &f->sections[(*at)++];

		if ((s->type == SHT_RELA || s->type == SHT_REL) && s->info == index)
			return s;
	}
	return NULL;
}

bool elf_rel_has(const struct elf_file *f, const struct elf_section *s)
{
	size_t at = 0;

	return f->type == ET_REL && elf_rel_table(f, (size_t)(s - f->sections), &at);
}

struct relocating {
	const struct elf_file *f;
	const uint8_t *symbols;
	size_t n_symbols;
	uint8_t *data;
	size_t bytes;
};

/* What refers to nothing that is laid out ends near 0, as what a link editor throws away. */
static bool relocating_symbol(const struct relocating *g, uint32_t index, uint64_t *ret)
{
	Elf64_Sym s;

	if (index >= g->n_symbols)
		return false;
	memcpy(&s, g->symbols + (size_t)index * sizeof(s), sizeof(s));
	*ret = 0;
	if (s.st_shndx == SHN_ABS)
		*ret = s.st_value;
	else if (s.st_shndx != SHN_UNDEF && s.st_shndx < g->f->n_sections)
		*ret = g->f->sections[s.st_shndx].addr + s.st_value;
	return true;
}

static bool relocating_one(const struct relocating *g, const Elf64_Rela *rela)
{
	uint64_t value;
	size_t width;

	switch (ELF64_R_TYPE(rela->r_info)) {
	case R_X86_64_64:
		width = 8;
		break;
	case R_X86_64_32:
	case R_X86_64_32S:
		width = 4;
		break;
	case R_X86_64_NONE:
	/* places and sizes of data */
	case R_X86_64_DTPOFF32:
	case R_X86_64_DTPOFF64:
	case R_X86_64_TPOFF32:
	case R_X86_64_TPOFF64:
	case R_X86_64_SIZE32:
	case R_X86_64_SIZE64:
		return true;
	default:
		return false;
	}
	if (width > g->bytes || rela->r_offset > g->bytes - width ||
	    !relocating_symbol(g, (uint32_t)ELF64_R_SYM(rela->r_info), &value))
		return false;

	value += (uint64_t)rela->r_addend;
	memcpy(g->data + rela->r_offset, &value, width);
	return true;
}

/* The part of a section that the map has. */
static const uint8_t *section_at(const struct elf_section *s, const uint8_t *map, size_t map_bytes,
				 size_t *ret_bytes)
{
	if (s->type == SHT_NOBITS || (s->flags & SHF_COMPRESSED) || s->offset > map_bytes ||
	    s->bytes > map_bytes - s->offset)
		return NULL;
	*ret_bytes = (size_t)s->bytes;
	return map + s->offset;
}

static bool relocating_table(struct relocating *g, const struct elf_section *table,
			     const uint8_t *map, size_t map_bytes)
{
	const uint8_t *entries;
	size_t bytes = 0, symbols = 0;
	bool good = true;

	if (table->type != SHT_RELA || table->link >= g->f->n_sections ||
	    g->f->sections[table->link].type != SHT_SYMTAB)
		return false;
	entries = section_at(table, map, map_bytes, &bytes);
	g->symbols = section_at(&g->f->sections[table->link], map, map_bytes, &symbols);
	if (!entries || !g->symbols)
		return false;
	g->n_symbols = symbols / sizeof(Elf64_Sym);

	for (size_t i = 0; i < bytes / sizeof(Elf64_Rela); i++) {
		Elf64_Rela rela;

		memcpy(&rela, entries + i * sizeof(rela), sizeof(rela));
		good &= relocating_one(g, &rela);
	}
	return good;
}

int elf_rel_apply(const struct elf_file *f, const struct elf_section *s, const uint8_t *map,
		  size_t map_bytes, uint8_t *data, size_t bytes)
{
	struct relocating g = { .f = f, .data = data, .bytes = bytes };
	const struct elf_section *table;
	bool good = true;
	size_t at = 0;

	while ((table = elf_rel_table(f, (size_t)(s - f->sections), &at)))
		good &= relocating_table(&g, table, map, map_bytes);
	return good ? 0 : -EBADMSG;
}
