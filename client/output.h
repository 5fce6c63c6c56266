/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The file that a profile goes to. It is opened before the capture starts, so that a folder that
 * cannot be written to costs no capture, and appears under its name only when it is whole:
 *
 *	default name	never overwrites: NAME-1, NAME-2, ... while NAME is taken
 *	-o FILE		replaces a regular file (keeping its mode and owner) or makes a new one
 *	-o LINK, DEVICE, FIFO	written through, at the end
 *	-o -		standard output
 *
 * Under sudo a new file belongs to the calling user (SUDO_UID, SUDO_GID).
 */

#include <stdbool.h>
#include <stddef.h>
#include <time.h>

#include "options.h"

struct output;

/* Says what failed. */
int output_open(struct output **ret, const struct capture_options *o);
/* Takes the temporary file away, if it has not become the file. */
struct output *output_free(struct output *out);
DEFINE_CLEANUP(struct output *, output_free);

/* Writes it all and makes it appear. cancel: as http_set_cancel(), while a FIFO has no reader.
 * Says what failed. */
int output_write(struct output *out, const void *data, size_t size, bool (*cancel)(void *arg),
		 void *arg);
/* The same for what cannot be had again: where it cannot be written, it goes to $TMPDIR or /tmp. 1: it went there,
 * which has been said as an error, and output_name() tells where. */
int output_save(struct output *out, const void *data, size_t size, bool (*cancel)(void *arg),
		void *arg);
/* What it is called now; "-" for standard output. */
const char *output_name(const struct output *out);

/* "cprofd-TARGET-YYYYmmdd-HHMMSS" into s: the time is local, TARGET holds no byte outside
 * [A-Za-z0-9._-]. */
void output_default_stem(char *s, size_t size, const struct capture_options *o, time_t now);
