/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#pragma once

/*
 * Where a thread of a Go program stands. A goroutine has a stack of its own, and where it needs the runtime
 * the thread goes over to its g0's; the frame pointer that it takes along leads back. Of g and m only
 * what the compiler and the linker know is read, and m's pointer to the goroutine by what it points
 * to: the rest of their layout (runtime/runtime2.go) is of a release. In other programs anything lies
 * there, but nothing that points to one another as these do.
 */

#include "maps.h"

/* No stack is larger: what lies farther up than this has not begun it. */
#define STACK_FAR_BYTES (1ULL << 30)
/* Words of an m among which its curg is: the 24th since Go 1.26, the 25th before. */
#define GO_CURG_FIRST 20
#define GO_CURG_LAST  27
/* Frames on g0 between a sample and the goroutine's. */
#define GO_MAX_FRAMES 64

static __always_inline bool go_read(void *to, __u64 bytes, __u64 from)
{
	return !bpf_probe_read_user(to, bytes, (void *)from);
}

static __always_inline bool go_holds(const struct scratch_g *g, __u64 addr)
{
	return g->low <= addr && addr < g->high && g->high - addr < STACK_FAR_BYTES;
}

/* The first frame pointer that is not on the stack of g, which sp is on; 0: it leads nowhere. */
static __noinline __u64 go_leave(struct walk_env *env, const struct scratch_g *g)
{
	__u64 bp = env->walk.regs.r[WALK_BP];

	if (!(env->walk.regs.valid & WALK_VALID(WALK_BP)))
		return 0;
	for (int i = 0; i < GO_MAX_FRAMES; i++) {
		if (!go_holds(g, bp))
			return bp;
		if (!go_read(&bp, sizeof(bp), bp))
			return 0;
	}
	return 0;
}

/* The goroutine that runs on m, and whose stack holds addr, into env->go.user. */
static __noinline int go_find_user(struct walk_env *env, __u64 m, __u64 addr)
{
	struct scratch_g *g = &env->go.user;
	__u64 at;

	for (int i = GO_CURG_FIRST; i <= GO_CURG_LAST; i++)
		if (go_read(&at, sizeof(at), m + i * 8) && go_read(g, sizeof(*g), at) &&
		    g->m == m && go_holds(g, addr))
			return 1;
	return 0;
}

/*
 * What is known of the stack that sp is on into env->go: its end, and the part of another that the
 * walk comes to from there; 0 unknown, none. thread is the thread pointer: g lies right below it.
 */
static __noinline int go_find(struct walk_env *env, __u64 thread, __u64 sp)
{
	struct scratch_g *g = &env->go.user, *g0 = &env->go.system;
	__u64 at, bp;

	env->go.top = 0;
	env->go.other_start = 0;
	env->go.other_top = 0;
	if (!go_read(&at, sizeof(at), thread - 8) || !go_read(g, sizeof(*g), at))
		return 0;
	if (go_holds(g, sp))
		env->go.top = g->high;
	if (!go_read(&at, sizeof(at), g->m) || !go_read(g0, sizeof(*g0), at) || g0->m != g->m ||
	    !go_holds(g0, sp))
		return 0;
	env->go.top = g0->high;
	bp = go_leave(env, g0);
	/* g is still the goroutine where only the vDSO is called */
	if (!bp || (!go_holds(g, bp) && !go_find_user(env, g0->m, bp)))
		return 0;
	env->go.other_start = bp & ~7ULL;
	env->go.other_top = g->high;
	return 0;
}
