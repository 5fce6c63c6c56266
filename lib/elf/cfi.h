/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Call frame information: a direct reader of .eh_frame and .debug_frame (DWARF 5 section 6.4, LSB
 * 5.0 core section 10.6). cfi_new() lists the functions (FDEs); cfi_run() evaluates one into rows.
 *
 * The reader goes once through a section from its start, so that its time is linear in the
 * section's size whatever the section says; CIEs are known only where that pass met them. Records
 * that are broken are left out and counted. An FDE's range may overlap others'; who builds a table
 * decides.
 *
 * Only what a stack walk on x86-64 needs is evaluated: the CFA, the return address, rbp, rbx, rsp.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cleanup.h"

struct elf_file;
struct cfi;

enum cfi_source { CFI_EH_FRAME, CFI_DEBUG_FRAME, CFI_N_SOURCES };

/* DWARF numbers of the registers that are followed. */
enum cfi_register { CFI_RBX = 3, CFI_RBP = 6, CFI_RSP = 7, CFI_RA = 16 };

struct cfi_fde {
	uint64_t start, limit; /* link-time addresses */
	uint32_t program;      /* where its instructions are in the section */
	uint32_t program_bytes;
	uint32_t cie;
	uint8_t source; /* enum cfi_source */
};

enum cfi_cfa_kind {
	CFI_CFA_UNKNOWN, /* not said, or an expression that is not understood */
	CFI_CFA_REG,     /* reg + off */
	CFI_CFA_DEREF,   /* *(reg + off) + off2 */
	CFI_CFA_INDEX,   /* *(reg + off + 8 * index) + off2 */
	CFI_CFA_PLT,     /* rsp + 8 + ((ip & 15) >= off) * 8 */
};

struct cfi_cfa {
	uint8_t kind; /* enum cfi_cfa_kind */
	uint8_t reg, index;
	int32_t off, off2;
};

enum cfi_value_kind {
	CFI_SAME, /* also: nothing said */
	CFI_UNDEFINED,
	CFI_AT_CFA,  /* saved at CFA + off */
	CFI_IN_REG,  /* in register off */
	CFI_AT_BP,   /* saved at rbp + off, rbp of this frame */
	CFI_AT_SP,   /* saved at rsp + off, rsp of this frame */
	CFI_UNKNOWN, /* something that no rule can say */
};

struct cfi_value {
	uint8_t kind; /* enum cfi_value_kind */
	int32_t off;
};

struct cfi_state {
	struct cfi_cfa cfa;
	struct cfi_value ra, bp, bx;
	struct cfi_value sp; /* CFI_SAME: the caller's rsp is the CFA, as it nearly always is */
	bool signal;         /* a signal handler's return: augmentation S */
};

/* Reads both sections, as far as they exist; no functions at all is success. */
int cfi_new(struct cfi **ret, const struct elf_file *f);
struct cfi *cfi_free(struct cfi *c);
DEFINE_CLEANUP(struct cfi *, cfi_free)

/* The functions of one section, sorted by start. */
const struct cfi_fde *cfi_fdes(const struct cfi *c, enum cfi_source source, size_t *ret_n);
/* The function that covers an address, .eh_frame first; NULL. */
const struct cfi_fde *cfi_fde_at(const struct cfi *c, uint64_t vaddr);
/* Records left out because they were broken. */
size_t cfi_broken(const struct cfi *c);

/* Called with ascending addresses, start <= addr < limit; the state holds from addr on. The first
 * call is for fde->start. Several calls may say the same. */
typedef void (*cfi_row_t)(void *arg, uint64_t addr, const struct cfi_state *state);
/* -EBADMSG when the instructions are broken: from there on the CFA is CFI_CFA_UNKNOWN. */
int cfi_run(const struct cfi *c, const struct cfi_fde *fde, cfi_row_t row, void *arg);
