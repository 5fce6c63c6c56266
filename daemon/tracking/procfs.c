/* SPDX-License-Identifier: Apache-2.0 */
#include "procfs.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include "cleanup.h"
#include "maps.h"
#include "text.h"

#define MAX_STAT_BYTES 4096

int procfs_read(uint32_t pid, const char *name, struct buf *out)
{
	_cleanup_close_ int fd = -1;
	char path[64];
	int r;

	snprintf(path, sizeof(path), "/proc/%u/%s", pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? -ESRCH : -errno;

	r = buf_read_fd(out, fd);
	return r;
}

int procfs_stat(uint32_t pid, struct proc_stat *ret)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT(MAX_STAT_BYTES);
	int r;

	r = procfs_read(pid, "stat", &text);
	if (r < 0)
		return r;
	return stat_parse(text.data ? text.data : "", text.size, ret);
}

uint64_t procfs_ticks_to_ns(uint64_t ticks)
{
	return ticks * (NSEC_PER_SEC / (uint64_t)sysconf(_SC_CLK_TCK));
}

static bool starts_with(const char *s, const char *prefix)
{
	return strncmp(s, prefix, strlen(prefix)) == 0;
}

/* Files that the kernel makes for shared memory which has none, and .NET's memory for code, which it
 * maps twice. */
static bool is_anonymous(const char *path)
{
	return path[0] != '/' || starts_with(path, "//") || starts_with(path, "/dev/zero") ||
	       starts_with(path, "/SYSV") || starts_with(path, "/memfd:doublemapper") ||
	       starts_with(path, "/anon_hugepage");
}

int procfs_source(struct sources *sources, const struct source_key *key, uint64_t generation,
		  const char *path, struct source **ret)
{
	*ret = NULL;
	if (key->inode != 0 && !is_anonymous(path))
		return sources_file(sources, key, generation, path, ret);

	if (strcmp(path, "[vdso]") == 0)
		*ret = sources_vdso(sources);
	else if (strcmp(path, "[vsyscall]") != 0)
		*ret = sources_anon(sources);
	return 0;
}

struct reading {
	struct sources *sources;
	struct mapset *set;
	struct source *exe;
	struct source_key exe_key;
};

static int read_entry(void *arg, const struct maps_entry *e)
{
	struct reading *rd = arg;
	struct source_key key = { e->major, e->minor, e->inode };
	struct mapping m = { e->start, e->limit, e->offset, NULL };
	char path[PATH_MAX];
	size_t n = MIN(e->path_bytes, sizeof(path) - 1);
	int r;

	if (!e->executable)
		return 0;
	memcpy(path, e->path, n);
	path[n] = '\0';

	r = procfs_source(rd->sources, &key, 0, path, &m.source);
	if (r < 0 || !m.source)
		return r;
	/* by inode: on overlayfs the device of a mapping is another than stat's */
	if (!rd->exe && e->inode && e->inode == rd->exe_key.inode)
		rd->exe = source_ref(m.source);

	r = mapset_add(&rd->set, &m);
	source_unref(m.source);
	return r == -ENOSPC ? 0 : MIN(r, 0);
}

int procfs_maps(uint32_t pid, struct sources *sources, struct mapset **ret, struct source **ret_exe)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT(PROCFS_MAX_MAPS_BYTES);
	struct reading rd = { .sources = sources };
	char path[64];
	struct statx st;
	int r;

	r = procfs_read(pid, "maps", &text);
	if (r < 0 && r != -ENOSPC)
		return r;
	/* no path is walked and no file server asked: this cannot block */
	snprintf(path, sizeof(path), "/proc/%u/exe", pid);
	if (statx(AT_FDCWD, path, AT_STATX_DONT_SYNC, STATX_INO, &st) == 0)
		rd.exe_key.inode = st.stx_ino;

	rd.set = mapset_new();
	if (!rd.set)
		return -ENOMEM;
	r = maps_each(text.data ? text.data : "", text.size, read_entry, &rd, NULL);
	if (r < 0) {
		mapset_unref(rd.set);
		source_unref(rd.exe);
		return r;
	}

	*ret = rd.set;
	*ret_exe = rd.exe;
	return 0;
}

int procfs_each(int (*fn)(void *arg, uint32_t pid), void *arg)
{
	DIR *d = opendir("/proc");
	struct dirent *e;
	int r = 0;

	if (!d)
		return -errno;
	while (r >= 0 && (e = readdir(d))) {
		uint64_t pid;

		if (text_parse_u64(e->d_name, UINT32_MAX, &pid) == 0)
			r = fn(arg, (uint32_t)pid);
	}
	closedir(d);
	return MIN(r, 0);
}
