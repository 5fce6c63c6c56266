/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What was: windows as they end go to the store, questions about a range of time are answered from the
 * store and from the windows that are not there yet, up to the moment of asking. Profiles are merged
 * in the worker, one merge at a time, so that a slow one leaves room for the jobs that sampling needs;
 * when nobody asks, old windows are compacted.
 */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "buf.h"
#include "continuous.h"
#include "store.h"

struct history;
struct pool;

struct history_options {
	sd_event *event;
	struct pool *pool;
	struct continuous *continuous; /* outlives it */
	const char *state_dir;
	struct store_limits limits;
	/* Lines for the operator; error 0: all is well again. Called once a change. */
	void (*trouble)(void *arg, int error, const char *what);
	/* Whether there is CPU time to spare for compaction. NULL: always. */
	bool (*at_leisure)(void *arg);
	void *arg;
};

int history_new(struct history **ret, const struct history_options *options);
/* Waits until all windows that were handed over are stored. */
struct history *history_free(struct history *h);
void history_set_limits(struct history *h, const struct store_limits *limits);
/* From the continuous session. */
void history_window(struct history *h, const struct continuous_report *report);

enum history_what {
	HISTORY_LIST,     /* → list */
	HISTORY_PROFILE,  /* of a range, → profile */
	HISTORY_WINDOW,   /* one by its name, or "open", → profile */
	HISTORY_SNAPSHOT, /* closes the open window → list of one line */
};

/* All strings are copied. */
struct history_query {
	enum history_what what;
	struct catalog_query range, baseline;
	bool has_baseline;
	const char *name;
};

struct history_answer {
	int error; /* 0, or what went wrong; message is for the asker */
	const char *message;
	struct buf profile; /* gzip pprof; may be taken */
	struct catalog_list list;
	unsigned windows; /* that are in the profile */
	unsigned damaged; /* that could not be read */
};

#define HISTORY_MAX_REQUESTS 32

struct history_request;
/* done runs once, in the event loop, never inside the call. -EBUSY over HISTORY_MAX_REQUESTS. */
int history_ask(struct history *h, const struct history_query *q,
		void (*done)(void *arg, struct history_answer *answer), void *arg,
		struct history_request **ret);
struct history_request *history_cancel(struct history_request *r);

struct history_stats {
	struct store_stats store;
	uint64_t queries, merges, merge_failures;
	uint64_t query_cpu_ns; /* that merges for those who asked took in the worker */
	uint64_t waiting;      /* for the store's thread */
};
void history_stats(struct history *h, struct history_stats *ret);
