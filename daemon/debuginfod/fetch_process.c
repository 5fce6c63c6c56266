/* SPDX-License-Identifier: Apache-2.0 */
#include "fetch_process.h"

#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "child.h"
#include "cleanup.h"
#include "uid.h"

struct fetch_process {
	pid_t pid; /* 0: gone */
	int sock, pidfd;
	sd_event_source *exit;
	fetch_done_t done;
	void *arg;
};

/* What a proxy needs, and nothing else. */
static const char *const kept[] = { "http_proxy", "https_proxy",   "no_proxy",
				    "all_proxy",  "HTTPS_PROXY",   "NO_PROXY",
				    "ALL_PROXY",  "SSL_CERT_FILE", "SSL_CERT_DIR" };

struct fetch_process *fetch_process_free(struct fetch_process *p)
{
	if (!p)
		return NULL;

	sd_event_source_disable_unref(p->exit);
	if (p->pid > 0) {
		kill(p->pid, SIGKILL);
		waitpid(p->pid, NULL, 0);
	}
	safe_close(p->pidfd);
	safe_close(p->sock);
	free(p);
	return NULL;
}

static int on_exit_of(sd_event_source *source _unused_, int fd _unused_, uint32_t revents _unused_,
		      void *arg)
{
	struct fetch_process *p = arg;
	struct fetch_reply reply;

	if (waitpid(p->pid, NULL, WNOHANG) == 0)
		return 0;
	p->pid = 0;
	p->exit = sd_event_source_disable_unref(p->exit);
	if (recv(p->sock, &reply, sizeof(reply), MSG_DONTWAIT) != sizeof(reply))
		reply = (struct fetch_reply){ .error = -EIO };
	p->done(p->arg, &reply);
	return 0;
}

static int process_files(posix_spawn_file_actions_t *actions, int sock)
{
	int r;

	r = posix_spawn_file_actions_addopen(actions, 0, "/dev/null", O_RDWR, 0);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(actions, 0, 1);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(actions, 0, 2);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(actions, sock, FETCH_FD);
	if (r == 0)
		r = posix_spawn_file_actions_addclosefrom_np(actions, FETCH_FD + 1);
	return -r;
}

static int process_spawn(struct fetch_process *p, const char *path, int sock)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	char ids[2][16], *argv[] = { (char *)"cprof-fetch", ids[0], ids[1], NULL };
	char values[ARRAY_SIZE(kept)][1024], *envp[ARRAY_SIZE(kept) + 1] = { 0 };
	uint32_t uid = 0;
	size_t n = 0;
	int r;

	if (uid_may_change() && uid_find_free(&uid) < 0)
		return -EAGAIN;
	snprintf(ids[0], sizeof(ids[0]), "%u", uid);
	snprintf(ids[1], sizeof(ids[1]), "%u", uid);
	for (size_t i = 0; i < ARRAY_SIZE(kept); i++) {
		const char *value = getenv(kept[i]);

		if (!value || snprintf(values[n], sizeof(values[n]), "%s=%s", kept[i], value) >=
				      (int)sizeof(values[n]))
			continue;
		envp[n] = values[n];
		n++;
	}

	if (posix_spawn_file_actions_init(&actions) != 0)
		return -ENOMEM;
	if (posix_spawnattr_init(&attributes) != 0) {
		posix_spawn_file_actions_destroy(&actions);
		return -ENOMEM;
	}
	r = process_files(&actions, sock);
	if (r == 0)
		r = child_attributes(&attributes);
	if (r == 0)
		r = -posix_spawn(&p->pid, path, &actions, &attributes, argv, envp);
	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	if (r < 0)
		p->pid = 0;
	return r;
}

static int process_send(struct fetch_process *p, const void *data, size_t size, int fd)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = { 0 };
	struct iovec iov = { (void *)data, size };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (fd >= 0) {
		m.msg_control = &control;
		m.msg_controllen = sizeof(control);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(fd));
	}
	return sendmsg(p->sock, &m, MSG_NOSIGNAL | MSG_DONTWAIT) < 0 ? -errno : 0;
}

DEFINE_CLEANUP(struct fetch_process *, fetch_process_free)

int fetch_process_new(struct fetch_process **ret, sd_event *event, const char *path,
		      const char *urls, const struct fetch_request *request, int fd,
		      fetch_done_t done, void *arg)
{
	_cleanup_(fetch_process_freep) struct fetch_process *p = calloc(1, sizeof(*p));
	_cleanup_close_ int other = -1;
	int pair[2], r;

	if (!p)
		return -ENOMEM;
	p->sock = p->pidfd = -1;
	p->done = done;
	p->arg = arg;
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	p->sock = pair[0];
	other = pair[1];

	r = process_spawn(p, path, other);
	if (r < 0)
		return r;
	p->pidfd = (int)syscall(SYS_pidfd_open, p->pid, 0);
	if (p->pidfd < 0)
		return -errno;
	r = process_send(p, urls, strlen(urls), -1);
	if (r == 0)
		r = process_send(p, request, sizeof(*request), fd);
	if (r < 0)
		return r;
	r = sd_event_add_io(event, &p->exit, p->pidfd, EPOLLIN, on_exit_of, p);
	if (r < 0)
		return r;

	*ret = TAKE_PTR(p);
	return 0;
}
