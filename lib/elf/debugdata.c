/* SPDX-License-Identifier: Apache-2.0 */
/*
 * .gnu_debugdata ("MiniDebugInfo"): an xz stream that holds an ELF file with the symbols that
 * .dynsym leaves out. The ELF file exists in memory only, and of it only .symtab matters.
 */
#include <lzma.h>
#include <string.h>

#include "symtab.h"

#define DEBUGDATA_MAX_BYTES  (64U << 20) /* unpacked; those of distributions have up to 10 MB */
#define DEBUGDATA_MAX_MEMORY (128U << 20)

static int debugdata_unpack(const struct elf_data *packed, struct buf *out)
{
	lzma_stream stream = LZMA_STREAM_INIT;
	lzma_ret r;

	r = lzma_stream_decoder(&stream, DEBUGDATA_MAX_MEMORY, 0);
	if (r != LZMA_OK)
		return -ENOMEM;

	stream.next_in = packed->data;
	stream.avail_in = packed->bytes;
	do {
		uint8_t *to = buf_reserve(out, 1U << 16);

		if (!to)
			break;
		stream.next_out = to;
		stream.avail_out = 1U << 16;
		r = lzma_code(&stream, LZMA_FINISH);
		out->size += (1U << 16) - stream.avail_out;
	} while (r == LZMA_OK);
	lzma_end(&stream);

	if (out->error)
		return out->error == -ENOSPC ? -EFBIG : out->error;
	if (r == LZMA_MEM_ERROR || r == LZMA_MEMLIMIT_ERROR)
		return -ENOMEM;
	return r == LZMA_STREAM_END ? 0 : -EBADMSG;
}

static bool debugdata_part(const struct buf *b, uint64_t offset, uint64_t bytes)
{
	return offset <= b->size && bytes <= b->size - offset;
}

static int debugdata_section(const struct buf *b, const Elf64_Ehdr *header, size_t index,
			     Elf64_Shdr *ret)
{
	uint64_t offset = header->e_shoff + index * sizeof(Elf64_Shdr);

	if (index >= header->e_shnum || !debugdata_part(b, offset, sizeof(*ret)))
		return -EBADMSG;
	memcpy(ret, b->data + offset, sizeof(*ret));
	return 0;
}

static int debugdata_sections(const struct buf *b, const Elf64_Ehdr *header, struct symtab *table)
{
	Elf64_Shdr s;

	table->sections = calloc(header->e_shnum + 1U, sizeof(*table->sections));
	if (!table->sections)
		return -ENOMEM;
	table->n_sections = header->e_shnum;

	for (size_t i = 0; i < header->e_shnum; i++) {
		uint64_t limit;

		if (debugdata_section(b, header, i, &s) < 0 ||
		    __builtin_add_overflow(s.sh_addr, s.sh_size, &limit))
			continue;
		table->sections[i] = (struct symtab_section){
			.start = s.sh_addr,
			.limit = limit,
			.text = (s.sh_flags & SHF_ALLOC) && (s.sh_flags & SHF_EXECINSTR),
		};
	}
	return 0;
}

static int debugdata_find(struct buf *b, struct symtab *table)
{
	Elf64_Shdr s = { 0 }, strings;
	Elf64_Ehdr header;
	void *symbols;
	size_t i;

	if (b->size < sizeof(header))
		return -EBADMSG;
	memcpy(&header, b->data, sizeof(header));
	if (memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
	    header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_shentsize != sizeof(Elf64_Shdr) ||
	    header.e_shoff > b->size)
		return -EBADMSG;

	for (i = 0; i < header.e_shnum; i++)
		if (debugdata_section(b, &header, i, &s) == 0 && s.sh_type == SHT_SYMTAB)
			break;
	if (i == header.e_shnum)
		return -ENOENT;
	if (debugdata_section(b, &header, s.sh_link, &strings) < 0 ||
	    !debugdata_part(b, s.sh_offset, s.sh_size) ||
	    !debugdata_part(b, strings.sh_offset, strings.sh_size))
		return -EBADMSG;

	/* to the front, where it is aligned; the strings are copied behind it */
	symbols = malloc(s.sh_size + strings.sh_size + 1);
	if (!symbols)
		return -ENOMEM;
	memcpy(symbols, b->data + s.sh_offset, s.sh_size);
	memcpy((char *)symbols + s.sh_size, b->data + strings.sh_offset, strings.sh_size);
	*table = (struct symtab){
		.symbols = symbols,
		.n_symbols = s.sh_size / sizeof(Elf64_Sym),
		.strings = (char *)symbols + s.sh_size,
		.strings_bytes = strings.sh_size,
		.source = SYMBOLIZE_SOURCE_DEBUGDATA,
		.owned = symbols,
	};
	return debugdata_sections(b, &header, table);
}

int symtabs_add_debugdata(struct symtabs *t, const struct elf_file *f)
{
	_cleanup_(buf_done) struct buf b = BUF_INIT(DEBUGDATA_MAX_BYTES);
	_cleanup_(elf_data_done) struct elf_data packed = { 0 };
	const struct elf_section *s = elf_file_section(f, ".gnu_debugdata");
	int r;

	if (!s)
		return -ENOENT;
	if (t->n == SYMTAB_MAX_TABLES)
		return -ENOSPC;
	r = elf_section_load(f, s, DEBUGDATA_MAX_BYTES, &packed);
	if (r < 0)
		return r;
	r = debugdata_unpack(&packed, &b);
	if (r < 0)
		return r;

	r = debugdata_find(&b, &t->tables[t->n]);
	if (t->tables[t->n].owned)
		t->n++; /* symtabs_done() frees it */
	return r;
}
