/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Names for the code of JIT compilers, from the two files that they write for profilers:
 *
 *	perf-PID.map	lines "START SIZE NAME", hexadecimal (Linux, tools/perf/Documentation/
 *			jit-interface.txt). A later line replaces an earlier one where they overlap.
 *	jit-PID.dump	records of code loaded and moved, with times, and of lines (Linux,
 *			tools/perf/Documentation/jitdump-specification.txt).
 *
 * Both grow while they are read, and their author is the process that is profiled: what is
 * malformed or cut short is left out, and every size is checked. The files are passed once, and
 * what is kept follows from the addresses asked, not from the file (JOB_JIT in a confined process).
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "cprof/symbolize.h"

#define JIT_MAX_MAP_BYTES    (256ULL << 20) /* of a map; what follows is not read */
#define JIT_MAX_DUMP_BYTES   (4ULL << 30)
#define JIT_MAX_DEBUG_BYTES  (16U << 20) /* of one function's lines */
#define JIT_MAX_ANSWER_BYTES (64U << 20)

struct jit_request {
	/* -1: none; stay the caller's, their position is not used */
	int parent_map_fd, map_fd, dump_fd;
	/* What ran at this address then (CLOCK_MONOTONIC): code that was loaded later is not meant
	 * where the dump has other. UINT64_MAX: the last. */
	uint64_t until_ns;
	const uint64_t *addresses; /* sorted, distinct */
	size_t n_addresses;
};

/* Checks the bytes of a job's input (struct jit_input and addresses) and points the request at
 * them; the descriptors are left alone. -EBADMSG. */
int jit_parse_input(const void *input, size_t input_bytes, struct jit_request *request);

/* Appends an answer as cprof/symbolize.h has it, without segments: vaddr and function are ~0.
 * -ENOMEM, -ENOSPC; a file that cannot be read has no names. */
int jit_names(const struct jit_request *request, struct buf *answer);

/* What is known of one asked address. */
struct jit_found {
	char *name; /* raw bytes, NULL unknown */
	uint64_t start;
	uint64_t time_ns;     /* of a dump's record */
	uint64_t index;       /* of a dump's code */
	uint64_t load_offset; /* of the CODE_LOAD record that names it, ~0: found by `index` */
	uint64_t debug_offset, debug_entries, debug_bytes; /* of a dump's lines, 0 none */
	char *file;                                        /* NULL unknown */
	uint32_t line;
};
void jit_found_clear(struct jit_found *f);

/* The range of asked addresses within [start, start + size): *ret_first and how many. */
size_t jit_find(const struct jit_request *request, uint64_t start, uint64_t size,
		size_t *ret_first);

/* The two readers: each fills what it knows into found[n_addresses]. -ENOMEM only. */
int perf_map_read(const struct jit_request *request, int fd, struct jit_found *found);
int jitdump_read(const struct jit_request *request, struct jit_found *found);

/* One line of a perf map, without its newline; the name points into it. -EBADMSG. */
int perf_map_parse_line(const char *line, size_t size, uint64_t *ret_start, uint64_t *ret_bytes,
			const char **ret_name, size_t *ret_name_bytes);
