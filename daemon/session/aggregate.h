/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Stacks with counts: equal samples (same process, thread, CPU, frames) become one stack. Bounded in
 * bytes: a new stack that does not fit is refused and counted, known ones go on counting. Holds a
 * reference on every process and object that it mentions.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sample.h"

struct aggregate;

struct stack {
	uint64_t hash;
	uint64_t count;
	uint64_t cpu_ns; /* sum of the samples' periods */
	struct process_info *process;
	char thread[CPROF_COMM_LEN];
	uint32_t tid, cpu; /* 0 where the aggregate does not keep them */
	uint32_t uid;      /* of its first sample; does not tell stacks apart */
	uint32_t n_frames;
	struct frame frames[];
};

struct aggregate_options {
	size_t max_bytes;
	/* what all aggregates that share a budget hold together, NULL: none do; this one adds to it up to so much */
	uint64_t *shared_bytes;
	uint64_t shared_max_bytes;
	bool keep_tid; /* tid and cpu tell stacks apart */
};

int aggregate_new(struct aggregate **ret, const struct aggregate_options *options);
struct aggregate *aggregate_free(struct aggregate *a);

/* Adds one sample whose frames are given apart (the caller may have replaced some). -ENOSPC when
 * the budget is used up, -ENOMEM; the sample is then counted nowhere. */
int aggregate_add(struct aggregate *a, const struct sample *sample, const struct frame *frames,
		  size_t n_frames);

size_t aggregate_n_stacks(const struct aggregate *a);
const struct stack *aggregate_stack(const struct aggregate *a, size_t i);
size_t aggregate_bytes(const struct aggregate *a);

/* All distinct frames, in no order: *ret is freed by the caller, the objects are the aggregate's. */
int aggregate_frames(const struct aggregate *a, struct frame **ret, size_t *ret_n);
