/* SPDX-License-Identifier: Apache-2.0 */
#include "store.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>

#include "buf.h"
#include "cleanup.h"
#include "clock.h"
#include "store_private.h"

/* What a window adds to the index, and for a moment to its log as well, where whole pages are written. */
#define INDEX_RESERVE_BYTES (192 * 1024)
#define INDEX_ROW_BYTES     400
#define NAME_TRIES          64
#define PRUNE_EVERY         512

static uint64_t real_now(_unused_ void *arg, clockid_t clock)
{
	return clock_ns(clock);
}

void store_look_at_clocks(struct store *s)
{
	const struct store_options *o = &s->options;

	age_look(&s->age, s->boot_id, o->now(o->arg, CLOCK_BOOTTIME),
		 o->now(o->arg, CLOCK_REALTIME));
}

static int read_boot_id(char ret[WINDOW_BOOT_ID_BYTES + 1])
{
	_cleanup_close_ int fd = open("/proc/sys/kernel/random/boot_id", O_RDONLY | O_CLOEXEC);
	char text[64];
	ssize_t n = fd < 0 ? -1 : read(fd, text, sizeof(text) - 1);
	size_t used = 0;

	if (n < 0)
		return -errno;
	for (ssize_t i = 0; i < n && used < WINDOW_BOOT_ID_BYTES; i++)
		if (strchr("0123456789abcdef", text[i]) && text[i])
			ret[used++] = text[i];
	ret[used] = '\0';
	return used == WINDOW_BOOT_ID_BYTES ? 0 : -EINVAL;
}

static void remove_index(const struct store *s)
{
	static const char *const suffixes[] = { "", "-wal", "-shm", "-journal" };

	for (size_t i = 0; i < ARRAY_SIZE(suffixes); i++) {
		_cleanup_free_ char *path = NULL;

		if (asprintf(&path, "%s%s", s->index_path, suffixes[i]) >= 0)
			unlink(path);
	}
}

int store_rebuild(struct store *s)
{
	int r;

	s->catalog = catalog_free(s->catalog);
	remove_index(s);
	r = catalog_open(&s->catalog, s->index_path);
	if (r < 0)
		return r;
	s->stats.index_rebuilt++;
	return store_recover(s, true);
}

static int open_index(struct store *s)
{
	struct stat st;
	bool there = stat(s->index_path, &st) == 0;
	int r = catalog_open(&s->catalog, s->index_path);

	if (r == -EBADMSG)
		return store_rebuild(s);
	if (r < 0)
		return r;
	r = store_recover(s, !there);
	if (r == -EBADMSG)
		return store_rebuild(s);
	/* none there but files: it was deleted */
	if (r == 0 && !there && s->n_files > 0)
		s->stats.index_rebuilt++;
	return r;
}

DEFINE_CLEANUP(struct store *, store_free);

int store_open(struct store **ret, const struct store_options *options)
{
	_cleanup_(store_freep) struct store *s = calloc(1, sizeof(*s));
	_cleanup_free_ char *profiles = NULL;
	int r;

	if (!s)
		return -ENOMEM;
	s->options = *options;
	s->options.now = options->now ?: real_now;
	s->dir = strdup(options->dir);
	if (!s->dir || asprintf(&s->index_path, "%s/index.sqlite", s->dir) < 0 ||
	    asprintf(&profiles, "%s/profiles", s->dir) < 0)
		return -ENOMEM;
	if (options->boot_id)
		snprintf(s->boot_id, sizeof(s->boot_id), "%s", options->boot_id);
	else {
		r = read_boot_id(s->boot_id);
		if (r < 0)
			return r;
	}
	r = files_open(&s->files, profiles);
	if (r < 0)
		return r;
	s->files_open = true;
	r = open_index(s);
	if (r < 0)
		return r;
	store_look_at_clocks(s);
	*ret = TAKE_PTR(s);
	return 0;
}

struct store *store_free(struct store *s)
{
	if (!s)
		return NULL;
	if (s->catalog)
		catalog_set(s->catalog, "age", &s->age, sizeof(s->age));
	catalog_free(s->catalog);
	if (s->files_open)
		files_done(&s->files);
	free(s->index_path);
	free(s->dir);
	free(s);
	return NULL;
}

void store_set_limits(struct store *s, const struct store_limits *limits)
{
	s->options.limits = *limits;
}

static int count_row(void *arg, const struct catalog_row *row)
{
	struct store *s = arg;

	if (s->n_files++ == 0) {
		s->oldest_age_ns = row->age_ns;
		s->stats.oldest_ns = row->start_ns;
	}
	s->stats.newest_ns = row->start_ns;
	s->files_bytes += files_rounded(row->bytes);
	return 0;
}

void store_recount(struct store *s)
{
	s->n_files = s->files_bytes = 0;
	s->oldest_age_ns = UINT64_MAX;
	s->stats.oldest_ns = s->stats.newest_ns = 0;
	if (s->catalog)
		(void)catalog_each(s->catalog, count_row, s);
	s->stats.damaged_bytes = files_damaged_bytes(&s->files);
}

/* A write to the index failed; where it is damaged it is made anew, once. */
static int index_failed(struct store *s, int r)
{
	s->stats.index_failures++;
	if (r == -EBADMSG)
		return store_rebuild(s);
	return r;
}

static int ensure_index(struct store *s)
{
	return s->catalog ? 0 : open_index(s);
}

/* The row first: a file without one is found again, one that a row promises is missed. */
int store_remove(struct store *s, const struct catalog_row *row)
{
	int r = catalog_remove(s->catalog, row->seq);

	if (r == 0)
		r = files_remove(&s->files, row->name);
	if (r == 0 && ++s->removed_since_prune >= PRUNE_EVERY) {
		s->removed_since_prune = 0;
		(void)catalog_prune(s->catalog);
	}
	return r;
}

static uint64_t total_bytes(const struct store *s)
{
	return s->files_bytes + s->stats.damaged_bytes +
	       (s->catalog ? catalog_bytes(s->catalog) : 0);
}

static int remove_oldest(struct store *s, uint64_t *counter)
{
	struct catalog_row row;
	int r = catalog_oldest(s->catalog, &row);

	if (r < 0)
		return r;
	r = store_remove(s, &row);
	if (r < 0)
		return r;
	(*counter)++;
	store_recount(s);
	return 0;
}

int store_make_room(struct store *s, uint64_t bytes)
{
	const struct store_limits *l = &s->options.limits;
	int r;

	if (s->stats.damaged_bytes && total_bytes(s) + bytes > l->max_bytes) {
		files_drop_damaged(&s->files);
		s->stats.damaged_bytes = 0;
	}
	while (total_bytes(s) + bytes > l->max_bytes) {
		r = remove_oldest(s, &s->stats.deleted_for_bytes);
		if (r < 0)
			return r == -ENOENT ? -EFBIG : r;
	}
	if (files_free_bytes(&s->files) < l->keep_free_bytes + bytes) {
		s->stats.keep_free++;
		return -ENOSPC;
	}
	return 0;
}

static void fill_row(struct catalog_row *row, const struct window *w, uint64_t payload_bytes,
		     uint64_t bytes)
{
	*row = (struct catalog_row){
		.start_ns = w->start_ns,
		.duration_ns = w->duration_ns,
		.samples = w->samples,
		.cpu_ns = w->cpu_ns,
		.lost = w->lost,
		.truncated = w->truncated,
		.bytes = bytes,
		.payload_bytes = payload_bytes,
		.age_ns = w->age_ns,
		.hz = w->hz,
		.merged = w->merged,
		.level = w->level,
	};
}

static int create_file(struct store *s, const struct iovec *parts, int n_parts,
		       struct catalog_row *row)
{
	for (int i = 0; i < NAME_TRIES; i++) {
		int r;

		row->seq = s->next_seq++;
		files_name(row->name, s->boot_id, row->seq);
		r = files_create(&s->files, row->name, parts, n_parts);
		if (r != -EEXIST)
			return r;
	}
	return -EEXIST;
}

static int add_row(struct store *s, const struct catalog_row *row, const struct window *w)
{
	int r = catalog_add(s->catalog, row, w);

	if (r == 0)
		(void)catalog_set(s->catalog, "age", &s->age, sizeof(s->age));
	return r < 0 ? index_failed(s, r) : 0;
}

int store_write(struct store *s, const void *payload, size_t payload_bytes, struct window *w,
		char ret_name[WINDOW_MAX_NAME])
{
	_cleanup_(buf_done) struct buf trailer = BUF_INIT(2 * WINDOW_MAX_META_BYTES);
	struct iovec parts[2];
	struct catalog_row row;
	int r;

	memcpy(w->boot_id, s->boot_id, sizeof(w->boot_id));
	w->boot_ns = s->age.boot_ns;
	r = window_write(w, payload_bytes, &trailer);
	if (r < 0)
		return r;
	fill_row(&row, w, payload_bytes, payload_bytes + trailer.size);
	r = store_make_room(s, files_rounded(row.bytes) + INDEX_RESERVE_BYTES +
				       INDEX_ROW_BYTES * (uint64_t)w->n_processes);
	if (r < 0)
		return r;
	parts[0] = (struct iovec){ (void *)(uintptr_t)payload, payload_bytes };
	parts[1] = (struct iovec){ trailer.data, trailer.size };
	r = create_file(s, parts, 2, &row);
	if (r < 0)
		return r;

	/* the file is there; without its row it would be found at the next start only */
	r = add_row(s, &row, w);
	store_recount(s);
	if (ret_name)
		memcpy(ret_name, row.name, WINDOW_MAX_NAME);
	s->stats.written++;
	s->stats.written_bytes += row.bytes;
	return r;
}

int store_put(struct store *s, const void *payload, size_t payload_bytes, struct window *w,
	      char ret_name[WINDOW_MAX_NAME])
{
	int r = ensure_index(s);

	store_look_at_clocks(s);
	w->age_ns = s->age.age_ns > w->duration_ns ? s->age.age_ns - w->duration_ns : 0;
	if (r == 0)
		r = store_write(s, payload, payload_bytes, w, ret_name);
	if (r < 0)
		s->stats.write_failures++;
	(void)store_tend(s);
	return r;
}

int store_tend(struct store *s)
{
	int r = ensure_index(s);

	if (r < 0)
		return r;
	store_look_at_clocks(s);
	/* when the clocks disagree, somebody has just set one: another time */
	while (s->age.agree && s->oldest_age_ns != UINT64_MAX &&
	       s->age.age_ns >= s->oldest_age_ns &&
	       s->age.age_ns - s->oldest_age_ns >= s->options.limits.max_age_ns) {
		r = remove_oldest(s, &s->stats.deleted_for_age);
		if (r < 0)
			return r;
	}
	/* the limit may have been lowered */
	while (s->n_files && total_bytes(s) > s->options.limits.max_bytes) {
		r = remove_oldest(s, &s->stats.deleted_for_bytes);
		if (r < 0)
			return r;
	}
	return 0;
}

void store_damaged(struct store *s, const char *name)
{
	struct catalog_row row;

	if (!s->catalog || catalog_find(s->catalog, name, &row) < 0)
		return;
	if (catalog_remove(s->catalog, row.seq) == 0 && files_set_aside(&s->files, name) == 0)
		s->stats.set_aside++;
	store_recount(s);
}

void store_stats(struct store *s, struct store_stats *ret)
{
	*ret = s->stats;
	ret->bytes = total_bytes(s);
	ret->windows = s->n_files;
	ret->held_ns = s->n_files && s->age.age_ns > s->oldest_age_ns
			       ? s->age.age_ns - s->oldest_age_ns
			       : 0;
	ret->compaction_aside = s->n_aside;
	ret->days_at_this_rate = store_days(s);
}
