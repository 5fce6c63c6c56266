/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/* The engine's parts, for the files that report on all of them; nothing else includes this. */

#include <jansson.h>

#include "budget.h"
#include "continuous.h"
#include "debuginfod.h"
#include "engine.h"
#include "history.h"
#include "log.h"
#include "object.h"
#include "pool.h"
#include "sampler.h"
#include "server.h"
#include "session.h"
#include "symbolizer.h"
#include "tables.h"
#include "tracker.h"

struct usage_snapshot;
struct trouble;

struct engine {
	sd_event *event;
	struct engine_options options;
	struct object_table *objects;
	struct pool *pool;
	struct sampler *sampler;
	struct symbolizer *symbolizer;
	struct debuginfod *debuginfod; /* NULL: off */
	struct tables *tables;
	struct tracker *tracker;
	struct sessions *sessions;
	struct continuous *continuous; /* NULL: no state directory, and so nothing is kept */
	struct history *history;
	char *continuous_key; /* what it was configured with */
	struct server *server;
	sd_event_source *stop_deadline; /* it has been told to stop */
	struct budget budget;
	sd_event_source *budget_timer;
	uint64_t budget_captures_seen; /* samples, at the last reading */
	char budget_remark[160];       /* for the comments of profiles, "" nothing */
	sd_event_source *drain_timer, *kick_source;
	struct usage_snapshot *usage; /* of the last list of targets */
	uint64_t started_ns;          /* CLOCK_MONOTONIC */
	struct log_limit drain_log;
	struct trouble *trouble; /* once a minute, for the log */
};

/* Everything that is counted, read at one moment. */
struct engine_stats {
	struct sampler_stats sampler;
	struct tracker_stats tracker;
	struct tables_stats tables;
	struct symbolizer_stats symbols;
	struct debuginfod_stats debuginfod;
	struct sessions_stats sessions;
	struct pool_stats pool;
	struct server_stats server;
	struct continuous_stats continuous;
	struct history_stats history;
	struct budget budget;
	uint64_t objects, objects_bytes, objects_refused;
	uint64_t lost_aggregate_full; /* of captures and windows */
	uint64_t store_max_bytes;
	uint64_t daemon_cpu_ns, daemon_rss_bytes;
	uint64_t uptime_ns;
};
void engine_stats(const struct engine *e, struct engine_stats *ret);

/* always.c: continuous profiling. */
int always_new(struct engine *e);
void always_start(struct engine *e);
void always_reload(struct engine *e);
void always_free(struct engine *e);
int always_budget_new(struct engine *e);
void always_budget_reload(struct engine *e);
const char *always_budget_remark(void *arg);
bool always_at_leisure(void *arg);
/* Samples are to be read as for a capture. */
bool always_runs(const struct engine *e);
/* engine.c: drain soon, rather than at the next tick. */
void engine_kick(void *arg);
/* status.c: the callbacks of the server. */
json_t *engine_status(void *arg, const struct peer *peer);
int engine_metrics(void *arg, struct buf *out);
/* targets.c */
json_t *engine_targets(void *arg, const struct peer *peer);
void usage_snapshot_free(struct usage_snapshot *u);
