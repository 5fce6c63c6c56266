/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a filter asks of one set of labels, for lib/profile only. Texts are not terminated. */

#include "filter.h"

struct filter_text {
	const char *s;
	size_t size;
};

struct filter_labels {
	int64_t pid; /* 0: none */
	struct filter_text comm, unit, container;
};

/* Takes in one label; those that no filter asks about are passed over. */
void filter_label(struct filter_labels *l, struct filter_text key, struct filter_text str,
		  int64_t num);
bool filter_wants(const struct profile_filter *f, const struct filter_labels *l);
/* Whether there are samples that it does not want. */
bool filter_is_selective(const struct profile_filter *f);
/* Its pids are in order. */
bool filter_is_valid(const struct profile_filter *f);
