/* SPDX-License-Identifier: Apache-2.0 */
#include "source.h"

#include <limits.h>
#include <string.h>
#include <uthash.h>
#include <utlist.h>

#include "cleanup.h"
#include "vdso.h"

#define SOURCE_MAX_TRIES 3

struct source {
	unsigned refs;
	enum source_kind kind;
	enum source_state state;
	struct source_key key;
	uint64_t generation;
	char *path;
	struct object *object;
	uint32_t tried_pid;
	unsigned tries;
	uint64_t unused_since_ns, touched_ns;
	struct sources *owner;      /* NULL when that is gone */
	bool hashed;                /* found by its key */
	bool unused;                /* in the list of what is kept without a user */
	struct source *prev, *next; /* unused */
	struct source *all_prev, *all_next;
	UT_hash_handle hh;
};

struct sources {
	struct object_table *objects;
	struct opener *opener;
	void (*opened)(void *arg);
	void *arg;
	struct source *by_key;
	struct source *unused; /* oldest first */
	unsigned n_unused;
	struct source *all;
	struct source *anon, *vdso;
	uint64_t now_ns; /* as of the last sources_expire() */
	uint64_t failed;
	uint64_t bytes;
};

static size_t source_bytes(const struct source *s)
{
	return sizeof(*s) + strlen(s->path) + 1;
}

static void source_unhash(struct source *s)
{
	if (!s->hashed)
		return;
	HASH_DEL(s->owner->by_key, s);
	s->hashed = false;
}

static void source_destroy(struct source *s)
{
	source_unhash(s);
	if (s->unused) {
		DL_DELETE(s->owner->unused, s);
		s->owner->n_unused--;
	}
	DL_DELETE2(s->owner->all, s, all_prev, all_next);
	s->owner->bytes -= source_bytes(s);
	object_unref(s->object);
	free(s->path);
	free(s);
}

static int source_new(struct sources *owner, enum source_kind kind, const char *path,
		      struct source **ret)
{
	struct source *s = calloc(1, sizeof(*s));

	if (!s)
		return -ENOMEM;
	s->path = strdup(path);
	if (!s->path) {
		free(s);
		return -ENOMEM;
	}

	s->refs = 1;
	s->kind = kind;
	s->owner = owner;
	DL_APPEND2(owner->all, s, all_prev, all_next);
	owner->bytes += source_bytes(s);
	*ret = s;
	return 0;
}

static int special_new(struct sources *owner, enum source_kind kind, struct object *object,
		       struct source **ret)
{
	struct source *s;
	int r = source_new(owner, kind, object->name, &s);

	if (r < 0)
		return r;

	s->object = object_ref(object);
	s->state = SOURCE_DONE;
	*ret = s;
	return 0;
}

static int specials_new(struct sources *s)
{
	struct object *o;
	int r;

	r = object_special(s->objects, OBJECT_ANON, "[anon]", &o);
	if (r < 0)
		return r;
	r = special_new(s, SOURCE_ANON, o, &s->anon);
	object_unref(o);
	if (r < 0)
		return r;

	r = vdso_object(s->objects, &o);
	if (r < 0)
		return r;
	r = special_new(s, SOURCE_VDSO, o, &s->vdso);
	object_unref(o);
	return r;
}

int sources_new(struct sources **ret, struct object_table *objects, struct opener *opener,
		void (*opened)(void *arg), void *arg)
{
	struct sources *s = calloc(1, sizeof(*s));
	int r;

	if (!s)
		return -ENOMEM;
	*s = (struct sources){ .objects = objects, .opener = opener, .opened = opened, .arg = arg };

	r = specials_new(s);
	if (r < 0) {
		sources_free(s);
		return r;
	}
	*ret = s;
	return 0;
}

struct sources *sources_free(struct sources *s)
{
	struct source *source, *tmp;

	if (!s)
		return NULL;

	DL_FOREACH_SAFE2(s->all, source, tmp, all_next)
	source_destroy(source);
	free(s);
	return NULL;
}

struct source *source_ref(struct source *s)
{
	if (!s)
		return NULL;

	s->refs++;
	if (s->unused) {
		DL_DELETE(s->owner->unused, s);
		s->owner->n_unused--;
		s->unused = false;
	}
	return s;
}

/* Kept for a while when it holds an opened file that a new mapping may ask for. */
struct source *source_unref(struct source *s)
{
	struct sources *owner;

	if (!s || --s->refs > 0)
		return NULL;

	owner = s->owner;
	if (!s->hashed || s->state != SOURCE_DONE || s->object->fd < 0) {
		source_destroy(s);
		return NULL;
	}

	s->unused = true;
	s->unused_since_ns = owner->now_ns;
	DL_APPEND(owner->unused, s);
	if (++owner->n_unused > SOURCES_MAX_UNUSED)
		source_destroy(owner->unused);
	return NULL;
}

void sources_expire(struct sources *s, uint64_t now_ns)
{
	s->now_ns = now_ns;
	while (s->unused && s->unused->unused_since_ns + SOURCES_KEEP_NS < now_ns)
		source_destroy(s->unused);
}

/* Whether a known source is still the file that a new mapping maps. */
static bool source_fits(const struct source *s, uint64_t generation)
{
	if (generation && s->generation && generation != s->generation)
		return false;
	if (s->state != SOURCE_DONE)
		return true;
	return s->object->fd >= 0 && object_unchanged(s->object);
}

int sources_file(struct sources *s, const struct source_key *key, uint64_t generation,
		 const char *path, struct source **ret)
{
	struct source *source;
	int r;

	HASH_FIND(hh, s->by_key, key, sizeof(*key), source);
	if (source && source_fits(source, generation)) {
		if (!source->generation)
			source->generation = generation;
		*ret = source_ref(source);
		return 0;
	}

	if (source) {
		source_unhash(source);
		if (source->refs == 0)
			source_destroy(source);
	}
	r = source_new(s, SOURCE_FILE, path, &source);
	if (r < 0)
		return r;

	source->key = *key;
	source->generation = generation;
	source->hashed = true;
	HASH_ADD(hh, s->by_key, key, sizeof(source->key), source);
	*ret = source;
	return 0;
}

struct source *sources_anon(struct sources *s)
{
	return source_ref(s->anon);
}

struct source *sources_vdso(struct sources *s)
{
	return source_ref(s->vdso);
}

/* The name without the kernel's mark of a removed file. */
static const char *plain_name(const struct source *s, char *buf, size_t size)
{
	static const char mark[] = " (deleted)";
	size_t n = strlen(s->path), m = sizeof(mark) - 1;

	if (n <= m || n - m >= size || strcmp(s->path + n - m, mark) != 0)
		return s->path;
	memcpy(buf, s->path, n - m);
	buf[n - m] = '\0';
	return buf;
}

static uint64_t key_dev(const struct source *s)
{
	return (uint64_t)s->key.major << 32 | s->key.minor;
}

/* Sets the object, whatever came of the opening; without memory the source stays LAZY. */
static void source_finish(struct source *s, int error, const struct openfile_result *result)
{
	struct sources *owner = s->owner;
	char buf[PATH_MAX];
	const char *name = plain_name(s, buf, sizeof(buf));
	struct object *o = NULL;
	int r;

	if (error == 0)
		r = object_file(owner->objects, &result->identity, result->fd, name,
				(int)result->pid, result->root, result->uid, &o);
	else
		r = object_file_unopened(owner->objects, key_dev(s), s->key.inode, name, error, &o);
	if (r < 0) {
		s->state = SOURCE_LAZY;
		return;
	}

	if (o->fd < 0)
		owner->failed++;
	s->object = o;
	s->state = SOURCE_DONE;
}

static void on_opened(void *arg, int error, const struct openfile_result *result)
{
	struct source *s = arg;
	struct sources *owner = s->owner;

	source_finish(s, error, result);
	source_unref(s);
	owner->opened(owner->arg);
}

void source_open(struct source *s, uint32_t pid, uint32_t ppid, uint64_t start, uint64_t limit)
{
	struct openfile_mapping m = {
		.pid = pid,
		.ppid = ppid,
		.start = start,
		.limit = limit,
		.major = s->key.major,
		.minor = s->key.minor,
		.inode = s->key.inode,
		.path = s->path,
	};

	if (s->state == SOURCE_OPENING || s->tries >= SOURCE_MAX_TRIES ||
	    (s->state == SOURCE_DONE && (s->object->fd >= 0 || s->tried_pid == pid)))
		return;

	if (opener_mapping(s->owner->opener, &m, on_opened, s) < 0)
		return;

	source_ref(s); /* the opener's */
	s->tries++;
	s->tried_pid = pid;
	s->object = object_unref(s->object);
	s->state = SOURCE_OPENING;
}

bool source_touch_due(struct source *s, uint64_t now_ns)
{
	if (now_ns < s->touched_ns + SOURCE_TOUCH_NS)
		return false;
	s->touched_ns = now_ns;
	return true;
}

enum source_kind source_kind(const struct source *s)
{
	return s->kind;
}

enum source_state source_state(const struct source *s)
{
	return s->state;
}

struct object *source_object(const struct source *s)
{
	return s->state == SOURCE_DONE ? s->object : NULL;
}

const char *source_path(const struct source *s)
{
	return s->path;
}

bool source_is_file(const struct source *s, const struct source_key *key)
{
	return s->kind == SOURCE_FILE && s->key.major == key->major && s->key.minor == key->minor &&
	       s->key.inode == key->inode;
}

void sources_stats(const struct sources *s, struct sources_stats *ret)
{
	*ret = (struct sources_stats){
		.known = HASH_COUNT(s->by_key),
		.unused = s->n_unused,
		.failed = s->failed,
		.bytes = s->bytes,
	};
}
