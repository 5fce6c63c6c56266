/* SPDX-License-Identifier: Apache-2.0 */
#include "dw_split.h"

#include <dwarf.h>
#include <string.h>

#include "buf.h"
#include "dwp_index.h"

#define MAX_TRIES      4    /* candidates for one file */
#define MAX_OPENS      3000 /* of all; the daemon's own limit is higher */
#define MAX_MISSES     64   /* in a row from the start: they are nowhere */
#define MAX_OPEN_FILES 960  /* the worker may have 1024 */
#define PATH_BYTES     4096

/* The descriptor is kept to see whether the file is written to. */
struct dwo {
	struct dw_file file;
	int fd; /* -1: its sections are the package's */
	uint64_t bytes;
	int64_t mtime_ns;
};

struct split {
	struct dwo dwo;
	struct dw_unit *unit;
	bool tried;
	uint64_t used; /* by the splits' clock */
};

struct dw_splits {
	struct dw_file *main;
	symbolize_open_t open;
	void *arg;
	struct split **items; /* by number of the skeleton */
	struct dwo package;
	bool package_tried, has_package;
	size_t n_open;
	unsigned n_opens, n_misses;
	uint64_t clock, checked; /* checked: when dw_splits_changed() looked last */
	bool missing, broken, changed;
};

DEFINE_CLEANUP(struct dw_splits *, dw_splits_free)

static void dwo_done(struct dwo *d)
{
	dw_file_done(&d->file);
	d->fd = safe_close(d->fd);
}

static bool dwo_changed(const struct dwo *d)
{
	return d->fd >= 0 && elf_fd_changed(d->fd, d->bytes, d->mtime_ns);
}

static struct split *split_free(struct split *p)
{
	if (p) {
		dwo_done(&p->dwo);
		free(p);
	}
	return NULL;
}

struct dw_splits *dw_splits_free(struct dw_splits *s)
{
	if (s) {
		for (size_t i = 0; s->items && i < s->main->n_units; i++)
			split_free(s->items[i]);
		dwo_done(&s->package);
		free(s->items);
		free(s);
	}
	return NULL;
}

int dw_splits_new(struct dw_splits **ret, struct dw_file *main, symbolize_open_t open, void *arg)
{
	_cleanup_(dw_splits_freep) struct dw_splits *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->main = main;
	s->open = open;
	s->arg = arg;
	s->package.fd = -1;
	s->items = calloc(main->n_units + 1, sizeof(struct split *));
	if (!s->items)
		return -ENOMEM;
	*ret = TAKE_PTR(s);
	return 0;
}

/* What was read of it may have been of two versions, also where it seemed to be broken. */
static void splits_close(struct dw_splits *s, struct dwo *d)
{
	s->changed |= dwo_changed(d);
	dwo_done(d);
}

/* A file of .dwo sections. -ENOENT: there is no further candidate; -EBADMSG: this one is none. */
static int splits_open(struct dw_splits *s, enum symbolize_open_kind kind, const char *name,
		       struct dwo *ret)
{
	struct symbolize_open want = { .kind = kind, .name = name };
	_cleanup_(elf_file_freep) struct elf_file *elf = NULL;
	_cleanup_close_ int fd = -1;
	int r;

	if (!s->open || s->n_opens++ >= MAX_OPENS)
		return -ENOENT;
	fd = s->open(s->arg, &want);
	if (fd < 0)
		return -ENOENT;
	r = elf_file_new(&elf, fd);
	if (r == 0)
		r = dw_file_init_dwo(&ret->file, elf);
	if (r < 0) {
		s->changed |= elf && elf_file_changed(elf);
		return r == -ENOMEM ? r : -EBADMSG;
	}
	ret->fd = TAKE_FD(fd);
	ret->bytes = elf->bytes;
	ret->mtime_ns = elf->mtime_ns;
	return 0;
}

/* The unit of p's file that belongs to the skeleton. */
static int split_find_unit(struct dw_splits *s, struct split *p, struct dw_unit *skeleton)
{
	int r;

	p->dwo.file.text_start = s->main->text_start;
	p->dwo.file.sections[DW_ADDR] = dw_file_section(s->main, DW_ADDR);
	p->dwo.file.sections[DW_RANGES] = dw_file_section(s->main, DW_RANGES);
	r = dw_file_read_units(&p->dwo.file);
	if (r < 0)
		return r;

	for (size_t i = 0; i < p->dwo.file.n_units; i++) {
		struct dw_unit *u = &p->dwo.file.units[i];
		struct dw_entry e;

		if (u->bad || (u->type != DW_UT_compile && u->type != DW_UT_split_compile))
			continue;
		/* before DWARF 5 it is an attribute */
		if (u->version < 5) {
			r = dw_unit_peek(u, &e);
			if (r == -ENOMEM)
				return r;
		}
		if (u->dwo_id != skeleton->dwo_id || u->version != skeleton->version)
			continue;
		u->skeleton = skeleton;
		p->unit = u;
		return 0;
	}
	return -ENOENT;
}

static bool part_of(struct dw_span whole, const struct dwp_part *part, struct dw_span *ret)
{
	if (part->offset > whole.bytes || part->bytes > whole.bytes - part->offset)
		return false;
	*ret = part->bytes > 0 ? (struct dw_span){ whole.data + part->offset, part->bytes }
			       : (struct dw_span){ 0 };
	return true;
}

/* Its parts of the package's sections. */
static int split_from_package(struct dw_splits *s, struct split *p, struct dw_unit *skeleton)
{
	const struct dw_span *whole = s->package.file.sections;
	struct dwp_part parts[DWP_SECTIONS];
	struct dw_file f = { 0 };
	int r;

	r = dwp_index_find(whole[DW_CU_INDEX].data, whole[DW_CU_INDEX].bytes, skeleton->dwo_id,
			   parts);
	if (r < 0)
		return r;
	memset(f.asked, true, sizeof(f.asked));
	f.sections[DW_STR] = whole[DW_STR];
	if (!part_of(whole[DW_INFO], &parts[DWP_INFO], &f.sections[DW_INFO]) ||
	    !part_of(whole[DW_ABBREV], &parts[DWP_ABBREV], &f.sections[DW_ABBREV]) ||
	    !part_of(whole[DW_STR_OFFSETS], &parts[DWP_STR_OFFSETS], &f.sections[DW_STR_OFFSETS]) ||
	    !part_of(whole[DW_RNGLISTS], &parts[DWP_RNGLISTS], &f.sections[DW_RNGLISTS]))
		return -EBADMSG;
	p->dwo.file = f;
	r = split_find_unit(s, p, skeleton);
	if (r < 0)
		dw_file_done(&p->dwo.file);
	return r;
}

/* The first .dwo file of that name that fits. */
static int split_from_file(struct dw_splits *s, struct split *p, struct dw_unit *skeleton)
{
	_cleanup_(buf_done) struct buf path = BUF_INIT(PATH_BYTES);
	int r;

	if (!skeleton->dwo)
		return -EBADMSG;
	if (skeleton->dwo[0] != '/' && skeleton->folder)
		buf_printf(&path, "%s/", skeleton->folder);
	if (buf_puts(&path, skeleton->dwo) < 0)
		return path.error == -ENOMEM ? -ENOMEM : -EBADMSG;

	for (int i = 0; i < MAX_TRIES; i++) {
		r = splits_open(s, SYMBOLIZE_OPEN_DWO, path.data, &p->dwo);
		if (r == -EBADMSG)
			continue;
		if (r < 0)
			return r;
		r = split_find_unit(s, p, skeleton);
		if (r != -ENOENT)
			return r;
		splits_close(s, &p->dwo);
	}
	return -ENOENT;
}

static int splits_open_package(struct dw_splits *s)
{
	int r = -EBADMSG;

	if (s->package_tried)
		return 0;
	s->package_tried = true;
	for (int i = 0; i < MAX_TRIES && r == -EBADMSG; i++)
		r = splits_open(s, SYMBOLIZE_OPEN_DWP, "", &s->package);
	s->has_package = r == 0;
	return r == -ENOMEM ? r : 0;
}

static int split_find(struct dw_splits *s, struct split *p, struct dw_unit *skeleton)
{
	int r;

	p->tried = true;
	if (skeleton->dwo_id == 0)
		return -EBADMSG;
	r = splits_open_package(s);
	if (r < 0)
		return r;
	r = s->has_package ? split_from_package(s, p, skeleton) : -ENOENT;
	if (r == -ENOENT && (s->n_misses < MAX_MISSES || s->n_open > 0))
		r = split_from_file(s, p, skeleton);
	s->n_misses = r < 0 ? s->n_misses + 1 : 0;
	return r;
}

int dw_splits_get(struct dw_splits *s, struct dw_unit *skeleton, struct dw_unit **ret)
{
	struct split **p = &s->items[skeleton - s->main->units];
	int r;

	*ret = NULL;
	if (!*p) {
		*p = calloc(1, sizeof(**p));
		if (!*p)
			return -ENOMEM;
		(*p)->dwo.fd = -1;
	}
	(*p)->used = ++s->clock;
	if (!(*p)->tried) {
		r = split_find(s, *p, skeleton);
		if (r < 0) {
			splits_close(s, &(*p)->dwo);
			(*p)->unit = NULL;
			s->missing |= r == -ENOENT;
			s->broken |= r == -EBADMSG;
			return r == -ENOMEM ? r : 0;
		}
		s->n_open++;
	}
	if (!(*p)->unit)
		return 0;
	r = dw_unit_open((*p)->unit);
	if (r < 0) {
		s->broken = true;
		return r == -ENOMEM ? r : 0;
	}
	*ret = (*p)->unit;
	return 0;
}

static uint64_t split_bytes(const struct split *p)
{
	return p->dwo.file.bytes + p->dwo.file.unit_bytes;
}

static struct split **splits_oldest(struct dw_splits *s, const struct dw_unit *keep)
{
	struct split **oldest = NULL;

	for (size_t i = 0; i < s->main->n_units; i++) {
		struct split *p = s->items[i];

		if (p && p->unit && p->unit != keep && (!oldest || p->used < (*oldest)->used))
			oldest = &s->items[i];
	}
	return oldest;
}

void dw_splits_trim(struct dw_splits *s, uint64_t max_bytes, const struct dw_unit *keep)
{
	struct dw_splits_stats stats;
	struct split **p;

	dw_splits_stats(s, &stats);
	if (stats.bytes <= max_bytes && s->n_open <= MAX_OPEN_FILES)
		return;
	while ((stats.bytes > max_bytes / 4 * 3 || s->n_open > MAX_OPEN_FILES / 2) &&
	       (p = splits_oldest(s, keep))) {
		stats.bytes -= MIN(stats.bytes, split_bytes(*p));
		s->broken |= (*p)->dwo.file.broken;
		splits_close(s, &(*p)->dwo);
		*p = split_free(*p);
		s->n_open--;
	}
}

bool dw_splits_changed(struct dw_splits *s)
{
	for (size_t i = 0; i < s->main->n_units && !s->changed; i++)
		if (s->items[i] && s->items[i]->used > s->checked)
			s->changed = dwo_changed(&s->items[i]->dwo);
	s->changed |= s->clock > s->checked && dwo_changed(&s->package);
	s->checked = s->clock;
	return s->changed;
}

void dw_splits_reset(struct dw_splits *s)
{
	for (size_t i = 0; i < s->main->n_units; i++)
		if (s->items[i] && s->items[i]->unit)
			dw_unit_drop(s->items[i]->unit);
}

void dw_splits_stats(const struct dw_splits *s, struct dw_splits_stats *ret)
{
	*ret = (struct dw_splits_stats){
		.bytes = s->package.file.bytes,
		.missing = s->missing,
		.broken = s->broken || s->package.file.broken,
	};
	for (size_t i = 0; i < s->main->n_units; i++) {
		if (!s->items[i])
			continue;
		ret->bytes += sizeof(struct split) + split_bytes(s->items[i]);
		ret->broken |= s->items[i]->dwo.file.broken;
	}
}
