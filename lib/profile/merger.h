/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Many stored profiles into one, one after the other: each file's bytes go straight into the sum, without
 * a profile of its own in between, and what the files share (names, mappings, stacks) is kept once.
 *
 *	profile_merger_new(&m);
 *	for each file
 *		profile_merger_add(m, data, size, &filter, &n);
 *	profile_write(profile_merger_profile(m), &out);
 *	profile_merger_free(m);
 */

#include "filter.h"

struct profile_merger;

/* The sum begins empty and takes sample types and period from the first file. -ENOMEM. */
int profile_merger_new(struct profile_merger **ret);
struct profile_merger *profile_merger_free(struct profile_merger *m);

/*
 * Adds what filter (NULL: everything) wants of a file, gzip-compressed or plain bytes of any origin.
 * *ret_samples, if not NULL: rows that passed. -EBADMSG (malformed, as profile_read() has it), -EINVAL
 * (its types are not those of the sum, or the filter's pids are not in order), -ENOSPC (beyond the limits
 * of profile.h), -ENOMEM. After any of them the samples of the sum are as they were, so that a torn file
 * among many can be passed over; names and stacks that no sample refers to may have come in.
 */
int profile_merger_add(struct profile_merger *m, const void *data, size_t size,
		       const struct profile_filter *filter, uint64_t *ret_samples);

/* The sum so far, owned by the merger; NULL before the first file that was added. */
struct profile *profile_merger_profile(struct profile_merger *m);
/* Hands it over: the merger begins anew. */
struct profile *profile_merger_take(struct profile_merger *m);
