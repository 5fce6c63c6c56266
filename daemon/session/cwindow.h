/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* What the files of the continuous session share; nobody outside includes this. */

#include <time.h>

#include "aggregate.h"
#include "cleanup.h"
#include "clock.h"
#include "continuous.h"
#include "symbolizer.h"

#define WINDOW_NEVER    UINT64_MAX
#define MAX_GENERATIONS 8

/* Slots of the sampler for a while: samples with start <= time < end are its own. */
struct generation {
	bool used;
	unsigned clock;
	int take, in, out; /* slots; -1 none. in: what is included and BPF matches; out: excluded */
	bool filter_in;    /* take has everything: who is not in `in` must match a rule here */
	uint64_t start_ns, end_ns; /* CLOCK_MONOTONIC */
};

struct window_counts {
	uint64_t samples, cpu_ns, truncated, excluded;
	uint64_t lost_ticks; /* by the sampler */
	uint64_t lost_full;  /* by the aggregate */
};

struct cwindow {
	struct continuous *session;
	struct cwindow *next;
	unsigned refs; /* the session's list, asks */
	uint64_t serial;
	uint64_t start_ns, end_ns; /* CLOCK_MONOTONIC; end of an open one: where it is planned */
	int64_t start_real_ns;
	bool open, complete;
	unsigned hz;
	struct aggregate *aggregate;
	struct window_counts counts;
	struct symbols_request *naming; /* while it is its turn */
};

struct continuous {
	struct continuous_options options;
	struct rules rules;
	unsigned hz, configured_hz;
	uint64_t window_ns;
	struct generation generations[MAX_GENERATIONS], *current;
	struct cwindow *windows; /* not handed on, oldest first; an open one is the last */
	struct cwindow *open;
	uint64_t next_serial;
	uint64_t wanted_serial; /* up to here somebody waits: naming is not deferred */
	uint64_t lost_seen;     /* of the current generation's clock */
	sd_event_source *boundary, *resume, *sweep;
	bool paused, defer, stopped;
	int64_t paused_until_ns;
	struct continuous_ask *asks;
	struct continuous_stats stats;
};

/* generation.c */
/* Ends the current one and begins another at once; hz 0: none. *ret_ns: when. */
int generation_switch(struct continuous *c, unsigned hz, uint64_t *ret_ns);
struct generation *generation_of(struct continuous *c, const struct sample *sample);
bool generation_has(int slot, const struct sample *sample);
void generations_forget(struct continuous *c, uint64_t until_ns);
/* Ticks that the current clock lost since the last time this was asked. */
uint64_t generation_lost(struct continuous *c);

/* window.c */
struct cwindow *window_unref(struct cwindow *w);
int window_open(struct continuous *c, uint64_t start_ns);
void window_end(struct continuous *c, uint64_t end_ns);
void window_sample(struct cwindow *w, const struct sample *sample);
/* Names, then hands on, whichever is next. */
void windows_go_on(struct continuous *c);
/* Takes it from the list. */
void window_hand_on(struct cwindow *w, bool unnamed, int error);
/* The report of the first n_stacks stacks; rows are freed by the caller. */
int window_report(struct cwindow *w, size_t n_stacks, struct continuous_report *ret,
		  struct continuous_usage **ret_rows);
int window_build(struct cwindow *w, size_t n_stacks, bool unnamed, struct buf *out);
int window_request(struct cwindow *w, void (*done)(void *arg), void *arg,
		   struct symbols_request **ret);
bool windows_bytes_left(const struct continuous *c, size_t *ret);

/* ask.c */
void asks_advanced(struct continuous *c, uint64_t until_ns);
void asks_free(struct continuous *c);
