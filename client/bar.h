/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The progress bar: one line on stderr, redrawn; nothing at all where stderr is no terminal. */

#include <stddef.h>

#include "remote.h"

struct bar {
	bool on;
	bool drawn;
};

void bar_init(struct bar *b);
void bar_draw(struct bar *b, const struct remote_progress *p);
void bar_clear(struct bar *b);
/* The line for a terminal of so many columns, at most size - 1 bytes; for bar_draw() and tests. */
void bar_format(char *s, size_t size, unsigned columns, const struct remote_progress *p);
