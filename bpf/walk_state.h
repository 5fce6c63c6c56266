/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#pragma once

/* The state of a stack walk between two steps (walk.h). */

#include "cprof/record.h"
#include "cprof/unwind.h"

enum walk_found {
	WALK_FOUND_JIT = 0x10000,
	WALK_FOUND_NO_CFI,
	WALK_FOUND_PENDING,  /* mapped, its table is not there */
	WALK_FOUND_UNMAPPED, /* no mapping known */
};

/* DWARF numbers */
enum walk_register { WALK_AX, WALK_DX, WALK_CX, WALK_BX, WALK_SI, WALK_DI, WALK_BP, WALK_SP };

#define WALK_VALID(reg) (1ULL << (reg))
#define WALK_ALL_VALID  0xffffULL
/* rax, rdx, rcx, rsi, rdi, r8 to r11. Compilers never ask for them in a caller; assembly does where its
 * own helpers leave them alone (OpenSSL's AES-GCM keeps its CFA in rax). */
#define WALK_SCRATCH_VALID 0x0f37ULL
#define WALK_CONTEXT_WORDS 17
/* Of gregs within the ucontext that rsp points to in a signal's restorer (struct sigcontext_64). */
#define WALK_CONTEXT_OFFSET 40
#define WALK_USER_BITS      47

struct walk {
	struct cprof_regs regs; /* of the frame to unwind; regs.ip is the last frame stored */
	__u64 value;            /* of walk_read() */
	__u64 cfa, ra, bp, bx;  /* of the caller, while a step finds them */
	__u64 valid;            /* of bp and bx above */
	__u64 undo_ip, undo_sp, undo_bp, undo_valid;
	__u32 guessed; /* the last step was a guess: the enum cprof_end that stands if it was wrong */
	__u32 end;     /* enum cprof_end, once the walk has ended */
	__u32 n;       /* frames stored */
	__u32 reserved;
	__u64 context[WALK_CONTEXT_WORDS];
};
