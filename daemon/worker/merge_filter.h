/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The terms of a JOB_MERGE as lib/profile wants them. The process ends with the job: nothing here is
 * freed. */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "filter.h"
#include "fold.h"
#include "profile.h"

#define MERGE_MAX_TERMS 256
#define MERGE_MAX_FOLDS (1U << 20)

struct merge_filter {
	int64_t pids[MERGE_MAX_TERMS];
	const char *comms[MERGE_MAX_TERMS], *units[MERGE_MAX_TERMS], *containers[MERGE_MAX_TERMS];
	struct profile_filter filter;
	int64_t *only; /* of the file that is being merged */
	size_t max_only;
	struct profile_fold *folds; /* of the result */
	size_t n_folds;
};

/* Terms, then folds, to the last byte. */
int merge_filter_parse(struct merge_filter *f, const uint8_t *data, size_t size, uint32_t n_terms,
		       uint32_t n_folds);
/* What the next file is filtered by; only_pids NULL: processes do not matter. *ret holds until the next
 * call. */
int merge_filter_for(struct merge_filter *f, const uint32_t *only_pids, size_t n_only_pids,
		     bool base, const struct profile_filter **ret);
