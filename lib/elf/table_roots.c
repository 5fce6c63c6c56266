/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What is known of code without CFI from its place or its instructions: PLT sections, the entry
 * point, signal trampolines, system calls that a child returns from as well.
 */
#include <string.h>

#include "table_build.h"

#define ROOT_BYTES    64
#define PLT_MAX_BYTES (64U << 20)
#define GAP_MAX_BYTES 48
/* glibc has two. */
#define CLONES_MAX 8
/* Trampolines are sought where no CFI is: in libcs without any, which are small. */
#define TRAMPOLINE_MAX_BYTES (16UL << 20)

bool table_clip_text(const struct build *b, uint64_t *start, uint64_t *limit)
{
	uint64_t end;

	/* user space ends there, and so do the addresses that a table has pages for */
	if (*limit > 1ULL << 47 || !elf_file_is_text(b->elf, *start, &end))
		return false;
	*limit = MIN(*limit, end);
	return *start < *limit;
}

/* The byte of an entry after which its push has been done: lazy entries push the relocation's
 * number and jump to the first entry. 0 for an entry that only jumps. */
static uint32_t plt_entry_push(const uint8_t *p)
{
	static const uint8_t endbr64[] = { 0xf3, 0x0f, 0x1e, 0xfa };

	if (p[0] == 0xff && p[1] == 0x25 && p[6] == 0x68)
		return 11;
	if (memcmp(p, endbr64, sizeof(endbr64)) == 0 && p[4] == 0x68)
		return 9;
	return 0;
}

/* The first entry of a lazy PLT is reached with the number pushed, and pushes another word. */
static bool is_plt_head(const uint8_t *p)
{
	return p[0] == 0xff && p[1] == 0x35;
}

static int add_range(struct build *b, uint64_t start, uint64_t limit, uint32_t index,
		     uint8_t source)
{
	struct extent e = { .start = start, .limit = limit, .index = index, .source = source };

	if (!table_clip_text(b, &e.start, &e.limit))
		return 0;
	return extents_add(&b->extents, &e, 1, NULL);
}

static int lazy_plt(struct build *b, const struct elf_section *s)
{
	_cleanup_(elf_data_done) struct elf_data d = {};
	uint64_t start = s->addr, limit;
	uint32_t push = 0;
	int r;

	r = elf_section_load(b->elf, s, PLT_MAX_BYTES, &d);
	if (r < 0)
		return r == -ENOMEM ? r : 0;
	if (d.bytes < 16 || s->addr % 16 != 0 || s->addr > UINT64_MAX - d.bytes)
		return 0;
	limit = start + d.bytes;

	if (is_plt_head(d.data)) {
		r = add_range(b, start, start + 6, 2, EXTENT_RULE);
		if (r == 0)
			r = add_range(b, start + 6, start + 16, 3, EXTENT_RULE);
		if (r < 0)
			return r;
		start += 16;
	}
	if (limit - start < 16)
		return 0;

	push = plt_entry_push(d.data + (start - s->addr));
	if (push == 0)
		return add_range(b, start, limit, 1, EXTENT_RULE);
	if (push == 11)
		return add_range(b, start, limit, CPROF_RULE_INDEXED | CPROF_RULE_PLT11,
				 EXTENT_RULE);
	return add_range(b, start, limit, push, EXTENT_PLT);
}

int table_plt_extents(struct build *b)
{
	int r = 0;

	for (size_t i = 1; i < b->elf->n_sections && r == 0; i++) {
		const struct elf_section *s = &b->elf->sections[i];

		if (s->type != SHT_PROGBITS || !(s->flags & SHF_EXECINSTR))
			continue;
		if (strcmp(s->name, ".plt") == 0 || strcmp(s->name, ".iplt") == 0)
			r = lazy_plt(b, s);
		else if ((strcmp(s->name, ".plt.sec") == 0 || strcmp(s->name, ".plt.got") == 0) &&
			 s->bytes <= UINT64_MAX - s->addr)
			r = add_range(b, s->addr, s->addr + s->bytes, 1, EXTENT_RULE);
	}
	return r;
}

/* Program starts clear rbp or take the initial stack pointer first. The entry address of other
 * files can be any function. */
static bool looks_like_start(const uint8_t *p)
{
	static const uint8_t endbr64[] = { 0xf3, 0x0f, 0x1e, 0xfa };

	if (memcmp(p, endbr64, sizeof(endbr64)) == 0)
		p += sizeof(endbr64);
	return memcmp(p, "\x31\xed", 2) == 0 || memcmp(p, "\x48\x31\xed", 3) == 0 ||
	       memcmp(p, "\x48\x89\xe7", 3) == 0;
}

int table_root_extents(struct build *b)
{
	uint64_t start = b->elf->entry, limit;
	uint8_t code[8];
	size_t next;

	if (start == 0 || start > UINT64_MAX - ROOT_BYTES ||
	    elf_file_read_vaddr(b->elf, start, code, sizeof(code)) < 0 || !looks_like_start(code))
		return 0;

	limit = start + ROOT_BYTES;
	next = extents_after(&b->extents, start);
	if (next < b->extents.n) {
		if (b->extents.e[next].start <= start)
			return 0;
		limit = MIN(limit, b->extents.e[next].start);
	}
	return add_range(b, start, limit, CPROF_RULE_INDEXED | CPROF_RULE_END, EXTENT_RULE);
}

/* mov $15,%rax; syscall, or with %eax: rt_sigreturn with nothing on the stack but its frame. */
static int find_trampolines(struct build *b, const struct elf_segment *s)
{
	static const uint8_t codes[2][9] = {
		{ 0x48, 0xc7, 0xc0, 15, 0, 0, 0, 0x0f, 0x05 },
		{ 0xb8, 15, 0, 0, 0, 0x0f, 0x05 },
	};
	static const size_t bytes[2] = { 9, 7 };
	_cleanup_(elf_data_done) struct elf_data d = {};
	int r;

	if (s->file_bytes > TRAMPOLINE_MAX_BYTES)
		return 0;
	r = elf_file_load(b->elf, s->offset, s->file_bytes, TRAMPOLINE_MAX_BYTES, &d);
	if (r < 0)
		return r == -ENOMEM ? r : 0;

	for (unsigned i = 0; i < ARRAY_SIZE(codes); i++) {
		const uint8_t *p = memmem(d.data, d.bytes, codes[i], bytes[i]);
		uint64_t at;

		/* one of a kind is what a libc has; more would be something else, and costly */
		if (!p)
			continue;
		at = s->vaddr + (uint64_t)(p - d.data);
		if (at == 0)
			continue;
		/* looked up by its start - 1: the handler returns to its first byte */
		r = add_range(b, at - 1, at + bytes[i], CPROF_RULE_INDEXED | CPROF_RULE_SIGFRAME,
			      EXTENT_RULE);
		if (r < 0)
			return r;
	}
	return 0;
}

/* Only in files where executable memory has gaps of CFI: others have said it in CFI. */
int table_signal_extents(struct build *b)
{
	uint64_t covered = 0, text = 0;
	int r = 0;

	for (size_t i = 0; i < b->extents.n; i++)
		covered += b->extents.e[i].limit - b->extents.e[i].start;
	for (size_t i = 0; i < b->elf->n_segments; i++)
		if (b->elf->segments[i].type == PT_LOAD && (b->elf->segments[i].flags & PF_X))
			text += MIN(b->elf->segments[i].file_bytes, b->elf->bytes);
	if (text == 0 || covered > text - text / 8)
		return 0;

	for (size_t i = 0; i < b->elf->n_segments && r == 0; i++)
		if (b->elf->segments[i].type == PT_LOAD && (b->elf->segments[i].flags & PF_X))
			r = find_trampolines(b, &b->elf->segments[i]);
	return r;
}

/* A part of the code: a read for each of some ten thousand functions would be most of a table's cost. */
struct part {
	uint64_t start;
	size_t bytes;
	uint8_t data[16384];
};

static bool part_is(struct build *b, struct part *p, uint64_t addr, const uint8_t *want, size_t n)
{
	uint64_t offset, follow;

	if (addr < p->start || addr - p->start > p->bytes || p->bytes - (addr - p->start) < n) {
		if (elf_file_offset(b->elf, addr, &offset, &follow) < 0)
			return false;
		p->start = addr;
		p->bytes = (size_t)MIN(follow, (uint64_t)sizeof(p->data));
		if (elf_file_read(b->elf, offset, p->data, p->bytes) < 0)
			p->bytes = 0;
	}
	return p->bytes - (addr - p->start) >= n &&
	       memcmp(p->data + (addr - p->start), want, n) == 0;
}

/* Whether the gap between two functions is a system call whose child has a stack of its own. */
static bool is_clone_call(struct build *b, struct part *p, const struct extent *e,
			  const struct extent *next)
{
	static const uint8_t call[] = { 0x0f, 0x05 };
	const uint16_t end = CPROF_RULE_INDEXED | CPROF_RULE_END;

	if (next->start == e->limit || next->start - e->limit > GAP_MAX_BYTES ||
	    e->source != EXTENT_CFI || next->source != EXTENT_CFI)
		return false;
	return part_is(b, p, e->limit, call, sizeof(call)) &&
	       table_rule_at(b, next, next->start) == end && table_rule_at(b, e, e->limit - 1) == 1;
}

/*
 * glibc ends the FDE of clone and clone3 before the syscall instruction and begins another, with an
 * undefined return address, at the child's code. What is between runs in both: the time that the
 * kernel takes to clone is the parent's and spent there, and so is that of the child's first steps.
 */
int table_clone_extents(struct build *b)
{
	struct extent found[CLONES_MAX];
	struct part part = {};
	size_t n = 0;

	for (size_t i = 0; i + 1 < b->extents.n && n < CLONES_MAX; i++) {
		const struct extent *e = &b->extents.e[i];

		if (is_clone_call(b, &part, e, e + 1))
			found[n++] = (struct extent){
				.start = e->limit,
				.limit = e[1].start,
				.index = CPROF_RULE_INDEXED | CPROF_RULE_CLONE,
				.source = EXTENT_RULE,
			};
	}
	return n ? extents_add(&b->extents, found, n, NULL) : 0;
}
