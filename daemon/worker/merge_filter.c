/* SPDX-License-Identifier: Apache-2.0 */
#include "merge_filter.h"

#include <stdlib.h>
#include <string.h>

#include "cleanup.h"
#include "merge.h"
#include "text.h"

static int by_number(const void *a, const void *b)
{
	const int64_t *x = a, *y = b;

	return (*x > *y) - (*x < *y);
}

/* 1: the text is not kept. */
static int take_term(struct merge_filter *f, uint32_t kind, const char *text)
{
	struct profile_filter *p = &f->filter;
	uint64_t pid;

	switch (kind) {
	case MERGE_PID:
		if (text_parse_u64(text, UINT32_MAX, &pid) < 0)
			return -EBADMSG;
		f->pids[p->n_pids++] = (int64_t)pid;
		return 1;
	case MERGE_COMM:
		f->comms[p->n_comms++] = text;
		return 0;
	case MERGE_UNIT:
		f->units[p->n_units++] = text;
		return 0;
	case MERGE_CONTAINER:
		f->containers[p->n_containers++] = text;
		return 0;
	default:
		return -EBADMSG;
	}
}

struct cursor {
	const uint8_t *data;
	size_t size;
};

/* A fixed head, then text of the length that it tells. */
static int take_head(struct cursor *c, void *head, size_t size)
{
	if (c->size < size)
		return -EBADMSG;
	memcpy(head, c->data, size);
	c->data += size;
	c->size -= size;
	return 0;
}

static int take_text(struct cursor *c, uint32_t bytes, char **ret)
{
	size_t padded = ((size_t)bytes + 3) & ~(size_t)3;

	if (padded > c->size)
		return -EBADMSG;
	*ret = strndup((const char *)c->data, bytes);
	if (!*ret)
		return -ENOMEM;
	c->data += padded;
	c->size -= padded;
	return 0;
}

static int parse_terms(struct merge_filter *f, struct cursor *c, uint32_t n)
{
	for (uint32_t i = 0; i < n; i++) {
		struct merge_term term;
		char *text;
		int r = take_head(c, &term, sizeof(term));

		if (r == 0)
			r = take_text(c, term.bytes, &text);
		if (r < 0)
			return r;
		r = take_term(f, term.kind, text);
		if (r != 0)
			free(text);
		if (r < 0)
			return r;
	}
	return 0;
}

static int parse_folds(struct merge_filter *f, struct cursor *c, uint32_t n)
{
	f->folds = n ? calloc(n, sizeof(*f->folds)) : NULL;
	if (n && !f->folds)
		return -ENOMEM;
	for (uint32_t i = 0; i < n; i++) {
		struct merge_fold fold;
		char *comm;
		int r = take_head(c, &fold, sizeof(fold));

		if (r == 0)
			r = take_text(c, fold.bytes, &comm);
		if (r < 0)
			return r;
		f->folds[f->n_folds++] =
			(struct profile_fold){ .pid = fold.pid, .to = fold.to, .comm = comm };
	}
	return 0;
}

int merge_filter_parse(struct merge_filter *f, const uint8_t *data, size_t size, uint32_t n_terms,
		       uint32_t n_folds)
{
	struct cursor c = { data, size };
	int r;

	if (n_terms > MERGE_MAX_TERMS || n_folds > size / sizeof(struct merge_fold))
		return -EBADMSG;
	r = parse_terms(f, &c, n_terms);
	if (r == 0)
		r = parse_folds(f, &c, n_folds);
	if (r < 0)
		return r;
	f->filter.pids = f->pids;
	f->filter.comms = f->comms;
	f->filter.units = f->units;
	f->filter.containers = f->containers;
	qsort(f->pids, f->filter.n_pids, sizeof(*f->pids), by_number);
	return c.size == 0 ? 0 : -EBADMSG;
}

static int take_only(struct merge_filter *f, const uint32_t *pids, size_t n)
{
	if (n > f->max_only || !f->only) {
		int64_t *p = realloc(f->only, MAX(n, (size_t)1) * sizeof(*p));

		if (!p)
			return -ENOMEM;
		f->only = p;
		f->max_only = n;
	}
	for (size_t i = 0; i < n; i++)
		f->only[i] = pids[i];
	qsort(f->only, n, sizeof(*f->only), by_number);
	return 0;
}

int merge_filter_for(struct merge_filter *f, const uint32_t *only_pids, size_t n_only_pids,
		     bool base, const struct profile_filter **ret)
{
	f->filter.only_pids = NULL;
	f->filter.n_only_pids = 0;
	f->filter.base = base;
	if (only_pids) {
		int r = take_only(f, only_pids, n_only_pids);

		if (r < 0)
			return r;
		f->filter.only_pids = f->only;
		f->filter.n_only_pids = n_only_pids;
	}
	*ret = &f->filter;
	return 0;
}
