/* SPDX-License-Identifier: Apache-2.0 */
/* Debug files that are not on this machine: work that waits for them, for a while. */
#include <string.h>

#include "symwork.h"

#define FETCH_MISSED_NS  (600 * NSEC_PER_SEC) /* a server may have it one day */
#define FETCH_GAVE_UP_NS (10 * NSEC_PER_SEC)  /* then it is asked again whether it has come */

int symfetch_open(struct symwork *w, const struct job_open *request)
{
	const struct symbolizer_options *o = &w->symbolizer->options;
	unsigned kind = 1U << request->kind;
	int fd;

	if (!o->fetch || w->mode != SYMBOLS_FULL || w->object->kind != OBJECT_FILE ||
	    (request->kind != JOB_OPEN_BUILD_ID && request->kind != JOB_OPEN_DWZ) ||
	    request->build_id_bytes < 2 || request->build_id_bytes > sizeof(request->build_id) ||
	    w->fetch_offered & kind)
		return -ENOENT;

	/* asked for the same again: it did not fit */
	w->fetch_offered |= kind;
	fd = o->fetch(o->fetch_arg, request->build_id, request->build_id_bytes);
	if (fd == -EINPROGRESS) {
		w->fetching = true;
		memcpy(w->fetch_id, request->build_id, request->build_id_bytes);
		w->fetch_id_bytes = request->build_id_bytes;
	}
	w->fetch_missed |= fd == -ENOENT;
	return fd >= 0 ? fd : -ENOENT;
}

static int on_late(sd_event_source *source _unused_, uint64_t usec _unused_, void *arg)
{
	struct symwork *w = arg;

	w->wait = sd_event_source_disable_unref(w->wait);
	w->gave_up = true;
	w->symbolizer->stats.fetch_late++;
	symwork_run(w->symbolizer);
	return 0;
}

uint64_t symfetch_expires_ns(const struct symwork *w)
{
	uint64_t now = symbolizer_now_ns(w->symbolizer);

	if (w->fetching)
		return w->gave_up ? now + FETCH_GAVE_UP_NS : 1;
	return now + FETCH_MISSED_NS;
}

void symfetch_wait(struct symwork *w)
{
	struct symbolizer *s = w->symbolizer;

	w->fetching = false;
	if (w->gave_up)
		return;
	if (sd_event_add_time_relative(s->event, &w->wait, CLOCK_MONOTONIC,
				       s->options.fetch_wait_ns / NSEC_PER_USEC, 0, on_late, w) < 0)
		w->gave_up = true;
}

void symbolizer_fetched(struct symbolizer *s, const uint8_t *build_id, size_t bytes)
{
	bool any = false;

	for (struct symwork *w = s->works; w; w = w->next) {
		if (!w->wait || w->fetch_id_bytes != bytes ||
		    memcmp(w->fetch_id, build_id, bytes) != 0)
			continue;
		w->wait = sd_event_source_disable_unref(w->wait);
		any = true;
	}
	if (any)
		symwork_run(s);
}
