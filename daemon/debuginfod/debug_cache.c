/* SPDX-License-Identifier: Apache-2.0 */
#include "debug_cache.h"

#include <dirent.h>
#include <fcntl.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include "cleanup.h"

#define NAME_BYTES  160
#define TEMP_PREFIX "tmp-"
#define SUFFIX      ".debug"

struct held {
	char hex[DEBUG_CACHE_HEX_BYTES];
	int fd;
	uint64_t bytes;
};

struct debug_cache {
	int dir_fd; /* -1: none */
	uint64_t bytes, max_bytes;
	struct held held[DEBUG_CACHE_MAX_HELD]; /* oldest first */
	size_t n_held;
};

/* Files of the folder, one after another. */
static int cache_each(struct debug_cache *c,
		      void (*fn)(struct debug_cache *c, const char *name, const struct stat *st,
				 void *arg),
		      void *arg)
{
	int fd = openat(c->dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *e;

	if (!d) {
		safe_close(fd);
		return -errno;
	}
	while ((e = readdir(d))) {
		struct stat st;

		if (fstatat(c->dir_fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0 &&
		    S_ISREG(st.st_mode))
			fn(c, e->d_name, &st, arg);
	}
	closedir(d);
	return 0;
}

static void cache_take(struct debug_cache *c, const char *name, const struct stat *st,
		       void *arg _unused_)
{
	if (strncmp(name, TEMP_PREFIX, strlen(TEMP_PREFIX)) == 0)
		unlinkat(c->dir_fd, name, 0);
	else
		c->bytes += (uint64_t)st->st_size;
}

struct oldest {
	char name[NAME_BYTES];
	struct timespec used;
	uint64_t bytes;
};

static void cache_compare(struct debug_cache *c _unused_, const char *name, const struct stat *st,
			  void *arg)
{
	struct oldest *o = arg;

	if (strncmp(name, TEMP_PREFIX, strlen(TEMP_PREFIX)) == 0 || strlen(name) >= sizeof(o->name))
		return;
	if (o->name[0] &&
	    (st->st_mtim.tv_sec > o->used.tv_sec ||
	     (st->st_mtim.tv_sec == o->used.tv_sec && st->st_mtim.tv_nsec >= o->used.tv_nsec)))
		return;
	snprintf(o->name, sizeof(o->name), "%s", name);
	o->used = st->st_mtim;
	o->bytes = (uint64_t)st->st_size;
}

static void held_drop(struct debug_cache *c)
{
	safe_close(c->held[0].fd);
	c->bytes -= c->held[0].bytes;
	c->n_held--;
	memmove(c->held, c->held + 1, c->n_held * sizeof(*c->held));
}

static void cache_trim(struct debug_cache *c)
{
	while (c->n_held > 0 && c->bytes > c->max_bytes)
		held_drop(c);
	while (c->dir_fd >= 0 && c->bytes > c->max_bytes) {
		struct oldest o = { .bytes = 0 };

		if (cache_each(c, cache_compare, &o) < 0 || !o.name[0] ||
		    unlinkat(c->dir_fd, o.name, 0) < 0)
			return;
		c->bytes -= MIN(c->bytes, o.bytes);
	}
}

int debug_cache_new(struct debug_cache **ret, const char *folder, uint64_t max_bytes)
{
	struct debug_cache *c = calloc(1, sizeof(*c));
	int r = 0;

	if (!c)
		return -ENOMEM;
	c->dir_fd = -1;
	c->max_bytes = max_bytes;
	if (folder) {
		if (mkdir(folder, 0700) < 0 && errno != EEXIST)
			r = -errno;
		else if ((c->dir_fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC)) < 0)
			r = -errno;
		else
			r = cache_each(c, cache_take, NULL);
	}
	if (r < 0) {
		debug_cache_free(c);
		return r;
	}
	cache_trim(c);
	*ret = c;
	return 0;
}

struct debug_cache *debug_cache_free(struct debug_cache *c)
{
	if (!c)
		return NULL;

	while (c->n_held > 0)
		held_drop(c);
	safe_close(c->dir_fd);
	free(c);
	return NULL;
}

static void cache_name(char name[NAME_BYTES], const char *hex)
{
	snprintf(name, NAME_BYTES, "%s" SUFFIX, hex);
}

static void cache_temporary(char name[NAME_BYTES], uint64_t number)
{
	snprintf(name, NAME_BYTES, TEMP_PREFIX "%llu", (unsigned long long)number);
}

static int held_find(struct debug_cache *c, const char *hex)
{
	for (size_t i = 0; i < c->n_held; i++) {
		char link[64];
		int fd;

		if (strcmp(c->held[i].hex, hex) != 0)
			continue;
		snprintf(link, sizeof(link), "/proc/self/fd/%d", c->held[i].fd);
		fd = open(link, O_RDONLY | O_CLOEXEC);
		return fd < 0 ? -errno : fd;
	}
	return -ENOENT;
}

int debug_cache_find(struct debug_cache *c, const char *hex)
{
	char name[NAME_BYTES];
	int fd;

	if (c->dir_fd < 0)
		return held_find(c, hex);
	cache_name(name, hex);
	fd = openat(c->dir_fd, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	/* its modification time is when it was last of use */
	futimens(fd, NULL);
	return fd;
}

int debug_cache_create(struct debug_cache *c, uint64_t number)
{
	char name[NAME_BYTES];
	int fd;

	if (c->dir_fd < 0) {
		fd = open("/var/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
		if (fd < 0)
			fd = memfd_create("debuginfod", MFD_CLOEXEC);
	} else {
		cache_temporary(name, number);
		fd = openat(c->dir_fd, name, O_RDWR | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
			    0600);
	}
	return fd < 0 ? -errno : fd;
}

static int held_add(struct debug_cache *c, const char *hex, int fd, uint64_t bytes)
{
	struct held *h;
	int own = fcntl(fd, F_DUPFD_CLOEXEC, 0);

	if (own < 0)
		return -errno;
	if (c->n_held == DEBUG_CACHE_MAX_HELD)
		held_drop(c);
	h = &c->held[c->n_held++];
	*h = (struct held){ .fd = own, .bytes = bytes };
	snprintf(h->hex, sizeof(h->hex), "%s", hex);
	return 0;
}

int debug_cache_add(struct debug_cache *c, uint64_t number, const char *hex, int fd, uint64_t bytes)
{
	char from[NAME_BYTES], to[NAME_BYTES];
	int r = 0;

	if (c->dir_fd < 0) {
		r = held_add(c, hex, fd, bytes);
	} else {
		cache_temporary(from, number);
		cache_name(to, hex);
		if (renameat(c->dir_fd, from, c->dir_fd, to) < 0)
			r = -errno;
	}
	if (r < 0)
		return r;
	c->bytes += bytes;
	cache_trim(c);
	return 0;
}

void debug_cache_drop(struct debug_cache *c, uint64_t number)
{
	char name[NAME_BYTES];

	if (c->dir_fd < 0)
		return;
	cache_temporary(name, number);
	unlinkat(c->dir_fd, name, 0);
}

uint64_t debug_cache_bytes(const struct debug_cache *c)
{
	return c->bytes;
}
