/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Inlined calls of Go 1.18 and later. A function's inline tree is an array of calls; pc-value table
 * PCDATA_InlTreeIndex tells which of them an instruction belongs to, and each has an instruction of the
 * function whose position is that of the call (runtime/symtabinl.go). The trees lie at
 * offsets from the symbol go:func.*, whose address only the module's data has (runtime.moduledata).
 */
#include <string.h>

#include "gopclntab_table.h"

#define PCDATA_INLINE_TREE    2
#define FUNCDATA_INLINE_TREE  3
#define MAX_RELOCATIONS_BYTES (64U << 20)
#define MAX_SEGMENT_BYTES     (256U << 20)

/* offset of moduledata.gofunc: 1.20 has two words more, for coverage counters */
static uint64_t module_gofunc(const struct gopclntab *g)
{
	return g->layout == GO_1_20 ? 320 : 304;
}

static uint64_t inline_bytes(const struct gopclntab *g)
{
	return g->layout == GO_1_20 ? 16 : 20;
}

struct relocations {
	struct elf_data data;
	size_t n;
};

static Elf64_Rela relocation_at(const struct relocations *x, size_t i)
{
	Elf64_Rela r;

	memcpy(&r, x->data.data + i * sizeof(r), sizeof(r));
	return r;
}

/* The word that the loader will put at an address. */
static uint64_t module_word(const struct elf_file *f, const struct relocations *x, uint64_t vaddr)
{
	uint64_t v = 0;

	for (size_t i = 0; i < x->n; i++) {
		Elf64_Rela r = relocation_at(x, i);

		if (r.r_offset == vaddr && ELF64_R_TYPE(r.r_info) == R_X86_64_RELATIVE)
			return (uint64_t)r.r_addend;
	}
	return elf_file_read_vaddr(f, vaddr, &v, sizeof(v)) < 0 ? 0 : v;
}

/* A module's data begins with the addresses of the table and of the table's names. */
static bool module_is_at(const struct gopclntab *g, const struct elf_file *f,
			 const struct relocations *x, uint64_t vaddr)
{
	return module_word(f, x, vaddr) == g->data.addr &&
	       module_word(f, x, vaddr + 8) == g->data.addr + g->names;
}

static uint64_t module_in_relocations(const struct gopclntab *g, const struct elf_file *f,
				      const struct relocations *x)
{
	for (size_t i = 0; i < x->n; i++) {
		Elf64_Rela r = relocation_at(x, i);

		if ((uint64_t)r.r_addend == g->data.addr &&
		    ELF64_R_TYPE(r.r_info) == R_X86_64_RELATIVE &&
		    module_is_at(g, f, x, r.r_offset))
			return r.r_offset;
	}
	return 0;
}

static uint64_t module_in_segment(const struct gopclntab *g, const struct elf_file *f,
				  const struct relocations *x, const struct elf_segment *s)
{
	_cleanup_(elf_data_done) struct elf_data d = {};
	uint64_t v;

	if (elf_file_load(f, s->offset, s->file_bytes, MAX_SEGMENT_BYTES, &d) < 0)
		return 0;
	for (size_t at = 0; d.bytes - at >= sizeof(v); at += sizeof(v)) {
		memcpy(&v, d.data + at, sizeof(v));
		if (v == g->data.addr && module_is_at(g, f, x, s->vaddr + at))
			return s->vaddr + at;
		if (d.bytes - at < 2 * sizeof(v))
			break;
	}
	return 0;
}

static uint64_t module_find(const struct gopclntab *g, const struct elf_file *f,
			    const struct relocations *x)
{
	uint64_t at = module_in_relocations(g, f, x);

	for (size_t i = 0; i < f->n_segments && at == 0; i++)
		if (f->segments[i].type == PT_LOAD && (f->segments[i].flags & PF_W))
			at = module_in_segment(g, f, x, &f->segments[i]);
	return at;
}

int gopclntab_find_inlines(struct gopclntab *g, const struct elf_file *file)
{
	const struct elf_section *s = elf_file_section(file, ".rela.dyn");
	_cleanup_(elf_data_done) struct elf_data d = {};
	struct relocations x = {};
	uint64_t module, offset;

	if (g->layout < GO_1_18)
		return -ENOENT;
	if (!s)
		s = elf_file_section(file, ".rela");
	if (s && elf_section_load(file, s, MAX_RELOCATIONS_BYTES, &d) == 0)
		x = (struct relocations){ .data = d, .n = d.bytes / sizeof(Elf64_Rela) };

	module = module_find(g, file, &x);
	if (module == 0)
		return -ENOENT;
	g->inlines = module_word(file, &x, module + module_gofunc(g));
	if (elf_file_offset(file, g->inlines, &offset, NULL) == 0)
		return 0;
	g->inlines = 0;
	return -ENOENT;
}

struct inline_tree {
	uint64_t vaddr;  /* of its first call */
	uint32_t pcdata; /* offset of the pc-value table */
};

static bool inline_tree(const struct gopclntab *g, const struct gopclntab_function *f,
			struct inline_tree *ret)
{
	uint64_t after = f->fields + (g->layout == GO_1_20 ? 40 : 36), at;
	uint32_t n_pcdata, n_funcdata, offset;

	if (g->inlines == 0 || !gopclntab_get32(g, f->fields + 24, &n_pcdata) ||
	    !gopclntab_get32(g, after - 4, &n_funcdata))
		return false;
	n_funcdata >>= 24;
	if (n_pcdata <= PCDATA_INLINE_TREE || n_funcdata <= FUNCDATA_INLINE_TREE)
		return false;

	at = after + 4ULL * n_pcdata + 4ULL * FUNCDATA_INLINE_TREE;
	if (!gopclntab_get32(g, after + 4ULL * PCDATA_INLINE_TREE, &ret->pcdata) ||
	    !gopclntab_get32(g, at, &offset) || ret->pcdata == 0 || offset == UINT32_MAX)
		return false;
	return !__builtin_add_overflow(g->inlines, offset, &ret->vaddr);
}

/* Call number `index` of a tree: its name, where it starts, and where its caller called. */
static bool inline_call(const struct gopclntab *g, const struct elf_file *file,
			const struct inline_tree *tree, uint32_t index,
			struct gopclntab_frame *frame, uint32_t *ret_parent_pc)
{
	uint64_t vaddr;
	uint32_t w[5] = { 0 };

	if (__builtin_add_overflow(tree->vaddr, inline_bytes(g) * index, &vaddr) ||
	    elf_file_read_vaddr(file, vaddr, w, inline_bytes(g)) < 0)
		return false;
	/* 1.20: function's id, name, parent pc, first line; 1.18: parent and id, file, line, name, parent pc */
	frame->name = gopclntab_text(g, g->names + (g->layout == GO_1_20 ? w[1] : w[3]));
	frame->start_line = g->layout == GO_1_20 ? w[3] : 0;
	*ret_parent_pc = g->layout == GO_1_20 ? w[2] : w[4];
	return frame->name && frame->name[0];
}

int gopclntab_frames(const struct gopclntab *g, const struct elf_file *file,
		     const struct gopclntab_function *f, uint64_t vaddr,
		     struct gopclntab_frame *frames, size_t max)
{
	struct inline_tree tree = {};
	bool inlines = inline_tree(g, f, &tree);
	size_t n = 0;

	while (n < max) {
		struct gopclntab_frame *frame = &frames[n++];
		uint32_t parent_pc;
		int32_t index;

		*frame = (struct gopclntab_frame){ .start_line = f->start_line };
		gopclntab_line(g, f, vaddr, &frame->file, &frame->line);
		if (inlines && n < max && gopclntab_value(g, f, tree.pcdata, vaddr, &index) == 0 &&
		    index >= 0) {
			if (!inline_call(g, file, &tree, (uint32_t)index, frame, &parent_pc) ||
			    parent_pc >= f->limit - f->start)
				return -EBADMSG;
			vaddr = f->start + parent_pc;
			continue;
		}
		frame->name = gopclntab_name(g, f);
		frame->start_line = f->start_line;
		return frame->name ? (int)n : -EBADMSG;
	}
	return -EBADMSG;
}
