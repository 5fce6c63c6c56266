/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* An ELF file of given sections, so that a fuzzer changes what is in them and not where they are. */

#include <elf.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "buf.h"

#define SECTIONS_TEXT_START 0x1000
#define SECTIONS_TEXT_BYTES 0x1000
#define SECTIONS_MAX        40

struct section_part {
	const char *name;
	uint32_t type, link;
	const uint8_t *data;
	size_t bytes;
};

/* The parts are sections 2 to n + 1, behind the null section and .text. A descriptor, or -1. */
static int sections_file(const struct section_part *parts, size_t n)
{
	_cleanup_(buf_done) struct buf b = BUF_INIT(16 << 20), names = BUF_INIT(4096);
	Elf64_Ehdr e = { .e_ident = { 0x7f, 'E', 'L', 'F', ELFCLASS64, ELFDATA2LSB, EV_CURRENT },
			 .e_type = ET_DYN,
			 .e_machine = EM_X86_64,
			 .e_ehsize = sizeof(e),
			 .e_phoff = sizeof(e),
			 .e_phentsize = sizeof(Elf64_Phdr),
			 .e_phnum = 1,
			 .e_shentsize = sizeof(Elf64_Shdr),
			 .e_shnum = (Elf64_Half)(n + 3),
			 .e_shstrndx = (Elf64_Half)(n + 2) };
	Elf64_Phdr text = { .p_type = PT_LOAD,
			    .p_flags = PF_R | PF_X,
			    .p_offset = SECTIONS_TEXT_START,
			    .p_vaddr = SECTIONS_TEXT_START,
			    .p_filesz = SECTIONS_TEXT_BYTES,
			    .p_memsz = SECTIONS_TEXT_BYTES };
	Elf64_Shdr s[SECTIONS_MAX + 3] = { 0 };
	static const char zeros[SECTIONS_TEXT_START + SECTIONS_TEXT_BYTES];
	int fd;

	if (n > SECTIONS_MAX)
		return -1;
	buf_append(&names, "\0.text", 7);
	buf_append(&b, zeros, sizeof(zeros));
	s[1] = (Elf64_Shdr){ .sh_name = 1,
			     .sh_type = SHT_PROGBITS,
			     .sh_flags = SHF_ALLOC | SHF_EXECINSTR,
			     .sh_addr = SECTIONS_TEXT_START,
			     .sh_offset = SECTIONS_TEXT_START,
			     .sh_size = SECTIONS_TEXT_BYTES };
	for (size_t i = 0; i < n; i++) {
		s[i + 2] = (Elf64_Shdr){ .sh_name = (Elf64_Word)names.size,
					 .sh_type = parts[i].type,
					 .sh_link = parts[i].link,
					 .sh_offset = b.size,
					 .sh_size = parts[i].bytes };
		buf_append(&names, parts[i].name, strlen(parts[i].name) + 1);
		buf_append(&b, parts[i].data, parts[i].bytes);
	}
	s[n + 2] =
		(Elf64_Shdr){ .sh_type = SHT_STRTAB, .sh_offset = b.size, .sh_size = names.size };
	buf_append(&b, names.data, names.size);
	e.e_shoff = b.size;
	buf_append(&b, s, (n + 3) * sizeof(*s));
	if (b.error || names.error)
		return -1;
	memcpy(b.data, &e, sizeof(e));
	memcpy(b.data + sizeof(e), &text, sizeof(text));

	fd = memfd_create("fuzz", MFD_CLOEXEC);
	if (fd >= 0 && write(fd, b.data, b.size) != (ssize_t)b.size) {
		close(fd);
		fd = -1;
	}
	return fd;
}

/* The next part of an input: two bytes of length, then the bytes. */
static struct section_part sections_next(const uint8_t **data, size_t *size, const char *name,
					 uint32_t type)
{
	struct section_part p = { .name = name, .type = type, .data = *data };

	if (*size < 2)
		return p;
	p.bytes = (size_t)((*data)[0] | (*data)[1] << 8);
	p.data = *data + 2;
	if (p.bytes > *size - 2)
		p.bytes = *size - 2;
	*data += 2 + p.bytes;
	*size -= 2 + p.bytes;
	return p;
}
