/* SPDX-License-Identifier: Apache-2.0 */
#include "resolve.h"

#include <dirent.h>
#include <limits.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "cgroup.h"
#include "cleanup.h"
#include "hierarchy.h"
#include "session.h"
#include "text.h"

#define CONTAINER_MIN_PREFIX 6

struct resolver {
	struct resolved *out;
	struct hierarchies hierarchies;
	const struct capture_spec *spec;
	char **ret_error;
	/* of the lookup in the hierarchies that is under way */
	const char *mount;
	bool v2;
	const struct capture_target *wanted;
	unsigned n_found;
};

static _printf_(3, 4) int resolve_fail(struct resolver *r, int error, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(r->ret_error, fmt, ap) < 0)
		*r->ret_error = NULL;
	va_end(ap);
	return error;
}

static int resolved_add(struct resolved *r, const struct target *t)
{
	struct target *p;

	if (r->n_targets >= RESOLVE_MAX_TARGETS)
		return -ENOSPC;
	p = realloc(r->targets, (r->n_targets + 1) * sizeof(*p));
	if (!p)
		return -ENOMEM;

	r->targets = p;
	r->targets[r->n_targets++] = *t;
	return 0;
}

static int add_folder(char ***folders, size_t *n, const char *mount, const char *path)
{
	char **p = realloc(*folders, (*n + 1) * sizeof(*p));

	if (!p)
		return -ENOMEM;
	*folders = p;
	if (asprintf(&p[*n], "%s%s", mount, path) < 0)
		return -ENOMEM;
	(*n)++;
	return 0;
}

/* --- processes ---------------------------------------------------------- */

struct pid_status {
	unsigned tgid;
	unsigned uid[3];
};

static int read_pid_status(uint32_t pid, struct pid_status *ret)
{
	_cleanup_fclose_ FILE *f = NULL;
	_cleanup_free_ char *line = NULL;
	struct pid_status s = {};
	size_t allocated = 0;
	char path[64];

	snprintf(path, sizeof(path), "/proc/%u/status", pid);
	f = fopen(path, "re");
	if (!f)
		return -errno;
	while (getline(&line, &allocated, f) > 0) {
		sscanf(line, "Tgid: %u", &s.tgid);
		if (sscanf(line, "Uid: %u %u %u", &s.uid[0], &s.uid[1], &s.uid[2]) == 3)
			break;
	}
	if (s.tgid == 0)
		return -ESRCH;

	*ret = s;
	return 0;
}

static int resolve_pid(struct resolver *r, const char *value)
{
	struct pid_status status = {};
	struct target t = { .kind = TARGET_PID };
	uint64_t pid;
	int fd;

	if (text_parse_u64(value, INT_MAX, &pid) < 0 || pid == 0)
		return resolve_fail(r, -EINVAL, "a pid is a whole number above 0");
	if (read_pid_status((uint32_t)pid, &status) < 0)
		return resolve_fail(r, -ESRCH,
				    "no process %llu: see what runs with `cprofctl targets`",
				    (unsigned long long)pid);
	/* a first look, for a clear message; what counts is decided sample by sample */
	if (!r->spec->privileged)
		for (size_t i = 0; i < ARRAY_SIZE(status.uid); i++)
			if (status.uid[i] != r->spec->uid)
				return resolve_fail(r, -EACCES,
						    "process %llu is not yours: run as root, or as "
						    "a member of group %s",
						    (unsigned long long)pid, CPROF_GROUP);

	/* the number of a thread means its process */
	t.pid = status.tgid;
	fd = (int)syscall(SYS_pidfd_open, t.pid, 0);
	if (fd < 0)
		return resolve_fail(r, -errno, "no process %u: it has just ended", t.pid);
	r->out->pids[r->out->n_pids].pid = t.pid;
	r->out->pids[r->out->n_pids++].pidfd = fd;
	return resolved_add(r->out, &t);
}

/* --- groups of processes -------------------------------------------------- */

static int add_group(struct resolver *r, const char *path)
{
	struct target t = { .kind = TARGET_CGROUP };
	char full[PATH_MAX];
	struct stat st;
	int n;

	r->n_found++;
	if (!r->v2)
		return add_folder(&r->out->v1_folders, &r->out->n_v1_folders, r->mount, path);

	n = snprintf(full, sizeof(full), "%s%s", r->mount, path);
	if (n >= (int)sizeof(full) || stat(full, &st) < 0)
		return 0;
	/* of cgroup v2 the id is the inode number */
	t.cgroup_id = st.st_ino;
	n = add_folder(&r->out->v2_folders, &r->out->n_v2_folders, r->mount, path);
	return n < 0 ? n : resolved_add(r->out, &t);
}

static bool unit_matches(const char *unit, const char *wanted)
{
	size_t len = strlen(wanted);

	if (strcmp(unit, wanted) == 0)
		return true;
	/* "nginx" is "nginx.service", as for systemctl */
	return !strchr(wanted, '.') && strncmp(unit, wanted, len) == 0 &&
	       strcmp(unit + len, ".service") == 0;
}

static bool container_matches(const char *container, const char *wanted)
{
	size_t len = strlen(wanted);

	return strcmp(container, wanted) == 0 ||
	       (len >= CONTAINER_MIN_PREFIX && strncmp(container, wanted, len) == 0);
}

/*
 * Below user@UID.service anybody can call a unit nginx.service: only its owner, who sees nothing else
 * anyway, means that one.
 */
static int visit_group(void *arg, const char *path)
{
	struct resolver *r = arg;
	const char *wanted = r->wanted->value;
	struct cgroup_names names;
	bool match;
	int n;

	if (!*path)
		return 0;
	cgroup_names(path, hierarchy_trusted, (void *)r->mount, &names);
	if (r->wanted->kind == CAPTURE_CONTAINER)
		match = names.container[0] && container_matches(names.container, wanted);
	else
		match = names.user_unit[0]
				? !r->spec->privileged && unit_matches(names.user_unit, wanted)
				: unit_matches(names.unit, wanted);
	if (!match)
		return 0;

	/* everything below belongs to it */
	n = add_group(r, path);
	return n < 0 ? n : 1;
}

static int resolve_named_group(struct resolver *r, const struct capture_target *t)
{
	const char *what = t->kind == CAPTURE_UNIT ? "unit" : "container";
	int n;

	r->wanted = t;
	r->n_found = 0;
	for (int v2 = 1; v2 >= 0 && r->n_found == 0; v2--) {
		r->v2 = v2;
		r->mount = v2 ? r->hierarchies.v2 : r->hierarchies.systemd;
		if (!r->mount)
			continue;
		n = hierarchy_walk(r->mount, "", visit_group, r);
		if (n < 0)
			return resolve_fail(r, n, "cgroups cannot be read: %s", strerror(-n));
	}
	if (r->n_found == 0)
		return resolve_fail(
			r, -ENOENT,
			"no running %s is called %.128s: see what runs with `cprofctl targets`",
			what, t->value);
	return 0;
}

/* The part of a path below a mount point, or NULL. */
static const char *path_below(const char *path, const char *mount)
{
	size_t len = mount ? strlen(mount) : 0;

	if (!mount || strncmp(path, mount, len) != 0 || (path[len] && path[len] != '/'))
		return NULL;
	return path + len;
}

static int resolve_cgroup(struct resolver *r, const char *value)
{
	char path[CGROUP_PATH_MAX], full[PATH_MAX];
	struct stat st;

	for (int v2 = 1; v2 >= 0; v2--) {
		const char *mount = v2 ? r->hierarchies.v2 : r->hierarchies.systemd;
		const char *below = path_below(value, mount) ?: value;
		int n;

		if (!mount || strstr(below, "/../") || strncmp(below, "../", 3) == 0)
			continue;
		n = snprintf(path, sizeof(path), "%s%s", *below == '/' || !*below ? "" : "/",
			     below);
		for (; n > 1 && n < (int)sizeof(path) && path[n - 1] == '/'; n--)
			path[n - 1] = '\0';
		if (n >= (int)sizeof(path) ||
		    snprintf(full, sizeof(full), "%s%s", mount, path) >= (int)sizeof(full) ||
		    stat(full, &st) < 0 || !S_ISDIR(st.st_mode))
			continue;
		r->mount = mount;
		r->v2 = v2;
		return add_group(r, strcmp(path, "/") == 0 ? "" : path);
	}
	return resolve_fail(r, -ENOENT,
			    "no cgroup is called %.128s: give its path below the mount point, as "
			    "in /proc/PID/cgroup",
			    value);
}

static int resolve_one(struct resolver *r, const struct capture_target *t)
{
	struct target out = {};

	if (t->kind != CAPTURE_ALL && !*t->value)
		return resolve_fail(r, -EINVAL, "a target has an empty name");

	switch (t->kind) {
	case CAPTURE_ALL:
		out.kind = TARGET_ALL;
		return resolved_add(r->out, &out);
	case CAPTURE_PID:
		return resolve_pid(r, t->value);
	case CAPTURE_COMM:
		out.kind = TARGET_COMM;
		/* the kernel keeps 15 bytes of a name */
		strncpy(out.comm, t->value, sizeof(out.comm) - 1);
		return resolved_add(r->out, &out);
	case CAPTURE_CGROUP:
		return resolve_cgroup(r, t->value);
	case CAPTURE_UNIT:
	case CAPTURE_CONTAINER:
		return resolve_named_group(r, t);
	}
	return -EINVAL;
}

static void add_listed_pid(void *arg, uint32_t pid)
{
	resolved_add(arg, &(struct target){ .kind = TARGET_PID, .pid = pid });
}

int resolve_targets(const struct capture_spec *spec, struct resolved *ret, char **ret_error)
{
	_cleanup_(hierarchies_done) struct hierarchies h = {};
	_cleanup_(resolved_done) struct resolved out = {};
	struct resolver resolver = { .out = &out, .spec = spec, .ret_error = ret_error };
	int r;

	r = hierarchies_find(&h);
	if (r < 0)
		return resolve_fail(&resolver, r, "/proc/self/mountinfo cannot be read: %s",
				    strerror(-r));
	resolver.hierarchies = h;

	for (size_t i = 0; i < spec->n_targets; i++) {
		r = resolve_one(&resolver, &spec->targets[i]);
		if (r < 0)
			return r;
	}
	resolve_list_v1(&out, add_listed_pid, &out);

	*ret = out;
	out = (struct resolved){};
	return 0;
}

void resolved_done(struct resolved *r)
{
	for (size_t i = 0; i < r->n_pids; i++)
		safe_close(r->pids[i].pidfd);
	for (size_t i = 0; i < r->n_v1_folders; i++)
		free(r->v1_folders[i]);
	for (size_t i = 0; i < r->n_v2_folders; i++)
		free(r->v2_folders[i]);
	free(r->v1_folders);
	free(r->v2_folders);
	free(r->targets);
	*r = (struct resolved){};
}

struct lister {
	const char *mount;
	void (*fn)(void *arg, uint32_t pid);
	void *arg;
};

static int list_folder(void *arg, const char *path)
{
	struct lister *l = arg;

	hierarchy_processes(l->mount, path, l->fn, l->arg);
	return 0;
}

void resolve_list_v1(const struct resolved *r, void (*fn)(void *arg, uint32_t pid), void *arg)
{
	for (size_t i = 0; i < r->n_v1_folders; i++) {
		struct lister l = { .mount = r->v1_folders[i], .fn = fn, .arg = arg };

		hierarchy_walk(l.mount, "", list_folder, &l);
	}
}
