/* SPDX-License-Identifier: Apache-2.0 */
#include "files.h"

#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/uio.h>

#include "cleanup.h"

#define TEMPORARY  ".tmp"
#define MAX_PARTS  4
#define SEQ_DIGITS 10

static void closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

static bool ends_with(const char *s, const char *suffix)
{
	size_t n = strlen(s), m = strlen(suffix);

	return n >= m && strcmp(s + n - m, suffix) == 0;
}

void files_name(char ret[WINDOW_MAX_NAME], const char *boot_id, uint64_t seq)
{
	snprintf(ret, WINDOW_MAX_NAME, "%.32s-%0*" PRIu64, boot_id, SEQ_DIGITS, seq);
}

bool files_parse_name(const char *name, uint64_t *ret_seq)
{
	size_t boot = strspn(name, "0123456789abcdef"), digits;

	if (boot != WINDOW_BOOT_ID_BYTES || name[boot] != '-')
		return false;
	digits = strspn(name + boot + 1, "0123456789");
	if (digits < SEQ_DIGITS || digits > 18 || name[boot + 1 + digits])
		return false;
	*ret_seq = strtoull(name + boot + 1, NULL, 10);
	return true;
}

static int open_dir(int at, const char *path)
{
	int fd;

	if (mkdirat(at, path, 0750) < 0 && errno != EEXIST)
		return -errno;
	fd = openat(at, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	return fd < 0 ? -errno : fd;
}

/* A stream of its own: the descriptor that is kept has one position for all. */
static DIR *list(int dir_fd)
{
	int fd = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *d = fd < 0 ? NULL : fdopendir(fd);

	if (!d)
		safe_close(fd);
	return d;
}

static void remove_temporary(struct files *f)
{
	_cleanup_(closedirp) DIR *d = list(f->dir_fd);
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (ends_with(e->d_name, TEMPORARY))
			unlinkat(f->dir_fd, e->d_name, 0);
}

int files_open(struct files *f, const char *path)
{
	int fd = open_dir(AT_FDCWD, path), damaged;

	if (fd < 0)
		return fd;
	damaged = open_dir(fd, FILES_DAMAGED);
	if (damaged < 0) {
		safe_close(fd);
		return damaged;
	}
	*f = (struct files){ .dir_fd = fd, .damaged_fd = damaged };
	remove_temporary(f);
	return 0;
}

void files_done(struct files *f)
{
	f->dir_fd = safe_close(f->dir_fd);
	f->damaged_fd = safe_close(f->damaged_fd);
}

static int write_all(int fd, const struct iovec *parts, int n_parts)
{
	for (int i = 0; i < n_parts; i++) {
		const char *p = parts[i].iov_base;
		size_t size = parts[i].iov_len;

		while (size > 0) {
			ssize_t n = write(fd, p, size);

			if (n < 0 && errno == EINTR)
				continue;
			if (n <= 0)
				return n < 0 ? -errno : -EIO;
			p += n;
			size -= (size_t)n;
		}
	}
	return fsync(fd) < 0 ? -errno : 0;
}

/* Without replacing; by hand where the file system has no RENAME_NOREPLACE. */
static int rename_new(int dir, const char *from, const char *to)
{
	if (renameat2(dir, from, dir, to, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EINVAL && errno != ENOSYS)
		return -errno;
	if (linkat(dir, from, dir, to, 0) < 0)
		return -errno;
	unlinkat(dir, from, 0);
	return 0;
}

int files_create(struct files *f, const char *name, const struct iovec *parts, int n_parts)
{
	char temporary[WINDOW_MAX_NAME + 16], final[WINDOW_MAX_NAME + 16];
	_cleanup_close_ int fd = -1;
	int r;

	snprintf(temporary, sizeof(temporary), "%s" TEMPORARY, name);
	snprintf(final, sizeof(final), "%s" FILES_SUFFIX, name);
	fd = openat(f->dir_fd, temporary, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC,
		    0640);
	if (fd < 0)
		return -errno;
	r = write_all(fd, parts, n_parts);
	if (r == 0)
		r = rename_new(f->dir_fd, temporary, final);
	if (r < 0) {
		unlinkat(f->dir_fd, temporary, 0);
		return r;
	}
	/* the name is to survive the machine's power, too; if that fails, the file is there now */
	(void)fsync(f->dir_fd);
	return 0;
}

int files_get(const struct files *f, const char *name, uint64_t *ret_bytes)
{
	char path[WINDOW_MAX_NAME + 16];
	_cleanup_close_ int fd = -1;
	struct stat st;

	snprintf(path, sizeof(path), "%s" FILES_SUFFIX, name);
	fd = openat(f->dir_fd, path, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	if (fstat(fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EBADMSG;
	*ret_bytes = (uint64_t)st.st_size;
	return TAKE_FD(fd);
}

int files_remove(struct files *f, const char *name)
{
	char path[WINDOW_MAX_NAME + 16];

	snprintf(path, sizeof(path), "%s" FILES_SUFFIX, name);
	return unlinkat(f->dir_fd, path, 0) < 0 && errno != ENOENT ? -errno : 0;
}

struct oldest {
	char name[256];
	struct timespec time;
	unsigned n;
};

static bool before(const struct timespec *a, const struct timespec *b)
{
	return a->tv_sec != b->tv_sec ? a->tv_sec < b->tv_sec : a->tv_nsec < b->tv_nsec;
}

static void find_oldest(const struct files *f, struct oldest *ret, uint64_t *ret_bytes)
{
	_cleanup_(closedirp) DIR *d = list(f->damaged_fd);
	struct dirent *e;
	struct stat st;

	*ret = (struct oldest){};
	*ret_bytes = 0;
	while (d && (e = readdir(d))) {
		if (e->d_name[0] == '.' ||
		    fstatat(f->damaged_fd, e->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			continue;
		*ret_bytes += files_rounded((uint64_t)st.st_size);
		if (ret->n++ == 0 || before(&st.st_ctim, &ret->time)) {
			snprintf(ret->name, sizeof(ret->name), "%s", e->d_name);
			ret->time = st.st_ctim;
		}
	}
}

int files_set_aside(struct files *f, const char *name)
{
	char path[WINDOW_MAX_NAME + 256];
	struct oldest oldest;
	uint64_t bytes;

	snprintf(path, sizeof(path), "%s" FILES_SUFFIX, name);
	if (renameat(f->dir_fd, path, f->damaged_fd, path) < 0)
		return -errno;
	for (find_oldest(f, &oldest, &bytes); oldest.n > FILES_MAX_DAMAGED;
	     find_oldest(f, &oldest, &bytes))
		if (unlinkat(f->damaged_fd, oldest.name, 0) < 0)
			return -errno;
	return 0;
}

uint64_t files_damaged_bytes(const struct files *f)
{
	struct oldest oldest;
	uint64_t bytes;

	find_oldest(f, &oldest, &bytes);
	return bytes;
}

void files_drop_damaged(struct files *f)
{
	_cleanup_(closedirp) DIR *d = list(f->damaged_fd);
	struct dirent *e;

	while (d && (e = readdir(d)))
		if (e->d_name[0] != '.')
			unlinkat(f->damaged_fd, e->d_name, 0);
}

int files_each(const struct files *f, int (*fn)(void *arg, const char *name), void *arg)
{
	_cleanup_(closedirp) DIR *d = list(f->dir_fd);
	struct dirent *e;
	int r = 0;

	if (!d)
		return -errno;
	while (r == 0 && (e = readdir(d))) {
		size_t n = strlen(e->d_name);

		if (!ends_with(e->d_name, FILES_SUFFIX))
			continue;
		e->d_name[n - strlen(FILES_SUFFIX)] = '\0';
		r = fn(arg, e->d_name);
	}
	return r;
}

uint64_t files_free_bytes(const struct files *f)
{
	struct statvfs st;

	if (fstatvfs(f->dir_fd, &st) < 0)
		return 0;
	return (uint64_t)st.f_bavail * st.f_frsize;
}
