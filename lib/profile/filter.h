/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Merging a part of a profile: the samples whose labels a filter wants, with the functions, locations
 * and mappings that these need and no others.
 *
 * A sample passes when it has one of the targets (the union of the four kinds; none given: all pass)
 * and, where only_pids is given, its pid is among these too. A label that a sample does not have is
 * "" or pid 0. Strings match as those of a capture do:
 *
 *	comm		equal; the kernel keeps 15 bytes, so longer ones are compared by their first 15
 *	unit		equal, or "nginx" for "nginx.service"
 *	container	equal, or at least the first 6 characters of it
 */

#include "profile.h"

#define PROFILE_FILTER_COMM_BYTES       15
#define PROFILE_FILTER_CONTAINER_PREFIX 6
#define PROFILE_BASE_KEY                "pprof::base"
#define PROFILE_BASE_VALUE              "true"

/* All pointers are the caller's. */
struct profile_filter {
	const int64_t *pids; /* ascending */
	size_t n_pids;
	const char *const *comms, *const *units, *const *containers;
	size_t n_comms, n_units, n_containers;

	/* of those, or of all: e.g. the processes of an executable; not NULL with n 0: none passes */
	const int64_t *only_pids; /* ascending */
	size_t n_only_pids;

	/* Values negated and the label pprof::base=true added, as pprof's -diff_base has it; time and
	 * duration of dst stay. */
	bool base;

	/* File name of the mapping that comes first where dst has none yet; NULL: src's first one. */
	const char *first_mapping;
};

/*
 * As profile_merge(): 0, -EINVAL (types do not agree, pids are not in order), -ENOMEM, -ENOSPC. filter NULL: everything. A
 * src of which nothing passes still adds its duration and comments. *ret_samples, if not NULL: the
 * number of src's samples (rows, not counts) that passed.
 */
int profile_merge_filtered(struct profile *dst, const struct profile *src,
			   const struct profile_filter *filter, uint64_t *ret_samples);
