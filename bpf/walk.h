/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#pragma once

/*
 * One step of a user stack walk: from the registers of a frame and the rule for its address to the
 * registers of its caller. The same text runs in the kernel (bpf/unwind.h) and in user space
 * (lib/unwind/run.c); what differs is behind the seam, which the includer defines before it includes
 * this file:
 *
 *	struct walk_env				has a member `struct walk walk` (walk_state.h)
 *	int walk_read(env, addr)		8 bytes of the stack into walk.value; not 0: unreadable
 *	int walk_read_context(env, addr)	17 words of a saved signal context into walk.context
 *	__u32 walk_find(env, addr)		the rule for a code address, or an enum walk_found
 *	const struct cprof_rule *walk_rule(env, index)	an indexed rule, or NULL
 *	int walk_push(env, ip)			stores a frame; not 0: there is no room
 *	enum cprof_end walk_missing(env)	what to end with where no mapping or table is known
 *
 * Returns and calls cost more than what is between them (the kernel's return thunks): the common step,
 * a simple rule, is one straight run of code, and all else is called.
 *
 * A guess is a step by frame pointer through code that has no rules. One that leads to where
 * nothing is mapped was wrong: it is taken back (walk.undo) before walk_missing() is called.
 */

#include "walk_state.h"

#ifdef __bpf__
#define WALK_NOINLINE static __noinline
#define WALK_INLINE   static __always_inline
#else
#define WALK_NOINLINE static
#define WALK_INLINE   static inline
#endif

#define WALK_MORE 0
#define WALK_STOP 1

WALK_INLINE int walk_end(struct walk_env *env, __u32 end)
{
	env->walk.end = end;
	return WALK_STOP;
}

/* A program's code lies in the lower half; the first page is never mapped. */
WALK_INLINE int walk_is_code(__u64 ip)
{
	return ip >= CPROF_PAGE_SIZE && !(ip >> WALK_USER_BITS);
}

/* Makes the caller the frame to unwind. What rules have restored is valid, and what they need not. */
WALK_INLINE int walk_to(struct walk_env *env, __u64 ra, __u64 cfa, __u64 bp, __u64 valid)
{
	struct walk *w = &env->walk;

	if (!walk_is_code(ra))
		return walk_end(env, CPROF_END_BROKEN_CFI);
	if (walk_push(env, ra))
		return walk_end(env, CPROF_END_DEPTH);

	w->regs.ip = ra;
	w->regs.r[WALK_SP] = cfa;
	w->regs.r[WALK_BP] = bp;
	w->regs.valid = WALK_VALID(WALK_SP) | valid | (w->regs.valid & WALK_SCRATCH_VALID);
	w->guessed = 0;
	return WALK_MORE;
}

/* The same of what a step has left in walk.ra, cfa, bp, bx and valid. */
WALK_INLINE int walk_commit(struct walk_env *env)
{
	struct walk *w = &env->walk;

	w->regs.r[WALK_BX] = w->bx;
	return walk_to(env, w->ra, w->cfa, w->bp, w->valid);
}

/* A step by frame pointer where there are no rules; end is the truth should it not work out. */
WALK_NOINLINE int walk_guess(struct walk_env *env, __u32 end)
{
	struct walk *w = &env->walk;
	__u64 bp = w->regs.r[WALK_BP];

	if (!(w->regs.valid & WALK_VALID(WALK_BP)) || bp & 7 || bp < w->regs.r[WALK_SP] ||
	    bp >> WALK_USER_BITS)
		return walk_end(env, end);
	if (walk_read(env, bp + 8))
		return walk_end(env, end);
	w->ra = w->value;
	if (!walk_is_code(w->ra) || walk_read(env, bp))
		return walk_end(env, end);
	w->bp = w->value;
	w->cfa = bp + 16;
	w->valid = WALK_VALID(WALK_BP);

	w->undo_ip = w->regs.ip;
	w->undo_sp = w->regs.r[WALK_SP];
	w->undo_bp = bp;
	w->undo_valid = w->regs.valid;
	if (walk_commit(env) == WALK_STOP)
		return WALK_STOP;
	w->guessed = end;
	return WALK_MORE;
}

/* Nothing is known of the address that the walk came to. */
WALK_NOINLINE int walk_lost(struct walk_env *env)
{
	struct walk *w = &env->walk;

	if (w->guessed && w->n > 1) {
		w->n--;
		w->regs.ip = w->undo_ip;
		w->regs.r[WALK_SP] = w->undo_sp;
		w->regs.r[WALK_BP] = w->undo_bp;
		w->regs.valid = w->undo_valid & ~WALK_VALID(WALK_BX);
	}
	return walk_end(env, walk_missing(env));
}

/* CFA = reg + offset, return address below it, rbp as bits 11..14 of the rule say. */
WALK_INLINE int walk_simple(struct walk_env *env, __u64 cfa, __u32 rule)
{
	struct walk *w = &env->walk;
	__u64 slot = (rule >> CPROF_RULE_RBP_SHIFT) & 15;
	__u64 bp = w->regs.r[WALK_BP], valid = w->regs.valid & WALK_VALID(WALK_BP);
	__u64 ra;

	if (cfa <= w->regs.r[WALK_SP])
		return walk_end(env, CPROF_END_BROKEN_CFI);
	if (walk_read(env, cfa - 8))
		return walk_end(env, CPROF_END_UNREADABLE);
	ra = w->value;
	if (slot) {
		if (walk_read(env, cfa - 8 * (slot + 1)))
			return walk_end(env, CPROF_END_UNREADABLE);
		bp = w->value;
		valid = WALK_VALID(WALK_BP);
	}
	return walk_to(env, ra, cfa, bp, valid);
}

/* The kernel's rt_sigframe: everything is restored, to whatever stack was interrupted. */
WALK_NOINLINE int walk_signal(struct walk_env *env)
{
	struct walk *w = &env->walk;
	__u64 *c = w->context, *r = w->regs.r;

	if (walk_read_context(env, r[WALK_SP] + WALK_CONTEXT_OFFSET))
		return walk_end(env, CPROF_END_UNREADABLE);
	w->ra = c[16];
	w->cfa = c[15];
	w->bp = c[10];
	w->bx = c[11];
	w->valid = 0;
	if (walk_commit(env) == WALK_STOP)
		return WALK_STOP;

	r[8] = c[0];
	r[9] = c[1];
	r[10] = c[2];
	r[11] = c[3];
	r[12] = c[4];
	r[13] = c[5];
	r[14] = c[6];
	r[15] = c[7];
	r[WALK_DI] = c[8];
	r[WALK_SI] = c[9];
	r[WALK_DX] = c[12];
	r[WALK_AX] = c[13];
	r[WALK_CX] = c[14];
	w->regs.valid = WALK_ALL_VALID | CPROF_REGS_EXACT;
	return WALK_MORE;
}

/* CPROF_RULE_FP: stated by the table, so the frame may lie on another stack (Go's systemstack). */
WALK_INLINE int walk_frame_pointer(struct walk_env *env)
{
	struct walk *w = &env->walk;
	__u64 bp = w->regs.r[WALK_BP];

	if (!(w->regs.valid & WALK_VALID(WALK_BP)))
		return walk_end(env, CPROF_END_BROKEN_CFI);
	if (walk_read(env, bp + 8))
		return walk_end(env, CPROF_END_UNREADABLE);
	w->ra = w->value;
	if (walk_read(env, bp))
		return walk_end(env, CPROF_END_UNREADABLE);
	w->bp = w->value;
	w->cfa = bp + 16;
	w->valid = WALK_VALID(WALK_BP);
	return walk_commit(env);
}

enum walk_fetched { WALK_GOT, WALK_UNKNOWN, WALK_UNREADABLE, WALK_ROOT, WALK_BROKEN };

/* A saved register into walk.value; `same` is the register that stays where the rule says so. */
WALK_NOINLINE int walk_fetch(struct walk_env *env, __u32 kind, __s32 off, __u32 same)
{
	struct walk *w = &env->walk;
	__u64 *r = w->regs.r;
	__u32 reg = kind == CPROF_SAVE_REG ? off & 15 : same & 15;
	__u64 addr;

	switch (kind) {
	case CPROF_SAVE_SAME:
	case CPROF_SAVE_REG:
		w->value = r[reg];
		return w->regs.valid >> reg & 1 ? WALK_GOT : WALK_UNKNOWN;
	case CPROF_SAVE_CFA:
		addr = w->cfa + off;
		break;
	case CPROF_SAVE_BP:
		if (!(w->regs.valid & WALK_VALID(WALK_BP)))
			return WALK_UNKNOWN;
		addr = r[WALK_BP] + off;
		break;
	case CPROF_SAVE_SP:
		addr = r[WALK_SP] + off;
		break;
	case CPROF_SAVE_UNDEFINED:
		return WALK_ROOT;
	default:
		return WALK_BROKEN;
	}
	return walk_read(env, addr) ? WALK_UNREADABLE : WALK_GOT;
}

WALK_INLINE int walk_fetch_failed(struct walk_env *env, int fetched)
{
	if (fetched == WALK_UNREADABLE)
		return walk_end(env, CPROF_END_UNREADABLE);
	if (fetched == WALK_ROOT)
		return walk_end(env, CPROF_END_COMPLETE);
	return walk_end(env, CPROF_END_BROKEN_CFI);
}

/* The CFA of a rule of the table into walk.cfa. */
WALK_INLINE int walk_rule_cfa(struct walk_env *env, const struct cprof_rule *rule)
{
	struct walk *w = &env->walk;
	__u32 reg = rule->cfa_reg & 15;

	if (!(w->regs.valid >> reg & 1))
		return walk_end(env, CPROF_END_BROKEN_CFI);
	w->cfa = w->regs.r[reg] + rule->cfa_off;
	if (rule->cfa_kind == CPROF_CFA_REG)
		return WALK_MORE;
	if (rule->cfa_kind == CPROF_CFA_INDEX_DEREF) {
		reg = rule->cfa_reg >> 4 & 15;
		if (!(w->regs.valid >> reg & 1))
			return walk_end(env, CPROF_END_BROKEN_CFI);
		w->cfa += w->regs.r[reg] * 8;
	}
	if (walk_read(env, w->cfa))
		return walk_end(env, CPROF_END_UNREADABLE);
	w->cfa = w->value + rule->cfa_off2;
	return WALK_MORE;
}

/*
 * A rule of the table. The CFA may equal rsp only where the return address was taken off the stack
 * into a register, as __vfork does. rbx is followed for the few frames whose CFA is in it: where
 * this frame's rule speaks of it; a simple rule does not, and makes it unknown.
 */
WALK_NOINLINE int walk_by_rule(struct walk_env *env, __u32 index)
{
	const struct cprof_rule *rule = walk_rule(env, index);
	struct walk *w = &env->walk;
	int r;

	if (!rule)
		return walk_end(env, CPROF_END_BROKEN_CFI);
	if (rule->ra_kind == CPROF_SAVE_UNDEFINED)
		return walk_end(env, CPROF_END_COMPLETE);
	if (walk_rule_cfa(env, rule) == WALK_STOP)
		return WALK_STOP;
	if (w->cfa < w->regs.r[WALK_SP] ||
	    (w->cfa == w->regs.r[WALK_SP] && rule->ra_kind != CPROF_SAVE_REG))
		return walk_end(env, CPROF_END_BROKEN_CFI);

	r = rule->ra_kind == CPROF_SAVE_SAME ? WALK_BROKEN
					     : walk_fetch(env, rule->ra_kind, rule->ra_off, 0);
	if (r != WALK_GOT)
		return walk_fetch_failed(env, r);
	w->ra = w->value;

	w->valid = 0;
	r = walk_fetch(env, rule->bp_kind, rule->bp_off, WALK_BP);
	if (r == WALK_UNREADABLE)
		return walk_fetch_failed(env, r);
	w->bp = w->value;
	if (r == WALK_GOT)
		w->valid |= WALK_VALID(WALK_BP);

	r = walk_fetch(env, rule->bx_kind_off & 0xff, (__s32)rule->bx_kind_off >> 8, WALK_BX);
	w->bx = w->value;
	if (r == WALK_GOT)
		w->valid |= WALK_VALID(WALK_BX);
	return walk_commit(env);
}

WALK_NOINLINE int walk_indexed(struct walk_env *env, __u32 index)
{
	struct walk *w = &env->walk;
	__u32 low = w->regs.ip & 15;
	__u64 pushed;

	switch (index) {
	case CPROF_RULE_END:
		return walk_end(env, CPROF_END_COMPLETE);
	case CPROF_RULE_SIGFRAME:
		return walk_signal(env);
	case CPROF_RULE_PLT11:
	case CPROF_RULE_PLT10:
		pushed = low >= (index == CPROF_RULE_PLT11 ? 11 : 10);
		return walk_simple(env, w->regs.r[WALK_SP] + 8 + pushed * 8, 0);
	case CPROF_RULE_FP:
		return walk_frame_pointer(env);
	case CPROF_RULE_CLONE:
		if (!w->regs.r[WALK_AX])
			return walk_end(env, CPROF_END_COMPLETE);
		return walk_simple(env, w->regs.r[WALK_SP] + 8, 0);
	default:
		return walk_by_rule(env, index);
	}
}

/* No rule: a guess, or the end. */
WALK_NOINLINE int walk_without(struct walk_env *env, __u32 found)
{
	switch (found) {
	case WALK_FOUND_JIT:
		return walk_guess(env, CPROF_END_JIT);
	case WALK_FOUND_PENDING:
	case WALK_FOUND_UNMAPPED:
		return walk_lost(env);
	default:
		return walk_guess(env, CPROF_END_NO_UNWIND_INFO);
	}
}

/* From the frame in walk.regs to its caller: WALK_MORE, or WALK_STOP with walk.end set. */
WALK_INLINE int walk_step(struct walk_env *env)
{
	struct walk *w = &env->walk;
	__u32 found = walk_find(env, w->regs.ip - !(w->regs.valid & CPROF_REGS_EXACT));
	__u64 cfa;

	if (found == CPROF_RULE_NONE || found > 0xffff)
		return walk_without(env, found);
	if (found & CPROF_RULE_INDEXED)
		return walk_indexed(env, found & (CPROF_RULE_INDEXED - 1));

	cfa = w->regs.r[WALK_SP];
	if (found & CPROF_RULE_CFA_RBP) {
		if (!(w->regs.valid & WALK_VALID(WALK_BP)))
			return walk_end(env, CPROF_END_BROKEN_CFI);
		cfa = w->regs.r[WALK_BP];
	}
	return walk_simple(env, cfa + (found & 0x3ff) * 8, found);
}
