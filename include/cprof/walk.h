/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * JOB_WALK: stacks that BPF could not finish, because a table was not there yet. Descriptors: the
 * table blobs that the mappings name, by index, at most JOB_MAX_FDS.
 *
 *	struct walk_input
 *	struct walk_mapping[n_mappings]		sorted by start within a stack's own range
 *	n_stacks times: struct walk_stack, stack bytes (padded to 8)
 *
 * Answer, per stack and in their order: struct walk_answer, then n_frames __u64 (further user
 * frames, leaf first, the one to continue from not repeated; raw return addresses).
 */

#include <stdint.h>

#include "cprof/record.h"
#include "cprof/unwind.h"

#define WALK_MAX_STACKS 1024

struct walk_input {
	uint32_t n_mappings;
	uint32_t n_stacks;
};

struct walk_mapping {
	uint64_t start, limit; /* runtime */
	uint64_t bias;         /* link-time address = ip - bias */
	uint32_t table;        /* index of a descriptor; or WALK_JIT, WALK_NO_CFI */
	uint32_t reserved;
};
#define WALK_JIT    0xffffffffU
#define WALK_NO_CFI 0xfffffffeU

struct walk_stack {
	struct cprof_stack from;            /* and what the bytes are */
	uint32_t first_mapping, n_mappings; /* its process's part of the mappings */
	uint32_t stack_bytes;
	uint16_t flags;    /* enum cprof_sample_flags */
	uint16_t n_frames; /* that BPF has already */
};

struct walk_answer {
	uint32_t n_frames;
	uint32_t end; /* enum cprof_end */
};
