/* SPDX-License-Identifier: Apache-2.0 */
#include "trouble.h"

#include <string.h>

#include "log.h"

#define TROUBLE_INTERVAL_US (60 * 1000 * 1000ULL)
#define TROUBLE_MAX_BYTES   960 /* a line of the log */

struct trouble {
	struct engine *engine;
	sd_event_source *timer;
	struct engine_stats last;
};

#define AT(member) offsetof(struct engine_stats, member)

/* Counters of 64 bits that stand still on a good day. */
static const struct {
	size_t offset;
	const char *what;
} rows[] = {
	{ AT(sampler.lost_ring_full), "samples lost: ring full" },
	{ AT(sampler.lost_nested), "samples lost: nested" },
	{ AT(sampler.lost_internal), "samples lost: internal" },
	{ AT(tracker.lost_pending_full), "samples lost: pending full" },
	{ AT(sessions.lost_aggregate_full), "samples lost: aggregate full" },
	{ AT(tracker.walk_failed), "stacks that the worker could not finish" },
	{ AT(tracker.sideband_lost), "side-band records lost" },
	{ AT(tracker.open_timeout), "files that did not open in time" },
	{ AT(objects_refused), "files refused: too many are known" },
	{ AT(pool.crashed), "jobs of the worker crashed" },
	{ AT(pool.timed_out), "jobs of the worker timed out" },
	{ AT(pool.out_of_memory), "jobs of the worker out of memory" },
	{ AT(pool.refused), "jobs of the worker refused: too many wait" },
	{ AT(history.store.compaction_failures), "groups of old windows that could not be merged" },
	{ AT(pool.zygote_restarts), "restarts of the worker" },
};

static uint64_t value_at(const struct engine_stats *stats, size_t offset)
{
	uint64_t v;

	memcpy(&v, (const char *)stats + offset, sizeof(v));
	return v;
}

void trouble_line(const struct engine_stats *before, const struct engine_stats *now,
		  struct buf *out)
{
	for (size_t i = 0; i < ARRAY_SIZE(rows); i++) {
		uint64_t a = value_at(before, rows[i].offset), b = value_at(now, rows[i].offset);

		if (b > a)
			buf_printf(out, "%s%llu %s", out->size ? ", " : "",
				   (unsigned long long)(b - a), rows[i].what);
	}
}

static int on_timer(sd_event_source *source, _unused_ uint64_t usec, void *arg)
{
	static const char *const fields[] = { LOG_ID_TROUBLE, NULL };
	_cleanup_(buf_done) struct buf line = BUF_INIT(TROUBLE_MAX_BYTES);
	struct trouble *t = arg;
	struct engine_stats now;

	engine_stats(t->engine, &now);
	trouble_line(&t->last, &now, &line);
	if (line.size)
		log_fields(LOG_WARNING, fields, "in the last minute: %s; see `cprofctl status`",
			   line.data);
	t->last = now;

	sd_event_source_set_time_relative(source, TROUBLE_INTERVAL_US);
	return sd_event_source_set_enabled(source, SD_EVENT_ONESHOT);
}

int trouble_new(struct trouble **ret, struct engine *e)
{
	struct trouble *t = calloc(1, sizeof(*t));
	int r;

	if (!t)
		return -ENOMEM;
	t->engine = e;
	engine_stats(e, &t->last);
	r = sd_event_add_time_relative(e->event, &t->timer, CLOCK_MONOTONIC, TROUBLE_INTERVAL_US,
				       1000 * 1000, on_timer, t);
	if (r < 0) {
		free(t);
		return r;
	}

	*ret = t;
	return 0;
}

struct trouble *trouble_free(struct trouble *t)
{
	if (!t)
		return NULL;

	sd_event_source_disable_unref(t->timer);
	free(t);
	return NULL;
}
