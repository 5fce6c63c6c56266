/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A profile's time by function, command, process or unit: the rows of a live table. */

#include "profile.h"

enum tally_by { TALLY_FUNCTION, TALLY_COMM, TALLY_PID, TALLY_UNIT, TALLY_MAX };

/* "function", "comm", "pid", "unit"; -EINVAL for any other. */
int tally_by_parse(const char *s, enum tally_by *ret);
const char *tally_by_name(enum tally_by by);

struct tally_row {
	const char *
		name; /* raw, the profile's; of a process its command; "" where the label is missing */
	int64_t flat, cum; /* of the default sample type; cum of functions only, else as flat */
	int64_t pid;       /* of TALLY_PID, else 0 */
};

struct tally {
	struct tally_row *rows; /* the most first */
	size_t n;
	int64_t total;
};

/* Lives no longer than p. -ENOMEM. A profile without sample types has no rows. */
int tally_new(struct tally **ret, const struct profile *p, enum tally_by by);
struct tally *tally_free(struct tally *t);
