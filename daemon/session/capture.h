/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files of this room share about a capture; nobody outside includes this. */

#include "aggregate.h"
#include "resolve.h"
#include "session.h"
#include "symbolizer.h"

/* Samples that are on their way are attributed by time, so an end that has not come yet is far. */
#define CAPTURE_NEVER UINT64_MAX

struct sessions {
	struct sessions_options options;
	struct capture *captures;
	struct sessions_stats stats;
	uint64_t aggregate_bytes; /* that the captures' aggregates hold */
};

struct capture {
	struct sessions *sessions;
	struct capture *prev, *next;
	struct capture_spec spec; /* target values are owned */
	enum capture_state state;
	unsigned slot, clock;
	bool slot_open;
	uint64_t start_ns, end_ns; /* CLOCK_MONOTONIC; samples with start <= time < end are taken */
	int64_t start_realtime_ns;
	struct aggregate *aggregate;
	struct object
		*hidden_kernel; /* stands for kernel frames that the owner may not see, or NULL */
	struct frame *scratch;  /* frames with those replaced */
	struct resolved resolved;
	struct sampler_stats first, last;   /* of the clock, at start and end */
	uint64_t first_cpu_ns, last_cpu_ns; /* of the targets, from /proc */
	bool cpu_known;
	struct capture_progress counts;
	sd_event_source *end_timer, *tick_timer, *done_source;
	sd_event_source *exits[CPROF_MAX_TARGETS]; /* pidfds of process targets */
	unsigned n_alive;                          /* of them */
	struct symbols_request *request;
	struct object *main_object; /* that the process target ran at the end, NULL not known */
	struct buf profile;
	const char *error;
	void (*done)(void *arg);
	void *arg;
};

/* result.c: names, then the profile; ends in DONE or FAILED. */
int capture_name(struct capture *c);
/* Has the executable of a single process target looked for from the start: one that sleeps leaves no sample that
 * tells it. */
void capture_know_main(const struct capture *c);

/* usage.c: CPU time that the targets have used so far, in ns; false when that is not known. */
bool usage_cpu_ns(const struct capture *c, uint64_t *ret);
/* States of the targets' threads in words: "3 sleeping in futex_wait_queue, 1 running". */
void usage_waiting(const struct capture *c, char *buf, size_t size);
