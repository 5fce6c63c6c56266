/* SPDX-License-Identifier: Apache-2.0 */
#include "plt.h"

#include <string.h>

#include "symtab.h"

#define PLT_MAX_RELOCATION_BYTES (64U << 20)
#define PLT_MAX_ENTRY_BYTES      64
#define PLT_NAME_BYTES           1024

struct plt_stub {
	struct address *address;
	uint64_t start; /* of the stub */
	uint64_t slot;  /* of the GOT; or ADDRESS_NONE with `push $index` */
	uint32_t index; /* in .rela.plt */
	bool named;
};

static bool plt_is_section(const struct elf_section *s)
{
	return s->type == SHT_PROGBITS && (s->flags & SHF_EXECINSTR) &&
	       (strcmp(s->name, ".plt") == 0 || strncmp(s->name, ".plt.", 5) == 0 ||
		strcmp(s->name, ".iplt") == 0);
}

/* endbr64; [bnd] jmp *disp(%rip), or endbr64; push $index; [bnd] jmp plt0 */
static bool plt_decode(const uint8_t *code, size_t bytes, struct plt_stub *stub)
{
	static const uint8_t endbr[] = { 0xf3, 0x0f, 0x1e, 0xfa };
	size_t i = 0;
	int32_t v;

	if (bytes >= 4 && memcmp(code, endbr, sizeof(endbr)) == 0)
		i += 4;
	if (i < bytes && code[i] == 0xf2)
		i++;
	if (i + 6 <= bytes && code[i] == 0xff && code[i + 1] == 0x25) {
		memcpy(&v, code + i + 2, sizeof(v));
		stub->slot = stub->start + i + 6 + (uint64_t)(int64_t)v;
		return true;
	}
	if (i + 5 <= bytes && code[i] == 0x68) {
		memcpy(&v, code + i + 1, sizeof(v));
		stub->slot = ADDRESS_NONE;
		stub->index = (uint32_t)v;
		return true;
	}
	return false;
}

static void plt_find(const struct elf_file *f, const struct elf_section *s, struct address *p,
		     struct plt_stub *stubs, size_t *n)
{
	uint64_t entry = s->entry_bytes == 8 || s->entry_bytes == 16 || s->entry_bytes == 24 ||
					 s->entry_bytes == 32
				 ? s->entry_bytes
				 : 16;
	uint64_t start = s->addr + (p->vaddr - s->addr) / entry * entry;
	struct plt_stub stub = { .address = p, .start = start };
	uint8_t code[PLT_MAX_ENTRY_BYTES];

	if (entry > s->bytes || start - s->addr > s->bytes - entry)
		return;
	if (elf_file_read_vaddr(f, start, code, entry) < 0)
		return;
	if (plt_decode(code, entry, &stub))
		stubs[(*n)++] = stub;
}

static size_t plt_find_all(const struct elf_file *f, struct addresses *a, struct plt_stub *stubs)
{
	size_t n = 0;

	for (size_t i = 0; i < f->n_sections; i++) {
		const struct elf_section *s = &f->sections[i];

		if (!plt_is_section(s))
			continue;
		for (size_t j = addresses_find(a, s->addr); j < a->n; j++) {
			if (a->items[j].vaddr - s->addr >= s->bytes)
				break;
			if (!a->items[j].name && n < a->n)
				plt_find(f, s, &a->items[j], stubs, &n);
		}
	}
	return n;
}

static int plt_compare(const void *a, const void *b)
{
	const struct plt_stub *x = a, *y = b;

	return x->slot < y->slot ? -1 : x->slot > y->slot;
}

/* The name of symbol number `index` of the table that the relocations refer to. */
static void plt_symbol_name(const struct elf_file *f, const struct elf_section *rela,
			    uint32_t index, char name[PLT_NAME_BYTES])
{
	const struct elf_section *symbols, *strings;
	Elf64_Sym symbol;
	uint64_t offset, n;

	name[0] = '\0';
	if (rela->link == 0 || rela->link >= f->n_sections)
		return;
	symbols = &f->sections[rela->link];
	if (symbols->link >= f->n_sections || index >= symbols->bytes / sizeof(symbol))
		return;
	strings = &f->sections[symbols->link];
	if (elf_file_read(f, symbols->offset + index * sizeof(symbol), &symbol, sizeof(symbol)) <
		    0 ||
	    symbol.st_name >= strings->bytes)
		return;

	offset = strings->offset + symbol.st_name;
	n = MIN(strings->bytes - symbol.st_name, (uint64_t)PLT_NAME_BYTES - 1);
	if (elf_file_read(f, offset, name, n) < 0)
		n = 0;
	name[n] = '\0';
	name[strcspn(name, "@")] = '\0';
}

static void plt_name(const struct elf_file *f, const struct symtabs *symtabs,
		     const struct elf_section *rela, const Elf64_Rela *r, struct plt_stub *stub,
		     struct symbol_names *names)
{
	_cleanup_(buf_done) struct buf b = BUF_INIT(4 * SYMBOLIZE_MAX_NAME_BYTES);
	struct address *p = stub->address;
	char name[PLT_NAME_BYTES];
	uint32_t readable;

	if (ELF64_R_TYPE(r->r_info) == R_X86_64_IRELATIVE) {
		uint32_t resolver = symtabs_name_at(symtabs, (uint64_t)r->r_addend, names);

		if (resolver)
			snprintf(name, sizeof(name), "%s", names->bytes.data + resolver);
		else
			snprintf(name, sizeof(name), "*ABS*+0x%llx",
				 (unsigned long long)r->r_addend);
	} else {
		plt_symbol_name(f, rela, (uint32_t)ELF64_R_SYM(r->r_info), name);
	}
	if (!name[0])
		return;

	buf_printf(&b, "%s@plt", name);
	if (b.error)
		return;
	p->system_name = symbol_names_add(names, b.data, b.size);
	readable = symbol_names_demangled(names, symbol_names_add(names, name, strlen(name)));
	buf_reset(&b);
	buf_printf(&b, "%s@plt", names->bytes.data + readable);
	if (b.error)
		return;
	p->name = symbol_names_add(names, b.data, b.size);
	p->function = stub->start;
	p->source = SYMBOLIZE_SOURCE_PLT;
	stub->named = true;
}

/* stubs are sorted by slot; those that push an index come last */
static int plt_relocations(const struct elf_file *f, const struct symtabs *symtabs,
			   const struct elf_section *rela, struct plt_stub *stubs, size_t n,
			   struct symbol_names *names)
{
	_cleanup_(elf_data_done) struct elf_data data = { 0 };
	bool is_plt = strcmp(rela->name, ".rela.plt") == 0;
	size_t n_relocations;
	int r;

	r = elf_section_load(f, rela, PLT_MAX_RELOCATION_BYTES, &data);
	if (r < 0)
		return r == -ENOMEM ? r : 0;

	n_relocations = data.bytes / sizeof(Elf64_Rela);
	for (size_t i = 0; i < n_relocations; i++) {
		Elf64_Rela relocation;
		size_t low = 0, high = n;

		memcpy(&relocation, data.data + i * sizeof(relocation), sizeof(relocation));
		while (low < high) {
			size_t middle = low + (high - low) / 2;

			if (stubs[middle].slot < relocation.r_offset)
				low = middle + 1;
			else
				high = middle;
		}
		for (; low < n && stubs[low].slot == relocation.r_offset; low++)
			if (!stubs[low].named)
				plt_name(f, symtabs, rela, &relocation, &stubs[low], names);
	}

	for (size_t i = n; is_plt && i-- > 0 && stubs[i].slot == ADDRESS_NONE;) {
		Elf64_Rela relocation;

		if (stubs[i].named || stubs[i].index >= n_relocations)
			continue;
		memcpy(&relocation, data.data + stubs[i].index * sizeof(relocation),
		       sizeof(relocation));
		plt_name(f, symtabs, rela, &relocation, &stubs[i], names);
	}
	return 0;
}

int plt_resolve(const struct elf_file *f, const struct symtabs *symtabs, struct addresses *a,
		struct symbol_names *names)
{
	_cleanup_free_ struct plt_stub *stubs = NULL;
	size_t n;
	int r;

	stubs = calloc(a->n ? a->n : 1, sizeof(*stubs));
	if (!stubs)
		return -ENOMEM;
	n = plt_find_all(f, a, stubs);
	if (n == 0)
		return 0;

	qsort(stubs, n, sizeof(*stubs), plt_compare);
	for (size_t i = 0; i < f->n_sections; i++) {
		if (f->sections[i].type != SHT_RELA || !(f->sections[i].flags & SHF_ALLOC))
			continue;
		r = plt_relocations(f, symtabs, &f->sections[i], stubs, n, names);
		if (r < 0)
			return r;
	}
	return 0;
}
