/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The command line of `capture` and `record`, which share all options. Strings point into argv or
 * into the options themselves; parsing says what is wrong.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "client.h"
#include "cprof/api.h"

enum output_format { FORMAT_PPROF, FORMAT_FOLDED, FORMAT_SVG, FORMAT_TEXT };

struct capture_option_target {
	const char *kind;  /* as in POST /api/v1/captures */
	const char *value; /* "" for all */
};

struct capture_options {
	struct capture_option_target targets[CPROF_MAX_TARGETS];
	size_t n_targets;
	uint64_t duration_ns; /* 0: until stopped */
	unsigned hz;
	const char *output; /* NULL: the default name */
	enum output_format format;
	bool format_given; /* by --format */
	bool children;
	bool fast_symbols;
	bool short_names;
	const char *user; /* record only, NULL: the caller */
	char **command;   /* record only, NULL-terminated */
	char *pids;       /* what targets of kind pid point into */
};

/* 0; EXIT_USAGE when a line has been said; -1 when help was asked for and printed. */
int capture_options_parse(struct capture_options *ret, const struct verb *v, int argc, char **argv);
void capture_options_done(struct capture_options *o);

/* "pprof", "folded", "svg", "text"; -EINVAL for any other. */
int output_format_parse(const char *s, enum output_format *ret);
/* ".pb.gz" and so on. */
const char *output_format_extension(enum output_format format);
/* The format that a file's name ends like; -ENOENT for any other name. */
int output_format_of_name(const char *file, enum output_format *ret);
/* Where no format was given it is that of the file's name; where one was, and the name says another, this is said. file may
 * be NULL. */
void output_format_settle(enum output_format *format, bool given, const char *file);
