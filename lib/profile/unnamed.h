/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What of a profile has no names: frames "[libfoo.so.1+0x1230]" by the file that they lie in, and
 * "[anon+0x...]", the code of JIT compilers.
 */

#include <stdbool.h>
#include <stddef.h>

#include "profile.h"

struct profile_unnamed {
	const char *file, *build_id; /* the profile's; "" unknown. file: "[anon]" for JIT code */
	double share; /* of the default value, in samples with such a frame; 0 to 1 */
};

/* The files with the largest shares first, at most max; how many. -ENOMEM. */
int profile_unnamed(const struct profile *p, struct profile_unnamed *ret, size_t max);

/* Of the default value: the share of samples whose leaf lies in a file whose base name begins so. */
double profile_leaf_share(const struct profile *p, const char *prefix);
/* Whether a function's name begins so. */
bool profile_has_function(const struct profile *p, const char *prefix);
