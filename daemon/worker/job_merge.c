/* SPDX-License-Identifier: Apache-2.0 */
/* JOB_MERGE: merge.h. */

#include <string.h>

#include "broker.h"
#include "cleanup.h"
#include "merge_filter.h"
#include "merge.h"
#include "merger.h"
#include "reduce.h"
#include "task.h"

struct merge {
	struct task *task;
	struct merge_input head;
	const struct merge_file *files;
	const uint32_t *pids; /* of the file that is next */
	struct merge_filter filter;
	struct profile_merger *merger;
	struct buf file; /* the one that is being read */
	struct buf bad;
	uint32_t n_merged, n_bad;
};

static int merge_open(struct merge *m, uint32_t number)
{
	struct job_open request = { .kind = JOB_OPEN_PROFILE, .id_bytes = sizeof(number) };

	return broker_open(m->task, &request, (const char *)&number);
}

/* A pprof is read whole: it is small beside what is made of it. */
static int read_file(int fd, uint64_t bytes, struct buf *out)
{
	while (out->size < bytes) {
		char *room = buf_reserve(out, (size_t)(bytes - out->size));
		ssize_t n;

		if (!room)
			return out->error;
		n = pread(fd, room, (size_t)(bytes - out->size), (off_t)out->size);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		if (n == 0)
			return -EBADMSG;
		out->size += (size_t)n;
	}
	return 0;
}

static int read_profile(struct merge *m, uint32_t number)
{
	uint64_t bytes = m->files[number].payload_bytes;
	int fd, r;

	if (bytes > PROFILE_MAX_BYTES)
		return -EBADMSG;
	fd = merge_open(m, number);
	if (fd < 0)
		return fd;
	buf_reset(&m->file);
	r = read_file(fd, bytes, &m->file);
	safe_close(fd);
	return r;
}

/* Whether the file is by itself more than a profile may hold: then the sum is not to blame. */
static bool is_oversized(const struct merge *m, const struct profile_filter *filter)
{
	struct profile_merger *alone;
	int r = profile_merger_new(&alone);

	if (r < 0)
		return false;
	r = profile_merger_add(alone, m->file.data, m->file.size, filter, NULL);
	profile_merger_free(alone);
	return r == -ENOSPC;
}

/* A file that is no profile, or more than one, is told, and left out; only a sum that finds no room, or want of
 * memory, ends it all. */
static int merge_one(struct merge *m, uint32_t number)
{
	const struct merge_file *f = &m->files[number];
	const struct profile_filter *filter = NULL;
	int r;

	r = merge_filter_for(&m->filter, f->only_pids ? m->pids : NULL, f->n_pids,
			     number >= m->head.n_files - m->head.n_base, &filter);
	m->pids += f->n_pids;
	if (r == 0)
		r = read_profile(m, number);
	if (r == 0)
		r = profile_merger_add(m->merger, m->file.data, m->file.size, filter, NULL);
	if (r == -ENOMEM || (r == -ENOSPC && !is_oversized(m, filter)))
		return r;
	if (r == 0) {
		m->n_merged++;
		return 0;
	}
	m->n_bad++;
	return buf_append(&m->bad, &number, sizeof(number));
}

static int merge_parse(struct merge *m)
{
	const struct task *t = m->task;
	const uint8_t *p = t->input, *end = p + t->input_bytes;
	uint64_t n_pids = 0;

	if (t->input_bytes < sizeof(m->head))
		return -EBADMSG;
	memcpy(&m->head, p, sizeof(m->head));
	p += sizeof(m->head);
	if (m->head.n_files > MERGE_MAX_FILES || m->head.n_base > m->head.n_files ||
	    (uint64_t)(end - p) < m->head.n_files * sizeof(*m->files))
		return -EBADMSG;
	m->files = (const struct merge_file *)(const void *)p;
	p += m->head.n_files * sizeof(*m->files);
	for (uint32_t i = 0; i < m->head.n_files; i++)
		n_pids += m->files[i].n_pids;
	if ((uint64_t)(end - p) < n_pids * sizeof(*m->pids))
		return -EBADMSG;
	m->pids = (const uint32_t *)(const void *)p;
	p += n_pids * sizeof(*m->pids);
	return merge_filter_parse(&m->filter, p, (size_t)(end - p), m->head.n_terms,
				  m->head.n_folds);
}

static void merge_sums(const struct profile *p, struct merge_answer *ret)
{
	for (size_t i = 0; i < profile_n_samples(p); i++) {
		struct profile_sample s;

		if (!profile_get_sample(p, i, &s))
			continue;
		ret->samples += (uint64_t)s.values[0];
		ret->cpu_ns += (uint64_t)s.values[1];
	}
}

/* What is left where no file could be read. */
static int empty_profile(struct profile **ret)
{
	static const struct profile_value_type types[] = { { "samples", "count" },
							   { "cpu", "nanoseconds" } };

	return profile_new(ret, types, ARRAY_SIZE(types));
}

static int merge_all(struct merge *m, struct profile **ret)
{
	int r = profile_merger_new(&m->merger);

	for (uint32_t i = 0; r == 0 && i < m->head.n_files; i++)
		r = merge_one(m, i);
	if (r < 0)
		return r;
	*ret = profile_merger_profile(m->merger);
	r = *ret ? 0 : empty_profile(ret);
	if (r == 0)
		r = profile_fold_pids(*ret, m->filter.folds, m->filter.n_folds);
	return r < 0 ? r : profile_set_default_type(*ret, "cpu");
}

int job_merge(struct task *t)
{
	struct merge m = { .task = t,
			   .file = BUF_INIT(PROFILE_MAX_BYTES),
			   .bad = BUF_INIT(MERGE_MAX_FILES * sizeof(uint32_t)) };
	struct merge_answer answer = {};
	struct profile *sum;
	int r;

	r = merge_parse(&m);
	if (r < 0)
		return r;
	r = merge_all(&m, &sum);
	if (r < 0)
		return r;

	merge_sums(sum, &answer);
	answer.n_merged = m.n_merged;
	answer.n_bad = m.n_bad;
	buf_append(&t->answer, &answer, sizeof(answer));
	buf_append(&t->answer, m.bad.data, m.bad.size);
	if (t->answer.error)
		return t->answer.error;
	return profile_write_within(sum, m.head.max_bytes, &t->answer);
}
