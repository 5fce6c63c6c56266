/* SPDX-License-Identifier: Apache-2.0 */
#include "merger.h"

#include <string.h>

#include "comments.h"
#include "gunzip.h"
#include "merger_file.h"

struct profile_merger {
	struct profile *sum;
	bool begun; /* the sum's types are known */
	struct places places;
	struct gunzip gunzip;
	struct comments comments;
	struct merger_file file;
};

DEFINE_CLEANUP(struct profile *, profile_free);
DEFINE_CLEANUP(struct profile_merger *, profile_merger_free);

/* An empty sum. */
static int merger_begin(struct profile_merger *m)
{
	int r = profile_new(&m->sum, NULL, 0);

	if (r == 0)
		r = places_init(&m->places, m->sum);
	m->file.sum = m->sum;
	return r;
}

static void merger_end(struct profile_merger *m)
{
	places_done(&m->places);
	m->sum = profile_free(m->sum);
	m->begun = false;
	file_forget(&m->file);
	comments_done(&m->comments);
}

int profile_merger_new(struct profile_merger **ret)
{
	_cleanup_(profile_merger_freep) struct profile_merger *m = calloc(1, sizeof(*m));

	if (!m)
		return -ENOMEM;
	m->gunzip = GUNZIP_INIT(PROFILE_MAX_BYTES);
	file_init(&m->file);
	m->file.places = &m->places;
	*ret = TAKE_PTR(m);
	return 0;
}

struct profile_merger *profile_merger_free(struct profile_merger *m)
{
	if (!m)
		return NULL;

	merger_end(m);
	gunzip_done(&m->gunzip);
	file_done(&m->file);
	free(m);
	return NULL;
}

/* A value type of the file: 0, -EBADMSG. */
static int merger_read_type(struct wire w, uint64_t *ret_type, uint64_t *ret_unit)
{
	struct wire_field field = {};
	int r;

	*ret_type = *ret_unit = 0;
	while ((r = wire_next(&w, &field)) > 0) {
		if (field.number > 2)
			continue;
		if (field.type != WIRE_VARINT)
			return -EBADMSG;
		*(field.number == 1 ? ret_type : ret_unit) = field.value;
	}
	return r;
}

/* begun: -EINVAL where it is another type; else it becomes *have. */
static int merger_type(struct profile_merger *m, struct wire w, struct model_type *have, bool begun)
{
	struct model_type here;
	uint64_t type, unit;
	int r = merger_read_type(w, &type, &unit);

	if (r == 0)
		r = file_own_string(&m->file, type, &here.type);
	if (r == 0)
		r = file_own_string(&m->file, unit, &here.unit);
	if (r < 0)
		return r;
	if (begun)
		return here.type == have->type && here.unit == have->unit ? 0 : -EINVAL;
	*have = here;
	return 0;
}

static int merger_types(struct profile_merger *m)
{
	const struct file_header *h = &m->file.header;
	struct profile *sum = m->sum;
	int r = 0;

	if (m->begun && h->n_types != sum->n_types)
		return -EINVAL;
	sum->n_types = h->n_types;
	for (size_t i = 0; i < h->n_types && r == 0; i++)
		r = merger_type(m, h->types[i], &sum->types[i], m->begun);
	if (r == 0 && h->has_period_type)
		r = merger_type(m, h->period_type, &sum->period_type,
				sum->period_type.type || sum->period_type.unit);
	return r;
}

/* The mapping that heads a sum without mappings. */
static int merger_first_mapping(struct profile_merger *m)
{
	const char *wanted = m->file.filter ? m->file.filter->first_mapping : NULL;
	struct merger_file *f = &m->file;
	struct file_row *rows = f->mappings.rows.items;
	uint32_t own;

	for (uint32_t i = 0; wanted && m->sum->mappings.n == 0 && i < f->mappings.rows.n; i++) {
		struct wire w = rows[i].message;
		struct wire_field field = {};
		const char *s;
		size_t size;

		while (wire_next(&w, &field) > 0)
			if (field.number == 5 && field.type == WIRE_VARINT &&
			    file_string(f, field.value, &s, &size) && size == strlen(wanted) &&
			    memcmp(s, wanted, size) == 0)
				return file_own_mapping(f, &rows[i], &own);
	}
	return m->sum->mappings.n == 0 && f->mappings.rows.n > 0
		       ? file_own_mapping(f, &rows[0], &own)
		       : 0;
}

/* What the samples come to is known, and there is room for it: from here on nothing fails. */
static void merger_commit(struct profile_merger *m)
{
	const struct merger_file *f = &m->file;
	size_t n_types = m->sum->n_types;

	for (uint32_t i = 0; i < f->samples.n; i++) {
		const struct file_sample *s = &MODEL_AT(const struct file_sample, f->samples, i);

		if (i + FILE_BATCH < f->samples.n)
			model_fetch_sample(m->sum, s[FILE_BATCH].stack, s[FILE_BATCH].labels);
		model_sample(m->sum, s->stack, s->labels,
			     &MODEL_AT(const int64_t, f->values, i *n_types));
	}
}

static void merger_times(struct profile_merger *m)
{
	const struct file_header *h = &m->file.header;
	struct profile *sum = m->sum;

	sum->period = MAX(sum->period, h->period);
	if (m->file.filter && m->file.filter->base)
		return;
	if (h->time_ns && (!sum->time_ns || h->time_ns < sum->time_ns))
		sum->time_ns = h->time_ns;
	if (__builtin_add_overflow(sum->duration_ns, h->duration_ns, &sum->duration_ns))
		sum->duration_ns = INT64_MAX;
}

static int merger_comments(struct profile_merger *m)
{
	const struct merger_file *f = &m->file;
	const char *s;
	size_t size;

	for (uint32_t i = 0; i < f->comments.n; i++) {
		int r = file_string(f, MODEL_AT(const uint64_t, f->comments, i), &s, &size)
				? comments_add(&m->comments, s, size)
				: -EBADMSG;

		if (r < 0)
			return r;
	}
	return 0;
}

static int merger_add_plain(struct profile_merger *m, const void *data, size_t size)
{
	struct wire whole = { data, (const uint8_t *)data + size };
	struct merger_file *f = &m->file;
	struct profile *sum = m->sum;
	uint32_t default_type = 0;
	int r = file_scan(f, whole);

	if (r == 0)
		r = merger_types(m);
	if (r == 0)
		r = merger_first_mapping(m);
	if (r == 0 && !(f->filter && filter_is_selective(f->filter)))
		r = file_own_locations(f);
	if (r == 0)
		r = file_samples(f, whole);
	if (r == 0)
		r = file_own_string(f, f->header.default_type, &default_type);
	/* room for all of it */
	if (r == 0)
		r = index_reserve_n(&sum->sample_index, f->samples.n, &sum->bytes);
	if (r == 0)
		r = vec_reserve(&sum->samples, f->samples.n, &sum->bytes);
	if (r == 0)
		r = vec_reserve(&sum->values, f->values.n, &sum->bytes);
	if (r == 0)
		r = merger_comments(m);
	if (r < 0)
		return r;

	merger_commit(m);
	merger_times(m);
	if (!sum->default_type)
		sum->default_type = default_type;
	m->begun = true;
	return 0;
}

int profile_merger_add(struct profile_merger *m, const void *data, size_t size,
		       const struct profile_filter *filter, uint64_t *ret_samples)
{
	int r = 0;

	if (filter && !filter_is_valid(filter))
		return -EINVAL;
	if (size > PROFILE_MAX_BYTES)
		return -ENOSPC;
	if (!m->sum)
		r = merger_begin(m);

	m->file.filter = filter;
	if (r == 0 && gunzip_is_gzip(data, size)) {
		r = gunzip(&m->gunzip, data, size);
		data = m->gunzip.plain.data;
		size = m->gunzip.plain.size;
	}
	if (r == 0)
		r = merger_add_plain(m, data, size);
	if (r < 0) {
		/* half of a first file's types are worse than none */
		if (!m->begun)
			merger_end(m);
		return r;
	}
	if (ret_samples)
		*ret_samples = m->file.samples.n;
	return 0;
}

static int merger_finish(struct profile_merger *m)
{
	_cleanup_(buf_done) struct buf line = BUF_INIT(PROFILE_MAX_STRING);
	int r = 0;

	m->sum->comments.n = 0;
	for (size_t i = 0; i < m->comments.n && r == 0; i++) {
		buf_reset(&line);
		r = comments_line(&m->comments, i, &line);
		if (r == 0)
			r = profile_add_comment(m->sum, line.data ? line.data : "");
	}
	return r;
}

struct profile *profile_merger_profile(struct profile_merger *m)
{
	/* comments that find no memory are the least of what is lost then */
	if (m->begun)
		merger_finish(m);
	return m->begun ? m->sum : NULL;
}

struct profile *profile_merger_take(struct profile_merger *m)
{
	struct profile *sum = profile_merger_profile(m);

	if (sum) {
		places_done(&m->places);
		m->sum = NULL;
		merger_end(m);
	}
	return sum;
}
