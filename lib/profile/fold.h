/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Processes that are told apart no longer: the label pid of one becomes that of another, and samples that
 * are equal then become one. For profiles of long times, where thousands of compilers that each lived for
 * a moment would be most of the file.
 */

#include "profile.h"

/* The process of this pid and label comm (NULL: "") is given the other pid. */
struct profile_fold {
	int64_t pid, to;
	const char *comm;
};

/* Sorts folds in place. 0, -ENOMEM, -ENOSPC; after a failure p is good for nothing but profile_free. */
int profile_fold_pids(struct profile *p, struct profile_fold *folds, size_t n);
