/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Names for addresses of one ELF file: the whole of JOB_SYMBOLIZE (cprof/symbolize.h has the bytes).
 *
 * Everything is answered for a whole batch at once. DWARF comes first, by an index that reads of a file
 * what the addresses need and keeps it for the next batch (dw_index.h). For the addresses that it
 * does not know, each other source (symbol tables, PLT relocations, .eh_frame) is passed once, each of its
 * intervals being looked for among the addresses: no table of it is built.
 *
 * Hostile files are normal: every count is bounded and every offset checked here; libelf and libdw
 * are what they are, which is why this runs in a confined process of its own.
 */

#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "cprof/symbolize.h"

/* The numbers are those of enum job_open_kind. */
enum symbolize_open_kind {
	SYMBOLIZE_OPEN_BUILD_ID = 1,  /* by build_id */
	SYMBOLIZE_OPEN_DEBUGLINK = 2, /* name: file name without folder; crc */
	SYMBOLIZE_OPEN_DWZ = 3,       /* name: path as in .gnu_debugaltlink; build_id */
	SYMBOLIZE_OPEN_DWO = 4,       /* name: path of a .dwo file */
	SYMBOLIZE_OPEN_DWP = 5,       /* FILE.dwp */
};

struct symbolize_open {
	enum symbolize_open_kind kind;
	uint32_t crc;
	const uint8_t *build_id;
	size_t build_id_bytes; /* at most 64 */
	const char *name;      /* NUL-terminated raw bytes, "" with BUILD_ID */
};

/*
 * A readable descriptor, which becomes the caller's, or a negative errno. Asked again for the same
 * thing: the last one did not fit (checksum, build-id), give the next candidate or -ENOENT.
 */
typedef int (*symbolize_open_t)(void *arg, const struct symbolize_open *request);

struct symbolize_request {
	int fd;                                   /* stays the caller's */
	uint32_t flags;                           /* enum symbolize_flags */
	const uint64_t *offsets;                  /* sorted, distinct */
	size_t n_offsets;                         /* at most SYMBOLIZE_MAX_OFFSETS */
	const struct symbolize_section *sections; /* for symbolize_new() alone */
	size_t n_sections;
	symbolize_open_t open; /* NULL: there are no other files */
	void *arg;
};

/* Checks the bytes of a job's input and points the request at them (aligned to 8); fd, open and arg
 * are left alone. -EBADMSG. */
int symbolize_parse_input(const void *input, size_t input_bytes, struct symbolize_request *request);

/*
 * The file of a request, opened for any number of questions; its offsets are not looked at. The
 * request's fd and arg are used until symbolize_free(). Errors as symbolize_file().
 */
struct symbolize;
int symbolize_new(struct symbolize **ret, const struct symbolize_request *request);
struct symbolize *symbolize_free(struct symbolize *s);
/* Appends the answer to one question. After an error the file is to be freed. */
int symbolize_ask(struct symbolize *s, const uint64_t *offsets, size_t n_offsets,
		  struct buf *answer);

/*
 * One question: appends the answer. -ENOEXEC: no ELF file for this machine's reader (only ELF64, native byte
 * order); -EOPNOTSUPP: an object file, asked by file offsets; -ENOENT: one that has none of the sections;
 * -EINVAL: the question is malformed, or has sections for a linked file; -ETXTBSY: a file was written to while
 * it was read; -EFBIG: the file with the DWARF is over SYMBOLIZE_MAX_DWARF_FILE_BYTES; -ENOMEM, -ENOSPC.
 * Unreadable debug information is no error: the names that remain are answered, and debug_broken is set.
 */
int symbolize_file(const struct symbolize_request *request, struct buf *answer);
