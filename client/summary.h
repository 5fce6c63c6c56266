/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What the person sees when a capture is over, on stderr: the file, the hottest functions, the
 * target's CPU, what became of the samples, what to do next.
 */

#include "options.h"
#include "remote.h"

struct profile;

struct summary {
	const struct capture_options *options;
	const struct remote_progress *progress;
	const struct profile *profile; /* NULL: could not be read */
	const char *file;              /* "-" for standard output */
	bool private_daemon;           /* gone when this is read: nobody can be asked */
};

void summary_print(const struct summary *s);
/* The last of it: what to do with the file; nothing for "-". */
void summary_next(const char *file, enum output_format format);
