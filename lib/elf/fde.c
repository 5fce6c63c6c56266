/* SPDX-License-Identifier: Apache-2.0 */
#include "fde.h"

#include <string.h>

#define FDE_MAX_TABLE_BYTES (64U << 20)
#define FDE_HEAD_BYTES      64

/* Pointer encodings: LSB Core, "DWARF Extensions". */
#define PE_FORMAT         0x0f
#define PE_UDATA4         0x03
#define PE_SDATA4         0x0b
#define PE_ABSPTR         0x00
#define PE_UDATA8         0x04
#define PE_SDATA8         0x0c
#define PE_DATAREL_SDATA4 0x3b

struct fde_table {
	struct elf_data data;
	uint64_t entries; /* offset of the table in data */
	size_t n;
};

static int fde_table_load(const struct elf_file *f, struct fde_table *t)
{
	const struct elf_segment *s = elf_file_segment(f, PT_GNU_EH_FRAME);
	uint32_t n;
	int r;

	if (!s)
		return -ENOENT;
	r = elf_file_load(f, s->offset, s->file_bytes, FDE_MAX_TABLE_BYTES, &t->data);
	if (r < 0)
		return r;
	t->data.addr = s->vaddr;

	/* version 1, a 4-byte pointer to .eh_frame, a 4-byte count, the table every linker writes */
	if (t->data.bytes < 12 || t->data.data[0] != 1 ||
	    (t->data.data[1] & PE_FORMAT) != PE_SDATA4 || t->data.data[2] != PE_UDATA4 ||
	    t->data.data[3] != PE_DATAREL_SDATA4)
		return -EBADMSG;
	memcpy(&n, t->data.data + 8, sizeof(n));
	t->entries = 12;
	t->n = MIN((size_t)n, (t->data.bytes - 12) / 8);
	return 0;
}

static uint64_t fde_table_value(const struct fde_table *t, size_t index, size_t part)
{
	int32_t v;

	memcpy(&v, t->data.data + t->entries + index * 8 + part * 4, sizeof(v));
	return t->data.addr + (uint64_t)(int64_t)v;
}

static bool fde_skip_leb(const uint8_t *p, size_t bytes, size_t *at)
{
	while (*at < bytes)
		if (!(p[(*at)++] & 0x80))
			return true;
	return false;
}

/* The encoding of addresses in the FDEs of the CIE at this address, or negative. */
static int fde_encoding(const struct elf_file *f, uint64_t cie)
{
	uint8_t p[FDE_HEAD_BYTES];
	size_t at = 9, letters;
	uint32_t length;
	size_t bytes;

	if (elf_file_read_vaddr(f, cie, &length, sizeof(length)) < 0 || length < 8 ||
	    length > UINT32_MAX - 16)
		return -EBADMSG;
	bytes = MIN(sizeof(p), (size_t)length + 4);
	if (elf_file_read_vaddr(f, cie, p, bytes) < 0)
		return -EBADMSG;

	letters = at;
	at += strnlen((char *)p + at, bytes - at) + 1;
	if (at >= bytes || p[letters] != 'z')
		return PE_ABSPTR;
	/* code and data alignment, return register, size of the augmentation data */
	for (int i = 0; i < 4; i++)
		if (!fde_skip_leb(p, bytes, &at))
			return -EBADMSG;

	for (size_t i = letters + 1; p[i] && at < bytes; i++) {
		if (p[i] == 'R')
			return p[at];
		if (p[i] == 'L')
			at++;
		else if (p[i] == 'P') /* encoding and pointer */
			at += 1 + ((p[at] & 0x07) == 0 || (p[at] & 0x07) == 4 ? 8
				   : (p[at] & 0x07) == 2                      ? 2
									      : 4);
	}
	return PE_ABSPTR;
}

/* How many bytes of code the FDE at this address covers; 0 unknown. */
static uint64_t fde_code_bytes(const struct elf_file *f, uint64_t fde)
{
	uint32_t head[2], range4;
	uint64_t range8;
	int encoding;

	if (elf_file_read_vaddr(f, fde, head, sizeof(head)) < 0 || head[0] < 8 ||
	    head[0] == UINT32_MAX || head[1] == 0)
		return 0;
	encoding = fde_encoding(f, fde + 4 - head[1]);
	if (encoding < 0)
		return 0;

	switch (encoding & PE_FORMAT) {
	case PE_UDATA4:
	case PE_SDATA4:
		return elf_file_read_vaddr(f, fde + 12, &range4, 4) < 0 ? 0 : range4;
	case PE_ABSPTR:
	case PE_UDATA8:
	case PE_SDATA8:
		return elf_file_read_vaddr(f, fde + 16, &range8, 8) < 0 ? 0 : range8;
	default:
		return 0;
	}
}

static void fde_find(const struct elf_file *f, const struct fde_table *t, struct address *p)
{
	size_t low = 0, high = t->n;
	uint64_t start;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (fde_table_value(t, middle, 0) <= p->vaddr)
			low = middle + 1;
		else
			high = middle;
	}
	if (low == 0)
		return;
	start = fde_table_value(t, low - 1, 0);
	if (start <= p->vaddr &&
	    p->vaddr - start < fde_code_bytes(f, fde_table_value(t, low - 1, 1)))
		p->function = start;
}

int fde_resolve(const struct elf_file *f, struct addresses *a)
{
	struct fde_table t = { 0 };
	bool wanted = false;
	int r;

	for (size_t i = 0; i < a->n && !wanted; i++)
		wanted = !a->items[i].name && a->items[i].vaddr != ADDRESS_NONE;
	if (!wanted)
		return 0;

	r = fde_table_load(f, &t);
	for (size_t i = 0; r == 0 && i < a->n; i++)
		if (!a->items[i].name && a->items[i].vaddr != ADDRESS_NONE)
			fde_find(f, &t, &a->items[i]);
	elf_data_done(&t.data);
	return r == -ENOMEM ? r : 0;
}
