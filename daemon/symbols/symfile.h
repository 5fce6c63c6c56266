/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The answers for one object as they lie on disk, to be mapped and used where they are:
 *
 *	struct symfile_head, then
 *	n_files struct symfile_debug	the debug files that the answers came from, or that were missing
 *	n_entries struct symfile_entry	by address
 *	n_lines struct symfile_line
 *	strings_bytes			strings, one after another, the first one empty
 *
 * A checksum covers all of it, and symfile_check() looks at every field before any is used: what it
 * has passed can be walked without further care. It is trusted for nothing else.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "object.h"

#define SYMFILE_VERSION     1
#define SYMFILE_MAX_BYTES   (64U << 20)
#define SYMFILE_MAX_ENTRIES (1U << 20)
#define SYMFILE_MAX_FILES   32

struct symfile_head {
	uint64_t magic;
	uint64_t checksum; /* XXH3_64bits of all, with this field 0 */
	uint32_t version;
	uint32_t n_files, n_entries, n_lines;
	uint64_t strings_bytes;
	uint32_t build_id; /* string */
	uint8_t has_names, has_lines, has_inlines, debug_missing;
};

struct symfile_debug {
	struct object_identity identity; /* zero: there was no such file */
	uint32_t path;
	uint32_t present;
};

struct symfile_entry {
	uint64_t address;
	uint32_t first_line;
	uint16_t n_lines;
	uint16_t mode; /* enum symbols_mode */
};

struct symfile_line {
	uint32_t name, system_name, file; /* strings */
	uint32_t line, column, start_line;
};

struct symfile {
	const struct symfile_head *head;
	const struct symfile_debug *files;
	const struct symfile_entry *entries;
	const struct symfile_line *lines;
	const char *strings;
};

/* data: aligned to 8. -EBADMSG. */
int symfile_check(const void *data, size_t bytes, struct symfile *ret);
const struct symfile_entry *symfile_find(const struct symfile *f, uint64_t address);
/* The checksum of a file that is otherwise finished. */
uint64_t symfile_checksum(const void *data, size_t bytes);

#define SYMFILE_MAGIC 0x31454d414e464350ULL /* "PCFNAME1" */
