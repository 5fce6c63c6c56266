/* SPDX-License-Identifier: Apache-2.0 */
#include "openfile.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <linux/openat2.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>

#include "cleanup.h"
#include "clock.h"
#include "procfs.h"

#define READ_FLAGS (O_RDONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)

/* Start times of /proc are in clock ticks. */
#define JIT_START_SLACK_NS (20 * NSEC_PER_MSEC)

/* A descriptor of what path names inside root_fd, without having opened it; with O_NOFOLLOW of the
 * link itself, where it is one. */
static int find_beneath(int root_fd, const char *path, int flags)
{
	struct open_how how = {
		.flags = (uint64_t)(O_PATH | O_CLOEXEC | flags),
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	int fd = (int)syscall(SYS_openat2, root_fd, path, &how, sizeof(how));

	return fd < 0 ? -errno : fd;
}

/* Opens a found file for reading. Only a regular file: opening a FIFO, a device or a socket has
 * effects. */
static int reopen(int path_fd)
{
	char link[64];
	struct stat st;
	int fd;

	if (fstat(path_fd, &st) < 0)
		return -errno;
	if (!S_ISREG(st.st_mode))
		return -EINVAL;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", path_fd);
	fd = open(link, READ_FLAGS);
	return fd < 0 ? -errno : fd;
}

/* pid 0 is the host: what the first process sees, since a unit may hide /home and /tmp from us. */
static int open_root(uint32_t pid, struct stat *ret_st)
{
	_cleanup_close_ int fd = -1;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%u/root", pid ?: 1);
	fd = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 && !pid)
		fd = open("/", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, ret_st) < 0)
		return -errno;

	return TAKE_FD(fd);
}

static uint64_t root_identity(const struct stat *st)
{
	return (uint64_t)st->st_dev << 32 ^ (uint64_t)st->st_ino;
}

uint64_t openfile_root_identity(uint32_t pid)
{
	struct stat st;
	_cleanup_close_ int fd = open_root(pid, &st);

	return fd < 0 ? 0 : root_identity(&st);
}

static uint32_t owner(uint32_t pid)
{
	char path[64];
	struct stat st;

	snprintf(path, sizeof(path), "/proc/%u", pid);
	return pid && stat(path, &st) == 0 ? st.st_uid : 0;
}

/* " (deleted)" is what the kernel adds, and a name that somebody may have chosen: tried as it is. */
static int open_in_root(uint32_t pid, const char *path, uint64_t *ret_root)
{
	_cleanup_close_ int root_fd = -1, path_fd = -1;
	struct stat st;

	if (path[0] != '/')
		return -ENOENT;
	root_fd = open_root(pid, &st);
	if (root_fd < 0)
		return root_fd;
	path_fd = find_beneath(root_fd, path, 0);
	if (path_fd < 0)
		return path_fd;

	*ret_root = root_identity(&st);
	return reopen(path_fd);
}

static int open_map_file(const struct openfile_mapping *m)
{
	_cleanup_close_ int path_fd = -1;
	char path[128];

	snprintf(path, sizeof(path), "/proc/%u/map_files/%llx-%llx", m->pid,
		 (unsigned long long)m->start, (unsigned long long)m->limit);
	path_fd = open(path, O_PATH | O_CLOEXEC);
	if (path_fd < 0)
		return -errno;
	return reopen(path_fd);
}

static bool on_overlay(int fd)
{
	struct statfs fs;

	return fstatfs(fd, &fs) == 0 && fs.f_type == OVERLAYFS_SUPER_MAGIC;
}

/* Stacked filesystems show mappings with the lower file's device, overlayfs before 6.8 at times
 * with its inode: the inode alone must do where the process vouches for the path, and not even
 * that for the mapping's own link into an overlay. */
enum proof { PROOF_MAPPING, PROOF_PATH, PROOF_NONE };

static int verify(const struct openfile_mapping *m, enum proof proof, int fd,
		  struct object_identity *ret)
{
	int r = object_identify(fd, ret);

	if (r < 0)
		return r;
	if (ret->inode == m->inode &&
	    (proof != PROOF_NONE || ret->dev == makedev(m->major, m->minor)))
		return 0;
	if (proof == PROOF_MAPPING && on_overlay(fd))
		return 0;
	return -ESTALE;
}

static int try_pid(const struct openfile_mapping *m, uint32_t pid, enum proof proof,
		   struct openfile_result *ret)
{
	struct openfile_result result = { .pid = pid, .root_fd = -1 };
	_cleanup_close_ int fd = -1;
	int r;

	fd = proof == PROOF_MAPPING ? open_map_file(m) : open_in_root(pid, m->path, &result.root);
	if (fd < 0)
		return fd;
	r = verify(m, proof, fd, &result.identity);
	if (r < 0)
		return r;

	if (!result.root)
		result.root = openfile_root_identity(pid);
	result.uid = owner(pid);
	result.fd = TAKE_FD(fd);
	*ret = result;
	return 0;
}

int openfile_mapped(const struct openfile_mapping *m, struct openfile_result *ret)
{
	int r, first;

	first = try_pid(m, m->pid, PROOF_MAPPING, ret);
	if (first == 0)
		return 0;
	r = try_pid(m, m->pid, PROOF_PATH, ret);
	if (r == 0)
		return 0;
	if (m->ppid && try_pid(m, m->ppid, PROOF_NONE, ret) == 0)
		return 0;
	if (try_pid(m, 0, PROOF_NONE, ret) == 0)
		return 0;

	/* the first refusal of the mapping itself says most, unless the process is gone */
	return first == -ENOENT ? r : first;
}

/* The last number of NSpid:, 0 where there is none. */
static uint32_t jit_ns_pid(const char *status)
{
	const char *p = strstr(status, "\nNSpid:"), *end;
	uint32_t pid = 0;

	if (!p)
		return 0;
	p += strlen("\nNSpid:");
	end = p + strcspn(p, "\n");
	while (p < end) {
		p += strspn(p, "\t ");
		if (p < end)
			pid = (uint32_t)strtoul(p, NULL, 10);
		p += strcspn(p, "\t \n");
	}
	return pid;
}

struct ids {
	unsigned uid, euid;
	uint32_t ns_pid;
	uint64_t
		start_ns; /* CLOCK_BOOTTIME, of a clock tick; read last: what was read of the pid before,
			    * is that process's */
};

static int read_ids(uint32_t pid, struct ids *ret)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT(PROCFS_MAX_CGROUP_BYTES);
	struct proc_stat st;
	struct ids ids;
	const char *p;
	int r;

	r = procfs_read(pid, "status", &text);
	if (r < 0)
		return r;
	p = text.data ? strstr(text.data, "\nUid:") : NULL;
	if (!p || sscanf(p, "\nUid: %u %u", &ids.uid, &ids.euid) != 2)
		return -ESRCH;
	ids.ns_pid = jit_ns_pid(text.data);
	r = procfs_stat(pid, &st);
	if (r < 0)
		return r;
	ids.start_ns = procfs_ticks_to_ns(st.start_ticks);
	*ret = ids;
	return 0;
}

/* The effective user, its own number, and that the process is the one that is meant. */
static int jit_process(const struct openfile_jit *j, struct openfile_result *result)
{
	struct ids ids;
	int r;

	r = read_ids(j->pid, &ids);
	if (r < 0)
		return r;
	if (j->start_ns && (ids.start_ns > j->start_ns + JIT_START_SLACK_NS ||
			    ids.start_ns + JIT_START_SLACK_NS < j->start_ns))
		return -ESRCH;
	result->uid = ids.euid;
	if (!j->ns_pid)
		result->ns_pid = ids.ns_pid;
	return 0;
}

/* Regular, one link, of this owner: nobody else can have put it there, nor can it be another's file
 * by another name; a symbolic link, which anybody can put into /tmp, is not regular. */
static int jit_verify(int fd, uint32_t uid)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return -errno;
	return S_ISREG(st.st_mode) && st.st_uid == uid && st.st_nlink == 1 ? 0 : -EPERM;
}

static int jit_open(int root_fd, uint32_t ns_pid, uint32_t uid)
{
	_cleanup_close_ int path_fd = -1, fd = -1;
	char path[64];
	int r;

	snprintf(path, sizeof(path), "/tmp/perf-%u.map", ns_pid);
	path_fd = find_beneath(root_fd, path, O_NOFOLLOW);
	if (path_fd < 0)
		return path_fd;
	r = jit_verify(path_fd, uid);
	if (r < 0)
		return r;
	fd = reopen(path_fd);
	return fd < 0 ? fd : TAKE_FD(fd);
}

int openfile_jit_map(const struct openfile_jit *j, struct openfile_result *ret)
{
	struct openfile_result result = {
		.fd = -1, .root_fd = -1, .pid = j->pid, .uid = j->uid, .ns_pid = j->ns_pid
	};
	struct stat st;
	int r = 0;

	*ret = result;
	if (j->gone && (!j->has_uid || j->root_fd < 0))
		return -ESRCH;
	if (!j->gone) {
		result.root_fd = open_root(j->pid, &st);
		r = jit_process(j, &result);
	}
	if ((r < 0 || result.root_fd < 0) && j->has_uid && j->root_fd >= 0) {
		/* gone, and nobody knew: what is known of it serves */
		result.root_fd = safe_close(result.root_fd);
		result.uid = j->uid;
		result.ns_pid = j->ns_pid;
		r = 0;
	}
	if (r < 0 || (result.root_fd < 0 && j->root_fd < 0) || !result.ns_pid) {
		safe_close(result.root_fd);
		return -ESRCH;
	}

	result.fd = jit_open(result.root_fd >= 0 ? result.root_fd : j->root_fd, result.ns_pid,
			     result.uid);
	r = MIN(result.fd, 0);
	result.fd = MAX(result.fd, -1);
	*ret = result;
	return r;
}

int openfile_process(uint32_t pid, uint64_t by_ns, struct openfile_result *ret)
{
	struct openfile_result result = { .fd = -1, .root_fd = -1, .pid = pid };
	_cleanup_close_ int root_fd = -1;
	struct stat st;
	struct ids ids;
	int r;

	*ret = result;
	root_fd = open_root(pid, &st);
	r = root_fd < 0 ? -ESRCH : read_ids(pid, &ids);
	if (r < 0)
		return r;
	by_ns += clock_ns(CLOCK_BOOTTIME) - clock_ns(CLOCK_MONOTONIC);
	if (ids.start_ns > by_ns || !ids.ns_pid)
		return -ESRCH;
	if (ids.uid != ids.euid)
		return -EPERM;

	ret->root_fd = TAKE_FD(root_fd);
	ret->uid = ids.uid;
	ret->ns_pid = ids.ns_pid;
	return 0;
}

int openfile_beneath(uint32_t pid, uint64_t root, const char *path)
{
	uint64_t found;
	int fd;

	if (root == 0)
		return -ENOENT;

	fd = pid ? open_in_root(pid, path, &found) : -ENOENT;
	if (fd >= 0 && found == root)
		return fd;
	safe_close(fd);

	if (openfile_root_identity(0) != root)
		return -ENOENT;
	return open_in_root(0, path, &found);
}

static bool is_ours(const struct openfile_object *object)
{
	_cleanup_close_ int fd = -1;
	uint64_t found;
	struct stat st;

	fd = open_in_root(0, object->path, &found);
	return fd >= 0 && fstat(fd, &st) == 0 && st.st_dev == object->dev &&
	       st.st_ino == object->inode;
}

int openfile_debug(const struct openfile_object *object, const char *path)
{
	uint64_t found;

	if (is_ours(object))
		return open_in_root(0, path, &found);
	return openfile_beneath(object->pid, object->root, path);
}
