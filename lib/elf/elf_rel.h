/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Relocatable files (ET_REL): object files, kernel modules and their debug files. Nothing in them has an
 * address, so the sections with code are given one each, in the order of the file, and one segment
 * that holds them all; what follows is then as with a linked file. These addresses stay inside the reader: a
 * question has addresses of its own, see struct symbolize_section.
 *
 * Debug sections refer to code and to one another by relocations (x86-64 psABI, 4.4.1), which are
 * applied to a copy of the section.
 */

#include "cprof/symbolize.h"
#include "elf_file.h"

#define ELF_REL_BASE         0x100000ULL
#define ELF_REL_MAX_SECTIONS 4096 /* that addresses are looked for in */

/* A section with code: [asked, asked + bytes) in questions is [vaddr, vaddr + bytes) here. */
struct elf_rel_section {
	uint64_t asked, vaddr, bytes;
};

struct elf_rel {
	struct elf_rel_section *items; /* the first that holds an address counts */
	size_t n;
};

/* Gives f's sections and segments their addresses. -ENOMEM. */
int elf_rel_lay_out(struct elf_file *f);
/* Of a file that was laid out. No wanted ones: all sections with code, each from 0. -ENOMEM. */
int elf_rel_init(struct elf_rel *r, const struct elf_file *f,
		 const struct symbolize_section *wanted, size_t n_wanted);
void elf_rel_done(struct elf_rel *r);
/* UINT64_MAX where no section holds it. */
uint64_t elf_rel_vaddr(const struct elf_rel *r, uint64_t asked);
/* And back; start: of the function around vaddr, which is UINT64_MAX where it is of another section. */
uint64_t elf_rel_asked(const struct elf_rel *r, uint64_t vaddr, uint64_t *start);

/* Whether there are relocations for a section of f. */
bool elf_rel_has(const struct elf_file *f, const struct elf_section *s);
/*
 * Applies them to its bytes. map: the whole file, which may be shorter than it was. -EBADMSG: some are broken, or of a
 * kind that debug sections do not have; the others are applied.
 */
int elf_rel_apply(const struct elf_file *f, const struct elf_section *s, const uint8_t *map,
		  size_t map_bytes, uint8_t *data, size_t bytes);
