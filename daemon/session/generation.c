/* SPDX-License-Identifier: Apache-2.0 */
/* Slots of the sampler for the continuous session, one set after the other. */
#include "cwindow.h"

bool generation_has(int slot, const struct sample *sample)
{
	return slot >= 0 && (sample->sessions[slot / 64] >> (slot % 64) & 1);
}

struct generation *generation_of(struct continuous *c, const struct sample *sample)
{
	for (size_t i = 0; i < MAX_GENERATIONS; i++) {
		struct generation *g = &c->generations[i];

		if (g->used && g->clock == sample->clock && generation_has(g->take, sample) &&
		    sample->time_ns >= g->start_ns && sample->time_ns < g->end_ns)
			return g;
	}
	return NULL;
}

void generations_forget(struct continuous *c, uint64_t until_ns)
{
	for (size_t i = 0; i < MAX_GENERATIONS; i++)
		if (c->generations[i].used && c->generations[i].end_ns <= until_ns)
			c->generations[i].used = false;
}

static void close_slots(struct continuous *c, struct generation *g)
{
	int *const slots[] = { &g->take, &g->in, &g->out };

	/* the numbers stay: samples under way are known by them */
	for (size_t i = 0; i < ARRAY_SIZE(slots); i++)
		if (*slots[i] >= 0)
			sampler_session_close(c->options.sampler, (unsigned)*slots[i]);
}

static int open_slot(struct continuous *c, unsigned hz, int *ret_slot, unsigned *ret_clock)
{
	unsigned slot;
	int r = sampler_session_open(c->options.sampler, hz, true, &slot, ret_clock);

	if (r >= 0)
		*ret_slot = (int)slot;
	return r;
}

/* Adds what BPF matches of a list; *ret_others tells whether there is more. */
static int add_targets(struct continuous *c, int slot, const struct rule_list *l)
{
	for (size_t i = 0; i < l->n; i++) {
		struct target t;
		int r;

		if (!rule_target(&l->items[i], &t))
			continue;
		r = sampler_session_target(c->options.sampler, (unsigned)slot, &t);
		if (r < 0)
			return r;
	}
	return 0;
}

static void count_kinds(const struct rule_list *l, size_t *ret_bpf, size_t *ret_others)
{
	*ret_bpf = *ret_others = 0;
	for (size_t i = 0; i < l->n; i++) {
		struct target t;

		if (rule_target(&l->items[i], &t))
			(*ret_bpf)++;
		else
			(*ret_others)++;
	}
}

static int open_include(struct continuous *c, unsigned hz, struct generation *g)
{
	const struct target everything = { .kind = TARGET_ALL };
	size_t bpf, others;
	int r;

	r = open_slot(c, hz, &g->take, &g->clock);
	if (r < 0)
		return r;
	count_kinds(&c->rules.include, &bpf, &others);
	if (!c->rules.all && others == 0)
		return add_targets(c, g->take, &c->rules.include);

	g->filter_in = !c->rules.all;
	r = sampler_session_target(c->options.sampler, (unsigned)g->take, &everything);
	if (r < 0 || !g->filter_in || bpf == 0)
		return r;
	r = open_slot(c, hz, &g->in, &g->clock);
	return r < 0 ? r : add_targets(c, g->in, &c->rules.include);
}

static int open_exclude(struct continuous *c, unsigned hz, struct generation *g)
{
	size_t bpf, others;
	int r;

	count_kinds(&c->rules.exclude, &bpf, &others);
	if (bpf == 0)
		return 0;
	r = open_slot(c, hz, &g->out, &g->clock);
	return r < 0 ? r : add_targets(c, g->out, &c->rules.exclude);
}

static struct generation *free_place(struct continuous *c)
{
	struct generation *oldest = NULL;

	for (size_t i = 0; i < MAX_GENERATIONS; i++) {
		struct generation *g = &c->generations[i];

		if (!g->used)
			return g;
		if (g != c->current && (!oldest || g->end_ns < oldest->end_ns))
			oldest = g;
	}
	return oldest;
}

uint64_t generation_lost(struct continuous *c)
{
	struct sampler_stats s;
	uint64_t sum, lost;

	if (!c->current)
		return 0;
	sampler_stats(c->options.sampler, (int)c->current->clock, &s);
	sum = s.lost_missed_tick + s.lost_ring_full + s.lost_nested + s.lost_internal;
	lost = sum - MIN(sum, c->lost_seen);
	c->lost_seen = sum;
	return lost;
}

int generation_switch(struct continuous *c, unsigned hz, uint64_t *ret_ns)
{
	struct generation next = { .take = -1, .in = -1, .out = -1 }, *place, *before = c->current;
	int r = 0;

	if (hz) {
		r = open_include(c, hz, &next);
		if (r >= 0)
			r = open_exclude(c, hz, &next);
		if (r < 0) {
			close_slots(c, &next);
			return r;
		}
	}

	/* from here on the new one's samples count, up to here the old one's */
	*ret_ns = clock_ns(CLOCK_MONOTONIC);
	if (c->open)
		c->open->counts.lost_ticks += generation_lost(c);
	if (before) {
		before->end_ns = *ret_ns;
		close_slots(c, before);
	}
	c->current = NULL;
	if (hz) {
		place = free_place(c);
		next.used = true;
		next.start_ns = *ret_ns;
		next.end_ns = WINDOW_NEVER;
		*place = next;
		c->current = place;
		c->lost_seen = 0;
		(void)generation_lost(c);
	}
	return 0;
}
