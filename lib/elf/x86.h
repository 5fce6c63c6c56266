/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * x86-64 machine code, as far as a stack walk needs it: how long an instruction is, where it goes,
 * and what it does to rsp and to a saved rbp. Opcode maps: AMD64 Architecture Programmer's Manual,
 * volume 3, appendix A; VEX and EVEX: Intel SDM volume 2, sections 2.3 and 2.7.
 *
 * A decoder of the whole language (capstone) was left aside: its tables cost each worker more memory
 * than all else in it, for one question in twenty that it answers.
 */

#include <stddef.h>
#include <stdint.h>

enum x86_flow {
	X86_NEXT,
	X86_CALL,   /* and comes back; target 0: through a register or memory */
	X86_BRANCH, /* to target, or on */
	X86_JUMP,   /* to target */
	X86_AWAY,   /* jump through a register or memory */
	X86_RETURN,
	X86_STOP, /* ud2, hlt, int3 */
};

enum x86_stack {
	X86_KEEP,     /* rsp stays */
	X86_ADJUST,   /* rsp += value */
	X86_PUSH_BP,  /* rsp -= 8, rbp is saved there */
	X86_POP_BP,   /* rbp is loaded from there, rsp += 8 */
	X86_SAVE_BP,  /* rbp is saved at rsp + value */
	X86_LOAD_BP,  /* rbp is loaded from rsp + value */
	X86_SP_TO_BP, /* rbp = rsp + value */
	X86_BP_TO_SP, /* rsp = rbp + value */
	X86_LEAVE,    /* rsp = rbp; pop rbp */
	X86_WRITE_BP, /* rbp is something else now */
	X86_LOST,     /* rsp is something else now */
};

struct x86_insn {
	uint8_t bytes;
	uint8_t flow;  /* enum x86_flow */
	uint8_t stack; /* enum x86_stack */
	int32_t value;
	uint64_t target;
};

/* The instruction at p, of which `bytes` can be read; it lies at address addr. Returns its length, or
 * -EBADMSG: not an instruction of 64-bit mode, or it does not end in time. */
int x86_decode(const uint8_t *p, size_t bytes, uint64_t addr, struct x86_insn *ret);
