/* SPDX-License-Identifier: Apache-2.0 */
/* Compaction: when nobody asks for anything, the next group of old windows is merged into one. */
#include <string.h>

#include "private.h"

#define LEISURE_USEC (20 * 1000000ULL)
#define NEXT_USEC    (200 * 1000ULL)
#define FIRST_USEC   (5 * 1000000ULL)
/* Without leisure for so long a group is merged nonetheless: a host that is always over its budget keeps its
 * week, too. */
#define MAX_REFUSALS 15

struct compaction {
	struct keeper_request request; /* first: it is what the keeper knows of it */
	struct history *history;
	bool busy;
	unsigned refusals;
	struct store_selection selection;
	struct merge_task merge;
	struct buf profile;
	uint64_t samples, cpu_ns;
	int error;
};

static void again(struct history *h, uint64_t usec)
{
	sd_event_source_set_time_relative(h->leisure, usec);
	sd_event_source_set_enabled(h->leisure, SD_EVENT_ONESHOT);
}

static void reset(struct compaction *c)
{
	store_selection_done(&c->selection);
	buf_done(&c->profile);
	merge_done(&c->merge);
	c->busy = false;
}

static void orphan_free(struct keeper_request *r)
{
	struct compaction *c = (struct compaction *)(void *)r;

	store_selection_done(&c->selection);
	buf_done(&c->profile);
	free(c);
}

static void run_replace(struct keeper_request *r, struct store *s)
{
	struct compaction *c = (struct compaction *)(void *)r;

	if (!s)
		return;
	if (c->error < 0)
		store_compaction_failed(s, &c->selection);
	else
		(void)store_replace(s, &c->selection, c->profile.data, c->profile.size, c->samples,
				    c->cpu_ns);
}

static void replaced(struct keeper_request *r)
{
	struct compaction *c = (struct compaction *)(void *)r;

	reset(c);
	again(c->history, NEXT_USEC);
}

/* Whatever came of it is told to the store. */
static void replace(struct compaction *c)
{
	c->request.run = run_replace;
	c->request.done = replaced;
	keeper_submit(c->history->keeper, &c->request);
}

static void on_merged(void *arg, const struct merge_result *result)
{
	struct compaction *c = arg;

	c->error = result->error;
	/* a file that could not be read is set aside now: what is left is merged next time */
	if (c->error == 0 && result->answer.n_bad) {
		reset(c);
		again(c->history, LEISURE_USEC);
		return;
	}
	c->profile = BUF_INIT(JOB_MAX_ANSWER_BYTES);
	if (c->error == 0)
		c->error = buf_append(&c->profile, result->profile, result->profile_bytes);
	c->samples = result->answer.samples;
	c->cpu_ns = result->answer.cpu_ns;
	replace(c);
}

static int merge_selection(struct compaction *c)
{
	c->merge = (struct merge_task){
		.history = c->history,
		.background = true,
		.folds = c->selection.folds,
		.n_folds = c->selection.n_folds,
		.max_bytes = c->selection.max_bytes,
		.done = on_merged,
		.arg = c,
	};
	for (size_t i = 0; i < c->selection.n; i++) {
		struct store_file *f = &c->selection.files[i];
		int r = merge_add(&c->merge, TAKE_FD(f->fd), f->row.payload_bytes, NULL, 0, false,
				  f->row.name);

		if (r < 0)
			return r;
	}
	return merge_submit(&c->merge);
}

static void run_select(struct keeper_request *r, struct store *s)
{
	struct compaction *c = (struct compaction *)(void *)r;

	c->error = s ? store_compaction(s, &c->selection) : -EIO;
}

static void selected(struct keeper_request *r)
{
	struct compaction *c = (struct compaction *)(void *)r;

	if (c->error < 0) {
		bool nothing = c->error == -ENOENT;

		reset(c);
		again(c->history, nothing ? LEISURE_USEC : NEXT_USEC);
		return;
	}
	c->error = merge_selection(c);
	if (c->error < 0)
		replace(c);
}

static int on_leisure(_unused_ sd_event_source *source, _unused_ uint64_t usec, void *arg)
{
	struct history *h = arg;
	struct compaction *c = h->compaction;

	if (c->busy)
		return 0;
	if (h->lane || (h->options.at_leisure && !h->options.at_leisure(h->options.arg) &&
			c->refusals++ < MAX_REFUSALS)) {
		again(h, LEISURE_USEC);
		return 0;
	}
	c->refusals = 0;
	c->busy = true;
	c->request =
		(struct keeper_request){ .run = run_select, .done = selected, .free = orphan_free };
	keeper_submit(h->keeper, &c->request);
	return 0;
}

int compaction_new(struct history *h)
{
	struct compaction *c = calloc(1, sizeof(*c));
	int r;

	if (!c)
		return -ENOMEM;
	c->history = h;
	c->merge.history = h;
	h->compaction = c;
	r = sd_event_add_time_relative(h->options.event, &h->leisure, CLOCK_MONOTONIC, FIRST_USEC,
				       1000000, on_leisure, h);
	return r < 0 ? r : 0;
}

/* Before the keeper ends: a request that is with it is freed by it. */
void compaction_free(struct history *h)
{
	struct compaction *c = h->compaction;
	bool with_keeper;

	sd_event_source_disable_unref(h->leisure);
	if (!c)
		return;
	with_keeper = c->busy && !c->merge.queued;
	merge_done(&c->merge);
	h->compaction = NULL;
	if (!with_keeper)
		orphan_free(&c->request);
}
