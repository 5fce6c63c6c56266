/* SPDX-License-Identifier: Apache-2.0 */
#include "compaction.h"

#include <string.h>

#include "cleanup.h"

/* A process with less than this part of the samples is told apart from its likes no longer: of hours that
 * are too large, of all others. */
#define FOLD_BELOW_TIGHT 20
#define FOLD_BELOW       1000

const struct compaction_level compaction_levels[COMPACTION_LEVELS] = {
	{ 600 * NSEC_PER_SEC, 3600 * NSEC_PER_SEC },
	{ 3600 * NSEC_PER_SEC, 86400 * NSEC_PER_SEC },
};

static uint32_t level_of(const struct store_selection *sel)
{
	uint32_t level = 1;

	for (; level < COMPACTION_LEVELS; level++) {
		bool one = true;

		for (size_t i = 0; i < sel->n; i++)
			one &= sel->files[i].row.level < level &&
			       compaction_bucket(&sel->files[i].row, level) ==
				       compaction_bucket(&sel->files[0].row, level);
		if (one)
			break;
	}
	return level;
}

/* What the merged file is to know: rows of all, and whom it replaces. */
static int merged_window(struct store *s, const struct store_selection *sel, struct window *ret)
{
	for (size_t i = 0; i < sel->n; i++) {
		const struct catalog_row *row = &sel->files[i].row;
		_cleanup_(window_done) struct window w;
		struct catalog_row still;
		int r;

		window_init(&w);
		r = catalog_find(s->catalog, row->name, &still);
		/* deleted meanwhile: what is merged is more than what would be replaced */
		if (r == -ENOENT)
			return -ESTALE;
		if (r == 0)
			r = catalog_processes(s->catalog, row->seq, &w);
		if (r < 0)
			return r;
		w.start_ns = row->start_ns;
		w.duration_ns = row->duration_ns;
		w.lost = row->lost;
		w.truncated = row->truncated;
		w.hz = row->hz;
		w.merged = row->merged;
		w.age_ns = row->age_ns;
		r = window_merge(ret, &w);
		if (r == 0)
			r = buf_printf(&ret->replaces, "%s\n", row->name);
		if (r < 0)
			return r;
	}
	ret->level = level_of(sel);
	return 0;
}

/* --- processes that are told apart no longer ------------------------------ */

struct fold_row {
	const struct window_process *p;
	bool alone;  /* no other row has its pid */
	bool unique; /* no other row has its pid and command, which is what samples are known by */
	bool rare;
	uint32_t to; /* the pid it gets */
};

static int by_pid(const void *a, const void *b)
{
	const struct fold_row *x = a, *y = b;

	if (x->p->pid != y->p->pid)
		return x->p->pid < y->p->pid ? -1 : 1;
	return (x->p->comm > y->p->comm) - (x->p->comm < y->p->comm);
}

/* All but the pid and the numbers. */
static int compare_kind(const struct window_process *x, const struct window_process *y)
{
	const size_t from = offsetof(struct window_process, uid),
		     to = offsetof(struct window_process, samples);

	return memcmp((const char *)x + from, (const char *)y + from, to - from);
}

static int by_kind(const void *a, const void *b)
{
	const struct fold_row *x = a, *y = b;
	int r = compare_kind(x->p, y->p);

	return r ? r : by_pid(a, b);
}

/* A process that has run several programs has several rows. */
static void find_alone(struct fold_row *rows, size_t n)
{
	qsort(rows, n, sizeof(*rows), by_pid);
	for (size_t i = 0; i < n; i++) {
		const struct window_process *p = rows[i].p, *before = i ? rows[i - 1].p : NULL,
					    *after = i + 1 < n ? rows[i + 1].p : NULL;
		bool like_before = before && before->pid == p->pid,
		     like_after = after && after->pid == p->pid;

		rows[i].alone = !like_before && !like_after;
		rows[i].unique = !(like_before && before->comm == p->comm) &&
				 !(like_after && after->comm == p->comm);
	}
}

/* Of one kind: the first that ran nothing else is the one whose pid the others get, for pids are what
 * questions by executable go by. */
static void fold_kind(struct fold_row *rows, size_t n)
{
	const struct fold_row *to = NULL;

	for (size_t i = 0; i < n && !to; i++)
		if (rows[i].alone && rows[i].rare)
			to = &rows[i];
	for (size_t i = 0; i < n; i++)
		rows[i].to = to && rows[i].unique && rows[i].rare ? to->p->pid : rows[i].p->pid;
}

static void find_targets(struct fold_row *rows, size_t n)
{
	qsort(rows, n, sizeof(*rows), by_kind);
	for (size_t i = 0, end; i < n; i = end) {
		for (end = i + 1; end < n && compare_kind(rows[i].p, rows[end].p) == 0; end++)
			;
		fold_kind(&rows[i], end - i);
	}
}

static int fold_rows(struct store_selection *sel, struct fold_row *rows, size_t n)
{
	const struct window *from = sel->unfolded;

	sel->folds = calloc(MAX(n, (size_t)1), sizeof(*sel->folds));
	if (!sel->folds)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++) {
		const struct window_process *p = rows[i].p;
		int r = window_add(sel->merged, rows[i].to, p->uid, window_string(from, p->comm),
				   window_string(from, p->exe), window_string(from, p->build_id),
				   window_string(from, p->unit), window_string(from, p->container),
				   p->samples, p->cpu_ns);

		if (r < 0)
			return r;
		if (rows[i].to != p->pid)
			sel->folds[sel->n_folds++] = (struct store_fold){
				.pid = p->pid,
				.to = rows[i].to,
				.comm = window_string(from, p->comm),
			};
	}
	return 0;
}

static int copy_head(struct window *to, const struct window *from)
{
	to->start_ns = from->start_ns;
	to->duration_ns = from->duration_ns;
	to->lost = from->lost;
	to->truncated = from->truncated;
	to->hz = from->hz;
	to->merged = from->merged;
	to->level = from->level;
	to->age_ns = from->age_ns;
	return buf_append(&to->replaces, from->replaces.data, from->replaces.size);
}

/* What is within the share of a whole stretch as it is loses nothing, however short its windows are. */
static uint64_t max_bytes(const struct store *s, const struct store_selection *sel)
{
	const struct store_limits *l = &s->options.limits;
	uint32_t level = sel->unfolded->level;
	uint64_t bytes = 0;

	for (size_t i = 0; i < sel->n; i++)
		bytes += sel->files[i].row.bytes;
	if (bytes <= compaction_allowance(l, level, compaction_levels[level - 1].bucket_ns))
		return 0;
	return compaction_allowance(l, level, sel->unfolded->duration_ns);
}

static unsigned fold_below(const struct store_selection *sel)
{
	return sel->unfolded->level == COMPACTION_LEVELS && sel->max_bytes ? FOLD_BELOW_TIGHT
									   : FOLD_BELOW;
}

int compaction_prepare(struct store *s, struct store_selection *sel)
{
	_cleanup_free_ struct fold_row *rows = NULL;
	const struct window *w;
	unsigned below;
	int r;

	sel->unfolded = window_new();
	sel->merged = window_new();
	if (!sel->unfolded || !sel->merged)
		return -ENOMEM;
	r = merged_window(s, sel, sel->unfolded);
	if (r < 0)
		return r;
	w = sel->unfolded;
	sel->max_bytes = max_bytes(s, sel);
	below = fold_below(sel);
	rows = calloc(MAX(w->n_processes, (size_t)1), sizeof(*rows));
	if (!rows)
		return -ENOMEM;
	for (size_t i = 0; i < w->n_processes; i++)
		rows[i] = (struct fold_row){ .p = &w->processes[i],
					     .rare = w->processes[i].samples < w->samples / below };
	find_alone(rows, w->n_processes);
	find_targets(rows, w->n_processes);
	r = fold_rows(sel, rows, w->n_processes);
	return r < 0 ? r : copy_head(sel->merged, w);
}

/* Whether all files are still there: what is merged must not be more than what is replaced. */
static int still_there(struct store *s, const struct store_selection *sel)
{
	for (size_t i = 0; i < sel->n; i++) {
		struct catalog_row row;
		int r = catalog_find(s->catalog, sel->files[i].row.name, &row);

		if (r < 0)
			return r == -ENOENT ? -ESTALE : r;
	}
	return 0;
}

void store_compaction_failed(struct store *s, const struct store_selection *sel)
{
	uint32_t level = sel->n ? level_of(sel) : 0;

	s->stats.compaction_failures++;
	if (level)
		aside_add(s, level, compaction_bucket(&sel->files[0].row, level));
}

int store_replace(struct store *s, const struct store_selection *sel, const void *payload,
		  size_t payload_bytes, uint64_t samples, uint64_t cpu_ns)
{
	struct window *w = sel->merged;
	int r = s->catalog ? still_there(s, sel) : -EIO;

	if (r == -ESTALE)
		return r;
	if (r == 0 && (w->samples != samples || w->cpu_ns != cpu_ns))
		r = -EBADMSG;
	if (r == 0)
		r = store_write(s, payload, payload_bytes, w, NULL);
	if (r < 0) {
		store_compaction_failed(s, sel);
		return r;
	}
	for (size_t i = 0; i < sel->n; i++)
		if (files_remove(&s->files, sel->files[i].row.name) == 0)
			(void)catalog_forget(s->catalog, sel->files[i].row.name);
	s->stats.compacted += sel->n;
	aside_remove(s, w->level, compaction_bucket(&sel->files[0].row, w->level));
	store_recount(s);
	return 0;
}
