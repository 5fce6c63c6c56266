/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * JOB_SYMBOLIZE: names for file offsets of one ELF file.
 *
 * JOB_SYMBOLIZE_SESSION: the same for any number of questions to one process, which keeps what it has
 * read; their flags are all the same.
 *
 * Input: struct symbolize_input, then n_offsets sorted distinct uint64_t file offsets, then n_sections struct
 * symbolize_section.
 * Answer: struct symbolize_answer, then n_segments struct symbolize_segment, then for each offset in the
 * order asked struct symbolize_location and its n_lines struct symbolize_line, then the strings.
 * Strings are offsets into the string area, NUL-terminated UTF-8; 0 is "".
 */

#include <stdint.h>

#define SYMBOLIZE_MAX_OFFSETS    (1U << 20) /* of one request */
#define SYMBOLIZE_MAX_SEGMENTS   64
#define SYMBOLIZE_MAX_LINES      256 /* of one location; outer inlined callers beyond it are left out */
#define SYMBOLIZE_MAX_NAME_BYTES 8192U /* longer names and paths are cut */
#define SYMBOLIZE_MAX_SECTIONS   256

/* Debug information is mapped, and the worker's address space is bounded: that of a larger file is not
 * read. The answer is -EFBIG, and symbol tables can still be asked. */
#define SYMBOLIZE_MAX_DWARF_FILE_BYTES (16ULL << 30)
#define SYMBOLIZE_MAX_DWARF_FILE_TEXT  "16 GiB"

enum symbolize_flags {
	SYMBOLIZE_DWARF = 1 << 0, /* lines and inlines too, not only symbol-table names */
	SYMBOLIZE_SHORT = 1 << 1, /* demangled names without template arguments and parameters */
	SYMBOLIZE_VADDR = 1 << 2, /* the offsets are link-time addresses */
};

struct symbolize_input {
	uint32_t flags;
	uint32_t n_offsets;
	uint32_t n_sections;
	uint32_t zero;
};

/*
 * Where a section of an object file or kernel module lies, as the addresses of the question have it (SYMBOLIZE_VADDR).
 * Without any, an address is an offset in the first section with code that is long enough. A
 * session's sections are those of its first question.
 */
struct symbolize_section {
	uint64_t address;
	char name[56]; /* NUL-terminated */
};

enum symbolize_source {
	SYMBOLIZE_SOURCE_NONE = 0, /* nothing but the start of the function, or not even that */
	SYMBOLIZE_SOURCE_SYMTAB = 1,
	SYMBOLIZE_SOURCE_DYNSYM = 2,
	SYMBOLIZE_SOURCE_DWARF = 3,
	SYMBOLIZE_SOURCE_DEBUGDATA = 4, /* .gnu_debugdata */
	SYMBOLIZE_SOURCE_GO = 5,
	SYMBOLIZE_SOURCE_PLT = 6,
	SYMBOLIZE_SOURCE_ENTRY = 7, /* the ELF entry point of a stripped file: _start */
	SYMBOLIZE_SOURCE_JIT = 8,   /* perf-PID.map or jitdump */
	SYMBOLIZE_SOURCE_MAX,
};

/*
 * JOB_JIT: names for addresses of code that a JIT compiler made. Descriptors: those of `files`, in
 * the order of the bits. Input: struct jit_input, then n_addresses sorted distinct uint64_t runtime
 * addresses. The answer is that of JOB_SYMBOLIZE.
 */
enum jit_input_files {
	JIT_INPUT_PARENT_MAP = 1 << 0, /* perf-PID.map of the process that it was forked from */
	JIT_INPUT_MAP = 1 << 1,        /* perf-PID.map: what it has stands */
	JIT_INPUT_DUMP = 1 << 2,       /* jit-PID.dump: the same */
};

struct jit_input {
	uint32_t files; /* enum jit_input_files */
	uint32_t n_addresses;
	uint64_t until_ns; /* CLOCK_MONOTONIC: the code of that time, where the file has times */
};

struct symbolize_answer {
	uint32_t n_locations;
	uint32_t n_segments;
	uint32_t build_id;      /* string: lowercase hex, or 0 */
	uint32_t soname;        /* string: DT_SONAME, or 0 */
	uint32_t debug_missing; /* 1: the file names a debug file that was not found */
	uint32_t debug_broken;  /* 1: the debug information could not be read, wholly or in part */
	uint64_t strings_bytes;
};

/* An executable PT_LOAD: link-time address = offset - file_offset + vaddr. */
struct symbolize_segment {
	uint64_t file_offset, vaddr, file_bytes;
};

struct symbolize_location {
	uint64_t vaddr;    /* link-time address of the offset; ~0 where no segment holds it */
	uint64_t function; /* link-time start of the function (symbol or FDE), or ~0 */
	uint32_t n_lines;  /* innermost first; 0: no name, synthesize one from `function` */
	uint32_t source;   /* enum symbolize_source */
};

struct symbolize_line {
	uint32_t name;        /* demangled */
	uint32_t system_name; /* linkage name */
	uint32_t file;        /* path, or 0 */
	uint32_t line;
	uint32_t column;
	uint32_t start_line; /* of the function, or 0 */
};

_Static_assert(sizeof(struct symbolize_input) == 16, "layout");
_Static_assert(sizeof(struct symbolize_section) == 64, "layout");
_Static_assert(sizeof(struct jit_input) == 16, "layout");
_Static_assert(sizeof(struct symbolize_answer) == 32, "layout");
_Static_assert(sizeof(struct symbolize_segment) == 24, "layout");
_Static_assert(sizeof(struct symbolize_location) == 24, "layout");
_Static_assert(sizeof(struct symbolize_line) == 24, "layout");
