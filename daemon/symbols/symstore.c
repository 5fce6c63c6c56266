/* SPDX-License-Identifier: Apache-2.0 */
#include "symstore.h"

#include <string.h>
#include <sys/mman.h>

#include "blob_cache.h"
#include "buf.h"
#include "symfile.h"

#define SAVE_AT_LEAST 64 /* new answers, or a quarter of the old ones */

struct debug_file {
	char *path;
	bool present;
	struct object_identity identity;
};

struct symsaved {
	struct object_identity identity;
	void *map;
	size_t bytes;
	struct symfile file;      /* head NULL: there is none */
	struct debug_file *debug; /* room for a power of two, up to SYMFILE_MAX_FILES */
	size_t n_debug;
	size_t n_new;
	bool off; /* what it would write is not all of one origin */
};

struct symstore {
	struct symcache *cache;
	struct symstore_options options;
	struct blob_cache *blobs;
	struct symstore_stats stats;
};

static void saved_unmap(struct symsaved *v)
{
	if (v->map)
		munmap(v->map, v->bytes);
	v->map = NULL;
	v->file = (struct symfile){ 0 };
}

static void saved_forget_debug(struct symsaved *v)
{
	for (size_t i = 0; i < v->n_debug; i++)
		free(v->debug[i].path);
	free(v->debug);
	v->debug = NULL;
	v->n_debug = 0;
}

static void saved_free(struct symsaved *v)
{
	saved_unmap(v);
	saved_forget_debug(v);
	free(v);
}

static bool same_identity(const struct object_identity *a, const struct object_identity *b)
{
	return a->dev == b->dev && a->inode == b->inode && a->size_bytes == b->size_bytes &&
	       a->mtime_ns == b->mtime_ns && a->ctime_ns == b->ctime_ns;
}

/* Is each debug file what it was, and does each missing one still not exist? */
static bool saved_is_fresh(const struct symstore *s, const struct symsaved *v,
			   struct object *object)
{
	for (uint32_t i = 0; i < v->file.head->n_files; i++) {
		const struct symfile_debug *d = &v->file.files[i];
		struct object_identity identity;
		_cleanup_close_ int fd = -1;

		fd = s->options.open_debug
			     ? s->options.open_debug(s->options.open_debug_arg, object,
						     v->file.strings + d->path)
			     : -ENOENT;
		if ((fd >= 0) != d->present)
			return false;
		if (fd >= 0 &&
		    (object_identify(fd, &identity) < 0 || !same_identity(&identity, &d->identity)))
			return false;
	}
	return true;
}

static int saved_add_debug(struct symsaved *v, const char *path, bool present,
			   const struct object_identity *identity)
{
	struct debug_file *d;

	if (v->n_debug == SYMFILE_MAX_FILES)
		return -ENOSPC;
	if ((v->n_debug & (v->n_debug - 1)) == 0) {
		size_t room = v->n_debug ? v->n_debug * 2 : 1;

		d = realloc(v->debug, room * sizeof(*d));
		if (!d)
			return -ENOMEM;
		v->debug = d;
	}
	d = &v->debug[v->n_debug];
	d->path = strdup(path);
	if (!d->path)
		return -ENOMEM;
	d->present = present;
	d->identity = *identity;
	v->n_debug++;
	return 0;
}

static size_t saved_debug_bytes(const struct symsaved *v)
{
	size_t bytes = 0;

	for (size_t i = 0; i < v->n_debug; i++)
		bytes += sizeof(*v->debug) + strlen(v->debug[i].path) + 1;
	return bytes;
}

static void saved_map(struct symstore *s, struct symsaved *v)
{
	_cleanup_close_ int fd = -1;
	size_t bytes;
	void *map;

	fd = blob_cache_open(s->blobs, &v->identity, &bytes);
	if (fd < 0) {
		s->stats.bad += fd == -EBADMSG;
		return;
	}
	map = bytes > 0 ? mmap(NULL, bytes, PROT_READ, MAP_PRIVATE, fd, 0) : MAP_FAILED;
	if (map == MAP_FAILED)
		return;
	if (symfile_check(map, bytes, &v->file) < 0) {
		munmap(map, bytes);
		blob_cache_remove(s->blobs, &v->identity);
		s->stats.bad++;
		return;
	}
	v->map = map;
	v->bytes = bytes;
}

static void saved_take_head(struct symsaved *v, struct symcache_info *info)
{
	const struct symfile_head *h = v->file.head;

	snprintf(info->build_id, sizeof(info->build_id), "%s", v->file.strings + h->build_id);
	info->has_names |= h->has_names;
	info->has_lines |= h->has_lines;
	info->has_inlines |= h->has_inlines;
	info->debug_missing |= h->debug_missing;
	for (uint32_t i = 0; i < h->n_files && !v->off; i++)
		v->off = saved_add_debug(v, v->file.strings + v->file.files[i].path,
					 v->file.files[i].present, &v->file.files[i].identity) < 0;
}

/* What is on disk of an object, looked for once. */
static struct symsaved *saved_get(struct symstore *s, struct symcache_object *cached,
				  struct object *object)
{
	struct symsaved **slot = symcache_saved(cached), *v;

	if (*slot)
		return *slot;
	v = calloc(1, sizeof(*v));
	if (!v)
		return NULL;
	*slot = v;
	symcache_charge(s->cache, cached, sizeof(*v));
	v->identity = object->identity;
	saved_map(s, v);
	if (v->file.head && !saved_is_fresh(s, v, object)) {
		saved_unmap(v);
		blob_cache_remove(s->blobs, &v->identity);
		s->stats.stale++;
	}
	if (v->file.head)
		saved_take_head(v, symcache_info(cached));
	symcache_charge(s->cache, cached, saved_debug_bytes(v));
	return v;
}

static int store_put(struct symstore *s, struct symcache_object *cached, const struct symfile *f,
		     const struct symfile_entry *e)
{
	struct symbol_line lines[UINT8_MAX + 1];

	for (uint32_t i = 0; i < e->n_lines; i++) {
		const struct symfile_line *l = &f->lines[e->first_line + i];

		lines[i] = (struct symbol_line){
			.name = f->strings + l->name,
			.system_name = f->strings + l->system_name,
			.file = f->strings + l->file,
			.line = l->line,
			.column = l->column,
			.start_line = l->start_line,
		};
	}
	return symcache_put(s->cache, cached, e->address, e->mode, 0, false, lines, e->n_lines);
}

size_t symstore_load(struct symstore *s, struct symcache_object *cached, struct object *object,
		     enum symbols_mode mode, const uint64_t *addresses, size_t n)
{
	struct symsaved *v = s ? saved_get(s, cached, object) : NULL;
	size_t loaded = 0;

	if (!v || !v->file.head || !same_identity(&v->identity, &object->identity))
		return 0;
	for (size_t i = 0; i < n; i++) {
		const struct symfile_entry *e = symfile_find(&v->file, addresses[i]);

		if (!e || (mode == SYMBOLS_FULL && e->mode == SYMBOLS_FAST))
			continue;
		if (store_put(s, cached, &v->file, e) < 0)
			break;
		loaded++;
	}
	s->stats.hits += loaded;
	return loaded;
}

/* What the answers before came from is not there any more: neither are they, here and on disk. */
static void saved_begin_anew(struct symstore *s, struct symsaved *v)
{
	saved_forget_debug(v);
	saved_unmap(v);
	blob_cache_remove(s->blobs, &v->identity);
	v->n_new = 0;
	v->off = false;
	s->stats.stale++;
}

static const struct debug_file *saved_find_debug(const struct symsaved *v, const char *path)
{
	for (size_t i = 0; i < v->n_debug; i++)
		if (strcmp(v->debug[i].path, path) == 0)
			return &v->debug[i];
	return NULL;
}

bool symstore_opened(struct symstore *s, struct symcache_object *cached, const char *path, int fd)
{
	struct symsaved *v = s ? *symcache_saved(cached) : NULL;
	struct object_identity identity = { 0 };
	const struct debug_file *d;
	bool changed;

	if (!v)
		return false;
	if (fd >= 0 && object_identify(fd, &identity) < 0) {
		v->off = true;
		return false;
	}
	d = saved_find_debug(v, path);
	if (d && d->present == (fd >= 0) && same_identity(&d->identity, &identity))
		return false;
	if (d && fd < 0) {
		/* or the process is gone, beneath whose root it was */
		v->off = true;
		return false;
	}
	changed = d != NULL;
	if (changed)
		saved_begin_anew(s, v);
	if (!v->off) {
		v->off = saved_add_debug(v, path, fd >= 0, &identity) < 0;
		symcache_charge(s->cache, cached, sizeof(*v->debug) + strlen(path) + 1);
	}
	return changed;
}

/* A file in the making. */
struct writing {
	struct symfile_head head;
	struct buf files, entries, lines, strings;
	struct writing_string {
		const char *s;
		uint32_t at;
	} * slots; /* by address of the string: each is one of the cache's or of the old file's */
	size_t n, allocated;
};

static void writing_done(struct writing *w)
{
	buf_done(&w->files);
	buf_done(&w->entries);
	buf_done(&w->lines);
	buf_done(&w->strings);
	free(w->slots);
}

static struct writing_string *writing_slot(struct writing_string *slots, size_t allocated,
					   const char *s)
{
	size_t i = (size_t)(((uintptr_t)s * 0x9e3779b97f4a7c15ULL) >> 20) & (allocated - 1);

	while (slots[i].s && slots[i].s != s)
		i = (i + 1) & (allocated - 1);
	return &slots[i];
}

static void writing_grow(struct writing *w)
{
	size_t allocated = w->allocated ? w->allocated * 2 : 1024;
	struct writing_string *slots = calloc(allocated, sizeof(*slots));

	if (!slots) {
		w->strings.error = -ENOMEM;
		return;
	}
	for (size_t i = 0; i < w->allocated; i++)
		if (w->slots[i].s)
			*writing_slot(slots, allocated, w->slots[i].s) = w->slots[i];
	free(w->slots);
	w->slots = slots;
	w->allocated = allocated;
}

static uint32_t writing_string(struct writing *w, const char *s)
{
	struct writing_string *slot;

	if (!*s)
		return 0;
	if (w->n >= w->allocated / 2)
		writing_grow(w);
	if (w->strings.error)
		return 0;
	slot = writing_slot(w->slots, w->allocated, s);
	if (!slot->s) {
		*slot = (struct writing_string){ s, (uint32_t)w->strings.size };
		w->n++;
		buf_append(&w->strings, s, strlen(s) + 1);
	}
	return slot->at;
}

static void writing_line(struct writing *w, const struct symbol_line *l)
{
	struct symfile_line line = {
		.name = writing_string(w, l->name),
		.system_name = writing_string(w, l->system_name),
		.file = writing_string(w, l->file),
		.line = l->line,
		.column = l->column,
		.start_line = l->start_line,
	};

	buf_append(&w->lines, &line, sizeof(line));
	w->head.n_lines++;
}

static void writing_entry(struct writing *w, uint64_t address, uint32_t n_lines, uint16_t mode)
{
	struct symfile_entry entry = {
		.address = address,
		.first_line = w->head.n_lines,
		.n_lines = (uint16_t)n_lines,
		.mode = mode,
	};

	buf_append(&w->entries, &entry, sizeof(entry));
	w->head.n_entries++;
}

/* Only what will be as true tomorrow. */
static void writing_cached(struct writing *w, const struct symcache_entry *e)
{
	if (e->expires_ns || e->location.synthetic || e->location.n_lines > UINT8_MAX)
		return;
	writing_entry(w, e->address, e->location.n_lines, (uint16_t)e->mode);
	for (uint32_t i = 0; i < e->location.n_lines; i++)
		writing_line(w, &e->location.lines[i]);
}

static void writing_old(struct writing *w, const struct symfile *f, const struct symfile_entry *e)
{
	writing_entry(w, e->address, e->n_lines, e->mode);
	for (uint32_t i = 0; i < e->n_lines; i++) {
		const struct symfile_line *l = &f->lines[e->first_line + i];

		writing_line(w, &(struct symbol_line){
					.name = f->strings + l->name,
					.system_name = f->strings + l->system_name,
					.file = f->strings + l->file,
					.line = l->line,
					.column = l->column,
					.start_line = l->start_line,
				});
	}
}

/* The old file's answers and the cache's, which count where there are both. */
static void writing_entries(struct writing *w, const struct symfile *f,
			    const struct symcache_entry **cached, size_t n)
{
	uint32_t old = 0, n_old = f->head ? f->head->n_entries : 0;

	for (size_t i = 0; i <= n; i++) {
		uint64_t next = i < n ? cached[i]->address : UINT64_MAX;

		for (; old < n_old && f->entries[old].address < next; old++)
			writing_old(w, f, &f->entries[old]);
		if (old < n_old && f->entries[old].address == next)
			old++;
		if (i < n)
			writing_cached(w, cached[i]);
	}
}

static void writing_head(struct writing *w, const struct symsaved *v,
			 const struct symcache_info *info)
{
	for (size_t i = 0; i < v->n_debug; i++) {
		struct symfile_debug d = {
			.identity = v->debug[i].identity,
			.path = writing_string(w, v->debug[i].path),
			.present = v->debug[i].present,
		};

		buf_append(&w->files, &d, sizeof(d));
	}
	w->head.magic = SYMFILE_MAGIC;
	w->head.version = SYMFILE_VERSION;
	w->head.n_files = (uint32_t)v->n_debug;
	w->head.build_id = writing_string(w, info->build_id);
	w->head.has_names = info->has_names;
	w->head.has_lines = info->has_lines;
	w->head.has_inlines = info->has_inlines;
	w->head.debug_missing = info->debug_missing;
}

static int writing_finish(struct writing *w, struct buf *out)
{
	struct symfile_head *head;

	w->head.strings_bytes = w->strings.size;
	if (w->files.error || w->entries.error || w->lines.error || w->strings.error)
		return -ENOSPC;
	buf_append(out, &w->head, sizeof(w->head));
	buf_append(out, w->files.data, w->files.size);
	buf_append(out, w->entries.data, w->entries.size);
	buf_append(out, w->lines.data, w->lines.size);
	buf_append(out, w->strings.data, w->strings.size);
	if (out->error)
		return out->error;
	head = (struct symfile_head *)out->data;
	head->checksum = symfile_checksum(out->data, out->size);
	return 0;
}

static int store_save(struct symstore *s, struct symsaved *v, struct symcache_object *cached)
{
	_cleanup_(writing_done) struct writing w = {
		.files = BUF_INIT(SYMFILE_MAX_BYTES),
		.entries = BUF_INIT(SYMFILE_MAX_BYTES),
		.lines = BUF_INIT(SYMFILE_MAX_BYTES),
		.strings = BUF_INIT(SYMFILE_MAX_BYTES),
	};
	_cleanup_(buf_done) struct buf out = BUF_INIT(SYMFILE_MAX_BYTES);
	size_t n = symcache_count(cached);
	_cleanup_free_ const struct symcache_entry **entries = calloc(n + 1, sizeof(*entries));
	int r;

	if (!entries)
		return -ENOMEM;
	symcache_sorted(cached, entries);
	buf_append(&w.strings, "", 1);
	writing_head(&w, v, symcache_info(cached));
	writing_entries(&w, &v->file, entries, n);
	if (w.head.n_entries == 0)
		return 0;
	r = writing_finish(&w, &out);
	if (r == 0)
		r = blob_cache_store(s->blobs, &v->identity, out.data, out.size);
	return r;
}

static void saved_save(struct symstore *s, struct symsaved *v, struct symcache_object *cached)
{
	if (v->n_new == 0 || v->off)
		return;
	v->n_new = 0;
	if (store_save(s, v, cached) < 0) {
		s->stats.errors++;
		return;
	}
	saved_unmap(v);
	saved_map(s, v);
}

void symstore_added(struct symstore *s, struct symcache_object *cached, size_t n)
{
	struct symsaved *v = s ? *symcache_saved(cached) : NULL;
	size_t old;

	if (!v)
		return;
	v->n_new += n;
	old = v->file.head ? v->file.head->n_entries : 0;
	if (v->n_new >= MAX((size_t)SAVE_AT_LEAST, old / 4))
		saved_save(s, v, cached);
}

static void store_gone(void *arg, struct symcache_object *cached)
{
	struct symsaved **slot = symcache_saved(cached);
	struct symstore *s = arg;

	if (!*slot)
		return;
	saved_save(s, *slot, cached);
	saved_free(*slot);
	*slot = NULL;
}

int symstore_new(struct symstore **ret, struct symcache *cache,
		 const struct symstore_options *options)
{
	const struct blob_cache_options blobs = {
		.suffix = ".sym",
		.version = (uint64_t)SYMFILE_VERSION << 1 | options->fetches,
		.max_bytes = options->max_bytes,
		.max_blob_bytes = SYMFILE_MAX_BYTES,
	};
	struct symstore *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	r = blob_cache_new(&s->blobs, options->folder, &blobs);
	if (r < 0) {
		free(s);
		return r;
	}
	s->cache = cache;
	s->options = *options;
	s->options.folder = NULL; /* the caller's */
	symcache_set_gone(cache, store_gone, s);
	*ret = s;
	return 0;
}

struct symstore *symstore_free(struct symstore *s)
{
	if (!s)
		return NULL;
	blob_cache_free(s->blobs);
	free(s);
	return NULL;
}

void symstore_stats(const struct symstore *s, struct symstore_stats *ret)
{
	*ret = (struct symstore_stats){ 0 };
	if (!s)
		return;
	*ret = s->stats;
	ret->bytes = blob_cache_bytes(s->blobs);
}
