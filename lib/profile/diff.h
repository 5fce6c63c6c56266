/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Two profiles compared function by function. They lie in one profile, as profile_merge_filtered() with
 * `base` and pprof's -diff_base make it: what was before is negated and has the label pprof::base=true.
 *
 * Functions are matched by their demangled name without what a compiler adds to a copy of them: ".isra.0",
 * ".constprop.1", ".part.2", ".cold", ".llvm.123", " [clone .x]" and Rust's "::h0123456789abcdef".
 */

#include <stdbool.h>

#include "buf.h"
#include "profile.h"

struct diff_row {
	const char *name;          /* raw, to be escaped */
	int64_t before, after;     /* of the sample type, flat or cumulative */
	int64_t n_before, n_after; /* samples behind these */
	double points;             /* share after - share before, in percent of each total */
	bool noise;                /* no larger than the error of sampling */
};

struct diff {
	struct diff_row *rows; /* the largest difference first */
	size_t n;
	int64_t before, after; /* totals */
	int64_t n_before, n_after;
	double scale; /* that before was multiplied with, n_before was not */
	char *names;  /* what rows point into */
};

struct diff_options {
	const char *type; /* NULL: the profile's default */
	bool cum;         /* with all that a function called */
	double scale;     /* of the values of before, to compare rates; 0 is 1 */
};

/* -ENOENT: no such sample type. -ENOMEM. */
int diff_new(struct diff **ret, const struct profile *p, const struct diff_options *o);
struct diff *diff_free(struct diff *d);

/* The name that two builds have in common: shorter than name or as long; size bytes of it count. */
size_t diff_name_bytes(const char *name);

struct diff_print {
	size_t rows;      /* at most, 0: all */
	bool dim;         /* escape sequences for what is noise; else a ~ in front */
	unsigned columns; /* names are cut there, 0: never */
	const char
		*unit; /* of the values: "nanoseconds" are shown as seconds, others as they are */
};
/* -ENOSPC, -ENOMEM. */
int diff_print(const struct diff *d, const struct diff_print *o, struct buf *out);
