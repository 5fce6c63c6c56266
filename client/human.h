/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Numbers as people read them, into a caller's buffer of size bytes. */

#include <stddef.h>
#include <stdint.h>

void human_count(char *s, size_t size, uint64_t v);       /* 1,234,567 */
void human_seconds(char *s, size_t size, double seconds); /* 0.4 s, 30 s, 2 min 5 s, 1 h 2 min */
void human_bytes(char *s, size_t size, double bytes);     /* 12.3 MiB */

#define HUMAN_TIME_BYTES 64
/* Nanoseconds since 1970 in local time, "2026-11-23 14:00:30". Returns s. */
char *human_time(char s[HUMAN_TIME_BYTES], int64_t ns);
