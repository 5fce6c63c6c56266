/* SPDX-License-Identifier: Apache-2.0 */
#include "blob_cache.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <xxhash.h>

#include "cleanup.h"

#define TRAILER_MAGIC 0x3152454c49415254ULL /* "TRAILER1" */
#define NAME_BYTES    64
#define MAX_FILES     65536

struct trailer {
	uint64_t magic;
	struct object_identity identity;
	uint64_t blob_bytes;
	uint64_t checksum; /* XXH3_64bits of the trailer with this field zero */
};

struct blob_cache {
	int fd; /* of the folder */
	struct blob_cache_options options;
	uint64_t bytes;
};

struct found {
	char name[NAME_BYTES];
	struct timespec used;
	uint64_t bytes;
};

struct found_list {
	struct found *items;
	size_t n, allocated;
};

static void found_done(struct found_list *l)
{
	free(l->items);
}

static bool found_add(struct found_list *l, const struct found *f)
{
	if (l->n == l->allocated) {
		size_t n = l->allocated ? l->allocated * 2 : 256;
		struct found *p = reallocarray(l->items, n, sizeof(*p));

		if (!p || n > MAX_FILES)
			return false;
		l->items = p;
		l->allocated = n;
	}
	l->items[l->n++] = *f;
	return true;
}

static bool is_blob(const struct blob_cache *c, const char *name)
{
	size_t n = strlen(name);

	return n > 4 && n < NAME_BYTES - 4 && strcmp(name + n - 4, c->options.suffix) == 0;
}

/* Adds the blobs of one subfolder; anything else there is left of a write that was cut short. */
static uint64_t scan_subdir(struct blob_cache *c, const char *sub, struct found_list *list)
{
	int fd = openat(c->fd, sub, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *d = fd >= 0 ? fdopendir(fd) : NULL;
	uint64_t bytes = 0;
	struct dirent *e;

	if (!d) {
		safe_close(fd);
		return 0;
	}
	while ((e = readdir(d))) {
		struct found f;
		struct stat st;

		if (e->d_name[0] == '.' || fstatat(fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		if (!S_ISREG(st.st_mode) || !is_blob(c, e->d_name)) {
			unlinkat(fd, e->d_name, 0);
			continue;
		}
		bytes += (uint64_t)st.st_size;
		snprintf(f.name, sizeof(f.name), "%.3s/%.59s", sub, e->d_name);
		f.used = st.st_mtim;
		f.bytes = (uint64_t)st.st_size;
		if (list)
			found_add(list, &f);
	}
	closedir(d);
	return bytes;
}

static uint64_t scan(struct blob_cache *c, struct found_list *list)
{
	uint64_t bytes = 0;

	for (unsigned i = 0; i < 256; i++) {
		char sub[3];

		snprintf(sub, sizeof(sub), "%02x", i);
		bytes += scan_subdir(c, sub, list);
	}
	return bytes;
}

static int older_first(const void *a, const void *b)
{
	const struct found *x = a, *y = b;

	if (x->used.tv_sec != y->used.tv_sec)
		return x->used.tv_sec < y->used.tv_sec ? -1 : 1;
	return x->used.tv_nsec < y->used.tv_nsec ? -1 : x->used.tv_nsec > y->used.tv_nsec;
}

/* Down to seven eighths of the budget, so that not every store scans again. */
static void make_room(struct blob_cache *c, uint64_t bytes)
{
	_cleanup_(found_done) struct found_list list = {};
	uint64_t keep = c->options.max_bytes - c->options.max_bytes / 8;

	if (c->bytes + bytes <= c->options.max_bytes)
		return;

	c->bytes = scan(c, &list);
	if (list.n > 0)
		qsort(list.items, list.n, sizeof(*list.items), older_first);
	for (size_t i = 0; i < list.n && c->bytes + bytes > keep; i++)
		if (unlinkat(c->fd, list.items[i].name, 0) == 0)
			c->bytes -= MIN(c->bytes, list.items[i].bytes);
}

struct blob_cache *blob_cache_free(struct blob_cache *c)
{
	if (!c)
		return NULL;

	safe_close(c->fd);
	free(c);
	return NULL;
}

int blob_cache_new(struct blob_cache **ret, const char *dir,
		   const struct blob_cache_options *options)
{
	_cleanup_close_ int fd = -1;
	struct blob_cache *c;
	struct stat st;

	if (mkdir(dir, 0700) < 0 && errno != EEXIST)
		return -errno;
	fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	/* a folder that others may write to is no place for what the kernel will walk by */
	if (fstat(fd, &st) < 0)
		return -errno;
	if (st.st_uid != geteuid() || (st.st_mode & 022))
		return -EPERM;

	c = calloc(1, sizeof(*c));
	if (!c)
		return -ENOMEM;
	c->fd = TAKE_FD(fd);
	c->options = *options;
	c->bytes = scan(c, NULL);
	make_room(c, 0);
	*ret = c;
	return 0;
}

static void blob_name(const struct blob_cache *c, const struct object_identity *id,
		      char name[NAME_BYTES])
{
	struct {
		struct object_identity id;
		uint64_t version;
	} key;
	XXH128_hash_t h;

	memset(&key, 0, sizeof(key));
	key.id = *id;
	key.version = c->options.version;
	h = XXH3_128bits(&key, sizeof(key));
	snprintf(name, NAME_BYTES, "%02x/%016llx%016llx%s", (unsigned)(h.low64 & 0xff),
		 (unsigned long long)h.high64, (unsigned long long)h.low64, c->options.suffix);
}

static struct trailer make_trailer(const struct object_identity *id, size_t bytes)
{
	struct trailer t;

	memset(&t, 0, sizeof(t));
	t.magic = TRAILER_MAGIC;
	t.identity = *id;
	t.blob_bytes = bytes;
	t.checksum = XXH3_64bits(&t, sizeof(t));
	return t;
}

static void remove_name(struct blob_cache *c, const char *name)
{
	struct stat st;

	if (fstatat(c->fd, name, &st, AT_SYMLINK_NOFOLLOW) == 0 && unlinkat(c->fd, name, 0) == 0)
		c->bytes -= MIN(c->bytes, (uint64_t)st.st_size);
}

void blob_cache_remove(struct blob_cache *c, const struct object_identity *id)
{
	char name[NAME_BYTES];

	blob_name(c, id, name);
	remove_name(c, name);
}

int blob_cache_open(struct blob_cache *c, const struct object_identity *id, size_t *ret_bytes)
{
	_cleanup_close_ int fd = -1;
	struct trailer want, got;
	char name[NAME_BYTES];
	struct stat st;
	size_t bytes;

	blob_name(c, id, name);
	fd = openat(c->fd, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ENOENT : -errno;
	if (fstat(fd, &st) < 0)
		return -errno;

	bytes = (size_t)st.st_size - sizeof(got);
	if (!S_ISREG(st.st_mode) || (size_t)st.st_size < sizeof(got) ||
	    bytes > c->options.max_blob_bytes ||
	    pread(fd, &got, sizeof(got), (off_t)bytes) != sizeof(got)) {
		remove_name(c, name);
		return -EBADMSG;
	}
	want = make_trailer(id, bytes);
	if (memcmp(&want, &got, sizeof(got)) != 0) {
		remove_name(c, name);
		return -EBADMSG;
	}

	futimens(fd, NULL);
	*ret_bytes = bytes;
	return TAKE_FD(fd);
}

static int write_all(int fd, const void *data, size_t bytes)
{
	const char *p = data;

	while (bytes > 0) {
		ssize_t n = write(fd, p, bytes);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return -errno;
		p += n;
		bytes -= (size_t)n;
	}
	return 0;
}

int blob_cache_store(struct blob_cache *c, const struct object_identity *id, const void *blob,
		     size_t bytes)
{
	const struct trailer t = make_trailer(id, bytes);
	char name[NAME_BYTES], temporary[NAME_BYTES + 8], sub[3] = "";
	_cleanup_close_ int fd = -1;
	int r;

	if (bytes + sizeof(t) > c->options.max_bytes / 4)
		return -EFBIG;
	make_room(c, bytes + sizeof(t));

	blob_name(c, id, name);
	memcpy(sub, name, 2);
	if (mkdirat(c->fd, sub, 0700) < 0 && errno != EEXIST)
		return -errno;
	snprintf(temporary, sizeof(temporary), "%s.new", name);
	unlinkat(c->fd, temporary, 0);
	fd = openat(c->fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;

	r = write_all(fd, blob, bytes);
	if (r == 0)
		r = write_all(fd, &t, sizeof(t));
	if (r == 0) {
		remove_name(c, name);
		r = renameat(c->fd, temporary, c->fd, name) < 0 ? -errno : 0;
	}
	if (r < 0) {
		unlinkat(c->fd, temporary, 0);
		return r;
	}

	c->bytes += bytes + sizeof(t);
	return 0;
}

uint64_t blob_cache_bytes(const struct blob_cache *c)
{
	return c->bytes;
}
