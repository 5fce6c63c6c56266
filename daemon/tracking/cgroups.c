/* SPDX-License-Identifier: Apache-2.0 */
#include "cgroups.h"

#include <fcntl.h>
#include <limits.h>
#include <linux/magic.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <uthash.h>

#include "cgroup.h"
#include "cleanup.h"
#include "procfs.h"

/* kernfs takes a file handle of this type that holds nothing but the node's id (5.5). */
#define FILEID_KERNFS 0xfe

struct entry {
	struct cgroup g; /* first */
	UT_hash_handle by_id, by_path;
};

struct cgroups {
	struct entry *by_id, *by_path;
	size_t n;
	int v2_fd;                          /* of the hierarchy's root, -1 none */
	const char *v2_root, *systemd_root; /* NULL none */
};

int cgroups_new(struct cgroups **ret)
{
	static const char *const roots[] = { "/sys/fs/cgroup", "/sys/fs/cgroup/unified" };
	struct cgroups *c = calloc(1, sizeof(*c));
	struct statfs fs;

	if (!c)
		return -ENOMEM;

	c->v2_fd = -1;
	for (size_t i = 0; i < ARRAY_SIZE(roots) && c->v2_fd < 0; i++) {
		if (statfs(roots[i], &fs) < 0 || fs.f_type != CGROUP2_SUPER_MAGIC)
			continue;
		c->v2_fd = open(roots[i], O_RDONLY | O_DIRECTORY | O_CLOEXEC);
		c->v2_root = roots[i];
	}
	if (statfs("/sys/fs/cgroup/systemd", &fs) == 0 && fs.f_type == CGROUP_SUPER_MAGIC)
		c->systemd_root = "/sys/fs/cgroup/systemd";

	*ret = c;
	return 0;
}

static void entry_free(struct cgroups *c, struct entry *e)
{
	if (e->g.id)
		HASH_DELETE(by_id, c->by_id, e);
	else
		HASH_DELETE(by_path, c->by_path, e);
	c->n--;
	free(e->g.path);
	free(e->g.unit);
	free(e->g.container);
	free(e);
}

static void forget(struct cgroups *c, bool unused_only)
{
	struct entry *e, *tmp;

	HASH_ITER (by_id, c->by_id, e, tmp)
		if (!unused_only || e->g.refs == 0)
			entry_free(c, e);
	HASH_ITER (by_path, c->by_path, e, tmp)
		if (!unused_only || e->g.refs == 0)
			entry_free(c, e);
}

struct cgroups *cgroups_free(struct cgroups *c)
{
	if (!c)
		return NULL;

	forget(c, false);
	safe_close(c->v2_fd);
	free(c);
	return NULL;
}

struct cgroup *cgroup_ref(struct cgroup *g)
{
	if (g)
		g->refs++;
	return g;
}

/* What nobody uses stays in the table until that is full. */
struct cgroup *cgroup_unref(struct cgroup *g)
{
	if (g)
		g->refs--;
	return NULL;
}

/* lib/proc/cgroup.h asks who owns a folder. */
static bool owned_by_root(void *arg, const char *path, size_t size)
{
	char full[PATH_MAX];
	struct stat st;
	int n;

	n = snprintf(full, sizeof(full), "%s%.*s", (const char *)arg, (int)size, path);
	return n > 0 && (size_t)n < sizeof(full) && stat(full, &st) == 0 && st.st_uid == 0;
}

/* root: of the hierarchy that the path belongs to, NULL unknown. */
static struct entry *entry_new(uint64_t id, const char *path, const char *root)
{
	struct cgroup_names names;
	struct entry *e = calloc(1, sizeof(*e));

	if (!e)
		return NULL;
	cgroup_names(path, root ? owned_by_root : NULL, (void *)root, &names);

	e->g.id = id;
	e->g.path = strdup(path);
	e->g.unit = strdup(names.unit);
	e->g.container = strdup(names.container);
	if (!e->g.path || !e->g.unit || !e->g.container) {
		free(e->g.path);
		free(e->g.unit);
		free(e->g.container);
		free(e);
		return NULL;
	}
	return e;
}

static struct entry *add(struct cgroups *c, uint64_t id, const char *path, const char *root)
{
	struct entry *e;

	if (c->n >= CGROUPS_MAX)
		forget(c, true);
	if (c->n >= CGROUPS_MAX)
		return NULL;
	e = entry_new(id, path, root);
	if (!e)
		return NULL;

	c->n++;
	if (id)
		HASH_ADD(by_id, c->by_id, g.id, sizeof(e->g.id), e);
	else
		HASH_ADD_KEYPTR(by_path, c->by_path, e->g.path, strlen(e->g.path), e);
	return e;
}

void cgroups_add(struct cgroups *c, uint64_t id, const char *path)
{
	struct entry *e;

	HASH_FIND(by_id, c->by_id, &id, sizeof(id), e);
	if (!e && id && path[0] == '/')
		add(c, id, path, c->v2_root);
}

/* Path below the hierarchy's root, by the id alone. */
static int path_of_id(struct cgroups *c, uint64_t id, char *ret, size_t size)
{
	struct {
		struct file_handle handle;
		uint64_t id;
	} h = { .handle = { .handle_bytes = sizeof(h.id), .handle_type = FILEID_KERNFS } };
	_cleanup_close_ int fd = -1;
	char link[64];
	size_t root = strlen(c->v2_root);
	ssize_t n;

	memcpy(h.handle.f_handle, &id, sizeof(id));
	fd = open_by_handle_at(c->v2_fd, &h.handle, O_PATH | O_CLOEXEC);
	if (fd < 0)
		return -errno;

	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	n = readlink(link, ret, size - 1);
	if (n < 0)
		return -errno;
	ret[n] = '\0';
	if (strncmp(ret, c->v2_root, root) != 0 || (ret[root] != '/' && ret[root] != '\0'))
		return -EXDEV;

	memmove(ret, ret + root, (size_t)n - root + 1);
	if (!ret[0])
		snprintf(ret, size, "/");
	return 0;
}

struct cgroup *cgroups_by_id(struct cgroups *c, uint64_t id)
{
	char path[PATH_MAX];
	struct entry *e;

	if (!id)
		return NULL;
	HASH_FIND(by_id, c->by_id, &id, sizeof(id), e);
	if (!e && c->v2_fd >= 0 && path_of_id(c, id, path, sizeof(path)) == 0)
		e = add(c, id, path, c->v2_root);
	return e ? cgroup_ref(&e->g) : NULL;
}

struct cgroup *cgroups_by_pid(struct cgroups *c, uint32_t pid)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT(PROCFS_MAX_CGROUP_BYTES);
	_cleanup_free_ char *path = NULL;
	struct cgroup_paths paths;
	bool v2;
	struct entry *e;

	if (procfs_read(pid, "cgroup", &text) < 0)
		return NULL;
	cgroup_parse(text.data ? text.data : "", text.size, &paths);

	v2 = paths.v2_bytes > 1 || paths.systemd_bytes == 0;
	path = v2 ? strndup(paths.v2 ? paths.v2 : "", paths.v2_bytes)
		  : strndup(paths.systemd, paths.systemd_bytes);
	if (!path || path[0] != '/')
		return NULL;

	HASH_FIND(by_path, c->by_path, path, strlen(path), e);
	if (!e)
		e = add(c, 0, path, v2 ? c->v2_root : c->systemd_root);
	return e ? cgroup_ref(&e->g) : NULL;
}
