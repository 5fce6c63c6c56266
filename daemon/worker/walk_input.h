/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The input of JOB_WALK, checked. The daemon writes it, but what is in it came from BPF and from
 * the mappings of foreign processes.
 */

#include <stddef.h>
#include <stdint.h>

#include "cprof/walk.h"

#define WALK_MAX_MAPPINGS    (1U << 18)
#define WALK_MAX_STACK_BYTES (1U << 20)

struct walk_batch {
	const struct walk_mapping *mappings;
	uint32_t n_mappings, n_stacks;
	const uint8_t *next, *end;
};

/*
 * Checks all of it: sizes and counts, that each stack's mappings are sorted, not empty, apart from
 * one another and name one of n_tables tables. input is aligned to 8. -EBADMSG.
 */
int walk_input_parse(const void *input, size_t input_bytes, size_t n_tables,
		     struct walk_batch *ret);
/* The stacks in their order; NULL at the end. *ret_bytes is aligned to 8. */
const struct walk_stack *walk_input_next(struct walk_batch *b, const uint8_t **ret_bytes);
