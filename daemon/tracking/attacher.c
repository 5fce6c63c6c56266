/* SPDX-License-Identifier: Apache-2.0 */
#include "attacher.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <utlist.h>

#include "child.h"
#include "cleanup.h"
#include "protocol.h"

struct attaching {
	struct attacher *owner;
	pid_t pid; /* 0: gone */
	int pidfd;
	sd_event_source *exit;
	void (*done)(void *arg, bool written);
	void *arg;
	struct attaching *prev, *next;
};

struct attacher {
	sd_event *event;
	char *path;
	struct attaching *all;
	unsigned n;
	struct attacher_stats stats;
};

int attacher_new(struct attacher **ret, sd_event *event, const char *worker_path)
{
	struct attacher *a = calloc(1, sizeof(*a));

	if (!a)
		return -ENOMEM;
	a->event = sd_event_ref(event);
	a->path = strdup(worker_path);
	if (!a->path) {
		attacher_free(a);
		return -ENOMEM;
	}
	*ret = a;
	return 0;
}

static void attaching_free(struct attaching *g)
{
	DL_DELETE(g->owner->all, g);
	g->owner->n--;
	sd_event_source_disable_unref(g->exit);
	/* with another user's ids it may be out of reach: it has a deadline */
	if (g->pid > 0 && kill(g->pid, SIGKILL) == 0)
		waitpid(g->pid, NULL, 0);
	safe_close(g->pidfd);
	free(g);
}

struct attacher *attacher_free(struct attacher *a)
{
	if (!a)
		return NULL;

	while (a->all)
		attaching_free(a->all);
	sd_event_unref(a->event);
	free(a->path);
	free(a);
	return NULL;
}

static int on_exit_of(sd_event_source *source _unused_, int fd _unused_, uint32_t revents _unused_,
		      void *arg)
{
	struct attaching *g = arg;
	struct attacher_stats *stats = &g->owner->stats;
	void (*done)(void *, bool) = g->done;
	void *done_arg = g->arg;
	int status = 0, code;

	if (waitpid(g->pid, &status, WNOHANG) == 0)
		return 0;
	g->pid = 0;
	code = WIFEXITED(status) ? WEXITSTATUS(status) : ATTACH_FAILED;
	*(code == ATTACH_DONE      ? &stats->written
	  : code == ATTACH_REFUSED ? &stats->refused
				   : &stats->failed) += 1;
	attaching_free(g);
	done(done_arg, code == ATTACH_DONE);
	return 0;
}

static int attaching_files(posix_spawn_file_actions_t *actions)
{
	int r;

	r = posix_spawn_file_actions_addopen(actions, 0, "/dev/null", O_RDWR, 0);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(actions, 0, 1);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(actions, 0, 2);
	if (r == 0)
		r = posix_spawn_file_actions_addclosefrom_np(actions, 3);
	return -r;
}

static int attaching_spawn(struct attaching *g, uint32_t pid, uint32_t ns_pid, uint64_t start_ns)
{
	char numbers[3][24], *envp[] = { NULL };
	char *argv[] = {
		(char *)"cprof-worker", (char *)"--attach", numbers[0], numbers[1], numbers[2], NULL
	};
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	int r;

	snprintf(numbers[0], sizeof(numbers[0]), "%u", pid);
	snprintf(numbers[1], sizeof(numbers[1]), "%u", ns_pid);
	snprintf(numbers[2], sizeof(numbers[2]), "%llu", (unsigned long long)start_ns);
	if (posix_spawn_file_actions_init(&actions) != 0)
		return -ENOMEM;
	if (posix_spawnattr_init(&attributes) != 0) {
		posix_spawn_file_actions_destroy(&actions);
		return -ENOMEM;
	}

	r = attaching_files(&actions);
	if (r == 0)
		r = child_attributes(&attributes);
	if (r == 0)
		r = -posix_spawn(&g->pid, g->owner->path, &actions, &attributes, argv, envp);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	if (r < 0)
		g->pid = 0;
	return r;
}

int attacher_ask(struct attacher *a, uint32_t pid, uint32_t ns_pid, uint64_t start_ns,
		 void (*done)(void *arg, bool written), void *arg)
{
	struct attaching *g;
	int r;

	if (a->n >= ATTACHER_MAX)
		return -EBUSY;
	g = calloc(1, sizeof(*g));
	if (!g)
		return -ENOMEM;
	*g = (struct attaching){ .owner = a, .pidfd = -1, .done = done, .arg = arg };
	DL_APPEND(a->all, g);
	a->n++;
	a->stats.asked++;

	r = attaching_spawn(g, pid, ns_pid, start_ns);
	if (r == 0) {
		g->pidfd = (int)syscall(SYS_pidfd_open, g->pid, 0);
		r = g->pidfd < 0
			    ? -errno
			    : sd_event_add_io(a->event, &g->exit, g->pidfd, EPOLLIN, on_exit_of, g);
	}
	if (r < 0) {
		a->stats.failed++;
		attaching_free(g);
		return r;
	}
	return 0;
}

void attacher_stats(const struct attacher *a, struct attacher_stats *ret)
{
	*ret = a ? a->stats : (struct attacher_stats){ 0 };
}
