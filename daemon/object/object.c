/* SPDX-License-Identifier: Apache-2.0 */
#include "object.h"

#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <uthash.h>

#include "cleanup.h"
#include "jit_files.h"

#define OBJECT_MAX_SEGMENTS 64

/* Keys are compared as bytes: every one is zeroed first. */
enum key_space { KEY_FILE, KEY_UNOPENED, KEY_SPECIAL, KEY_JIT };

struct key {
	uint32_t space;
	uint32_t kind;
	struct object_identity identity; /* UNOPENED: only dev and inode; SPECIAL: none */
	uint64_t name; /* SPECIAL, UNOPENED: hash of the name; JIT: a number of its own */
};

struct entry {
	struct object object; /* first: an entry is known by its object */
	struct key key;
	size_t bytes;
	UT_hash_handle hh;
};

struct object_table {
	struct entry *entries;
	size_t max;
	size_t bytes;
	uint32_t next_id;
	uint64_t refused;
	bool closing; /* the owner is gone, objects are still held */
};

int object_table_new(struct object_table **ret, size_t max_objects)
{
	struct object_table *t = calloc(1, sizeof(*t));

	if (!t)
		return -ENOMEM;

	t->max = max_objects;
	t->next_id = 1;
	*ret = t;
	return 0;
}

static void entry_free(struct entry *e)
{
	struct object_table *t = e->object.table;

	HASH_DEL(t->entries, e);
	t->bytes -= e->bytes + e->object.n_segments * sizeof(struct object_segment);
	safe_close(e->object.fd);
	jit_files_unref(e->object.jit);
	free(e->object.segments);
	free(e->object.name);
	free(e);
}

/* Objects that somebody still holds stay usable; the last one takes the table along. */
struct object_table *object_table_free(struct object_table *t)
{
	if (!t)
		return NULL;

	t->closing = true;
	if (!t->entries)
		free(t);
	return NULL;
}

static uint64_t hash_name(const char *s)
{
	uint64_t h = 0xcbf29ce484222325ULL; /* FNV-1a */

	for (; *s; s++)
		h = (h ^ (unsigned char)*s) * 0x100000001b3ULL;
	return h;
}

static struct entry *find(struct object_table *t, const struct key *key)
{
	struct entry *e;

	HASH_FIND(hh, t->entries, key, sizeof(*key), e);
	return e;
}

/* A new object under this key, with one reference. */
static int add(struct object_table *t, const struct key *key, enum object_kind kind,
	       const char *name, int fd, struct entry **ret)
{
	_cleanup_free_ char *copy = strdup(name ? name : "");
	struct entry *e;

	if (HASH_COUNT(t->entries) >= t->max) {
		t->refused++;
		return -ENOSPC;
	}
	e = calloc(1, sizeof(*e));
	if (!e || !copy) {
		free(e);
		return -ENOMEM;
	}

	e->bytes = sizeof(*e) + strlen(copy) + 1;
	e->key = *key;
	e->object = (struct object){
		.refs = 1,
		.id = t->next_id++,
		.kind = kind,
		.name = TAKE_PTR(copy),
		.fd = fd,
		.identity = key->identity,
		.table = t,
	};
	HASH_ADD(hh, t->entries, key, sizeof(e->key), e);
	t->bytes += e->bytes;
	*ret = e;
	return 0;
}

int object_file(struct object_table *t, const struct object_identity *identity, int fd,
		const char *name, int pid, uint64_t root, uint32_t uid, struct object **ret)
{
	struct key key;
	struct entry *e;
	int r;

	memset(&key, 0, sizeof(key));
	key.space = KEY_FILE;
	key.identity = *identity;

	e = find(t, &key);
	if (e) {
		safe_close(fd);
		*ret = object_ref(&e->object);
		return 0;
	}

	r = add(t, &key, OBJECT_FILE, name, fd, &e);
	if (r < 0) {
		safe_close(fd);
		return r;
	}

	e->object.pid = pid;
	e->object.root = root;
	e->object.uid = uid;
	*ret = &e->object;
	return 0;
}

int object_file_unopened(struct object_table *t, uint64_t dev, uint64_t inode, const char *name,
			 int error, struct object **ret)
{
	struct key key;
	struct entry *e;
	int r;

	memset(&key, 0, sizeof(key));
	key.space = KEY_UNOPENED;
	key.identity.dev = dev;
	key.identity.inode = inode;
	/* nothing holds the inode: its number may come back as another file under another name */
	key.name = hash_name(name);

	e = find(t, &key);
	if (e) {
		*ret = object_ref(&e->object);
		return 0;
	}

	r = add(t, &key, OBJECT_FILE, name, error < 0 ? error : -ENOENT, &e);
	if (r < 0)
		return r;

	*ret = &e->object;
	return 0;
}

int object_special(struct object_table *t, enum object_kind kind, const char *name,
		   struct object **ret)
{
	struct key key;
	struct entry *e;
	int r;

	memset(&key, 0, sizeof(key));
	key.space = KEY_SPECIAL;
	key.kind = kind;
	key.name = hash_name(name);

	e = find(t, &key);
	if (e) {
		*ret = object_ref(&e->object);
		return 0;
	}

	r = add(t, &key, kind, name, -ENOENT, &e);
	if (r < 0)
		return r;

	*ret = &e->object;
	return 0;
}

int object_jit(struct object_table *t, struct jit_files *files, struct object **ret)
{
	struct key key;
	struct entry *e;
	int r;

	memset(&key, 0, sizeof(key));
	key.space = KEY_JIT;
	key.name = t->next_id; /* the one that it will get */

	r = add(t, &key, OBJECT_JIT, "[anon]", -ENOENT, &e);
	if (r < 0)
		return r;
	e->object.jit = jit_files_ref(files);
	/* of no file: only so that one is not taken for another */
	e->object.identity = (struct object_identity){ .dev = UINT64_MAX, .inode = e->object.id };
	e->object.until_ns = UINT64_MAX;
	*ret = &e->object;
	return 0;
}

struct object *object_ref(struct object *o)
{
	if (o)
		o->refs++;
	return o;
}

struct object *object_unref(struct object *o)
{
	struct object_table *t;

	if (!o || --o->refs > 0)
		return NULL;

	t = o->table;
	entry_free((struct entry *)o);
	if (t->closing && !t->entries)
		free(t);
	return NULL;
}

const struct object_segment *object_segment(const struct object *o, uint64_t offset)
{
	for (size_t i = 0; i < o->n_segments; i++) {
		const struct object_segment *s = &o->segments[i];

		if (offset >= s->offset && offset - s->offset < s->limit - s->start)
			return s;
	}
	return NULL;
}

void object_add_segment(struct object *o, uint64_t start, uint64_t limit, uint64_t offset)
{
	struct object_segment *segments;
	const struct object_segment *s;

	if (start >= limit || limit - start > UINT64_MAX - offset ||
	    o->n_segments >= OBJECT_MAX_SEGMENTS)
		return;
	s = object_segment(o, offset);
	if (s && s->limit - s->start - (offset - s->offset) >= limit - start)
		return;

	segments = reallocarray(o->segments, o->n_segments + 1, sizeof(*segments));
	if (!segments)
		return;
	o->segments = segments;
	o->segments[o->n_segments++] = (struct object_segment){ start, limit, offset };
	o->table->bytes += sizeof(*segments);
}

/* DONT_SYNC: the attributes as the kernel has them. Asking a FUSE or network server could block. */
static int identify(int fd, struct object_identity *ret, uint32_t *ret_links)
{
	struct statx st;

	if (statx(fd, "", AT_EMPTY_PATH | AT_STATX_DONT_SYNC, STATX_BASIC_STATS, &st) < 0)
		return -errno;
	if (!S_ISREG(st.stx_mode))
		return -EINVAL;

	*ret = (struct object_identity){
		.dev = makedev(st.stx_dev_major, st.stx_dev_minor),
		.inode = st.stx_ino,
		.size_bytes = st.stx_size,
		.mtime_ns = st.stx_mtime.tv_sec * (int64_t)NSEC_PER_SEC + st.stx_mtime.tv_nsec,
		.ctime_ns = st.stx_ctime.tv_sec * (int64_t)NSEC_PER_SEC + st.stx_ctime.tv_nsec,
	};
	*ret_links = st.stx_nlink;
	return 0;
}

int object_identify(int fd, struct object_identity *ret)
{
	uint32_t links;

	return identify(fd, ret, &links);
}

/* Removing a file's last name changes its ctime, not its bytes: what is deleted while it runs, as
 * every upgrade does it, stays readable. */
bool object_unchanged(const struct object *o)
{
	struct object_identity now;
	uint32_t links;

	if (o->fd < 0 || identify(o->fd, &now, &links) < 0)
		return false;

	if (links == 0)
		now.ctime_ns = o->identity.ctime_ns;
	return now.dev == o->identity.dev && now.inode == o->identity.inode &&
	       now.size_bytes == o->identity.size_bytes && now.mtime_ns == o->identity.mtime_ns &&
	       now.ctime_ns == o->identity.ctime_ns;
}

bool object_renew(struct object *o)
{
	struct object_table *t = o->table;
	struct entry *e = (struct entry *)o;
	struct object_identity now, old = o->identity;
	uint32_t links;

	if (object_unchanged(o))
		return true;
	if (o->kind != OBJECT_FILE || o->fd < 0 || identify(o->fd, &now, &links) < 0)
		return false;
	old.ctime_ns = now.ctime_ns;
	if (memcmp(&old, &now, sizeof(now)) != 0)
		return false;

	/* one that was opened since may have this key already: two entries, each found by nobody or
	 * somebody, and each the same file */
	HASH_DEL(t->entries, e);
	o->identity = e->key.identity = now;
	HASH_ADD(hh, t->entries, key, sizeof(e->key), e);
	return true;
}

size_t object_table_count(const struct object_table *t)
{
	return HASH_COUNT(t->entries);
}

size_t object_table_bytes(const struct object_table *t)
{
	return t->bytes + (t->entries ? HASH_OVERHEAD(hh, t->entries) : 0);
}

uint64_t object_table_refused(const struct object_table *t)
{
	return t->refused;
}
