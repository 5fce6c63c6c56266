/* SPDX-License-Identifier: Apache-2.0 */
/* The input of JOB_WALK; the first byte is the number of tables. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "walk_input.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const uint8_t *input, size_t size, size_t n_tables)
{
	const struct walk_stack *s;
	struct walk_batch b;
	const uint8_t *bytes;
	uint32_t n = 0;
	volatile uint64_t sum = 0;

	if (walk_input_parse(input, size, n_tables, &b) < 0)
		return;

	while ((s = walk_input_next(&b, &bytes))) {
		assert(bytes + s->stack_bytes <= input + size);
		for (uint32_t i = 0; i < s->n_mappings; i++) {
			const struct walk_mapping *m = &b.mappings[s->first_mapping + i];

			assert(m->start < m->limit);
			assert(m->table < n_tables || m->table >= WALK_NO_CFI);
			assert(i == 0 || m[-1].limit <= m->start);
		}
		for (uint32_t i = 0; i < s->stack_bytes; i++)
			sum += bytes[i];
		n++;
	}
	assert(n == b.n_stacks);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	uint8_t *copy;

	if (size < 1)
		return 0;
	/* exactly as large as it is, so that a sanitizer sees its end */
	copy = malloc(size > 1 ? size - 1 : 1);
	if (!copy)
		return 0;
	memcpy(copy, data + 1, size - 1);
	check(copy, size - 1, data[0] % 17);
	free(copy);
	return 0;
}
