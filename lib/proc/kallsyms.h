/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Names of kernel text from /proc/kallsyms: vmlinux, modules, BPF programs and other text that the
 * kernel makes at run time. Only T, t, W and w symbols are names; all others only end the one
 * before them, as the file has no sizes.
 *
 * What leaves this module are encoded addresses, from which nobody learns where the kernel was
 * loaded (docs/security.md 7). They lie in one 4 GiB space, as a profile's `[kernel.kallsyms]` mapping:
 *
 *	[KALLSYMS_UNKNOWN, +4 KiB)		text that kallsyms does not list: only the offset within a page is kept
 *	[KALLSYMS_LINK, KALLSYMS_REGIONS)	vmlinux, at its link-time addresses (slide removed)
 *	[KALLSYMS_REGIONS, ~0)			regions, given out in the order of first use: one for each module,
 *						from the module's lowest text symbol, and one for each BPF
 *						program or trampoline
 *
 * A region stays its module's while this object lives, also when the module is reloaded elsewhere.
 * With kptr_restrict all addresses read as zero: there are no names then and no slide is known,
 * and addresses are rotated by the secret that kallsyms_new() was given.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include "cleanup.h"

#define KALLSYMS_UNKNOWN 0xffffffff00000000ULL
#define KALLSYMS_LINK    0xffffffff80000000ULL
#define KALLSYMS_REGIONS 0xffffffffc0000000ULL
#define KALLSYMS_TEXT    0xffffffff81000000ULL /* _text as linked: CONFIG_PHYSICAL_START = 16 MiB */

#define KALLSYMS_MAX_SYMBOLS     (1U << 20)
#define KALLSYMS_MAX_NAMES_BYTES (64U << 20)
#define KALLSYMS_MAX_MODULES     4096
#define KALLSYMS_MAX_REGIONS     8192
#define KALLSYMS_NAME_BYTES      640 /* KSYM_NAME_LEN is 512, a module's name 56 */

struct kallsyms;

/* secret: any number, e.g. from getrandom(). */
int kallsyms_new(struct kallsyms **ret, uint64_t secret);
struct kallsyms *kallsyms_free(struct kallsyms *k);
DEFINE_CLEANUP(struct kallsyms *, kallsyms_free)

/* Reads a whole kallsyms file in place of what was read before; on failure the old names stay.
 * -EBADMSG: not one line of it is a symbol; -ENOMEM. */
int kallsyms_load(struct kallsyms *k, FILE *file);

/* Instruction pointer → encoded address. *ret_listed (may be NULL): whether kallsyms lists what is there; always
 * true within vmlinux, where reading it anew brings nothing, and with hidden addresses. */
uint64_t kallsyms_encode(struct kallsyms *k, uint64_t ip, bool *ret_listed);

/* Whether an instruction pointer lies in the code that interrupts and exceptions enter by: it has not been called by
 * the frame below it. False where kallsyms does not tell. */
bool kallsyms_is_entry(const struct kallsyms *k, uint64_t ip);

/*
 * The name of an encoded address: "schedule", "nft_do_chain [nf_tables]", "bpf_prog_6deef7357e7b4530_f [bpf]",
 * and where there is none "[kernel+0xffffffff81000123]" or "[nf_tables+0x123]". Raw bytes. True when it is a name.
 * *ret_function (may be NULL): encoded start of the function, or the address itself.
 */
bool kallsyms_name(const struct kallsyms *k, uint64_t address, char name[KALLSYMS_NAME_BYTES],
		   uint64_t *ret_function);

/* What an encoded address is of. */
struct kallsyms_place {
	char module[56]; /* "" vmlinux */
	uint64_t start;  /* encoded; of the module's lowest text symbol */
	uint64_t limit;  /* encoded; behind the module, or vmlinux */
};
/* False: of neither a module nor vmlinux. */
bool kallsyms_place(const struct kallsyms *k, uint64_t address, struct kallsyms_place *ret);
/* A run-time address of a module as it is loaded now → encoded, where it may lie outside of [start, limit). False:
 * the module is not there. */
bool kallsyms_encode_in(const struct kallsyms *k, const struct kallsyms_place *place, uint64_t ip,
			uint64_t *ret);

/* kptr_restrict or a missing CAP_SYSLOG hides all addresses. */
bool kallsyms_hidden(const struct kallsyms *k);
size_t kallsyms_count(const struct kallsyms *k);
size_t kallsyms_bytes(const struct kallsyms *k);
/* Symbols and regions left out because a maximum was reached. */
uint64_t kallsyms_dropped(const struct kallsyms *k);
