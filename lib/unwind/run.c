/* SPDX-License-Identifier: Apache-2.0 */
#include <stdbool.h>
#include <string.h>

#include "run.h"
#include "table.h"
#include "walk_state.h"

struct walk_env {
	struct walk walk;
	const struct walk_run *in;
	const void *table; /* where the rule under way comes from */
	uint64_t *frames;
	bool beyond; /* the last read that failed was past the end of what was copied */
};

/* From a region of the copy. */
static bool env_region(struct walk_env *env, void *to, uint64_t addr, size_t size, uint64_t start,
		       const uint8_t *bytes, size_t n_bytes)
{
	uint64_t at = addr - start;

	if (addr < start || n_bytes == 0)
		return false;
	if (at > n_bytes || n_bytes - at < size) {
		env->beyond = true;
		return false;
	}
	memcpy(to, bytes + at, size);
	return true;
}

static bool env_copy(struct walk_env *env, void *to, uint64_t addr, size_t size)
{
	const struct walk_run *in = env->in;
	size_t own = in->from.own_bytes;

	env->beyond = false;
	return env_region(env, to, addr, size, cprof_stack_start(in->from.regs.r[WALK_SP]),
			  in->stack, own) ||
	       env_region(env, to, addr, size, in->from.other_start, in->stack + own,
			  in->stack_bytes - own);
}

static int walk_read(struct walk_env *env, __u64 addr)
{
	return env_copy(env, &env->walk.value, addr, sizeof(env->walk.value)) ? 0 : -1;
}

static int walk_read_context(struct walk_env *env, __u64 addr)
{
	return env_copy(env, env->walk.context, addr, sizeof(env->walk.context)) ? 0 : -1;
}

static const struct cprof_rule *walk_rule(struct walk_env *env, __u32 index)
{
	return env->table ? table_rule(env->table, (uint16_t)(CPROF_RULE_INDEXED | index)) : NULL;
}

static int walk_push(struct walk_env *env, __u64 ip)
{
	if (env->walk.n >= CPROF_MAX_USER_FRAMES)
		return -1;
	env->frames[env->walk.n - env->in->n_frames] = ip;
	env->walk.n++;
	return 0;
}

/* All mappings are known here: an address in none is the end of the matter. */
static enum cprof_end walk_missing(struct walk_env *env)
{
	if (env->walk.guessed)
		return (enum cprof_end)env->walk.guessed;
	return env->walk.n > env->in->n_frames ? CPROF_END_BROKEN_CFI : CPROF_END_NO_UNWIND_INFO;
}

static const struct walk_mapping *env_mapping(const struct walk_run *in, uint64_t addr)
{
	size_t low = 0, high = in->n_mappings;

	while (low < high) {
		size_t mid = low + (high - low) / 2;

		if (addr >= in->mappings[mid].limit)
			low = mid + 1;
		else
			high = mid;
	}
	return low < in->n_mappings && addr >= in->mappings[low].start ? &in->mappings[low] : NULL;
}

static __u32 walk_find(struct walk_env *env, __u64 addr)
{
	const struct walk_mapping *m = env_mapping(env->in, addr);

	env->table = NULL;
	if (!m)
		return WALK_FOUND_UNMAPPED;
	if (m->table == WALK_JIT)
		return WALK_FOUND_JIT;
	if (m->table >= env->in->n_tables)
		return WALK_FOUND_NO_CFI;

	env->table = env->in->tables[m->table];
	return table_find(env->table, addr - m->bias);
}

#include "walk.h"

void walk_run(const struct walk_run *in, uint64_t *frames, struct walk_answer *ret)
{
	struct walk_env env = {
		.walk = { .regs = in->from.regs, .n = in->n_frames },
		.in = in,
		.frames = frames,
	};

	/* each step stores a frame or ends, but for steps that were taken back: those end as well */
	while (walk_step(&env) == WALK_MORE)
		continue;

	if (env.walk.end == CPROF_END_UNREADABLE && env.beyond && in->stack_cut)
		env.walk.end = CPROF_END_BUDGET;
	*ret = (struct walk_answer){ .n_frames = env.walk.n - in->n_frames, .end = env.walk.end };
}
