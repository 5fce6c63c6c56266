/* SPDX-License-Identifier: Apache-2.0 */
/* What the targets themselves used, by the kernel's own account: what a capture is checked against. */
#include <dirent.h>
#include <fcntl.h>
#include <string.h>

#include "capture.h"
#include "cleanup.h"
#include "stat.h"

#define STAT_BYTES 1024
#define MAX_STATES 16
#define MAX_TREE   4096

static bool read_small(const char *path, char *buf, size_t size, size_t *ret_n)
{
	_cleanup_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, buf, size - 1);

	if (n <= 0)
		return false;
	buf[n] = '\0';
	*ret_n = (size_t)n;
	return true;
}

static uint64_t ticks_to_ns(uint64_t ticks)
{
	return ticks * (NSEC_PER_SEC / (uint64_t)sysconf(_SC_CLK_TCK));
}

static bool usage_pid(uint32_t pid, bool children, uint64_t *sum)
{
	char path[64], text[STAT_BYTES];
	struct proc_stat st;
	unsigned long long cutime = 0, cstime = 0;
	const char *tail;
	size_t n;

	snprintf(path, sizeof(path), "/proc/%u/stat", pid);
	if (!read_small(path, text, sizeof(text), &n) || stat_parse(text, n, &st) < 0)
		return false;

	*sum += ticks_to_ns(st.utime_ticks + st.stime_ticks);
	/* children that have ended and been waited for: fields 16 and 17 */
	tail = strrchr(text, ')');
	if (children && tail &&
	    sscanf(tail + 1, " %*c %*d %*d %*d %*d %*d %*u %*u %*u %*u %*u %*u %*u %llu %llu",
		   &cutime, &cstime) == 2)
		*sum += ticks_to_ns(cutime + cstime);
	return true;
}

/* Processes whose time is summed up, each once. */
struct tree {
	uint32_t pids[MAX_TREE];
	size_t n;
};

static bool tree_add(struct tree *tree, uint32_t pid)
{
	for (size_t i = 0; i < tree->n; i++)
		if (tree->pids[i] == pid)
			return true;
	if (tree->n == MAX_TREE)
		return false;
	tree->pids[tree->n++] = pid;
	return true;
}

/* The living children of one thread; none on a kernel without CONFIG_PROC_CHILDREN. */
static bool tree_add_thread(struct tree *tree, uint32_t pid, const char *tid)
{
	_cleanup_fclose_ FILE *f = NULL;
	char path[64];
	unsigned child;

	snprintf(path, sizeof(path), "/proc/%u/task/%.16s/children", pid, tid);
	f = fopen(path, "re");
	while (f && fscanf(f, "%u", &child) == 1)
		if (!tree_add(tree, child))
			return false;
	return true;
}

static bool tree_add_children(struct tree *tree, uint32_t pid)
{
	char folder[64];
	struct dirent *e;
	bool all = true;
	DIR *d;

	snprintf(folder, sizeof(folder), "/proc/%u/task", pid);
	d = opendir(folder);
	while (all && d && (e = readdir(d)))
		if (e->d_name[0] != '.')
			all = tree_add_thread(tree, pid, e->d_name);
	if (d)
		closedir(d);
	return all;
}

/* False when a target is gone, or they are too many. */
static bool usage_processes(const struct capture *c, uint64_t *sum)
{
	_cleanup_free_ struct tree *tree = calloc(1, sizeof(*tree));
	size_t targets = c->resolved.n_pids;

	if (!tree)
		return false;
	for (size_t i = 0; i < targets; i++)
		if (!tree_add(tree, c->resolved.pids[i].pid))
			return false;
	targets = tree->n;
	for (size_t i = 0; i < tree->n; i++) {
		if (!usage_pid(tree->pids[i], c->spec.children, sum) && i < targets)
			return false;
		if (c->spec.children && !tree_add_children(tree, tree->pids[i]))
			return false;
	}
	return true;
}

/* cpu.stat is there without the cpu controller, too. */
static bool usage_cgroup(const char *folder, uint64_t *sum)
{
	char path[4352], text[STAT_BYTES];
	unsigned long long usec;
	const char *line;
	size_t n;

	snprintf(path, sizeof(path), "%s/cpu.stat", folder);
	if (!read_small(path, text, sizeof(text), &n))
		return false;
	line = strstr(text, "usage_usec ");
	if (!line || sscanf(line, "usage_usec %llu", &usec) != 1)
		return false;

	*sum += usec * NSEC_PER_USEC;
	return true;
}

/* user + nice + system + irq + softirq of all CPUs; steal is not ours to sample. */
static bool usage_host(uint64_t *sum)
{
	unsigned long long v[7];
	char text[STAT_BYTES];
	size_t n;

	if (!read_small("/proc/stat", text, sizeof(text), &n) ||
	    sscanf(text, "cpu %llu %llu %llu %llu %llu %llu %llu", &v[0], &v[1], &v[2], &v[3],
		   &v[4], &v[5], &v[6]) != 7)
		return false;

	*sum += ticks_to_ns(v[0] + v[1] + v[2] + v[5] + v[6]);
	return true;
}

bool usage_cpu_ns(const struct capture *c, uint64_t *ret)
{
	uint64_t sum = 0;

	if (c->spec.n_targets == 1 && c->spec.targets[0].kind == CAPTURE_ALL) {
		if (!c->spec.privileged || !usage_host(&sum))
			return false;
		*ret = sum;
		return true;
	}
	/* a mixture could count twice, and v1 groups have no account of ours */
	for (size_t i = 0; i < c->spec.n_targets; i++)
		if (c->spec.targets[i].kind != c->spec.targets[0].kind ||
		    c->spec.targets[i].kind == CAPTURE_COMM)
			return false;

	if (!usage_processes(c, &sum))
		return false;
	for (size_t i = 0; i < c->resolved.n_v2_folders; i++)
		if (!usage_cgroup(c->resolved.v2_folders[i], &sum))
			return false;
	if (c->resolved.n_pids + c->resolved.n_v2_folders == 0 || c->resolved.n_v1_folders > 0)
		return false;

	*ret = sum;
	return true;
}

struct thread_state {
	char what[64];
	unsigned n;
};

static const char *state_words(char state)
{
	switch (state) {
	case 'R':
		return "running";
	case 'S':
		return "sleeping";
	case 'D':
		return "in uninterruptible sleep";
	case 'T':
		return "stopped";
	case 't':
		return "stopped by a debugger";
	case 'Z':
		return "ended, not yet waited for";
	case 'I':
		return "idle";
	default:
		return "in another state";
	}
}

static void count_thread(struct thread_state *states, size_t *n_states, bool wchans,
			 const char *folder, const char *tid)
{
	char path[160], text[STAT_BYTES], wchan[40] = "", what[sizeof(states->what)];
	struct proc_stat st;
	size_t n;

	snprintf(path, sizeof(path), "%s/%.16s/stat", folder, tid);
	if (!read_small(path, text, sizeof(text), &n) || stat_parse(text, n, &st) < 0)
		return;
	/* where a thread sleeps is ptrace's to know */
	snprintf(path, sizeof(path), "%s/%.16s/wchan", folder, tid);
	if (!wchans || !strchr("SD", st.state) || !read_small(path, wchan, sizeof(wchan), &n))
		wchan[0] = '\0';
	if (strcmp(wchan, "0") == 0)
		wchan[0] = '\0';
	snprintf(what, sizeof(what), "%s%s%s", state_words(st.state), *wchan ? " in " : "", wchan);

	for (size_t i = 0; i < *n_states; i++)
		if (strcmp(states[i].what, what) == 0) {
			states[i].n++;
			return;
		}
	if (*n_states < MAX_STATES) {
		memcpy(states[*n_states].what, what, sizeof(what));
		states[(*n_states)++].n = 1;
	}
}

static int state_compare(const void *a, const void *b)
{
	const struct thread_state *x = a, *y = b;

	return (x->n < y->n) - (x->n > y->n);
}

void usage_waiting(const struct capture *c, char *buf, size_t size)
{
	struct thread_state states[MAX_STATES];
	size_t n_states = 0, used = 0;

	buf[0] = '\0';
	for (size_t i = 0; i < c->resolved.n_pids; i++) {
		char folder[64];
		struct dirent *e;
		DIR *d;

		snprintf(folder, sizeof(folder), "/proc/%u/task", c->resolved.pids[i].pid);
		d = opendir(folder);
		while (d && (e = readdir(d)))
			if (e->d_name[0] != '.')
				count_thread(states, &n_states, c->spec.privileged, folder,
					     e->d_name);
		if (d)
			closedir(d);
	}

	qsort(states, n_states, sizeof(*states), state_compare);
	for (size_t i = 0; i < n_states && used < size; i++) {
		int n = snprintf(buf + used, size - used, "%s%u %s", i ? ", " : "", states[i].n,
				 states[i].what);

		if (n < 0 || (size_t)n >= size - used) {
			buf[used] = '\0';
			break;
		}
		used += (size_t)n;
	}
}
