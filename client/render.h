/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* lib/profile behind the client's --format. */

#include <stdio.h>

#include "options.h"
#include "profile.h"

DEFINE_CLEANUP(struct profile *, profile_free);

/* The profile in the format, appended to out; not FORMAT_PPROF. Negative errno, not said. */
int render_profile(const struct profile *p, enum output_format format, struct buf *out);
/* The rows of the functions that used most themselves. */
void render_hottest(const struct profile *p, unsigned rows, FILE *f);
