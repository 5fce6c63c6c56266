/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* A profile of the store: fetched, given its format, written, and summed up on stderr. */

#include "daemon.h"
#include "options.h"
#include "output.h"

/* What `get`, `diff` and `snapshot` have in common; name: for the default file name. */
struct stored {
	const struct verb *verb;
	const char *name;
	const char *output; /* NULL: the default name */
	enum output_format format;
	bool format_given; /* by --format */
};

/* -o and --format: 0, EXIT_USAGE, said. */
int stored_set_output(struct stored *s, const char *file);
int stored_set_format(struct stored *s, const char *format);
/* GETs path and saves the answer. The program's exit status. */
int stored_fetch_and_save(const struct stored *s, const struct client *c, const char *path);
/* Writes bytes as they are: 0, or negative errno, said. */
int stored_write(const struct stored *s, const char *data, size_t size);
/* Where it goes, before anything is asked of the daemon. 0, or negative errno, said. */
int stored_open(const struct stored *s, struct output **ret);
/* Saves bytes of a profile. The program's exit status. */
int stored_save(const struct stored *s, struct output *out, const char *data, size_t size);
/* Takes as long as it takes: a merge of weeks, too. 0, or negative errno, said. */
int stored_fetch(struct daemon *d, const char *path, struct buf *ret);
