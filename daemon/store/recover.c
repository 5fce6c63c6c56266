/* SPDX-License-Identifier: Apache-2.0 */
/* Files and rows are brought to agree, whatever happened to either. */
#include <string.h>

#include "cleanup.h"
#include "store_private.h"

struct known {
	char name[WINDOW_MAX_NAME];
	uint64_t seq, bytes;
	bool there;
};

struct names {
	struct known *items;
	size_t n, allocated;
};

static int names_add(struct names *l, const char *name, uint64_t seq, uint64_t bytes)
{
	if (l->n == l->allocated) {
		size_t n = l->allocated ? l->allocated * 2 : 256;
		struct known *p = realloc(l->items, n * sizeof(*p));

		if (!p)
			return -ENOMEM;
		l->items = p;
		l->allocated = n;
	}
	l->items[l->n] = (struct known){ .seq = seq, .bytes = bytes };
	snprintf(l->items[l->n++].name, WINDOW_MAX_NAME, "%s", name);
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct known *)a)->name, ((const struct known *)b)->name);
}

static struct known *names_find(struct names *l, const char *name)
{
	struct known key = {};

	snprintf(key.name, sizeof(key.name), "%s", name);
	return l->n ? bsearch(&key, l->items, l->n, sizeof(key), by_name) : NULL;
}

struct recovery {
	struct store *store;
	struct names rows, files;
	struct names gone; /* that others replace, by what their trailers say */
	/* Of the youngest file taken up: where the clock stood. */
	struct age_clock youngest;
};

static void recovery_done(struct recovery *r)
{
	free(r->rows.items);
	free(r->files.items);
	free(r->gone.items);
}

static int take_row(void *arg, const struct catalog_row *row)
{
	struct recovery *r = arg;

	return names_add(&r->rows, row->name, row->seq, row->bytes);
}

static int take_file(void *arg, const char *name)
{
	struct recovery *r = arg;
	uint64_t seq;

	/* what is not named as ours are is not ours to touch */
	if (!files_parse_name(name, &seq))
		return 0;
	r->store->next_seq = MAX(r->store->next_seq, seq + 1);
	return names_add(&r->files, name, seq, 0);
}

static int set_aside(struct recovery *r, const char *name)
{
	int q = files_set_aside(&r->store->files, name);

	if (q == 0)
		r->store->stats.set_aside++;
	return q;
}

static void note_clock(struct recovery *r, const struct window *w)
{
	uint64_t end_ns = w->age_ns + w->duration_ns;

	if (end_ns < r->youngest.age_ns)
		return;
	r->youngest.age_ns = end_ns;
	r->youngest.boot_ns = w->boot_ns;
	r->youngest.real_ns = (uint64_t)w->start_ns + w->duration_ns;
	memcpy(r->youngest.boot_id, w->boot_id, sizeof(w->boot_id));
}

static int note_replaced(struct recovery *r, const struct window *w)
{
	_cleanup_free_ char *names = strndup(w->replaces.data ?: "", w->replaces.size);
	char *save = NULL;

	if (!names)
		return -ENOMEM;
	for (char *n = strtok_r(names, "\n", &save); n; n = strtok_r(NULL, "\n", &save)) {
		int q = names_add(&r->gone, n, 0, 0);

		if (q < 0)
			return q;
	}
	return 0;
}

/* A file that no row knows: the daemon ended between the two, or the index was lost. */
static int take_up(struct recovery *r, const struct known *file)
{
	_cleanup_(window_done) struct window w;
	_cleanup_close_ int fd = -1;
	uint64_t bytes, payload_bytes;
	struct catalog_row row;
	int q;

	window_init(&w);
	fd = files_get(&r->store->files, file->name, &bytes);
	if (fd == -ENOENT)
		return 0;
	q = fd < 0 ? fd : window_read(fd, bytes, &w, &payload_bytes);
	if (q == -EPROTO) {
		r->store->stats.newer++;
		return 0;
	}
	if (q == -EBADMSG || q == -EIO || q == -ELOOP)
		return set_aside(r, file->name);
	if (q < 0)
		return q;
	q = note_replaced(r, &w);
	if (q < 0)
		return q;
	row = (struct catalog_row){
		.seq = file->seq,
		.start_ns = w.start_ns,
		.duration_ns = w.duration_ns,
		.samples = w.samples,
		.cpu_ns = w.cpu_ns,
		.lost = w.lost,
		.truncated = w.truncated,
		.bytes = bytes,
		.payload_bytes = payload_bytes,
		.age_ns = w.age_ns,
		.hz = w.hz,
		.merged = w.merged,
		.level = w.level,
	};
	snprintf(row.name, sizeof(row.name), "%s", file->name);
	note_clock(r, &w);
	return catalog_add(r->store->catalog, &row, &w);
}

/* Each file that is no row's: away when it is in another one, else taken up. */
static int adopt_files(struct recovery *r)
{
	for (size_t i = 0; i < r->files.n; i++) {
		struct known *file = &r->files.items[i];
		struct known *row = names_find(&r->rows, file->name);
		int q;

		if (row) {
			row->there = true;
			continue;
		}
		q = catalog_is_replaced(r->store->catalog, file->name);
		if (q < 0)
			return q;
		if (q > 0) {
			q = files_remove(&r->store->files, file->name);
			if (q == 0)
				q = catalog_forget(r->store->catalog, file->name);
		} else {
			q = take_up(r, file);
		}
		if (q < 0)
			return q;
	}
	return 0;
}

/* Sources of a merged file that was taken up after them. */
static int drop_replaced(struct recovery *r)
{
	for (size_t i = 0; i < r->gone.n; i++) {
		const char *name = r->gone.items[i].name;
		struct catalog_row row;
		uint64_t seq;
		int q;

		if (!files_parse_name(name, &seq))
			continue;
		q = catalog_find(r->store->catalog, name, &row);
		if (q == 0)
			q = catalog_remove(r->store->catalog, row.seq);
		if (q < 0 && q != -ENOENT)
			return q;
		q = files_remove(&r->store->files, name);
		if (q == 0)
			q = catalog_forget(r->store->catalog, name);
		if (q < 0)
			return q;
	}
	return 0;
}

/* Rows whose file is gone, or is not as long as it was. */
static int check_rows(struct recovery *r)
{
	for (size_t i = 0; i < r->rows.n; i++) {
		const struct known *row = &r->rows.items[i];
		_cleanup_close_ int fd = -1;
		uint64_t bytes = 0;
		int q;

		if (row->there) {
			fd = files_get(&r->store->files, row->name, &bytes);
			if (fd >= 0 && bytes == row->bytes)
				continue;
			/* one that only cannot be opened now stays */
			if (fd < 0 && fd != -ENOENT && fd != -EBADMSG && fd != -ELOOP)
				continue;
		}
		q = catalog_remove(r->store->catalog, row->seq);
		if (q == 0 && row->there && fd != -ENOENT)
			q = set_aside(r, row->name);
		if (q < 0)
			return q;
	}
	return 0;
}

static void restore_clock(struct recovery *r)
{
	struct store *s = r->store;
	struct age_clock kept;

	if (catalog_get(s->catalog, "age", &kept, sizeof(kept)) == 0) {
		kept.boot_id[WINDOW_BOOT_ID_BYTES] = '\0';
		s->age = kept;
	}
	if (r->youngest.age_ns > s->age.age_ns)
		s->age = r->youngest;
}

int store_recover(struct store *s, bool rebuilt)
{
	_cleanup_(recovery_done) struct recovery r = { .store = s };
	int q;

	q = catalog_each(s->catalog, take_row, &r);
	if (q < 0)
		return q;
	for (size_t i = 0; i < r.rows.n; i++)
		s->next_seq = MAX(s->next_seq, r.rows.items[i].seq + 1);
	q = files_each(&s->files, take_file, &r);
	if (q < 0)
		return q;
	if (r.rows.n)
		qsort(r.rows.items, r.rows.n, sizeof(*r.rows.items), by_name);
	q = adopt_files(&r);
	if (q == 0)
		q = drop_replaced(&r);
	if (q == 0 && !rebuilt)
		q = check_rows(&r);
	if (q < 0)
		return q;
	restore_clock(&r);
	store_recount(s);
	return 0;
}
