/* SPDX-License-Identifier: Apache-2.0 */
/*
 * One question, from the asking to the answer: what the windows have that are not stored (ask), what
 * the store has (select or list), then the merge. Each window counts exactly once:
 *
 * - The keeper does one thing after the other, in the order of asking. A window that was handed to the
 *   store before the lookup is found by it, one that comes after is not. So what was reported of a
 *   window that has been handed on by then is dropped, and the store's word taken.
 * - A lookup, both of its ranges, is one request of the keeper, as is the replacing of files by a merged
 *   one: it sees either all that went in or what came out. Its files are open when it ends, and may go.
 */
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>

#include "private.h"

/* The keeper's part: outlives a request that is cancelled. */
struct lookup {
	struct keeper_request request;
	struct history_request *owner; /* NULL: nobody waits */
	enum history_what what;
	struct catalog_query range, baseline; /* terms' values are owned */
	bool has_baseline;
	char name[WINDOW_MAX_NAME];
	struct catalog_list list;
	struct store_selection selection, base;
	int error;
};

struct history_request {
	struct history *history;
	struct history_request *next;
	struct lookup *lookup;
	bool with_keeper;
	struct continuous_ask *ask;
	struct merge_task merge;
	struct merge_task base;  /* files of the baseline, until all are known */
	uint64_t first_reported; /* serial of the oldest window that was not stored; 0 none */
	struct catalog_list open_list;
	uint64_t wanted_serial; /* of a snapshot */
	sd_event_source *fail;
	struct history_answer answer;
	void (*done)(void *arg, struct history_answer *answer);
	void *arg;
};

static void query_free(struct catalog_query *q)
{
	for (size_t i = 0; i < q->n_terms; i++)
		free((char *)(uintptr_t)q->terms[i].value);
	q->n_terms = 0;
}

static int query_copy(struct catalog_query *ret, const struct catalog_query *q)
{
	*ret = *q;
	ret->n_terms = 0;
	for (size_t i = 0; i < q->n_terms; i++) {
		ret->terms[i].value = strdup(q->terms[i].value);
		if (!ret->terms[i].value)
			return -ENOMEM;
		ret->n_terms++;
	}
	return 0;
}

static void lookup_free(struct keeper_request *r)
{
	struct lookup *l = (struct lookup *)(void *)r;

	query_free(&l->range);
	query_free(&l->baseline);
	catalog_list_done(&l->list);
	store_selection_done(&l->selection);
	store_selection_done(&l->base);
	free(l);
}

static void request_free(struct history_request *r)
{
	struct history *h = r->history;
	struct history_request **at = &h->requests;

	while (*at && *at != r)
		at = &(*at)->next;
	if (*at) {
		*at = r->next;
		h->n_requests--;
	}
	continuous_ask_cancel(r->ask);
	sd_event_source_disable_unref(r->fail);
	merge_done(&r->merge);
	merge_done(&r->base);
	catalog_list_done(&r->open_list);
	catalog_list_done(&r->answer.list);
	buf_done(&r->answer.profile);
	if (r->lookup) {
		r->lookup->owner = NULL;
		if (!r->with_keeper)
			lookup_free(&r->lookup->request);
	}
	free(r);
}

struct history_request *history_cancel(struct history_request *r)
{
	if (r)
		request_free(r);
	return NULL;
}

void requests_free(struct history *h)
{
	while (h->requests)
		request_free(h->requests);
}

static const char *message_of(int error)
{
	switch (error) {
	case -ENOENT:
		return "no window is in this range, or none that has what was asked for: `cprofctl "
		       "list` "
		       "shows which there are";
	case -E2BIG:
		return "too many windows: ask for a shorter range";
	case -ENOMEM:
	case -ENOSPC:
		return "merging these windows takes more memory than [Budget] Memory= allows: ask "
		       "for a "
		       "shorter range or fewer targets";
	case -ETIME:
		return "merging these windows takes too long: ask for a shorter range";
	case -EIO:
		return "the store cannot be read: see the journal of cprofd";
	default:
		return strerror(-error);
	}
}

static void finish(struct history_request *r, int error)
{
	void (*done)(void *arg, struct history_answer *answer) = r->done;

	r->answer.error = error;
	if (error < 0 && !r->answer.message)
		r->answer.message = message_of(error);
	/* may ask again, but not cancel this one */
	done(r->arg, &r->answer);
	request_free(r);
}

/* --- the merge ---------------------------------------------------------- */

static void on_merged(void *arg, const struct merge_result *result)
{
	struct history_request *r = arg;
	int error = result->error;

	if (error == 0) {
		r->answer.windows = result->answer.n_merged;
		r->answer.damaged = result->answer.n_bad;
		r->answer.profile = BUF_INIT(JOB_MAX_ANSWER_BYTES);
		error = buf_append(&r->answer.profile, result->profile, result->profile_bytes);
	}
	finish(r, error);
}

/* A profile as a file without a name, to be passed on. */
static int memory_file(const struct buf *data)
{
	_cleanup_close_ int fd = memfd_create("window", MFD_CLOEXEC);
	size_t at = 0;

	if (fd < 0)
		return -errno;
	while (at < data->size) {
		ssize_t n = write(fd, data->data + at, data->size - at);

		if (n <= 0)
			return n < 0 ? -errno : -EIO;
		at += (size_t)n;
	}
	return TAKE_FD(fd);
}

static bool has_process_terms(const struct catalog_query *q)
{
	for (size_t i = 0; i < q->n_terms; i++)
		if (q->terms[i].kind > CATALOG_CONTAINER)
			return true;
	return false;
}

static int add_open(struct merge_task *t, const struct catalog_query *q,
		    const struct continuous_report *report)
{
	bool only = has_process_terms(q), any = q->n_terms == 0;
	uint32_t *pids = NULL;
	size_t n = 0;
	int fd, r;

	for (size_t i = 0; !any && i < report->n_usage; i++)
		any = query_matches(q, &report->usage[i]);
	if (!any)
		return 0;
	fd = memory_file(report->profile);

	if (fd < 0)
		return fd;
	if (only) {
		pids = calloc(MAX(report->n_usage, (size_t)1), sizeof(*pids));
		if (!pids) {
			safe_close(fd);
			return -ENOMEM;
		}
		for (size_t i = 0; i < report->n_usage; i++)
			if (query_matches(q, &report->usage[i]))
				pids[n++] = report->usage[i].process->pid;
	}
	r = merge_add(t, fd, report->profile->size, pids, n, only, "");
	if (r == 0)
		t->files[t->n - 1].serial = report->serial;
	return r;
}

static int add_selection(struct merge_task *t, struct store_selection *sel, bool only)
{
	for (size_t i = 0; i < sel->n; i++) {
		struct store_file *f = &sel->files[i];
		int q = merge_add(t, TAKE_FD(f->fd), f->row.payload_bytes,
				  only ? TAKE_PTR(f->pids) : NULL, only ? f->n_pids : 0, only,
				  f->row.name);

		if (q < 0)
			return q;
	}
	return 0;
}

/* The baseline's files go behind the others. */
static int append_base(struct history_request *r)
{
	for (size_t i = 0; i < r->base.n; i++) {
		struct merge_file_in *f = &r->base.files[i];
		int q = merge_add(&r->merge, TAKE_FD(f->fd), f->payload_bytes, TAKE_PTR(f->pids),
				  f->n_pids, f->only_pids, f->name);

		if (q < 0)
			return q;
		r->merge.n_base++;
	}
	return 0;
}

static int merge_found(struct history_request *r)
{
	struct lookup *l = r->lookup;
	bool only = has_process_terms(&l->range);
	int q;

	r->merge.history = r->base.history = r->history;
	q = add_selection(&r->merge, &l->selection, only);
	if (q == 0)
		q = add_selection(&r->base, &l->base, only);
	if (q < 0)
		return q;
	if (r->merge.n == 0 || (l->has_baseline && r->base.n == 0))
		return -ENOENT;
	q = append_base(r);
	if (q < 0)
		return q;
	r->merge.terms = l->range.n_terms ? &l->range : NULL;
	r->merge.done = on_merged;
	r->merge.arg = r;
	return merge_submit(&r->merge);
}

/* --- the store's part --------------------------------------------------- */

static void lookup_run(struct keeper_request *request, struct store *s)
{
	struct lookup *l = (struct lookup *)(void *)request;

	if (!s) {
		l->error = -EIO;
		return;
	}
	switch (l->what) {
	case HISTORY_LIST:
		l->error = store_list(s, &l->range, &l->list);
		break;
	case HISTORY_PROFILE:
		l->error = store_select(s, &l->range, &l->selection);
		if (l->error == 0 && l->has_baseline)
			l->error = store_select(s, &l->baseline, &l->base);
		break;
	case HISTORY_WINDOW:
		l->error = store_select_one(s, l->name, &l->selection);
		break;
	case HISTORY_SNAPSHOT:
		break;
	}
}

/* With a step: the stored line of the same stretch, or NULL. */
static struct catalog_line *stored_line(struct history_request *r, const struct catalog_line *l)
{
	struct catalog_list *stored = &r->lookup->list;

	for (size_t i = stored->n; r->lookup->range.step_ns && i-- > 0;)
		if (stored->lines[i].start_ns == l->start_ns)
			return &stored->lines[i];
	return NULL;
}

static void answer_list(struct history_request *r)
{
	struct catalog_list *stored = &r->lookup->list, *open = &r->open_list;

	for (size_t i = 0; i < open->n; i++) {
		struct catalog_line *same = stored_line(r, &open->lines[i]), *p;

		if (same) {
			line_merge(same, &open->lines[i]);
			continue;
		}
		p = realloc(stored->lines, (stored->n + 1) * sizeof(*stored->lines));

		if (!p)
			break;
		stored->lines = p;
		stored->allocated = stored->n + 1;
		p[stored->n++] = open->lines[i];
		open->lines[i] = (struct catalog_line){};
	}
	r->answer.list = *stored;
	*stored = (struct catalog_list){};
	finish(r, 0);
}

/* One window is sent as it lies there, less its trailer. */
static int answer_file(struct history_request *r)
{
	struct store_file *f = &r->lookup->selection.files[0];
	size_t left = (size_t)f->row.payload_bytes, at = 0;
	char *p;

	r->answer.profile = BUF_INIT(JOB_MAX_ANSWER_BYTES);
	p = buf_reserve(&r->answer.profile, left);
	if (!p)
		return -ENOMEM;
	while (at < left) {
		ssize_t n = pread(f->fd, p + at, left - at, (off_t)at);

		if (n <= 0)
			return -EIO;
		at += (size_t)n;
	}
	r->answer.profile.size = left;
	r->answer.windows = 1;
	return 0;
}

static void lookup_done(struct keeper_request *request)
{
	struct lookup *l = (struct lookup *)(void *)request;
	struct history_request *r = l->owner;
	int q = l->error;

	if (!r) {
		lookup_free(request);
		return;
	}
	r->with_keeper = false;
	if (q < 0) {
		finish(r, q);
		return;
	}
	if (l->what == HISTORY_LIST) {
		answer_list(r);
		return;
	}
	if (l->what == HISTORY_WINDOW) {
		finish(r, answer_file(r));
		return;
	}
	q = merge_found(r);
	if (q < 0)
		finish(r, q);
}

static void look_up(struct history_request *r)
{
	struct lookup *l = r->lookup;

	l->owner = r;
	l->request = (struct keeper_request){ .run = lookup_run,
					      .done = lookup_done,
					      .free = lookup_free };
	r->with_keeper = true;
	keeper_submit(r->history->keeper, &l->request);
}

/* --- the windows that are not stored ------------------------------------ */

static int take_report(struct history_request *r, const struct continuous_report *report)
{
	struct lookup *l = r->lookup;
	int q = 0;

	if (!r->first_reported)
		r->first_reported = report->serial;
	if (l->what == HISTORY_LIST)
		return query_overlaps(&l->range, report)
			       ? list_add_report(&r->open_list, &l->range, report)
			       : 0;
	r->merge.history = r->base.history = r->history;
	if (query_overlaps(&l->range, report))
		q = add_open(&r->merge, &l->range, report);
	if (q == 0 && l->has_baseline && query_overlaps(&l->baseline, report))
		q = add_open(&r->base, &l->baseline, report);
	return q;
}

static void on_report(void *arg, const struct continuous_report *report);

/* Lines are sums already, of several windows where there is a step: they are asked for again. */
static int ask_again(struct history_request *r)
{
	catalog_list_done(&r->open_list);
	r->first_reported = 0;
	return continuous_ask(r->history->options.continuous, false, on_report, r, &r->ask);
}

static int all_reported(struct history_request *r)
{
	uint64_t handed_serial = r->history->handed_serial;

	if (r->first_reported && r->first_reported <= handed_serial) {
		if (r->lookup->what == HISTORY_LIST)
			return ask_again(r);
		merge_drop(&r->merge, handed_serial);
		merge_drop(&r->base, handed_serial);
	}
	look_up(r);
	return 0;
}

static void on_report(void *arg, const struct continuous_report *report)
{
	struct history_request *r = arg;
	int q;

	if (!report) {
		r->ask = NULL;
		q = all_reported(r);
		if (q < 0)
			finish(r, q);
		return;
	}
	q = report->error ?: take_report(r, report);
	if (q == 0)
		return;
	r->ask = continuous_ask_cancel(r->ask);
	finish(r, q);
}

static void on_open_window(void *arg, const struct continuous_report *report)
{
	struct history_request *r = arg;
	int q;

	if (!report) {
		r->ask = NULL;
		finish(r, r->answer.profile.size ? 0 : -ENOENT);
		return;
	}
	if (report->error)
		return;
	/* the last one is it, also where it was closed between question and answer */
	buf_done(&r->answer.profile);
	r->answer.profile = BUF_INIT(JOB_MAX_ANSWER_BYTES);
	q = buf_append(&r->answer.profile, report->profile->data, report->profile->size);
	r->answer.windows = q == 0;
}

/* --- snapshots ---------------------------------------------------------- */

static void snapshot_line(struct history_request *r, const char *name, const struct window *w)
{
	struct catalog_line *line = calloc(1, sizeof(*line));

	if (!line)
		return;
	*line = (struct catalog_line){ .start_ns = w->start_ns,
				       .duration_ns = w->duration_ns,
				       .samples = w->samples,
				       .cpu_ns = w->cpu_ns,
				       .lost = w->lost,
				       .truncated = w->truncated,
				       .hz = w->hz };
	snprintf(line->name, sizeof(line->name), "%s", name);
	r->answer.list = (struct catalog_list){ .lines = line, .n = 1, .allocated = 1 };
}

void requests_stored(struct history *h, uint64_t serial, const char *name, const struct window *w,
		     int error)
{
	for (struct history_request *r = h->requests, *next; r; r = next) {
		next = r->next;
		if (r->lookup->what != HISTORY_SNAPSHOT || r->wanted_serial != serial)
			continue;
		if (error == 0)
			snapshot_line(r, name, w);
		else if (error == -ENOSPC || error == -EFBIG)
			r->answer.message =
				"the window could not be stored: the disk or the store is "
				"full, see KeepFree= and MaxBytes= in cprofd.conf(5)";
		finish(r, error);
	}
}

/* Not from inside history_ask(). */
static int on_fail(_unused_ sd_event_source *source, void *arg)
{
	struct history_request *r = arg;

	r->answer.message = "continuous profiling does not run: it is paused, or switched off by "
			    "[Continuous] Enabled=";
	finish(r, -ENOENT);
	return 0;
}

static int start(struct history_request *r)
{
	struct history *h = r->history;
	struct lookup *l = r->lookup;

	switch (l->what) {
	case HISTORY_SNAPSHOT:
		r->wanted_serial = continuous_close(h->options.continuous);
		if (r->wanted_serial)
			return 0;
		return sd_event_add_defer(h->options.event, &r->fail, on_fail, r);
	case HISTORY_WINDOW:
		if (strcmp(l->name, "open") == 0)
			return continuous_ask(h->options.continuous, true, on_open_window, r,
					      &r->ask);
		look_up(r);
		return 0;
	default:
		return continuous_ask(h->options.continuous, l->what == HISTORY_PROFILE, on_report,
				      r, &r->ask);
	}
}

int history_ask(struct history *h, const struct history_query *q,
		void (*done)(void *arg, struct history_answer *answer), void *arg,
		struct history_request **ret)
{
	struct history_request *r;
	int result;

	if (h->n_requests >= HISTORY_MAX_REQUESTS)
		return -EBUSY;
	r = calloc(1, sizeof(*r));
	if (!r)
		return -ENOMEM;
	r->history = r->merge.history = r->base.history = h;
	r->done = done;
	r->arg = arg;
	r->next = h->requests;
	h->requests = r;
	h->n_requests++;
	r->lookup = calloc(1, sizeof(*r->lookup));
	if (!r->lookup) {
		request_free(r);
		return -ENOMEM;
	}
	r->lookup->what = q->what;
	r->lookup->has_baseline = q->has_baseline;
	snprintf(r->lookup->name, sizeof(r->lookup->name), "%s", q->name ?: "");
	result = query_copy(&r->lookup->range, &q->range);
	if (result == 0 && q->has_baseline)
		result = query_copy(&r->lookup->baseline, &q->baseline);
	if (result == 0)
		result = start(r);
	if (result < 0) {
		request_free(r);
		return result;
	}
	h->stats.queries++;
	*ret = r;
	return 0;
}
