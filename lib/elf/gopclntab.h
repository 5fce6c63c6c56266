/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Go's .gopclntab: for every function of a Go binary, also a stripped one, its range, name, and the
 * stack depth and line of each instruction. Layouts of Go 1.2, 1.16, 1.18 and 1.20 (runtime/symtab.go
 * and cmd/link/internal/ld/pcln.go of those releases), little endian, 8-byte pointers.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cleanup.h"

struct elf_file;
struct gopclntab;

enum gopclntab_flags {
	GOPCLNTAB_TOPFRAME = 1 << 0, /* a root: goexit, mstart, rt0_go */
	GOPCLNTAB_SPWRITE = 1 << 1,  /* writes the stack pointer: its depth is not to be trusted */
	GOPCLNTAB_ASM = 1 << 2,
};

struct gopclntab_function {
	uint64_t start, limit;       /* link-time addresses; limit is where the next one starts */
	uint32_t name;               /* offset among the names */
	uint32_t pcsp, pcfile, pcln; /* offsets of the tables, 0: none */
	uint32_t unit;               /* offset of its compilation unit's files */
	uint32_t start_line;         /* from Go 1.20 on, else 0 */
	uint64_t fields;             /* where its record is, behind the entry */
	uint8_t flags;               /* enum gopclntab_flags; 0 before Go 1.17 */
};

/* -ENOENT: no Go binary, or of a layout that is not known. -EBADMSG: broken. Else those of
 * elf_file_load(). */
int gopclntab_new(struct gopclntab **ret, const struct elf_file *f);
struct gopclntab *gopclntab_free(struct gopclntab *g);
DEFINE_CLEANUP(struct gopclntab *, gopclntab_free)

size_t gopclntab_count(const struct gopclntab *g);
/* Functions are in ascending order; false: this one is broken. */
bool gopclntab_function(const struct gopclntab *g, size_t i, struct gopclntab_function *ret);
/* The function that covers an address; false: none. */
bool gopclntab_find(const struct gopclntab *g, uint64_t vaddr, struct gopclntab_function *ret);

/* "runtime.mstart.abi0"; NUL-terminated raw bytes of the table, NULL when broken. */
const char *gopclntab_name(const struct gopclntab *g, const struct gopclntab_function *f);
/* Source position of an instruction; -ENOENT. *ret_file is raw bytes of the table. Inlined calls
 * are not told apart: it is the innermost one's position. */
int gopclntab_line(const struct gopclntab *g, const struct gopclntab_function *f, uint64_t vaddr,
		   const char **ret_file, uint32_t *ret_line);

/* One call of those that an instruction belongs to. Strings are raw bytes of the table. */
struct gopclntab_frame {
	const char *name;
	const char *file; /* NULL unknown */
	uint32_t line, start_line;
};
/*
 * All calls at an instruction, the innermost inlined one first, the function itself last; their number,
 * at most max. Inline trees are those of Go 1.18 and later; where a file is older, or its trees are not
 * found, the function stands alone, at the position of the innermost call. -EBADMSG.
 */
int gopclntab_frames(const struct gopclntab *g, const struct elf_file *file,
		     const struct gopclntab_function *f, uint64_t vaddr,
		     struct gopclntab_frame *frames, size_t max);
/* Where the inline trees are, to be called once before gopclntab_frames(). -ENOENT: not found. */
int gopclntab_find_inlines(struct gopclntab *g, const struct elf_file *file);

/* Called with ascending addresses from f->start: from addr on, `depth` bytes are on the stack below
 * the return address. */
typedef void (*gopclntab_depth_t)(void *arg, uint64_t addr, int32_t depth);
/* -ENOENT without a table; -EBADMSG. */
int gopclntab_depths(const struct gopclntab *g, const struct gopclntab_function *f,
		     gopclntab_depth_t depth, void *arg);
