/* SPDX-License-Identifier: Apache-2.0 */

/* The maps that tell the program whom a session wants. */

#include "sampling.h"

#include <bpf/bpf.h>
#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <string.h>

#include "cleanup.h"

/* Descendants of a target are looked for until a round finds no new ones. */
#define MAX_ROUNDS            8
#define MAX_SCANNED_PROCESSES (1U << 22)
#define STAT_BYTES            512

struct process {
	uint32_t pid, parent;
	char comm[CPROF_COMM_LEN];
	bool wanted;
};

struct process_list {
	struct process *p;
	size_t n, allocated;
};

static void mask_set(struct cprof_mask *m, unsigned slot)
{
	m->sessions[slot / 64] |= 1ULL << slot % 64;
}

static void mask_clear(struct cprof_mask *m, unsigned slot)
{
	m->sessions[slot / 64] &= ~(1ULL << slot % 64);
}

static bool mask_empty(const struct cprof_mask *m)
{
	uint64_t any = 0;

	for (int i = 0; i < CPROF_SESSION_WORDS; i++)
		any |= m->sessions[i];
	return !any;
}

void session_bit(__u64 *words, unsigned slot, bool on)
{
	uint64_t bit = 1ULL << slot % 64;

	if (on)
		__atomic_fetch_or(&words[slot / 64], bit, __ATOMIC_SEQ_CST);
	else
		__atomic_fetch_and(&words[slot / 64], ~bit, __ATOMIC_SEQ_CST);
}

/* The program adds entries for new children at the same time: never overwrite one unseen. */
static int mask_add(int fd, const void *key, unsigned slot)
{
	for (int tries = 0; tries < 4; tries++) {
		struct cprof_mask m = {};
		bool there = bpf_map_lookup_elem(fd, key, &m) == 0;

		mask_set(&m, slot);
		if (bpf_map_update_elem(fd, key, &m, there ? BPF_EXIST : BPF_NOEXIST) == 0)
			return 0;
		if (errno != EEXIST && errno != ENOENT)
			return errno == E2BIG ? -ENOSPC : -errno;
	}
	return -EAGAIN;
}

static void mask_remove(int fd, const void *key, unsigned slot)
{
	struct cprof_mask m;

	if (bpf_map_lookup_elem(fd, key, &m) < 0)
		return;
	mask_clear(&m, slot);
	if (mask_empty(&m))
		(void)bpf_map_delete_elem(fd, key);
	else
		(void)bpf_map_update_elem(fd, key, &m, BPF_EXIST);
}

/* pid, parent and name of /proc/PID/stat; the name may hold anything, ')' too. */
static int parse_stat(char *text, struct process *ret)
{
	char *open = strchr(text, '('), *close = strrchr(text, ')');
	unsigned parent, pid;
	size_t size;
	char state;

	if (!open || !close || close < open || sscanf(text, "%u", &pid) != 1 ||
	    sscanf(close + 1, " %c %u", &state, &parent) != 2)
		return -EINVAL;
	*ret = (struct process){ .pid = pid, .parent = parent };
	size = MIN((size_t)(close - open - 1), sizeof(ret->comm) - 1);
	memcpy(ret->comm, open + 1, size);
	return 0;
}

static int read_process(int proc_fd, const char *name, struct process *ret)
{
	char path[32], text[STAT_BYTES];
	_cleanup_close_ int fd = -1;
	ssize_t n;

	if ((size_t)snprintf(path, sizeof(path), "%s/stat", name) >= sizeof(path))
		return -EINVAL;
	fd = openat(proc_fd, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	n = read(fd, text, sizeof(text) - 1);
	if (n <= 0)
		return -ESRCH;
	text[n] = 0;
	return parse_stat(text, ret);
}

static int list_add(struct process_list *l, const struct process *p)
{
	if (l->n == l->allocated) {
		size_t n = l->allocated ? l->allocated * 2 : 256;
		struct process *grown;

		if (n > MAX_SCANNED_PROCESSES)
			return -ENOSPC;
		grown = realloc(l->p, n * sizeof(*grown));
		if (!grown)
			return -ENOMEM;
		l->p = grown;
		l->allocated = n;
	}
	l->p[l->n++] = *p;
	return 0;
}

static int list_processes(struct process_list *l)
{
	DIR *dir = opendir("/proc");
	struct dirent *d;
	int r = 0;

	if (!dir)
		return -errno;
	while (r >= 0 && (d = readdir(dir))) {
		struct process p;

		/* one that has gone in between is no error */
		if (isdigit((unsigned char)d->d_name[0]) &&
		    read_process(dirfd(dir), d->d_name, &p) == 0)
			r = list_add(l, &p);
	}
	closedir(dir);
	return r;
}

static bool is_root(const struct process *p, const struct target *target)
{
	return target->kind == TARGET_PID ? p->pid == target->pid
					  : strncmp(p->comm, target->comm, CPROF_COMM_LEN) == 0;
}

static int by_pid(const void *a, const void *b)
{
	const struct process *x = a, *y = b;

	return (x->pid > y->pid) - (x->pid < y->pid);
}

/* Marks whoever has a wanted parent, until nothing changes. */
static void mark_descendants(struct process_list *l, const struct target *target)
{
	bool changed = true;

	if (!l->n)
		return;
	qsort(l->p, l->n, sizeof(*l->p), by_pid);
	for (size_t i = 0; i < l->n; i++)
		l->p[i].wanted = is_root(&l->p[i], target);
	while (changed) {
		changed = false;
		for (size_t i = 0; i < l->n; i++) {
			struct process key = { .pid = l->p[i].parent };
			const struct process *parent;

			if (l->p[i].wanted)
				continue;
			parent = bsearch(&key, l->p, l->n, sizeof(*l->p), by_pid);
			if (parent && parent->wanted)
				l->p[i].wanted = changed = true;
		}
	}
}

static bool has_slot(int fd, uint32_t pid, unsigned slot)
{
	struct cprof_mask m;

	return bpf_map_lookup_elem(fd, &pid, &m) == 0 && m.sessions[slot / 64] >> slot % 64 & 1;
}

/* One round over /proc; returns how many were added. */
static int add_living(struct sampler *s, unsigned slot, const struct target *target)
{
	struct process_list l = {};
	int added = 0, r;

	r = list_processes(&l);
	if (r >= 0)
		mark_descendants(&l, target);
	for (size_t i = 0; r >= 0 && i < l.n; i++) {
		uint32_t pid = l.p[i].pid;

		if (!l.p[i].wanted || is_root(&l.p[i], target) ||
		    has_slot(s->kernel.pid_targets_fd, pid, slot))
			continue;
		r = mask_add(s->kernel.pid_targets_fd, &pid, slot);
		added++;
	}
	free(l.p);
	return r < 0 ? r : added;
}

/* New children of those that are in already are added by the program itself: rounds end. */
static int add_descendants(struct sampler *s, unsigned slot, const struct target *target)
{
	for (int i = 0; i < MAX_ROUNDS; i++) {
		int r = add_living(s, slot, target);

		if (r <= 0)
			return r;
	}
	return 0;
}

/* How many lookups of which kind the program has to make. */
static void count_kinds(struct sampler *s)
{
	struct cprof_control *c = s->kernel.control;
	uint32_t n[3] = {};

	for (unsigned i = 0; i < CPROF_MAX_SESSIONS; i++) {
		const struct session *session = &s->sessions[i];

		for (size_t t = 0; session->open && t < session->n_targets; t++) {
			enum target_kind kind = session->targets[t].kind;

			n[0] += kind == TARGET_PID || (kind != TARGET_ALL && session->children);
			n[1] += kind == TARGET_COMM;
			n[2] += kind == TARGET_CGROUP;
		}
	}
	__atomic_store_n(&c->n_pids, n[0], __ATOMIC_SEQ_CST);
	__atomic_store_n(&c->n_comms, n[1], __ATOMIC_SEQ_CST);
	__atomic_store_n(&c->n_cgroups, n[2], __ATOMIC_SEQ_CST);
}

static bool target_equal(const struct target *a, const struct target *b)
{
	if (a->kind != b->kind)
		return false;
	switch (a->kind) {
	case TARGET_ALL:
		return true;
	case TARGET_PID:
		return a->pid == b->pid;
	case TARGET_COMM:
		return strncmp(a->comm, b->comm, CPROF_COMM_LEN - 1) == 0;
	case TARGET_CGROUP:
		return a->cgroup_id == b->cgroup_id;
	}
	return false;
}

/* The map and the key of a target; -1 for TARGET_ALL. key holds 16 bytes. */
static int target_map(const struct kernel *k, const struct target *t, void *key)
{
	memset(key, 0, CPROF_COMM_LEN);
	switch (t->kind) {
	case TARGET_PID:
		memcpy(key, &t->pid, sizeof(t->pid));
		return k->pid_targets_fd;
	case TARGET_COMM:
		memcpy(key, t->comm, strnlen(t->comm, CPROF_COMM_LEN - 1));
		return k->comm_targets_fd;
	case TARGET_CGROUP:
		memcpy(key, &t->cgroup_id, sizeof(t->cgroup_id));
		return k->cgroup_targets_fd;
	case TARGET_ALL:
		break;
	}
	return -1;
}

int targets_add(struct sampler *s, unsigned slot, const struct target *target)
{
	struct session *session = &s->sessions[slot];
	_Alignas(8) char key[CPROF_COMM_LEN];
	struct target *grown;
	int fd, r = 0;

	for (size_t i = 0; i < session->n_targets; i++)
		if (target_equal(&session->targets[i], target))
			return 0;
	grown = realloc(session->targets, (session->n_targets + 1) * sizeof(*grown));
	if (!grown)
		return -ENOMEM;
	session->targets = grown;
	grown[session->n_targets++] = *target;
	count_kinds(s);

	fd = target_map(&s->kernel, target, key);
	if (fd < 0)
		session_bit(s->kernel.control->clocks[session->clock].all, slot, true);
	else
		r = mask_add(fd, key, slot);
	if (r >= 0 && session->children &&
	    (target->kind == TARGET_PID || target->kind == TARGET_COMM))
		r = add_descendants(s, slot, target);
	return r;
}

int targets_remove(struct sampler *s, unsigned slot, const struct target *target)
{
	struct session *session = &s->sessions[slot];
	_Alignas(8) char key[CPROF_COMM_LEN];
	int fd;

	for (size_t i = 0; i < session->n_targets; i++) {
		if (!target_equal(&session->targets[i], target))
			continue;
		fd = target_map(&s->kernel, target, key);
		if (fd < 0)
			session_bit(s->kernel.control->clocks[session->clock].all, slot, false);
		else
			mask_remove(fd, key, slot);
		session->targets[i] = session->targets[--session->n_targets];
		count_kinds(s);
		return 0;
	}
	return -ENOENT;
}

/* Calls for every process that has an entry, with the next key read before: fn may delete. */
static void each_pid(struct sampler *s, void (*fn)(struct sampler *s, uint32_t pid, unsigned slot),
		     unsigned slot)
{
	int fd = s->kernel.pid_targets_fd;
	uint32_t key, next;
	int r = bpf_map_get_next_key(fd, NULL, &next);

	for (unsigned n = 0; r == 0 && n < 2 * CPROF_MAX_PID_TARGETS; n++) {
		key = next;
		r = bpf_map_get_next_key(fd, &key, &next);
		fn(s, key, slot);
	}
}

static void forget_pid(struct sampler *s, uint32_t pid, unsigned slot)
{
	mask_remove(s->kernel.pid_targets_fd, &pid, slot);
}

void targets_forget(struct sampler *s, unsigned slot)
{
	struct session *session = &s->sessions[slot];
	bool inherited = false;

	/* first no child inherits it any more, then it goes from those that have */
	session_bit(s->kernel.control->children, slot, false);
	while (session->n_targets) {
		struct target t = session->targets[session->n_targets - 1];

		inherited |= t.kind != TARGET_ALL && session->children;
		(void)targets_remove(s, slot, &t);
	}
	free(session->targets);
	session->targets = NULL;
	if (inherited)
		each_pid(s, forget_pid, slot);
}

static void sweep_pid(struct sampler *s, uint32_t pid, _unused_ unsigned slot)
{
	struct cprof_mask m;
	char path[32];

	if (bpf_map_lookup_elem(s->kernel.pid_targets_fd, &pid, &m) < 0 || !m.exited)
		return;
	snprintf(path, sizeof(path), "/proc/%u", pid);
	if (access(path, F_OK) < 0)
		(void)bpf_map_delete_elem(s->kernel.pid_targets_fd, &pid);
}

void targets_sweep(struct sampler *s)
{
	if (s->kernel.nested && s->kernel.control->n_pids)
		each_pid(s, sweep_pid, 0);
}
