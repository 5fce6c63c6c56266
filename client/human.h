/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* Numbers as people read them, into a caller's buffer of size bytes. */

#include <stddef.h>
#include <stdint.h>

void human_count(char *s, size_t size, uint64_t v);       /* 1,234,567 */
void human_seconds(char *s, size_t size, double seconds); /* 0.4 s, 30 s, 2 min 5 s, 1 h 2 min */
void human_bytes(char *s, size_t size, double bytes);     /* 12.3 MiB */
