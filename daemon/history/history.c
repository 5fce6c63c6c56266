/* SPDX-License-Identifier: Apache-2.0 */
#include "history.h"

#include <string.h>

#include "private.h"
#include "text.h"

/* A window on its way to the store. */
struct put {
	struct keeper_request request;
	struct history *history;
	uint64_t serial;
	struct buf profile;
	struct window window;
	char name[WINDOW_MAX_NAME];
	int error;
};

static void put_free(struct keeper_request *r)
{
	struct put *p = (struct put *)(void *)r;

	buf_done(&p->profile);
	window_done(&p->window);
	free(p);
}

static void put_run(struct keeper_request *r, struct store *s)
{
	struct put *p = (struct put *)(void *)r;

	p->error = s ? store_put(s, p->profile.data, p->profile.size, &p->window, p->name) : -EIO;
}

static void tell(struct history *h, int error)
{
	if (error == h->told_error)
		return;
	h->told_error = error;
	if (h->options.trouble)
		h->options.trouble(h->options.arg, error, "a window");
}

static void put_done(struct keeper_request *r)
{
	struct put *p = (struct put *)(void *)r;
	struct history *h = p->history;

	tell(h, p->error);
	requests_stored(h, p->serial, p->name, &p->window, p->error);
	put_free(r);
}

/* Names as the profile has them: valid UTF-8, without NUL. */
static int add_usage(struct window *w, const struct continuous_usage *u)
{
	const struct process_info *p = u->process;
	const char *const raw[] = { p->comm, p->exe ? p->exe->name : NULL, p->unit, p->container };
	struct buf text[ARRAY_SIZE(raw)];
	int r = 0;

	for (size_t i = 0; i < ARRAY_SIZE(raw); i++) {
		text[i] = BUF_INIT(4 * WINDOW_MAX_STRING);
		if (raw[i] && r == 0)
			r = text_append_utf8(&text[i], raw[i],
					     strnlen(raw[i], WINDOW_MAX_STRING - 1));
	}
	if (r == 0)
		r = window_add(w, p->pid, u->uid, text[0].data, text[1].data, u->build_id,
			       text[2].data, text[3].data, u->samples, u->cpu_ns);
	for (size_t i = 0; i < ARRAY_SIZE(raw); i++)
		buf_done(&text[i]);
	return r;
}

static int fill_put(struct put *p, const struct continuous_report *report)
{
	struct window *w = &p->window;
	int r;

	p->profile = BUF_INIT(report->profile->size + 1);
	r = buf_append(&p->profile, report->profile->data, report->profile->size);
	w->start_ns = report->start_ns;
	w->duration_ns = report->duration_ns;
	w->lost = report->lost;
	w->truncated = report->truncated;
	w->hz = report->hz;
	for (size_t i = 0; r == 0 && i < report->n_usage; i++)
		r = add_usage(w, &report->usage[i]);
	return r;
}

void history_window(struct history *h, const struct continuous_report *report)
{
	struct put *p;
	int r = report->error;

	h->handed_serial = MAX(h->handed_serial, report->serial);
	p = calloc(1, sizeof(*p));
	if (p) {
		window_init(&p->window);
		if (r == 0)
			r = fill_put(p, report);
	} else {
		r = -ENOMEM;
	}
	if (r < 0) {
		if (p)
			put_free(&p->request);
		tell(h, r);
		requests_stored(h, report->serial, "", NULL, r);
		return;
	}
	p->history = h;
	p->serial = report->serial;
	p->request = (struct keeper_request){ .run = put_run, .done = put_done, .free = put_free };
	keeper_submit(h->keeper, &p->request);
}

static void on_trouble(void *arg, int error, const char *what)
{
	struct history *h = arg;

	if (h->options.trouble)
		h->options.trouble(h->options.arg, error, what);
}

DEFINE_CLEANUP(struct history *, history_free);

int history_new(struct history **ret, const struct history_options *options)
{
	_cleanup_(history_freep) struct history *h = calloc(1, sizeof(*h));
	struct keeper_options keeper = {
		.dir = options->state_dir,
		.limits = options->limits,
		.trouble = on_trouble,
		.arg = h,
	};
	int r;

	if (!h)
		return -ENOMEM;
	h->options = *options;
	r = keeper_new(&h->keeper, options->event, &keeper);
	if (r < 0)
		return r;
	r = compaction_new(h);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(h);
	return 0;
}

struct history *history_free(struct history *h)
{
	if (!h)
		return NULL;
	h->ending = true;
	requests_free(h);
	compaction_free(h);
	keeper_free(h->keeper);
	free(h);
	return NULL;
}

void history_set_limits(struct history *h, const struct store_limits *limits)
{
	keeper_set_limits(h->keeper, limits);
}

void history_stats(struct history *h, struct history_stats *ret)
{
	*ret = h->stats;
	keeper_stats(h->keeper, &ret->store);
	ret->waiting = keeper_waiting(h->keeper);
}
