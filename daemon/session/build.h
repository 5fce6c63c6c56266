/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * From an aggregate and its names to a pprof profile: DESIGN.md section 6, "A profile". Called
 * inside the symbolizer's `done`, where every frame has its names.
 */

#include <stdbool.h>
#include <stdint.h>

#include "aggregate.h"
#include "buf.h"
#include "symbolizer.h"

struct build_options {
	unsigned hz;
	int64_t time_ns;            /* CLOCK_REALTIME at the start */
	int64_t duration_ns;        /* that samples were taken for */
	struct object *main_object; /* the target's executable, or NULL: "[system-wide: HOST]" */
	bool short_names;           /* those that were asked for */
	const char *comment;
	const char *remark; /* a further comment; NULL or "" none */
	size_t max_stacks;  /* 0: all; else the first so many, whose frames have been named */
	/* Frames that have no names yet get "[file+0xOFFSET]": for a daemon that has to end. */
	bool unnamed;
};

/* Appends the gzip-compressed profile to out. */
int build_profile(const struct aggregate *a, struct symbolizer *symbolizer,
		  const struct build_options *options, struct buf *out);
