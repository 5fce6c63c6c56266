/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The terminal as a page that is drawn again and again: the alternate screen, no echo, keys one by one.
 * screen_done() gives it back as it was; what was said on stderr meanwhile is said then, or it would go with
 * the page.
 */

#include <stdbool.h>
#include <termios.h>

#include "buf.h"
#include "signals.h"

struct screen {
	bool on; /* standard input and output are a terminal that can move its cursor */
	int resize_fd, stderr_fd,
		said_fd; /* the latter two: the real stderr, and what stands in for it */
	struct termios before;
	unsigned columns, rows;
};

#define SCREEN_INIT ((struct screen){ .resize_fd = -1, .stderr_fd = -1, .said_fd = -1 })

void screen_init(struct screen *s);
void screen_done(struct screen *s);
/* The page, cut to the size of the terminal. */
void screen_draw(struct screen *s, const char *text, size_t size);
/* Waits up to ms. What has happened: */
enum screen_event { SCREEN_NOTHING, SCREEN_QUIT, SCREEN_RESIZED };
enum screen_event screen_wait(struct screen *s, struct signals *signals, int ms);
