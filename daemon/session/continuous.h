/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The continuous session: takes what its rules want at one frequency, and closes a window at every
 * multiple of the window's length of the wall clock. Windows follow upon one another without a gap:
 * samples are told apart by their times. A window whose samples have all come is named and built, one
 * at a time, and handed on.
 *
 * The frequency may be changed and the session paused while it runs. Each of these makes a new
 * generation of slots in the sampler; samples that are under way count for the one they were taken for.
 */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "buf.h"
#include "rules.h"
#include "sample.h"
#include "sampler.h"

struct continuous;
struct symbolizer;

/* Windows that may wait to be named while that is deferred. */
#define CONTINUOUS_MAX_DEFERRED 2

/* Who used how much in a window. */
struct continuous_usage {
	struct process_info *process;
	uint32_t uid;
	uint64_t samples, cpu_ns;
	char build_id
		[65]; /* of the executable, as the profile has it, "" unknown; of named windows only */
};

struct continuous_report {
	uint64_t serial;      /* from 1, one more a window */
	bool open;            /* it goes on */
	int64_t start_ns;     /* CLOCK_REALTIME */
	uint64_t duration_ns; /* that samples were taken for */
	uint64_t samples, cpu_ns;
	uint64_t lost;      /* all reasons */
	uint64_t truncated; /* stacks */
	unsigned hz;        /* the lowest during it */
	/* Until the callback returns. */
	const struct continuous_usage *usage;
	size_t n_usage;
	const struct buf *profile; /* gzip pprof, NULL when none was asked for */
	int error;                 /* why there is no profile */
};

struct continuous_options {
	sd_event *event;
	struct sampler *sampler;
	struct symbolizer *symbolizer;
	uint64_t memory_bytes; /* of all windows that are not handed on */
	/* A window has been built, or could not be (report->error). */
	void (*window)(void *arg, const struct continuous_report *report);
	/* Drain now. */
	void (*kick)(void *arg);
	/* For the profile's comments: what the budget has done; "" nothing. */
	const char *(*remark)(void *arg);
	void *arg;
};

int continuous_new(struct continuous **ret, const struct continuous_options *options);
/* Windows that are not handed on are lost. */
struct continuous *continuous_free(struct continuous *c);

/* Starts it, or changes what it does; hz 0 stops it after the open window. Takes the rules over (they
 * are empty afterwards), also on failure. -E2BIG, -EBUSY and others of the sampler. */
int continuous_configure(struct continuous *c, unsigned hz, uint64_t window_ns,
			 struct rules *rules);
/* A lower frequency than configured, for a while. */
int continuous_set_hz(struct continuous *c, unsigned hz);
/* Whether naming waits. */
void continuous_defer(struct continuous *c, bool defer);
/* until_ns: CLOCK_REALTIME when it goes on by itself, 0 never. */
int continuous_pause(struct continuous *c, int64_t until_ns);
int continuous_resume(struct continuous *c);
const struct rules *continuous_rules(const struct continuous *c);
/* After a change of the rules, made on the caller's copy. */
int continuous_rule(struct continuous *c, bool add, const char *kind, const char *value,
		    char **ret_error);

/* From the tracker. */
void continuous_sample(struct continuous *c, const struct sample *sample);
void continuous_advanced(struct continuous *c, uint64_t until_ns);

/* Closes the open window now: its serial, or 0 when there is none. The next one begins there. */
uint64_t continuous_close(struct continuous *c);
/* As continuous_close(), and no window after it; naming is not deferred any more. */
void continuous_stop(struct continuous *c);
/* Names what there are names for, and hands all windows on at once. After continuous_stop(). */
void continuous_hurry(struct continuous *c);
/* Windows that are closed and not handed on. */
unsigned continuous_pending(const struct continuous *c);

/*
 * What the open window, and those not handed on yet, have up to now: fn is called for each, oldest
 * first, when all samples up to now have come, then once more with NULL. Without profiles that is all;
 * with profiles they are named first.
 */
struct continuous_ask;
int continuous_ask(struct continuous *c, bool profiles,
		   void (*fn)(void *arg, const struct continuous_report *report), void *arg,
		   struct continuous_ask **ret);
struct continuous_ask *continuous_ask_cancel(struct continuous_ask *a);

struct continuous_stats {
	bool running, paused, deferring;
	int64_t paused_until_ns; /* CLOCK_REALTIME, 0: until resumed */
	unsigned hz, configured_hz;
	uint64_t window_ns;
	int64_t open_since_ns; /* CLOCK_REALTIME, 0 none */
	uint64_t samples;      /* taken into windows */
	uint64_t excluded;     /* samples that the rules keep out */
	uint64_t lost_aggregate_full;
	uint64_t windows, failed; /* handed on; that could not be built */
	uint64_t waiting;         /* closed, not handed on */
	uint64_t bytes;
};
void continuous_stats(const struct continuous *c, struct continuous_stats *ret);
