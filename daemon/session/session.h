/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Sessions: who takes which samples, for how long. A session has a slot in the sampler, collects
 * its samples into stacks with counts (aggregate.h), and when samples and side-band have both
 * passed its end, has them named and built into a profile. Captures are sessions with an owner and
 * a result; the continuous window is a session of the daemon itself.
 */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "buf.h"
#include "cprof/api.h"
#include "sample.h"
#include "sampler.h"

struct sessions;
struct capture;
struct symbolizer;

/* Targets as people write them; resolved to struct target when the capture starts. */
struct capture_target {
	enum {
		CAPTURE_ALL,
		CAPTURE_PID,
		CAPTURE_COMM,
		CAPTURE_UNIT,
		CAPTURE_CGROUP,
		CAPTURE_CONTAINER
	} kind;
	char *value;
};

struct capture_spec {
	struct capture_target targets[CPROF_MAX_TARGETS];
	size_t n_targets;
	uint64_t duration_ns; /* 0: until capture_stop() */
	unsigned hz;
	bool children;
	bool fast_symbols;
	bool short_names;
	/* Who asked. An unprivileged owner gets only samples of its own processes (docs/security.md 5). */
	uint32_t uid, gid;
	bool privileged;
};

enum capture_state { CAPTURE_RUNNING, CAPTURE_NAMING, CAPTURE_DONE, CAPTURE_FAILED };

/* Numbers of one capture so far; in the order in which the client shows them. */
struct capture_progress {
	enum capture_state state;
	uint64_t elapsed_ns, duration_ns;
	uint64_t samples; /* taken into the session */
	uint64_t cpu_ns;  /* sum of their periods */
	uint64_t due;     /* samples that the targets' CPU time was worth; 0 unknown */
	uint64_t
		target_cpu_ns; /* the targets' own utime + stime during it, from /proc; 0 unknown */
	uint64_t lost_missed_tick, lost_ring_full, lost_aggregate_full, lost_other;
	uint64_t not_permitted; /* samples of others that the owner may not see */
	uint64_t truncated;     /* stacks that end in [truncated: ...] */
	uint64_t complete;
	uint64_t files,
		files_named; /* while NAMING: objects with frames, and those that are done */
	bool target_ended;   /* the only process target ended before the capture did */
	char waiting[128];   /* states of the target's threads when it mostly waits, "" otherwise */
};

struct sessions_options {
	sd_event *event;
	struct sampler *sampler;
	struct symbolizer *symbolizer;
	struct object_table *objects;
	uint64_t memory_bytes; /* of all aggregates */
	unsigned max_captures;
	/* The process that has this pid now, or had it until a moment ago: a reference, or NULL. */
	struct process_info *(*process)(void *arg, uint32_t pid);
	/* A capture ended: drain now rather than at the next tick. May be NULL. */
	void (*kick)(void *arg);
	void *arg;
};

int sessions_new(struct sessions **ret, const struct sessions_options *options);
struct sessions *sessions_free(struct sessions *s);

/* From the tracker. */
void sessions_sample(struct sessions *s, const struct sample *sample);
void sessions_advanced(struct sessions *s, uint64_t until_ns);

/* done runs in the event loop when the result is there (state DONE or FAILED), once. On failure
 * returns a negative errno and a message for the asker in *ret_error (freed by the caller). */
int capture_new(struct sessions *s, const struct capture_spec *spec, void (*done)(void *arg),
		void *arg, struct capture **ret, char **ret_error);
struct capture *capture_free(struct capture *c); /* gives it up in any state */
void capture_stop(struct capture *c);            /* ends it now, keeps what there is */
void capture_progress(struct capture *c, struct capture_progress *ret);
/* The gzip pprof of a DONE capture; owned by the capture. */
const struct buf *capture_profile(const struct capture *c);
/* Why a FAILED one failed. */
const char *capture_error(const struct capture *c);

struct sessions_stats {
	unsigned captures; /* running */
	uint64_t captures_total;
	uint64_t samples; /* taken by any session */
	uint64_t lost_aggregate_full;
	uint64_t not_permitted;
	uint64_t bytes;
};
void sessions_stats(const struct sessions *s, struct sessions_stats *ret);
