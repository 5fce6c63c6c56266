/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The walker of bpf/walk.h in user space: finishes a stack over a copy of its memory. Nothing is
 * trusted but the tables, which must have passed table_check_head(): registers, memory and mappings may
 * hold anything.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "cprof/walk.h"

struct walk_run {
	struct cprof_stack from; /* the frame to continue from, and what the copy is of */
	const uint8_t *stack;
	size_t stack_bytes;                  /* at least from.own_bytes */
	bool stack_cut;                      /* the copy does not reach the stack's end */
	const struct walk_mapping *mappings; /* sorted by start, disjoint */
	size_t n_mappings;
	const void *const *tables; /* blobs that the mappings name by index */
	size_t n_tables;
	uint32_t n_frames; /* that there are already; the last of them is from.regs.ip */
};

/* Stores at most CPROF_MAX_USER_FRAMES - n_frames further frames, leaf first, raw return addresses.
 * Always comes to an end: ret->end is never CPROF_END_NEED_TABLE. */
void walk_run(const struct walk_run *in, uint64_t *frames, struct walk_answer *ret);
