/* SPDX-License-Identifier: Apache-2.0 */
#include "hierarchy.h"

#include <dirent.h>
#include <fcntl.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>

#include "cgroup.h"
#include "cleanup.h"

#define MAX_DEPTH 32

static void closedirp(DIR **d)
{
	if (*d)
		closedir(*d);
}

/* Undoes the \ooo of mountinfo, in place. */
static void mountinfo_unescape(char *s)
{
	char *out = s;

	for (; *s; s++) {
		if (s[0] == '\\' && s[1] >= '0' && s[1] <= '3' && s[2] >= '0' && s[2] <= '7' &&
		    s[3] >= '0' && s[3] <= '7') {
			*out++ = (char)((s[1] - '0') << 6 | (s[2] - '0') << 3 | (s[3] - '0'));
			s += 3;
		} else {
			*out++ = *s;
		}
	}
	*out = '\0';
}

/* proc_pid_mountinfo(5): ID PARENT MAJ:MIN ROOT MOUNTPOINT OPTIONS [TAGS] - TYPE SOURCE SUPEROPTIONS */
static int mountinfo_line(struct hierarchies *h, char *line)
{
	char *tail = strstr(line, " - "), *mount = line, *type, *options, **slot;

	if (!tail)
		return 0;
	*tail = '\0';
	type = tail + 3;
	for (int i = 0; i < 4 && mount; i++) {
		mount = strchr(mount, ' ');
		mount = mount ? mount + 1 : NULL;
	}
	if (!mount)
		return 0;
	mount[strcspn(mount, " ")] = '\0';
	options = strrchr(type, ' ') ?: type;

	if (strncmp(type, "cgroup2 ", 8) == 0)
		slot = &h->v2;
	else if (strncmp(type, "cgroup ", 7) == 0 && strstr(options, "name=systemd"))
		slot = &h->systemd;
	else
		return 0;

	/* the first mount is the one that everybody uses */
	if (*slot)
		return 0;
	mountinfo_unescape(mount);
	*slot = strdup(mount);
	return *slot ? 0 : -ENOMEM;
}

int hierarchies_find(struct hierarchies *ret)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/self/mountinfo", "re");
	_cleanup_(hierarchies_done) struct hierarchies h = {};
	_cleanup_free_ char *line = NULL;
	size_t allocated = 0;
	int r;

	if (!f)
		return -errno;
	while (getline(&line, &allocated, f) > 0) {
		line[strcspn(line, "\n")] = '\0';
		r = mountinfo_line(&h, line);
		if (r < 0)
			return r;
	}

	*ret = h;
	h = (struct hierarchies){};
	return 0;
}

void hierarchies_done(struct hierarchies *h)
{
	free(h->v2);
	free(h->systemd);
	*h = (struct hierarchies){};
}

static int walk_folder(int parent, const char *name, char *path, size_t size, unsigned depth,
		       int (*fn)(void *arg, const char *path), void *arg)
{
	_cleanup_(closedirp) DIR *d = NULL;
	_cleanup_close_ int fd = -1;
	struct dirent *e;
	int r;

	r = fn(arg, path);
	if (r != 0 || depth >= MAX_DEPTH)
		return MIN(r, 0);

	/* a group that went away meanwhile is no failure */
	fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	d = fd < 0 ? NULL : fdopendir(fd);
	if (!d)
		return 0;
	fd = -1;

	while ((e = readdir(d))) {
		size_t used = strlen(path), len = strlen(e->d_name);

		if (e->d_type != DT_DIR || e->d_name[0] == '.' || used + len + 2 > size)
			continue;
		path[used] = '/';
		memcpy(path + used + 1, e->d_name, len + 1);
		r = walk_folder(dirfd(d), e->d_name, path, size, depth + 1, fn, arg);
		path[used] = '\0';
		if (r < 0)
			return r;
	}
	return 0;
}

int hierarchy_walk(const char *mount, const char *path, int (*fn)(void *arg, const char *path),
		   void *arg)
{
	char full[PATH_MAX], below[CGROUP_PATH_MAX];

	if (snprintf(full, sizeof(full), "%s%s", mount, path) >= (int)sizeof(full) ||
	    snprintf(below, sizeof(below), "%s", path) >= (int)sizeof(below))
		return -ENAMETOOLONG;
	if (access(full, F_OK) < 0)
		return -errno;

	return walk_folder(AT_FDCWD, full, below, sizeof(below), 0, fn, arg);
}

int hierarchy_processes(const char *mount, const char *path, void (*fn)(void *arg, uint32_t pid),
			void *arg)
{
	_cleanup_fclose_ FILE *f = NULL;
	char full[PATH_MAX];
	unsigned pid;

	if (snprintf(full, sizeof(full), "%s%s/cgroup.procs", mount, path) >= (int)sizeof(full))
		return -ENAMETOOLONG;
	f = fopen(full, "re");
	if (!f)
		return -errno;

	while (fscanf(f, "%u", &pid) == 1)
		if (pid > 0)
			fn(arg, pid);
	return 0;
}

bool hierarchy_trusted(void *arg, const char *path, size_t size)
{
	char full[PATH_MAX];
	struct stat st;

	if (snprintf(full, sizeof(full), "%s%.*s", (const char *)arg, (int)size, path) >=
	    (int)sizeof(full))
		return false;
	return stat(full, &st) == 0 && st.st_uid == 0;
}
