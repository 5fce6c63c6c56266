/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Side-band records that wait until the samples up to their time are there: merged over CPUs, taken
 * out in the order of time. Records of equal time come out as they went in.
 */

#include <stdbool.h>
#include <stdint.h>

#include "sideband_record.h"
#include "source.h"

#define TIMELINE_MAX 65536

struct timeline;

struct timeline_event {
	struct sideband_event e; /* text is a copy of its own */
	struct source *source;   /* MMAP: a reference, NULL where it is of no interest */
};

int timeline_new(struct timeline **ret);
struct timeline *timeline_free(struct timeline *t);

/* Copies e, takes a reference on source (may be NULL). -ENOSPC: full, take some out first. */
int timeline_push(struct timeline *t, const struct sideband_event *e, struct source *source);
/* The oldest one if its time is not after until_ns; valid until the next call. Else NULL. */
const struct timeline_event *timeline_pop(struct timeline *t, uint64_t until_ns);

/* Whether records wait that say that the process ended, or became another program. */
bool timeline_leaves(struct timeline *t, uint32_t pid);

uint64_t timeline_count(const struct timeline *t);
