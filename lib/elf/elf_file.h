/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A safe view of one ELF64 x86-64 file: headers, segments, sections. Nothing is mapped: whatever is
 * asked for is read with pread() into private memory, so that a file which shrinks or changes while
 * it is read costs an error and never a signal. Every offset and size from the file is checked
 * against the file's size as it was at opening; nothing refers to the descriptor's position.
 *
 * Addresses are link-time virtual addresses (the p_vaddr domain); offsets are file offsets.
 *
 * Errors: -ENOEXEC no ELF64 x86-64 (a 32-bit one too), -EBADMSG broken headers, -ENODATA the file
 * is shorter than its headers say, -EFBIG over the caller's limit, -ENOENT no such part.
 */

#include <elf.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cleanup.h"

#define ELF_MAX_SEGMENTS            512
#define ELF_MAX_SECTIONS            65536
#define ELF_MAX_SECTION_NAMES_BYTES (4U << 20)

struct elf_segment {
	uint32_t type;  /* PT_* */
	uint32_t flags; /* PF_* */
	uint64_t offset, vaddr;
	uint64_t file_bytes, memory_bytes;
};

struct elf_section {
	const char *name; /* NUL-terminated raw bytes, "" where the file gives none */
	uint32_t type;    /* SHT_* */
	uint32_t link, info;
	uint64_t flags; /* SHF_* */
	uint64_t addr, offset, bytes;
	uint64_t entry_bytes;
};

struct elf_file {
	int fd; /* the caller's, not closed */
	uint64_t bytes;
	int64_t mtime_ns; /* at opening */
	uint16_t type;    /* ET_* */
	uint64_t entry;
	struct elf_segment *segments; /* all program headers, in file order */
	size_t n_segments;
	struct elf_section
		*sections; /* [0] is the null section; none when they are missing or broken */
	size_t n_sections;
	bool sections_broken; /* some, or their names, are not where the headers say */
	char *names;
};

/* Reads the headers. Sections are optional (n_sections 0 when broken), segments are not in ET_EXEC
 * and ET_DYN files. */
int elf_file_new(struct elf_file **ret, int fd);
struct elf_file *elf_file_free(struct elf_file *f);
DEFINE_CLEANUP(struct elf_file *, elf_file_free)

/* Whether the file was written to since it was opened: what was read may be of two versions. */
bool elf_file_changed(const struct elf_file *f);
/* The same of a file whose elf_file is gone. */
bool elf_fd_changed(int fd, uint64_t bytes, int64_t mtime_ns);

/* Exactly bytes at offset into data. */
int elf_file_read(const struct elf_file *f, uint64_t offset, void *data, size_t bytes);

/* Part of a file in memory of its own, at most max_bytes. */
struct elf_data {
	uint8_t *data; /* followed by one NUL that bytes does not count */
	size_t bytes;
	uint64_t addr; /* link-time address of the first byte, 0 for what is not loaded */
};
void elf_data_done(struct elf_data *d);
int elf_file_load(const struct elf_file *f, uint64_t offset, uint64_t bytes, size_t max_bytes,
		  struct elf_data *ret);

/* The first section of that name which has a place in the file, or NULL; also finds `.zdebug_x`
 * for `.debug_x`. */
const struct elf_section *elf_file_section(const struct elf_file *f, const char *name);
/* A section's bytes, uncompressed (SHF_COMPRESSED zlib or zstd, and .zdebug). -ENOENT for SHT_NOBITS,
 * -EOPNOTSUPP for another compression. max_bytes bounds both sizes. */
int elf_section_load(const struct elf_file *f, const struct elf_section *s, size_t max_bytes,
		     struct elf_data *ret);
bool elf_section_is_compressed(const struct elf_section *s);
/* The same of a compressed section that is in memory as it stands in the file. The bytes may change
 * meanwhile. */
int elf_section_uncompress(const struct elf_section *s, const uint8_t *data, size_t bytes,
			   size_t max_bytes, struct elf_data *ret);

/* Between addresses and offsets by PT_LOAD; -ENOENT outside. *ret_bytes (may be NULL): how many
 * bytes follow in the file within the same segment. */
int elf_file_offset(const struct elf_file *f, uint64_t vaddr, uint64_t *ret_offset,
		    uint64_t *ret_bytes);
int elf_file_vaddr(const struct elf_file *f, uint64_t offset, uint64_t *ret_vaddr);
/* True in an executable PT_LOAD; *ret_limit (may be NULL) is where that segment's memory ends. */
bool elf_file_is_text(const struct elf_file *f, uint64_t vaddr, uint64_t *ret_limit);
/* Exactly bytes at an address. */
int elf_file_read_vaddr(const struct elf_file *f, uint64_t vaddr, void *data, size_t bytes);

/* The first segment of a type, or NULL. */
const struct elf_segment *elf_file_segment(const struct elf_file *f, uint32_t type);

/* The GNU build-id, from the notes of segments or sections: number of bytes, at most size; -ENOENT. */
int elf_file_build_id(const struct elf_file *f, uint8_t *id, size_t size);
/* The value of a tag in PT_DYNAMIC; -ENOENT. */
int elf_file_dynamic(const struct elf_file *f, int64_t tag, uint64_t *ret_value);
