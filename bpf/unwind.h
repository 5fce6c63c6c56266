/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#pragma once

/*
 * The kernel's side of the walker's seam (walk.h): stack memory through a window that moves
 * upwards with the walk, rules from a per-CPU cache or from the tables.
 */

#include "maps.h"

#define WINDOW_BYTES 2048
/* Slots that a rule can name lie at most this far below the return address. */
#define WINDOW_BELOW 128

static __always_inline int walk_refill(struct walk_env *env, __u64 addr)
{
	__u64 page = addr & ~(__u64)(CPROF_PAGE_SIZE - 1);
	__u64 start = (addr - WINDOW_BELOW) & ~63ULL;
	__u64 bytes;

	if (start < page)
		start = page;
	/* never past the page: what follows may not be there, and a fault costs more than a refill */
	bytes = page + CPROF_PAGE_SIZE - start;
	if (bytes > WINDOW_BYTES)
		bytes = WINDOW_BYTES;

	env->window_bytes = 0;
	if (bpf_probe_read_user(env->window, bytes, (void *)start))
		return -1;
	env->window_start = start;
	env->window_bytes = bytes;
	return 0;
}

/* Outside of the window: moves it. */
static __noinline int walk_read_far(struct walk_env *env, __u64 addr)
{
	__u64 off;

	if ((addr & (CPROF_PAGE_SIZE - 1)) > CPROF_PAGE_SIZE - 8)
		return bpf_probe_read_user(&env->walk.value, 8, (void *)addr) ? -1 : 0;
	if (walk_refill(env, addr))
		return -1;
	off = addr - env->window_start;
	if (off > CPROF_PAGE_SIZE - 8)
		return -1;
	env->walk.value = *(__u64 *)(env->window + off);
	return 0;
}

static __always_inline int walk_read(struct walk_env *env, __u64 addr)
{
	__u64 off = addr - env->window_start;

	/* the register that is compared is the one that is used, as in walk_push() */
	asm volatile("" : "+r"(off));
	if (off > CPROF_PAGE_SIZE - 8 || off + 8 > env->window_bytes)
		return walk_read_far(env, addr);
	env->walk.value = *(__u64 *)(env->window + off);
	return 0;
}

static __noinline int walk_read_context(struct walk_env *env, __u64 addr)
{
	return bpf_probe_read_user(env->walk.context, sizeof(env->walk.context), (void *)addr) ? -1
											       : 0;
}

static __always_inline const struct cprof_rule *walk_rule(struct walk_env *env, __u32 index)
{
	return bpf_map_lookup_elem(&rules, &index);
}

static __always_inline int walk_push(struct walk_env *env, __u64 ip)
{
	__u64 at = env->first_word + (__u64)env->walk.n;

	/* the register that is compared is the one that is used: verifiers before 6.18 follow no other */
	asm volatile("" : "+r"(at));
	if (env->walk.n >= CPROF_MAX_USER_FRAMES || at >= SCRATCH_WORDS)
		return -1;
	env->words[at] = ip;
	env->walk.n++;
	return 0;
}

static __always_inline enum cprof_end walk_missing(struct walk_env *env)
{
	return CPROF_END_NEED_TABLE;
}

/* The mapping that holds addr into recent[0]. */
static __always_inline int unwind_take(struct walk_env *env, struct cprof_mapping_value *v,
				       __u64 addr)
{
	__u64 base = addr & ~0xffffULL;
	__u32 page = (addr >> CPROF_PAGE_SHIFT) & 15;

#pragma unroll
	for (int i = 0; i < CPROF_MAPPINGS_PER_VALUE; i++) {
		struct cprof_mapping *m = &v->m[i];

		if (m->slot == CPROF_SLOT_NONE || page < m->first || page > m->last)
			continue;
		env->recent[1] = env->recent[0];
		env->recent[0].start = base + m->first * CPROF_PAGE_SIZE;
		env->recent[0].size = (m->last - m->first + 1) * CPROF_PAGE_SIZE;
		env->recent[0].bias = m->bias;
		env->recent[0].slot = m->slot;
		return 0;
	}
	return -1;
}

/* The same where one mapping fills the 2 MiB around addr. */
static __noinline int unwind_take_huge(struct walk_env *env, __u64 addr)
{
	struct cprof_mapping_key key = { .page = CPROF_MAPPING_HUGE | addr >> CPROF_HUGE_SHIFT,
					 .space = env->space };
	struct cprof_mapping_value *v = bpf_map_lookup_elem(&mappings, &key);

	if (!v)
		return -1;
	env->recent[1] = env->recent[0];
	env->recent[0].start = addr >> CPROF_HUGE_SHIFT << CPROF_HUGE_SHIFT;
	env->recent[0].size = 1ULL << CPROF_HUGE_SHIFT;
	env->recent[0].bias = v->m[0].bias;
	env->recent[0].slot = v->m[0].slot;
	return 0;
}

static __noinline int unwind_mapping(struct walk_env *env, __u64 addr)
{
	struct cprof_mapping_key key = { .page = addr >> 16, .space = env->space };
	struct cprof_mapping_value *v;

	if (addr - env->recent[0].start < env->recent[0].size)
		return 0;
	if (addr - env->recent[1].start < env->recent[1].size) {
		struct scratch_mapping m = env->recent[1];

		env->recent[1] = env->recent[0];
		env->recent[0] = m;
		return 0;
	}
	v = bpf_map_lookup_elem(&mappings, &key);
	if (!v)
		return unwind_take_huge(env, addr);
	if (v->more) {
		key.page = CPROF_MAPPING_SMALL | addr >> CPROF_PAGE_SHIFT;
		v = bpf_map_lookup_elem(&mappings, &key);
		if (!v)
			return -1;
	}
	return unwind_take(env, v, addr);
}

/* The rule in the rows of one page; the first row holds from the page's start. */
static __always_inline __u32 unwind_search(const __u32 *rows, __u32 first, __u32 count, __u32 addr)
{
	__u64 low = first;
	__u64 n = count;

#pragma unroll
	for (int i = 0; i < 10; i++) {
		__u64 half = n >> 1;
		__s64 row = rows[(low + half) & (CPROF_ROWS_PER_BLOCK - 1)] & 0xffff;

		/* all ones where row <= addr: no branch for the verifier to follow twice */
		low += half & ((row - (__s64)addr - 1) >> 63);
		n -= half;
	}
	return CPROF_ROW_RULE(rows[low & (CPROF_ROWS_PER_BLOCK - 1)]);
}

static __noinline __u32 unwind_table(struct walk_env *env, __u64 addr)
{
	__u32 slot = env->recent[0].slot;
	__u64 link = addr - env->recent[0].bias;
	struct cprof_slot_info *info;
	const struct cprof_page *page;
	__u32 *rows;
	void *inner;
	__u64 at;
	__u32 index;

	info = bpf_map_lookup_elem(&slots, &slot);
	inner = bpf_map_lookup_elem(&tables, &slot);
	if (!info || !inner || !info->n_pages)
		return WALK_FOUND_PENDING;

	at = (link - info->base) >> CPROF_PAGE_SHIFT;
	if (link < info->base || at >= info->n_pages)
		return CPROF_RULE_NONE;
	index = at / CPROF_PAGES_PER_BLOCK;
	page = bpf_map_lookup_elem(inner, &index);
	if (!page)
		return WALK_FOUND_PENDING;
	page += at & (CPROF_PAGES_PER_BLOCK - 1);
	if (!page->count)
		return CPROF_RULE_NONE;

	index = info->page_blocks + page->block;
	rows = bpf_map_lookup_elem(inner, &index);
	if (!rows)
		return WALK_FOUND_PENDING;
	return unwind_search(rows, page->first, page->count, link & (CPROF_PAGE_SIZE - 1));
}

static __always_inline __u32 unwind_find(struct walk_env *env, __u64 addr)
{
	if (!env->space || unwind_mapping(env, addr))
		return WALK_FOUND_UNMAPPED;
	switch (env->recent[0].slot) {
	case CPROF_SLOT_JIT:
		return WALK_FOUND_JIT;
	case CPROF_SLOT_NO_CFI:
		return WALK_FOUND_NO_CFI;
	case CPROF_SLOT_NONE:
	case CPROF_SLOT_PENDING:
		return WALK_FOUND_PENDING;
	}
	return unwind_table(env, addr);
}

/* The rule for addr from the tables, and into c. */
static __noinline __u32 unwind_miss(struct walk_env *env, __u64 addr, struct scratch_rule *c)
{
	__u32 rule = unwind_find(env, addr);

	env->misses++;
	if (!c || rule == WALK_FOUND_PENDING || rule == WALK_FOUND_UNMAPPED)
		return rule;
	c->key = addr | env->generation;
	c->space = env->space;
	c->rule = rule;
	return rule;
}

static __always_inline __u32 walk_find(struct walk_env *env, __u64 addr)
{
	__u64 at = (addr ^ addr >> 11 ^ env->space_hash) & (SCRATCH_CACHE_ENTRIES - 1);
	struct scratch_rule *c = &env->cache[at];

	if (c->key != (addr | env->generation) || c->space != env->space)
		return unwind_miss(env, addr, c);
	env->hits++;
	return c->rule;
}

#include "walk.h"

/*
 * The same steps in two forms. Where the kernel has bpf_loop() (5.17) it drives them; below, a program
 * takes some and calls itself by a tail call, of which the kernel allows a tick 33: the first is the
 * tick's own, into cprof_walk_tails.
 */
#define UNWIND_STEPS      4 /* in a row */
#define UNWIND_TAIL_ROWS  8
#define UNWIND_TAIL_CALLS 33
_Static_assert(UNWIND_STEPS *UNWIND_TAIL_ROWS *UNWIND_TAIL_CALLS >= CPROF_MAX_USER_FRAMES,
	       "the deepest stack is walked in as many tail calls as there may be");

/* Before a walk from the frame in walk.regs. */
static __always_inline void unwind_begin(struct walk_env *env)
{
	env->walk.guessed = 0;
	env->walk.end = CPROF_END_DEPTH;
	env->recent[0].size = 0;
	env->recent[1].size = 0;
	env->window_bytes = 0;
}

static __always_inline int unwind_steps(struct walk_env *env)
{
#pragma unroll
	for (int step = 0; step < UNWIND_STEPS; step++)
		if (walk_step(env) == WALK_STOP)
			return WALK_STOP;
	return WALK_MORE;
}

static int unwind_loop_body(__u32 i, void *arg)
{
	return unwind_steps(*(struct walk_env **)arg);
}

/* To the end; walk.end says which. */
static __always_inline void unwind_loop(struct walk_env *env)
{
	bpf_loop(CPROF_MAX_USER_FRAMES / UNWIND_STEPS + 1, unwind_loop_body, &env, 0);
}

/* Global, so that the verifier follows it once however often it is called; hence its argument. */
__noinline int unwind_tail_row(__u32 cpu)
{
	struct walk_env *env = bpf_map_lookup_elem(&scratch, &cpu);

	return env ? unwind_steps(env) : WALK_STOP;
}

/* What fits into one program; WALK_MORE: the walk has not ended. */
static __always_inline int unwind_tail(__u32 cpu)
{
	for (int row = 0; row < UNWIND_TAIL_ROWS; row++)
		if (unwind_tail_row(cpu) == WALK_STOP)
			return WALK_STOP;
	return WALK_MORE;
}
