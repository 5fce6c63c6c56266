/* SPDX-License-Identifier: Apache-2.0 */
#include "answer_strings.h"

#include <string.h>

#define FIRST_SLOTS 256

struct answer_string {
	uint32_t from, to; /* from: 0 free */
};

int answer_strings_init(struct answer_strings *a, const struct symbol_names *names)
{
	*a = (struct answer_strings){
		.names = names,
		.bytes = BUF_INIT(names->bytes.max),
		.table = calloc(FIRST_SLOTS, sizeof(*a->table)),
		.allocated = FIRST_SLOTS,
	};
	if (!a->table)
		return -ENOMEM;
	return buf_append(&a->bytes, "", 1);
}

void answer_strings_done(struct answer_strings *a)
{
	buf_done(&a->bytes);
	free(a->table);
	a->table = NULL;
}

static struct answer_string *answer_strings_slot(struct answer_string *table, size_t allocated,
						 uint32_t from)
{
	size_t i = (from * 0x9e3779b1U) >> 7 & (allocated - 1);

	while (table[i].from && table[i].from != from)
		i = (i + 1) & (allocated - 1);
	return &table[i];
}

static int answer_strings_grow(struct answer_strings *a)
{
	size_t allocated = a->allocated * 2;
	struct answer_string *table = calloc(allocated, sizeof(*table));

	if (!table)
		return -ENOMEM;
	for (size_t i = 0; i < a->allocated; i++)
		if (a->table[i].from)
			*answer_strings_slot(table, allocated, a->table[i].from) = a->table[i];
	free(a->table);
	a->table = table;
	a->allocated = allocated;
	return 0;
}

uint32_t answer_strings_take(struct answer_strings *a, uint32_t string)
{
	const char *s = a->names->bytes.data + string;
	struct answer_string *slot;

	if (string == 0)
		return 0;
	slot = answer_strings_slot(a->table, a->allocated, string);
	if (slot->from)
		return slot->to;
	if (a->n >= a->allocated / 2) {
		if (answer_strings_grow(a) < 0) {
			a->bytes.error = -ENOMEM;
			return 0;
		}
		slot = answer_strings_slot(a->table, a->allocated, string);
	}
	*slot = (struct answer_string){ string, (uint32_t)a->bytes.size };
	a->n++;
	return buf_append(&a->bytes, s, strlen(s) + 1) < 0 ? 0 : slot->to;
}
