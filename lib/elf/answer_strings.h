/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The strings of one answer, out of all that are known: each once, in the order of their use. */

#include "symbol_names.h"

struct answer_strings {
	const struct symbol_names *names;
	struct buf bytes;            /* failures are remembered in bytes.error, and 0 is returned */
	struct answer_string *table; /* open addressing, power of two */
	size_t n, allocated;
};

int answer_strings_init(struct answer_strings *a, const struct symbol_names *names);
void answer_strings_done(struct answer_strings *a);
/* What a string of `names` is in the answer. */
uint32_t answer_strings_take(struct answer_strings *a, uint32_t string);
