/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A profile for people and other tools: pprof's text reports, folded stacks, a flame graph. All
 * append to a buffer whose maximum the caller chose (-ENOSPC beyond it) or print to a stream; names in
 * them are escaped for where they go. `type` in options is a sample type's name, NULL the profile's
 * default one; -ENOENT when the profile has none such.
 */

#include <stdbool.h>
#include <stdio.h>

#include "buf.h"
#include "profile.h"

enum report_kind {
	REPORT_TOP,    /* `go tool pprof -top` */
	REPORT_PEEK,   /* -peek RE: callers and callees of what matches */
	REPORT_TREE,   /* -tree */
	REPORT_TRACES, /* -traces: every stack */
	REPORT_MAX
};

/* "top", "peek", "tree", "traces"; -EINVAL for any other. */
int report_kind_parse(const char *s, enum report_kind *ret);

/*
 * The report as pprof prints it: the same functions in the same order with the same numbers. arg is the
 * POSIX extended regular expression of REPORT_PEEK (-EINVAL when it does not compile, -ESRCH when no
 * function matches, with nothing printed), NULL for the others. -EIO when out cannot be written.
 */
int report_print(const struct profile *p, enum report_kind kind, const char *arg, FILE *out);

/* The table of functions: flat, flat %, sum %, cum, cum %, name. NULL options: the report `top`. */
struct text_options {
	const char *type;
	size_t rows; /* at most so many, 0: all of at least 0.5 % */
	bool by_cum; /* sorted by cum, not flat */
	bool bare;   /* without the lines above the column heads */
};
int profile_text(const struct profile *p, const struct text_options *o, struct buf *out);

/*
 * flamegraph.pl's input: "root;caller;leaf count\n", the root being the process's name (label comm)
 * where there is one, inlined functions as frames of their own, equal stacks summed in order of first
 * appearance. In names, ';' becomes ':', control characters and other bytes that would break a
 * line are escaped. profile_folded counts samples (the first type).
 */
int profile_folded(const struct profile *p, struct buf *out);
int profile_folded_by(const struct profile *p, const char *type, struct buf *out);

/*
 * One SVG file, with script and style inside, that a browser opens as it is: hover, zoom by click,
 * search by regular expression. Frames narrower than a tenth of a pixel at full width are left out and
 * counted in the footer. Frames are coloured by where they run: kernel, program, library, JIT, synthetic.
 */
struct svg_options {
	const char *type;
	const char *title;    /* NULL: from the profile's first mapping */
	const char *subtitle; /* NULL: time, duration and total */
	unsigned width;       /* pixels, 0: 1200; the page scales it to the window */
	bool icicle;          /* root at the top */
};
int profile_svg(const struct profile *p, const struct svg_options *o, struct buf *out);
