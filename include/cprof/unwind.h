/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause OR Apache-2.0 */
#pragma once

/*
 * Unwind tables: what a file's .eh_frame (or .debug_frame, or .gopclntab) says, as 4-byte rows that
 * BPF can search. Written by the worker (lib/elf), checked by the daemon, loaded into BPF maps,
 * and read by the walker in the kernel and in user space (bpf/walk.h).
 *
 * A file's text is cut into 4 KiB pages of link-time virtual addresses (ELF p_vaddr domain). Each
 * page has an index entry that names its rows; the first row of every page that has rows repeats
 * the rule in force at the page's start, so that a search never leaves its page. A row holds from
 * its address up to the next row's. The rows of one page lie in one block of 1,024 rows, a 4 KiB
 * map value, so that one lookup reads one index entry and one block.
 *
 * Lookups for return addresses use address - 1.
 */

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

#define CPROF_PAGE_SHIFT      12
#define CPROF_PAGE_SIZE       (1 << CPROF_PAGE_SHIFT)
#define CPROF_ROWS_PER_BLOCK  1024
#define CPROF_PAGES_PER_BLOCK 512

/*
 * A row: bits 0..15 the address within the page (0..4095), bits 16..31 the rule.
 *
 * A rule with bit 15 clear is the whole rule; the return address is at CFA - 8:
 *	bits 0..9	CFA offset / 8; 0 with all else 0 is CPROF_RULE_NONE
 *	bit 10		CFA register: 0 rsp, 1 rbp
 *	bits 11..14	rbp: 0 unchanged, n saved at CFA - 8 * (n + 1)
 * It says nothing of rbx, which is unknown after such a step.
 *
 * With bit 15 set, bits 0..14 are an index into a table of struct cprof_rule: the file's own in a
 * table blob, the global one in BPF (the daemon rewrites the rows when it loads them). The first
 * CPROF_RULE_RESERVED entries have the same meaning in every table.
 */
#define CPROF_ROW(addr, rule) ((__u32)(addr) | (__u32)(rule) << 16)
#define CPROF_ROW_ADDR(row)   ((row)&0xffff)
#define CPROF_ROW_RULE(row)   ((row) >> 16)

#define CPROF_RULE_NONE      0x0000 /* nothing known here: a gap between functions, or no CFI */
#define CPROF_RULE_INDEXED   0x8000
#define CPROF_RULE_CFA_RBP   0x0400
#define CPROF_RULE_RBP_SHIFT 11

enum cprof_rule_reserved {
	CPROF_RULE_END = 0,      /* a root: return address undefined, known start */
	CPROF_RULE_SIGFRAME = 1, /* rt_sigframe: all registers from the ucontext at rsp */
	CPROF_RULE_PLT11 = 2,    /* CFA = rsp + 8 + ((ip & 15) >= 11) * 8 */
	CPROF_RULE_PLT10 = 3,    /* CFA = rsp + 8 + ((ip & 15) >= 10) * 8 */
	CPROF_RULE_FP = 4,       /* frame pointer: CFA = rbp + 16, rbp at CFA - 16 */
	/* behind the system call of clone: CPROF_RULE_END where rax is 0 (the child, on its own
	 * stack), else CFA = rsp + 8 */
	CPROF_RULE_CLONE = 5,
	CPROF_RULE_RESERVED = 16, /* first entry that a file may define */
};

/* Global rules in BPF, all files together; a file whose rules do not fit is walked in user space. */
#define CPROF_MAX_RULES 32768

enum cprof_cfa_kind {
	CPROF_CFA_REG = 0,       /* CFA = reg + off */
	CPROF_CFA_REG_DEREF = 1, /* CFA = *(reg + off) + off2 */
	/* CFA = *(reg + off + 8 * index) + off2; cfa_reg is reg | index << 4: OpenSSL's
	 * bn_mul_mont keeps the caller's rsp behind an array of as many words as index says */
	CPROF_CFA_INDEX_DEREF = 2,
};

enum cprof_save_kind {
	CPROF_SAVE_SAME = 0,      /* unchanged; for the return address: not allowed */
	CPROF_SAVE_CFA = 1,       /* at CFA + off */
	CPROF_SAVE_REG = 2,       /* in register off */
	CPROF_SAVE_BP = 3,        /* at rbp + off (DW_OP_breg6), rbp of this frame */
	CPROF_SAVE_SP = 4,        /* at rsp + off, rsp of this frame */
	CPROF_SAVE_UNDEFINED = 5, /* lost */
};

struct cprof_rule {
	__u8 cfa_kind; /* enum cprof_cfa_kind */
	__u8 cfa_reg;  /* DWARF number, 0..15; CPROF_CFA_INDEX_DEREF has two */
	__u8 ra_kind;  /* enum cprof_save_kind */
	__u8 bp_kind;
	__s32 cfa_off;
	__s32 cfa_off2;
	__s32 ra_off;
	__s32 bp_off;
	/* rbx: enum cprof_save_kind in bits 0..7, signed offset in bits 8..31. Files where a CFA is in
	 * rbx (ld.so's lazy binding) have it in all their rows, others say CPROF_SAVE_UNDEFINED. */
	__u32 bx_kind_off;
};
_Static_assert(sizeof(struct cprof_rule) == 24, "shared layout");

struct cprof_page {
	__u32 block; /* among the file's row blocks */
	__u16 first; /* row within the block */
	__u16 count; /* rows of this page, 0: CPROF_RULE_NONE throughout */
};
_Static_assert(sizeof(struct cprof_page) == 8, "shared layout");

/*
 * A table blob, in memory or on disk, little endian:
 *
 *	struct cprof_table			header
 *	struct cprof_table_segment[n_segments]	at byte 128: executable segments, sorted by offset
 *	struct cprof_page[n_pages]		padded to a multiple of 4,096 bytes (512 entries)
 *	__u32 rows[n_blocks][1024]
 *	struct cprof_rule[n_rules]		entries 0..15 zero
 *
 * The pages start at byte 4,096; each part follows the one before on a 4 KiB boundary.
 */
#define CPROF_TABLE_MAGIC        0x31425455464f5250ULL /* "PROFUTB1" */
#define CPROF_TABLE_VERSION      5
#define CPROF_TABLE_MAX_PAGES    (1U << 18) /* 1 GiB of text */
#define CPROF_TABLE_MAX_BLOCKS   (1U << 14) /* 16 M rows */
#define CPROF_TABLE_MAX_SEGMENTS 64

enum cprof_table_flags {
	CPROF_TABLE_NO_CFI =
		1 << 0, /* no rows at all: frame pointers, then CPROF_END_NO_UNWIND_INFO */
	CPROF_TABLE_GO =
		1 << 1, /* Go binary: rows from .gopclntab, roots are goexit, mstart, rt0_go */
	CPROF_TABLE_CUT = 1 << 2, /* broken CFI in places: some rows are missing */
};

struct cprof_table {
	__u64 magic;
	__u32 version;
	__u32 flags;
	__u64 base; /* link-time virtual address of page 0, 4 KiB aligned */
	__u32 n_pages;
	__u32 n_blocks;
	__u32 n_rows;   /* that mean something, without padding: for statistics */
	__u32 n_rules;  /* including the reserved ones; 0 or at least CPROF_RULE_RESERVED */
	__u64 bytes;    /* of the whole blob */
	__u64 checksum; /* XXH3_64bits of the blob with this field zero */
	__u32 n_segments;
	__u32 n_cut; /* functions and rows left out because they were broken or say what no rule can */
	__u64 reserved[8];
};
_Static_assert(sizeof(struct cprof_table) == 128, "shared layout");

/* What a mapping of this file needs to find its bias: bias = start - mapping offset + (vaddr of
 * that offset). Tables without rows have segments too. */
struct cprof_table_segment {
	__u64 offset; /* p_offset */
	__u64 vaddr;  /* p_vaddr */
	__u64 bytes;  /* p_filesz */
};
_Static_assert(sizeof(struct cprof_table_segment) == 24, "shared layout");

/*
 * BPF maps that tie processes to tables.
 *
 * process: tgid (daemon's namespace) → struct cprof_process. Valid only while start_ns and exec_id
 *	are those of the task. Written by user space after the first sample of a program image;
 *	copied to a child at fork; deleted at exit.
 * mapping: struct cprof_mapping_key → struct cprof_mapping_value, for 64 KiB of address space. Up
 *	to three mappings share a value; where that is not enough, `more` is set and key.page with
 *	CPROF_MAPPING_SMALL holds one value per 4 KiB page. Where one mapping fills an aligned 2 MiB, a
 *	single value at CPROF_MAPPING_HUGE stands for all 32 of them.
 * tables: slot → inner array with 4 KiB values: first the pages (ceil(n_pages / 512) values), then
 *	the row blocks.
 */
struct cprof_process {
	__u64 start_ns;
	__u64 exec_id;
	__u32 space;      /* never reused while the daemon lives; 0: none */
	__u32 generation; /* bumped when a mapping of the space changes its meaning */
};
_Static_assert(sizeof(struct cprof_process) == 24, "shared layout");

#define CPROF_MAPPING_SMALL (1ULL << 63)
#define CPROF_MAPPING_HUGE  (1ULL << 62)
#define CPROF_HUGE_SHIFT    21
struct cprof_mapping_key {
	/* address >> 16; CPROF_MAPPING_SMALL | address >> 12; CPROF_MAPPING_HUGE | address >> 21 */
	__u64 page;
	__u32 space;
	__u32 reserved;
};
_Static_assert(sizeof(struct cprof_mapping_key) == 16, "shared layout");

/* Slots that are no table. */
enum cprof_slot {
	CPROF_SLOT_NONE = 0, /* entry unused */
	CPROF_SLOT_JIT = 1,  /* anonymous executable memory: frame pointers, then CPROF_END_JIT */
	CPROF_SLOT_NO_CFI =
		2, /* a file without unwind information: frame pointers, then NO_UNWIND_INFO */
	CPROF_SLOT_PENDING = 3, /* a table is being made or was evicted: CPROF_END_NEED_TABLE */
	CPROF_SLOT_FIRST = 4,
};
#define CPROF_MAX_TABLES 8192

struct cprof_mapping {
	__u64 bias; /* link-time address = ip - bias */
	__u32 slot;
	__u8 first; /* 4 KiB pages within the 64 KiB: [first, last] */
	__u8 last;
	__u16 reserved;
};
_Static_assert(sizeof(struct cprof_mapping) == 16, "shared layout");

#define CPROF_MAPPINGS_PER_VALUE 3
struct cprof_mapping_value {
	struct cprof_mapping m[CPROF_MAPPINGS_PER_VALUE];
	__u32 more;
	__u32 reserved;
};
_Static_assert(sizeof(struct cprof_mapping_value) == 56, "shared layout");
