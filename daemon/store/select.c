/* SPDX-License-Identifier: Apache-2.0 */
/* Files handed out to be merged: for a query, or into one that replaces them. */
#include <string.h>

#include "cleanup.h"
#include "compaction.h"
#include "store_private.h"

#define MAX_GROUP 1024
/* What the worker can merge within [Budget] Memory= at its default; a stretch with more is merged in parts. */
#define MAX_GROUP_BYTES (32ULL << 20)

void store_selection_done(struct store_selection *sel)
{
	for (size_t i = 0; i < sel->n; i++) {
		safe_close(sel->files[i].fd);
		free(sel->files[i].pids);
	}
	free(sel->files);
	free(sel->folds);
	window_free(sel->merged);
	window_free(sel->unfolded);
	*sel = (struct store_selection){};
}

static int selection_add(struct store_selection *sel, const struct catalog_row *row)
{
	if (sel->n == STORE_MAX_SELECTED)
		return -E2BIG;
	if (sel->n == sel->allocated) {
		size_t n = sel->allocated ? sel->allocated * 2 : 64;
		struct store_file *p = realloc(sel->files, n * sizeof(*p));

		if (!p)
			return -ENOMEM;
		sel->files = p;
		sel->allocated = n;
	}
	sel->files[sel->n++] = (struct store_file){ .row = *row, .fd = -1 };
	return 0;
}

static int select_row(void *arg, const struct catalog_row *row)
{
	return selection_add(arg, row);
}

/* Opens what was selected; what is gone or cut is dropped from the list, and from the store, so that
 * no list promises what no profile has. */
static int open_selected(struct store *s, struct store_selection *sel)
{
	size_t kept = 0;
	bool gone = false;
	int result = 0;

	for (size_t i = 0; i < sel->n; i++) {
		struct store_file f = sel->files[i];
		uint64_t bytes = 0;

		if (result == 0) {
			f.fd = files_get(&s->files, f.row.name, &bytes);
			if (f.fd == -EMFILE || f.fd == -ENFILE || f.fd == -ENOMEM)
				result = f.fd;
			if (f.fd == -ENOENT && catalog_remove(s->catalog, f.row.seq) == 0)
				gone = true;
		}
		if (result == 0 && f.fd >= 0 && bytes == f.row.bytes) {
			sel->files[kept++] = f;
			continue;
		}
		free(f.pids);
		if (f.fd >= 0) {
			safe_close(f.fd);
			store_damaged(s, f.row.name);
		}
	}
	sel->n = kept;
	if (gone)
		store_recount(s);
	return result;
}

static int select_pids(struct store *s, const struct catalog_query *q, struct store_selection *sel)
{
	for (size_t i = 0; q->n_terms && i < sel->n; i++) {
		int r = catalog_pids(s->catalog, q, sel->files[i].row.seq, &sel->files[i].pids,
				     &sel->files[i].n_pids);

		if (r < 0)
			return r;
	}
	return 0;
}

int store_select(struct store *s, const struct catalog_query *q, struct store_selection *ret)
{
	_cleanup_(store_selection_done) struct store_selection sel = {};
	int r;

	if (!s->catalog)
		return -EIO;
	r = catalog_select(s->catalog, q, select_row, &sel);
	if (r == 0)
		r = select_pids(s, q, &sel);
	if (r == 0)
		r = open_selected(s, &sel);
	if (r < 0)
		return r;
	*ret = sel;
	sel = (struct store_selection){};
	return 0;
}

int store_select_one(struct store *s, const char *name, struct store_selection *ret)
{
	_cleanup_(store_selection_done) struct store_selection sel = {};
	struct catalog_row row;
	int r;

	if (!s->catalog)
		return -EIO;
	r = catalog_find(s->catalog, name, &row);
	if (r == 0)
		r = selection_add(&sel, &row);
	if (r == 0)
		r = open_selected(s, &sel);
	if (r < 0)
		return r;
	if (sel.n == 0)
		return -ENOENT;
	*ret = sel;
	sel = (struct store_selection){};
	return 0;
}

int store_list(struct store *s, const struct catalog_query *q, struct catalog_list *ret)
{
	return s->catalog ? catalog_list(s->catalog, q, ret) : -EIO;
}

struct grouping {
	struct store *store;
	struct store_selection *sel;
	uint32_t level; /* to be reached */
	int64_t bucket;
	uint64_t bytes; /* of the group */
	uint64_t after_ns;
	struct store_selection singles; /* buckets of one: nothing to merge */
};

static bool is_due(const struct grouping *g, const struct catalog_row *row)
{
	const struct store *s = g->store;
	uint64_t end_ns = row->age_ns + row->duration_ns;

	/* where little is to be kept, a long window would be half of it */
	return s->options.limits.max_age_ns >= 8 * compaction_levels[g->level - 1].bucket_ns &&
	       s->age.age_ns >= end_ns + g->after_ns;
}

/* The rows come by age; a group is what follows upon one another in a bucket. 1: it is complete. */
static int group_row(void *arg, const struct catalog_row *row)
{
	struct grouping *g = arg;
	int r;

	if (row->level < g->level && is_due(g, row)) {
		g->bytes += row->bytes;
		if (g->sel->n && compaction_bucket(row, g->level) == g->bucket &&
		    g->sel->n < MAX_GROUP && (g->sel->n < 2 || g->bytes <= MAX_GROUP_BYTES))
			return selection_add(g->sel, row);
	} else if (row->level < g->level) {
		/* it is of the same bucket, and will be due soon: wait for it */
		if (g->sel->n && compaction_bucket(row, g->level) == g->bucket)
			store_selection_done(g->sel);
		return g->sel->n > 1;
	}

	if (g->sel->n > 1)
		return 1;
	if (g->sel->n == 1) {
		r = selection_add(&g->singles, &g->sel->files[0].row);
		if (r < 0)
			return r;
	}
	store_selection_done(g->sel);
	if (row->level >= g->level)
		return 0;
	g->bucket = compaction_bucket(row, g->level);
	g->bytes = row->bytes;
	return aside_waits(g->store, g->level, g->bucket) ? 0 : selection_add(g->sel, row);
}

static int add_bytes(void *arg, const struct catalog_row *row)
{
	uint64_t *by_level = arg;

	by_level[MIN(row->level, (uint32_t)COMPACTION_LEVELS)] += files_rounded(row->bytes);
	return 0;
}

/* One group of this level, if there is one. */
static int find_group(struct store *s, uint32_t level, const uint64_t *by_level,
		      struct store_selection *sel)
{
	const struct compaction_level *l = &compaction_levels[level - 1];
	bool tight = by_level[level - 1] > compaction_share(&s->options.limits, level - 1);
	struct grouping g = { .store = s,
			      .sel = sel,
			      .level = level,
			      .after_ns = tight ? l->bucket_ns : l->after_ns };
	int r = catalog_each(s->catalog, group_row, &g);

	for (size_t i = 0; r >= 0 && i < g.singles.n; i++)
		r = catalog_set_level(s->catalog, g.singles.files[i].row.seq, level);
	store_selection_done(&g.singles);
	return MIN(r, 0);
}

int store_compaction(struct store *s, struct store_selection *ret)
{
	uint64_t by_level[COMPACTION_LEVELS + 1] = {};
	int r;

	if (!s->catalog)
		return -ENOENT;
	r = catalog_each(s->catalog, add_bytes, by_level);
	for (uint32_t level = 1; r >= 0 && level <= COMPACTION_LEVELS; level++) {
		_cleanup_(store_selection_done) struct store_selection sel = {};

		r = find_group(s, level, by_level, &sel);
		if (r < 0)
			return r;
		if (sel.n < 2)
			continue;
		r = open_selected(s, &sel);
		if (r < 0)
			return r;
		if (sel.n < 2)
			continue;
		r = compaction_prepare(s, &sel);
		if (r < 0) {
			if (r != -ESTALE)
				store_compaction_failed(s, &sel);
			return r;
		}
		*ret = sel;
		sel = (struct store_selection){};
		return 0;
	}
	return r < 0 ? r : -ENOENT;
}
