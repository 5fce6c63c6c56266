/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Values, units and shares as pprof writes them ("1.50s", "512.23kB", "3.4%"), for lib/profile only. */

#include <stdint.h>

#define SCALE_TEXT_BYTES 64

/*
 * value, which is in unit from ("nanoseconds", "bytes", "count", ...), in unit to: a unit of the same
 * kind, or "auto" for the largest that leaves at least 1. Returns s.
 */
char *scale_value(char s[SCALE_TEXT_BYTES], int64_t value, const char *from, const char *to);
/* What "auto" would choose for the value, "" where the unit has no kind. */
const char *scale_auto_unit(int64_t value, const char *from);
/* value of unit from in nanoseconds; 0 where it is no time. */
double scale_to_ns(int64_t value, const char *from);
/* "12.34%" of total, at least five columns before the sign, as in pprof's tables. Returns s. */
char *scale_percent(char s[SCALE_TEXT_BYTES], int64_t value, int64_t total);
