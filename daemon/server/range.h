/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What a query string asks of the history: a range of time, a baseline, filters. */

#include <stdbool.h>

#include "history.h"

struct range {
	struct history_query query;
	bool seconds_wanted;                 /* parameters of a capture are there, too */
	char *values[2 * CATALOG_MAX_TERMS]; /* of the terms; owned */
	size_t n_values;
};

/* Whether since= or until= is among the parameters. query may be NULL. */
bool range_is_asked(const char *query);
/* The parameters of GET /api/v1/windows and /api/v1/profile (cprof/api.h). -EINVAL with a line for the
 * asker, -ENOMEM. */
int range_parse(struct range *ret, const char *query, enum history_what what, char **ret_error);
void range_done(struct range *r);
