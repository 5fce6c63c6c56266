/* SPDX-License-Identifier: Apache-2.0 */
/* What runs: the list from which a user picks what to capture. */
#include <fcntl.h>
#include <pwd.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>

#include "parts.h"
#include "stat.h"
#include "text.h"
#include "clock.h"

#define MAX_TARGETS     65536
#define SNAPSHOT_MAX_NS (60 * NSEC_PER_SEC)
#define SNAPSHOT_MIN_NS (100 * NSEC_PER_MSEC)

struct usage_entry {
	uint32_t pid;
	uint64_t start_ticks;
	uint64_t cpu_ticks;
};

/* CPU times at the last listing, sorted by pid: shares are of the time since then. */
struct usage_snapshot {
	uint64_t time_ns;
	size_t n;
	struct usage_entry entries[];
};

void usage_snapshot_free(struct usage_snapshot *u)
{
	free(u);
}

struct lister {
	const struct peer *peer;
	json_t *array;
	const struct usage_snapshot *before;
	struct usage_entry *entries;
	size_t n, max;
	uint64_t now_ns, boot_ns;
	uint32_t named_uid; /* whose name `user` is, once that is not "" */
	char user[64];
};

static int entry_compare(const void *a, const void *b)
{
	const struct usage_entry *x = a, *y = b;

	return (x->pid > y->pid) - (x->pid < y->pid);
}

/* Of one CPU, since the last listing where that is recent, else since the process began. */
static double cpu_share(const struct lister *l, const struct usage_entry *now)
{
	const uint64_t tick_ns = NSEC_PER_SEC / (uint64_t)sysconf(_SC_CLK_TCK);
	uint64_t age_ns = l->boot_ns - MIN(l->boot_ns, now->start_ticks * tick_ns);
	const struct usage_entry *then = NULL;

	if (l->before)
		then = bsearch(now, l->before->entries, l->before->n, sizeof(*now), entry_compare);
	if (then && then->start_ticks == now->start_ticks && now->cpu_ticks >= then->cpu_ticks)
		return (double)((now->cpu_ticks - then->cpu_ticks) * tick_ns) /
		       (double)(l->now_ns - l->before->time_ns);
	return age_ns ? (double)(now->cpu_ticks * tick_ns) / (double)age_ns : 0;
}

static bool read_stat(uint32_t pid, struct proc_stat *ret, uint32_t *ret_uid)
{
	char path[64], text[1024];
	_cleanup_close_ int fd = -1;
	struct stat st;
	ssize_t n;

	snprintf(path, sizeof(path), "/proc/%u/stat", pid);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || fstat(fd, &st) < 0)
		return false;
	n = read(fd, text, sizeof(text));
	*ret_uid = st.st_uid;
	return n > 0 && stat_parse(text, (size_t)n, ret) == 0;
}

/* From /etc/passwd alone: NSS may ask a server, and that may not answer. Else the number. */
static const char *user_name(struct lister *l, uint32_t uid)
{
	_cleanup_fclose_ FILE *f = NULL;
	struct passwd *p;

	if (l->user[0] && l->named_uid == uid)
		return l->user;

	snprintf(l->user, sizeof(l->user), "%u", uid);
	l->named_uid = uid;
	f = fopen("/etc/passwd", "re");
	while (f && (p = fgetpwent(f)))
		if (p->pw_uid == uid) {
			snprintf(l->user, sizeof(l->user), "%s", p->pw_name);
			break;
		}
	return l->user;
}

static json_t *text_value(const char *s)
{
	_cleanup_free_ char *safe = text_printable(s ?: "");

	return json_string(safe ?: "");
}

static void list_one(void *arg, struct process_info *p)
{
	struct lister *l = arg;
	struct usage_entry entry = { .pid = p->pid };
	struct proc_stat st;
	uint32_t uid;

	if (l->n >= l->max || !read_stat(p->pid, &st, &uid) || (st.flags & STAT_FLAG_KTHREAD))
		return;
	/* /proc/PID belongs to root when the process is not dumpable, and so is not shown */
	if (!l->peer->privileged && uid != l->peer->uid)
		return;

	entry.start_ticks = st.start_ticks;
	entry.cpu_ticks = st.utime_ticks + st.stime_ticks;
	l->entries[l->n++] = entry;
	json_array_append_new(
		l->array, json_pack("{s:i, s:o, s:o, s:o, s:o, s:f}", "pid", (int)p->pid, "comm",
				    text_value(p->comm), "unit", text_value(p->unit), "container",
				    text_value(p->container), "user", text_value(user_name(l, uid)),
				    "cpu", cpu_share(l, &entry)));
}

json_t *engine_targets(void *arg, const struct peer *peer)
{
	struct engine *e = arg;
	uint64_t now = clock_ns(CLOCK_MONOTONIC), age = e->usage ? now - e->usage->time_ns : 0;
	struct usage_snapshot *snapshot =
		calloc(1, sizeof(*snapshot) + MAX_TARGETS * sizeof(struct usage_entry));
	struct lister l = {
		.peer = peer,
		.array = json_array(),
		.before = age >= SNAPSHOT_MIN_NS && age <= SNAPSHOT_MAX_NS ? e->usage : NULL,
		.max = MAX_TARGETS,
		.now_ns = now,
		.boot_ns = clock_ns(CLOCK_BOOTTIME),
	};

	if (!snapshot)
		return l.array;

	l.entries = snapshot->entries;
	tracker_each(e->tracker, list_one, &l);

	/* only whole lists are kept to compare with, and not so often that nothing happens in between */
	if (!peer->privileged || (e->usage && age < SNAPSHOT_MIN_NS)) {
		free(snapshot);
		return l.array;
	}
	snapshot->time_ns = now;
	snapshot->n = l.n;
	qsort(snapshot->entries, snapshot->n, sizeof(*snapshot->entries), entry_compare);
	free(e->usage);
	e->usage = realloc(snapshot, sizeof(*snapshot) + l.n * sizeof(struct usage_entry))
			   ?: snapshot;
	return l.array;
}
