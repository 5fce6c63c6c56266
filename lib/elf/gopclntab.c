/* SPDX-License-Identifier: Apache-2.0 */
#include "gopclntab.h"

#include <string.h>

#include "bytes.h"
#include "gopclntab_table.h"

#define MAX_BYTES             (256U << 20)
#define MAX_FUNCTIONS         (1U << 23)
#define MAX_NAME_BYTES        4096
#define MAX_RELOCATIONS_BYTES (64U << 20)

struct gopclntab *gopclntab_free(struct gopclntab *g)
{
	if (!g)
		return NULL;

	elf_data_done(&g->data);
	free(g);
	return NULL;
}

/* Header: magic, two zeros, instruction size quantum 1, pointer size 8. */
static bool header_layout(const uint8_t *p, enum gopclntab_layout *ret)
{
	static const uint8_t tail[] = { 0xff, 0xff, 0xff, 0, 0, 1, 8 };

	if (memcmp(p + 1, tail, sizeof(tail)) != 0)
		return false;
	switch (p[0]) {
	case 0xfb:
		*ret = GO_1_2;
		return true;
	case 0xfa:
		*ret = GO_1_16;
		return true;
	case 0xf0:
		*ret = GO_1_18;
		return true;
	case 0xf1:
		*ret = GO_1_20;
		return true;
	default:
		return false;
	}
}

/* The addend of the relative relocation at an address: what the loader adds the bias to. */
static uint64_t relocated(const struct elf_file *f, uint64_t vaddr)
{
	const struct elf_section *s = elf_file_section(f, ".rela.dyn");
	_cleanup_(elf_data_done) struct elf_data d = {};

	if (!s)
		s = elf_file_section(f, ".rela");
	if (!s || elf_section_load(f, s, MAX_RELOCATIONS_BYTES, &d) < 0)
		return 0;
	for (size_t at = 0; d.bytes - at >= sizeof(Elf64_Rela); at += sizeof(Elf64_Rela)) {
		Elf64_Rela r;

		memcpy(&r, d.data + at, sizeof(r));
		if (r.r_offset == vaddr && ELF64_R_TYPE(r.r_info) == R_X86_64_RELATIVE)
			return (uint64_t)r.r_addend;
	}
	return 0;
}

/* From Go 1.26 on the header does not say where the text begins. */
static uint64_t text_start(const struct elf_file *f, uint64_t said, uint64_t field_addr)
{
	const struct elf_section *s;

	if (said == 0 && f->type == ET_DYN)
		said = relocated(f, field_addr);
	if (said == 0) {
		s = elf_file_section(f, ".text");
		said = s ? s->addr : 0;
	}
	return said;
}

static bool read_offsets(struct gopclntab *g, unsigned first, uint64_t **offsets, unsigned n)
{
	for (unsigned i = 0; i < n; i++)
		if (!gopclntab_get64(g, first + 8 * i, offsets[i]) || *offsets[i] > g->data.bytes)
			return false;
	return true;
}

static int read_header(struct gopclntab *g, const struct elf_file *f)
{
	uint64_t *offsets[] = { &g->names, &g->units, &g->files, &g->pctab, &g->functions };
	uint64_t n, said, n_files = 0;
	uint32_t files;

	if (!gopclntab_get64(g, 8, &n) || n == 0 || n > MAX_FUNCTIONS)
		return -EBADMSG;
	g->n = (uint32_t)n;
	g->entry_bytes = g->layout >= GO_1_18 ? 4 : 8;

	if (g->layout == GO_1_2) {
		/* offsets are all from the table's start; the files follow the functions */
		g->functions = 16;
		if (!gopclntab_get32(g, 16 + n * 16 + 8, &files))
			return -EBADMSG;
		g->files = files;
		return 0;
	}

	if (!gopclntab_get64(g, 16, &n_files))
		return -EBADMSG;
	if (!read_offsets(g, g->layout == GO_1_16 ? 24 : 32, offsets, ARRAY_SIZE(offsets)))
		return -EBADMSG;
	if (g->layout >= GO_1_18) {
		if (!gopclntab_get64(g, 24, &said))
			return -EBADMSG;
		g->text = text_start(f, said, g->data.addr + 24);
		if (g->text == 0)
			return -ENOENT;
	}
	return 0;
}

/* What the pages hold is one table and where it ends is not known: to the segment's end. */
static int search_segment(const struct elf_file *f, const struct elf_segment *s,
			  struct elf_data *ret)
{
	_cleanup_(elf_data_done) struct elf_data d = {};
	enum gopclntab_layout layout;
	int r;

	r = elf_file_load(f, s->offset, s->file_bytes, MAX_BYTES, &d);
	if (r < 0)
		return r;

	for (size_t at = 0; at + 128 <= d.bytes; at += 8) {
		if (d.data[at + 1] != 0xff || !header_layout(d.data + at, &layout))
			continue;
		memmove(d.data, d.data + at, d.bytes - at);
		*ret = (struct elf_data){ .bytes = d.bytes - at, .addr = s->vaddr + at };
		ret->data = TAKE_PTR(d.data);
		return 0;
	}
	return -ENOENT;
}

static bool has_go_note(const struct elf_file *f)
{
	for (size_t i = 0; i < f->n_segments; i++) {
		uint8_t head[16];

		/* name of 4 bytes, type 4, "Go" */
		if (f->segments[i].type == PT_NOTE &&
		    elf_file_read(f, f->segments[i].offset, head, sizeof(head)) == 0 &&
		    head[0] == 4 && head[8] == 4 && memcmp(head + 12, "Go\0", 4) == 0)
			return true;
	}
	return false;
}

static int load(const struct elf_file *f, struct elf_data *ret)
{
	const struct elf_section *s = elf_file_section(f, ".gopclntab");
	int r = -ENOENT;

	if (!s)
		s = elf_file_section(f, ".data.rel.ro.gopclntab");
	if (s)
		return elf_section_load(f, s, MAX_BYTES, ret);
	if (!has_go_note(f))
		return -ENOENT;

	/* section headers are gone, or the linker put the table into another section */
	for (size_t i = 0; i < f->n_segments && r == -ENOENT; i++)
		if (f->segments[i].type == PT_LOAD && !(f->segments[i].flags & PF_X))
			r = search_segment(f, &f->segments[i], ret);
	return r;
}

int gopclntab_new(struct gopclntab **ret, const struct elf_file *f)
{
	_cleanup_(gopclntab_freep) struct gopclntab *g = NULL;
	struct gopclntab_function first;
	int r;

	g = calloc(1, sizeof(*g));
	if (!g)
		return -ENOMEM;

	r = load(f, &g->data);
	if (r < 0)
		return r;
	if (g->data.bytes < 128 || !header_layout(g->data.data, &g->layout))
		return -ENOENT;
	r = read_header(g, f);
	if (r < 0)
		return r;
	/* the absolute addresses of an old position-independent binary are all relocated: 0 here */
	if (!gopclntab_function(g, 0, &first) || !elf_file_is_text(f, first.start, NULL))
		return -ENOENT;

	*ret = TAKE_PTR(g);
	return 0;
}

size_t gopclntab_count(const struct gopclntab *g)
{
	return g->n;
}

/* Start (i == n: end) of a function, and where its record is. */
static bool table_entry(const struct gopclntab *g, size_t i, uint64_t *ret_start,
			uint64_t *ret_record)
{
	uint64_t at = g->functions + (uint64_t)i * 2 * g->entry_bytes, base, record;
	uint32_t off, record32 = 0;

	base = g->layout == GO_1_2 ? 0 : g->functions;
	if (g->entry_bytes == 4) {
		if (!gopclntab_get32(g, at, &off) ||
		    (i < g->n && !gopclntab_get32(g, at + 4, &record32)))
			return false;
		*ret_start = g->text + off;
		*ret_record = base + record32;
		return true;
	}
	if (!gopclntab_get64(g, at, ret_start))
		return false;
	record = 0;
	if (i < g->n && !gopclntab_get64(g, at + 8, &record))
		return false;
	*ret_record = record > g->data.bytes ? UINT64_MAX : base + record;
	return true;
}

bool gopclntab_function(const struct gopclntab *g, size_t i, struct gopclntab_function *ret)
{
	struct gopclntab_function f = {};
	uint64_t record, next;
	uint32_t flags = 0;
	uint64_t fields;

	if (i >= g->n || !table_entry(g, i, &f.start, &record) ||
	    !table_entry(g, i + 1, &f.limit, &next) || f.limit <= f.start)
		return false;

	/* entry; then i32 name, args, deferreturn, pcsp, pcfile, pcln, npcdata, [unit, [line], bytes] */
	fields = record + g->entry_bytes;
	if (record == UINT64_MAX || !gopclntab_get32(g, fields, &f.name) ||
	    !gopclntab_get32(g, fields + 12, &f.pcsp) ||
	    !gopclntab_get32(g, fields + 16, &f.pcfile) ||
	    !gopclntab_get32(g, fields + 20, &f.pcln))
		return false;
	if (g->layout >= GO_1_16 && !gopclntab_get32(g, fields + 28, &f.unit))
		return false;
	if (g->layout == GO_1_20)
		gopclntab_get32(g, fields + 32, &f.start_line);
	if (g->layout >= GO_1_16 &&
	    gopclntab_get32(g, fields + (g->layout == GO_1_20 ? 36 : 32), &flags))
		f.flags = flags >> 8 & 0x7; /* funcID, flag, pad, nfuncdata */

	f.fields = fields;
	*ret = f;
	return true;
}

bool gopclntab_find(const struct gopclntab *g, uint64_t vaddr, struct gopclntab_function *ret)
{
	size_t lo = 0, hi = g->n;

	while (lo < hi) {
		size_t mid = lo + (hi - lo) / 2;
		uint64_t start, record;

		if (!table_entry(g, mid, &start, &record))
			return false;
		if (start <= vaddr)
			lo = mid + 1;
		else
			hi = mid;
	}
	return lo > 0 && gopclntab_function(g, lo - 1, ret) && vaddr < ret->limit;
}

const char *gopclntab_text(const struct gopclntab *g, uint64_t at)
{
	const char *s = (const char *)g->data.data + at;

	if (at >= g->data.bytes || !memchr(s, 0, MIN(g->data.bytes - at, (uint64_t)MAX_NAME_BYTES)))
		return NULL;
	return s;
}

const char *gopclntab_name(const struct gopclntab *g, const struct gopclntab_function *f)
{
	return gopclntab_text(g, g->names + f->name);
}

/*
 * A pc-value table: pairs of a zigzag difference of the value and a difference of the address, from
 * -1 and the function's start; each value holds up to its address. A difference of 0 ends it.
 */
struct pcvalue {
	struct bytes b;
	uint64_t from, to;
	int32_t value;
	bool first;
};

static int pcvalue_start(const struct gopclntab *g, const struct gopclntab_function *f,
			 uint32_t offset, struct pcvalue *ret)
{
	uint64_t at = g->pctab + offset;

	if (offset == 0)
		return -ENOENT;
	if (at >= g->data.bytes)
		return -EBADMSG;
	*ret = (struct pcvalue){
		.b = { .at = g->data.data + at, .end = g->data.data + g->data.bytes },
		.to = f->start,
		.value = -1,
		.first = true,
	};
	return 0;
}

/* 1: [from, to) has value; 0: the end. */
static int pcvalue_next(struct pcvalue *p, uint64_t limit)
{
	uint64_t v = bytes_uleb(&p->b), pc;

	if (p->b.failed || v > UINT32_MAX)
		return -EBADMSG;
	if ((v == 0 && !p->first) || p->to >= limit)
		return 0;
	p->first = false;

	pc = bytes_uleb(&p->b);
	if (p->b.failed || pc > UINT32_MAX)
		return -EBADMSG;
	p->value = (int32_t)((uint32_t)p->value + ((uint32_t)(v >> 1) ^ (v & 1 ? UINT32_MAX : 0)));
	p->from = p->to;
	p->to += pc;
	return 1;
}

int gopclntab_depths(const struct gopclntab *g, const struct gopclntab_function *f,
		     gopclntab_depth_t depth, void *arg)
{
	struct pcvalue p;
	int r;

	r = pcvalue_start(g, f, f->pcsp, &p);
	if (r < 0)
		return r;
	while ((r = pcvalue_next(&p, f->limit)) > 0)
		if (p.from < p.to)
			depth(arg, p.from, p.value);
	return r;
}

int gopclntab_value(const struct gopclntab *g, const struct gopclntab_function *f, uint32_t offset,
		    uint64_t vaddr, int32_t *ret)
{
	struct pcvalue p;
	int r;

	r = pcvalue_start(g, f, offset, &p);
	if (r < 0)
		return r;
	while ((r = pcvalue_next(&p, f->limit)) > 0)
		if (vaddr < p.to) {
			*ret = p.value;
			return 0;
		}
	return r < 0 ? r : -ENOENT;
}

int gopclntab_line(const struct gopclntab *g, const struct gopclntab_function *f, uint64_t vaddr,
		   const char **ret_file, uint32_t *ret_line)
{
	int32_t file, line;
	uint32_t at;
	int r;

	r = gopclntab_value(g, f, f->pcfile, vaddr, &file);
	if (r == 0)
		r = gopclntab_value(g, f, f->pcln, vaddr, &line);
	if (r < 0)
		return r;
	if (file < 0 || line < 0)
		return -ENOENT;

	/* 1.2: files[i] is an offset from the start. Later: units[unit + i], among the files. */
	if (g->layout == GO_1_2) {
		if (!gopclntab_get32(g, g->files + 4ULL * (uint32_t)file, &at))
			return -EBADMSG;
		*ret_file = gopclntab_text(g, at);
	} else {
		if (!gopclntab_get32(g, g->units + 4ULL * ((uint64_t)f->unit + (uint32_t)file),
				     &at))
			return -EBADMSG;
		*ret_file = at == UINT32_MAX ? NULL : gopclntab_text(g, g->files + at);
	}
	if (!*ret_file)
		return -ENOENT;
	*ret_line = (uint32_t)line;
	return 0;
}
