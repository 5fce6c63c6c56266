/* SPDX-License-Identifier: Apache-2.0 */
#include "walk_input.h"

#include <errno.h>

static int walk_check_mappings(const struct walk_mapping *m, uint32_t n, size_t n_tables)
{
	for (uint32_t i = 0; i < n; i++) {
		if (m[i].start >= m[i].limit)
			return -EBADMSG;
		if (i > 0 && m[i].start < m[i - 1].limit)
			return -EBADMSG;
		if (m[i].table >= n_tables && m[i].table != WALK_JIT && m[i].table != WALK_NO_CFI)
			return -EBADMSG;
	}
	return 0;
}

const struct walk_stack *walk_input_next(struct walk_batch *b, const uint8_t **ret_bytes)
{
	const struct walk_stack *s = (const struct walk_stack *)b->next;

	if (b->next == b->end)
		return NULL;

	*ret_bytes = b->next + sizeof(*s);
	b->next += sizeof(*s) + (((size_t)s->stack_bytes + 7) & ~(size_t)7);
	return s;
}

/* Stacks of one process share its mappings: a range just checked is not checked again. */
static int walk_check_stacks(const struct walk_batch *b, size_t n_tables)
{
	uint32_t first = 0, count = 0;
	const uint8_t *p = b->next;

	for (uint32_t i = 0; i < b->n_stacks; i++) {
		const struct walk_stack *s = (const struct walk_stack *)p;
		size_t padded;

		if ((size_t)(b->end - p) < sizeof(*s))
			return -EBADMSG;
		p += sizeof(*s);

		padded = ((size_t)s->stack_bytes + 7) & ~(size_t)7;
		if (s->stack_bytes > WALK_MAX_STACK_BYTES || padded > (size_t)(b->end - p) ||
		    s->from.own_bytes > s->stack_bytes)
			return -EBADMSG;
		p += padded;

		if (s->first_mapping > b->n_mappings ||
		    s->n_mappings > b->n_mappings - s->first_mapping)
			return -EBADMSG;
		if (s->first_mapping == first && s->n_mappings == count)
			continue;
		first = s->first_mapping;
		count = s->n_mappings;
		if (walk_check_mappings(b->mappings + first, count, n_tables) < 0)
			return -EBADMSG;
	}
	return p == b->end ? 0 : -EBADMSG;
}

int walk_input_parse(const void *input, size_t input_bytes, size_t n_tables, struct walk_batch *ret)
{
	const struct walk_input *head = input;
	struct walk_batch b;
	size_t at = sizeof(*head);

	if (!input || input_bytes < at)
		return -EBADMSG;
	if (head->n_mappings > WALK_MAX_MAPPINGS || head->n_stacks > WALK_MAX_STACKS)
		return -EBADMSG;
	if ((input_bytes - at) / sizeof(struct walk_mapping) < head->n_mappings)
		return -EBADMSG;

	b.mappings = (const struct walk_mapping *)(head + 1);
	b.n_mappings = head->n_mappings;
	b.n_stacks = head->n_stacks;
	b.next = (const uint8_t *)(b.mappings + b.n_mappings);
	b.end = (const uint8_t *)input + input_bytes;

	if (walk_check_stacks(&b, n_tables) < 0)
		return -EBADMSG;

	*ret = b;
	return 0;
}
