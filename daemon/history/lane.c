/* SPDX-License-Identifier: Apache-2.0 */
/* Merges, one after the other: JOB_MERGE (merge.h). */
#include <string.h>

#include "private.h"

int merge_add(struct merge_task *t, int fd, uint64_t payload_bytes, uint32_t *pids, size_t n_pids,
	      bool only_pids, const char *name)
{
	struct merge_file_in *f;

	if (t->n == t->allocated) {
		size_t n = t->allocated ? t->allocated * 2 : 64;

		f = realloc(t->files, n * sizeof(*f));
		if (!f) {
			safe_close(fd);
			free(pids);
			return -ENOMEM;
		}
		t->files = f;
		t->allocated = n;
	}
	f = &t->files[t->n++];
	*f = (struct merge_file_in){ .fd = fd,
				     .payload_bytes = payload_bytes,
				     .pids = pids,
				     .n_pids = n_pids,
				     .only_pids = only_pids };
	snprintf(f->name, sizeof(f->name), "%s", name);
	return 0;
}

void merge_drop(struct merge_task *t, uint64_t serial)
{
	size_t kept = 0;

	for (size_t i = 0; i < t->n; i++) {
		struct merge_file_in f = t->files[i];

		if (f.serial == 0 || f.serial > serial) {
			t->files[kept++] = f;
			continue;
		}
		safe_close(f.fd);
		free(f.pids);
	}
	t->n = kept;
}

static void lane_go_on(struct history *h);

static void lane_remove(struct merge_task *t)
{
	struct merge_task **at = &t->history->lane;

	while (*at && *at != t)
		at = &(*at)->next;
	if (*at)
		*at = t->next;
	t->queued = false;
}

void merge_done(struct merge_task *t)
{
	bool queued = t->queued;

	t->job = job_cancel(t->job);
	if (queued)
		lane_remove(t);
	for (size_t i = 0; i < t->n; i++) {
		safe_close(t->files[i].fd);
		free(t->files[i].pids);
	}
	free(t->files);
	t->files = NULL;
	t->n = t->allocated = 0;
	if (queued && !t->history->ending)
		lane_go_on(t->history);
}

static uint32_t term_kind(enum catalog_kind kind)
{
	switch (kind) {
	case CATALOG_PID:
		return MERGE_PID;
	case CATALOG_COMM:
		return MERGE_COMM;
	case CATALOG_UNIT:
		return MERGE_UNIT;
	case CATALOG_CONTAINER:
		return MERGE_CONTAINER;
	default:
		return 0; /* by the processes of each file */
	}
}

static void add_terms(const struct catalog_query *q, struct buf *out, uint32_t *n_terms)
{
	static const char zeros[4];

	for (size_t i = 0; q && i < q->n_terms; i++) {
		const char *value = q->terms[i].value;
		struct merge_term term = { .kind = term_kind(q->terms[i].kind),
					   .bytes = (uint32_t)strlen(value) };

		if (!term.kind)
			continue;
		buf_append(out, &term, sizeof(term));
		buf_append(out, value, term.bytes);
		buf_append(out, zeros, -term.bytes & 3);
		(*n_terms)++;
	}
}

static void add_folds(const struct merge_task *t, struct buf *out)
{
	static const char zeros[4];

	for (size_t i = 0; i < t->n_folds; i++) {
		const struct store_fold *f = &t->folds[i];
		struct merge_fold fold = { .pid = f->pid,
					   .to = f->to,
					   .bytes = (uint32_t)strlen(f->comm) };

		buf_append(out, &fold, sizeof(fold));
		buf_append(out, f->comm, fold.bytes);
		buf_append(out, zeros, -fold.bytes & 3);
	}
}

static int make_input(const struct merge_task *t, struct buf *out)
{
	_cleanup_(buf_done) struct buf terms = BUF_INIT(1U << 20);
	struct merge_input head = { .n_files = (uint32_t)t->n,
				    .n_base = (uint32_t)t->n_base,
				    .n_folds = (uint32_t)t->n_folds,
				    .max_bytes = t->max_bytes };

	add_terms(t->terms, &terms, &head.n_terms);
	buf_append(out, &head, sizeof(head));
	for (size_t i = 0; i < t->n; i++) {
		struct merge_file f = { .payload_bytes = t->files[i].payload_bytes,
					.n_pids = (uint32_t)t->files[i].n_pids,
					.only_pids = t->files[i].only_pids };

		buf_append(out, &f, sizeof(f));
	}
	for (size_t i = 0; i < t->n; i++)
		buf_append(out, t->files[i].pids, t->files[i].n_pids * sizeof(uint32_t));
	buf_append(out, terms.data, terms.size);
	add_folds(t, out);
	return terms.error ?: out->error;
}

static void on_open(void *arg, struct job *job, const struct job_open *request, const char *id)
{
	struct merge_task *t = arg;
	uint32_t number;

	if (request->kind != JOB_OPEN_PROFILE || request->id_bytes != sizeof(number)) {
		pool_opened(job, -EINVAL);
		return;
	}
	memcpy(&number, id, sizeof(number));
	pool_opened(job, number < t->n ? t->files[number].fd : -ENOENT);
}

/* The worker's word is checked: sizes that fit, numbers that exist, bytes that are gzip. */
static int take_answer(const struct merge_task *t, const struct job_result *result,
		       struct merge_result *ret)
{
	const uint8_t *p = result->answer;
	size_t left = result->answer_bytes;

	if (left < sizeof(ret->answer))
		return -EPROTO;
	memcpy(&ret->answer, p, sizeof(ret->answer));
	p += sizeof(ret->answer);
	left -= sizeof(ret->answer);
	if (ret->answer.n_bad > t->n || left < ret->answer.n_bad * sizeof(uint32_t))
		return -EPROTO;
	p += ret->answer.n_bad * sizeof(uint32_t);
	left -= ret->answer.n_bad * sizeof(uint32_t);
	if (left < 18 || p[0] != 0x1f || p[1] != 0x8b)
		return -EPROTO;
	ret->profile = p;
	ret->profile_bytes = left;
	return 0;
}

struct bad_files {
	struct keeper_request request;
	size_t n;
	char names[][WINDOW_MAX_NAME];
};

static void bad_run(struct keeper_request *r, struct store *s)
{
	struct bad_files *b = (struct bad_files *)(void *)r;

	for (size_t i = 0; s && i < b->n; i++)
		store_damaged(s, b->names[i]);
}

static void bad_free(struct keeper_request *r)
{
	free(r);
}

void merge_report_bad(struct history *h, const struct merge_task *t, const void *answer,
		      size_t answer_bytes)
{
	struct merge_answer head;
	struct bad_files *b;
	uint32_t number;

	if (answer_bytes < sizeof(head))
		return;
	memcpy(&head, answer, sizeof(head));
	if (head.n_bad == 0)
		return;
	b = calloc(1, sizeof(*b) + head.n_bad * sizeof(b->names[0]));
	if (!b)
		return;
	for (uint32_t i = 0; i < head.n_bad; i++) {
		memcpy(&number, (const uint8_t *)answer + sizeof(head) + i * sizeof(number),
		       sizeof(number));
		if (number < t->n && t->files[number].name[0])
			memcpy(b->names[b->n++], t->files[number].name, WINDOW_MAX_NAME);
	}
	b->request.run = bad_run;
	b->request.done = b->request.free = bad_free;
	keeper_submit(h->keeper, &b->request);
}

static void on_merged(void *arg, const struct job_result *job)
{
	struct merge_task *t = arg;
	struct history *h = t->history;
	struct merge_result result = { .error = job->error };

	t->job = NULL;
	if (result.error == 0)
		result.error = take_answer(t, job, &result);
	if (result.error == 0)
		merge_report_bad(h, t, job->answer, job->answer_bytes);
	h->stats.merges++;
	h->stats.query_cpu_ns += t->background ? 0 : job->cpu_ns;
	h->stats.merge_failures += result.error < 0;
	lane_remove(t);
	t->done(t->arg, &result);
	lane_go_on(h);
}

static int start(struct merge_task *t)
{
	_cleanup_(buf_done) struct buf input = BUF_INIT(JOB_MAX_INPUT_BYTES);
	struct job_spec spec = {
		.kind = JOB_MERGE,
		.max_answer_bytes = JOB_MAX_ANSWER_BYTES,
		.done = on_merged,
		.open = on_open,
		.arg = t,
	};
	int r = make_input(t, &input);

	if (r < 0)
		return r;
	spec.input = input.data;
	spec.input_bytes = input.size;
	return pool_submit(t->history->options.pool, &spec, &t->job);
}

static void lane_go_on(struct history *h)
{
	while (h->lane && !h->lane->job) {
		struct merge_task *t = h->lane;
		struct merge_result result = { .error = start(t) };

		if (result.error == 0)
			return;
		h->stats.merge_failures++;
		lane_remove(t);
		t->done(t->arg, &result);
	}
}

int merge_submit(struct merge_task *t)
{
	struct history *h = t->history;
	struct merge_task **at = &h->lane;

	/* behind the one that runs, and what somebody waits for before what can wait */
	if (*at)
		at = &(*at)->next;
	while (*at && (t->background || !(*at)->background))
		at = &(*at)->next;
	t->next = *at;
	*at = t;
	t->queued = true;
	if (h->lane == t && !t->job) {
		int r = start(t);

		if (r < 0)
			lane_remove(t);
		return r;
	}
	return 0;
}
