/* SPDX-License-Identifier: Apache-2.0 */
#include "zygote.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "child.h"
#include "cleanup.h"

#define ZYGOTE_END_MS 2000

struct zygote {
	struct zygote_options options;
	sd_event *event;
	int control;
	int pidfd;
	pid_t pid;
	sd_event_source *control_source;
	sd_event_source *pid_source;
};

DEFINE_CLEANUP(struct zygote *, zygote_free);

static void zygote_close_control(struct zygote *z)
{
	z->control_source = sd_event_source_disable_unref(z->control_source);
	z->control = safe_close(z->control);
}

/*
 * Without CAP_KILL a process of another uid cannot be killed; then the closed control socket ends
 * it, in its own time.
 */
static void zygote_end(struct zygote *z)
{
	struct pollfd p = { .fd = z->pidfd, .events = POLLIN };

	zygote_kill(z);
	if (p.fd >= 0)
		while (poll(&p, 1, ZYGOTE_END_MS) < 0 && errno == EINTR)
			;
	waitpid(z->pid, NULL, WNOHANG);
}

struct zygote *zygote_free(struct zygote *z)
{
	if (!z)
		return NULL;

	zygote_close_control(z);
	z->pid_source = sd_event_source_disable_unref(z->pid_source);
	if (z->pid > 0)
		zygote_end(z);
	safe_close(z->pidfd);
	sd_event_unref(z->event);
	free(z);
	return NULL;
}

static int zygote_receive(struct zygote *z, struct job_report *ret)
{
	struct job_report report;
	ssize_t n;

	do {
		n = recv(z->control, &report, sizeof(report), MSG_DONTWAIT | MSG_TRUNC);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (n == 0)
		return -EPIPE;
	if (n != sizeof(report))
		return -EPROTO;

	*ret = report;
	return 0;
}

/* Reads what is there; the process's exit, not the socket's end, says that it is gone. */
static void zygote_drain(struct zygote *z)
{
	while (z->control >= 0) {
		struct job_report report;
		int error = zygote_receive(z, &report);

		if (error == -EAGAIN)
			return;
		if (error < 0) {
			zygote_close_control(z);
			zygote_kill(z);
			return;
		}
		z->options.report(z->options.arg, &report);
	}
}

static int zygote_on_control(sd_event_source *s, int fd _unused_, uint32_t revents, void *arg)
{
	struct zygote *z = arg;

	if (revents & EPOLLOUT) {
		sd_event_source_set_io_events(s, EPOLLIN);
		z->options.writable(z->options.arg);
	}
	if (revents & ~EPOLLOUT)
		zygote_drain(z);
	return 0;
}

static int zygote_on_exit(sd_event_source *s _unused_, int fd _unused_, uint32_t revents _unused_,
			  void *arg)
{
	struct zygote *z = arg;

	if (waitpid(z->pid, NULL, WNOHANG) == 0)
		return 0;

	z->pid = -1;
	z->pid_source = sd_event_source_disable_unref(z->pid_source);
	zygote_drain(z);
	zygote_close_control(z);
	z->options.gone(z->options.arg);
	return 0;
}

static int zygote_file_actions(posix_spawn_file_actions_t *actions, int control)
{
	int r;

	r = posix_spawn_file_actions_addopen(actions, 0, "/dev/null", O_RDWR, 0);
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(actions, 0, 1);
#ifndef CPROF_SANITIZED
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(actions, 0, 2);
#endif
	if (r == 0)
		r = posix_spawn_file_actions_adddup2(actions, control, JOB_ZYGOTE_FD);
	if (r == 0)
		r = posix_spawn_file_actions_addclosefrom_np(actions, JOB_ZYGOTE_FD + 1);
	return -r;
}

static int zygote_spawn(struct zygote *z, int control)
{
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attributes;
	char uid[16], gid[16];
	char *argv[] = { (char *)"cprof-worker", (char *)"--zygote", uid, gid, NULL };
	char *envp[] = { NULL };
	int r;

	snprintf(uid, sizeof(uid), "%u", z->options.uid);
	snprintf(gid, sizeof(gid), "%u", z->options.gid);

	if (posix_spawn_file_actions_init(&actions) != 0)
		return -ENOMEM;
	if (posix_spawnattr_init(&attributes) != 0) {
		posix_spawn_file_actions_destroy(&actions);
		return -ENOMEM;
	}

	r = zygote_file_actions(&actions, control);
	if (r == 0)
		r = child_attributes(&attributes);
	if (r == 0)
		r = -posix_spawn(&z->pid, z->options.path, &actions, &attributes, argv, envp);

	posix_spawnattr_destroy(&attributes);
	posix_spawn_file_actions_destroy(&actions);
	if (r < 0)
		z->pid = -1;
	return r;
}

static int zygote_watch(struct zygote *z)
{
	int r;

	z->pidfd = (int)syscall(SYS_pidfd_open, z->pid, 0);
	if (z->pidfd < 0)
		return -errno;

	r = sd_event_add_io(z->event, &z->control_source, z->control, EPOLLIN, zygote_on_control,
			    z);
	if (r < 0)
		return r;

	return sd_event_add_io(z->event, &z->pid_source, z->pidfd, EPOLLIN, zygote_on_exit, z);
}

int zygote_new(struct zygote **ret, sd_event *event, const struct zygote_options *options)
{
	_cleanup_(zygote_freep) struct zygote *z = NULL;
	_cleanup_close_ int theirs = -1;
	int sv[2], r;

	z = calloc(1, sizeof(*z));
	if (!z)
		return -ENOMEM;
	z->options = *options;
	z->event = sd_event_ref(event);
	z->control = z->pidfd = -1;
	z->pid = -1;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, sv) < 0)
		return -errno;
	z->control = sv[0];
	/* dup2() to its own number would leave it close-on-exec */
	theirs = sv[1];
	if (theirs <= JOB_ZYGOTE_FD) {
		theirs = fcntl(sv[1], F_DUPFD_CLOEXEC, JOB_ZYGOTE_FD + 1);
		safe_close(sv[1]);
		if (theirs < 0)
			return -errno;
	}

	r = zygote_spawn(z, theirs);
	if (r < 0)
		return r;

	r = zygote_watch(z);
	if (r < 0)
		return r;

	*ret = TAKE_PTR(z);
	return 0;
}

int zygote_wait_hello(struct zygote *z, uint64_t timeout_ns, struct job_report *ret)
{
	struct pollfd p = { .fd = z->control, .events = POLLIN };
	struct timespec ts = { .tv_sec = (time_t)(timeout_ns / NSEC_PER_SEC),
			       .tv_nsec = (long)(timeout_ns % NSEC_PER_SEC) };
	int r;

	do {
		r = ppoll(&p, 1, &ts, NULL);
	} while (r < 0 && errno == EINTR);
	if (r < 0)
		return -errno;
	if (r == 0)
		return -ETIME;

	return zygote_receive(z, ret);
}

int zygote_send(struct zygote *z, const struct job_header *header, int fd)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {};
	struct iovec iov = { .iov_base = (void *)header, .iov_len = sizeof(*header) };
	struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };

	if (z->control < 0)
		return -EPIPE;

	if (fd >= 0) {
		m.msg_control = control.bytes;
		m.msg_controllen = sizeof(control.bytes);
		control.header.cmsg_level = SOL_SOCKET;
		control.header.cmsg_type = SCM_RIGHTS;
		control.header.cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(&control.header), &fd, sizeof(int));
	}

	if (sendmsg(z->control, &m, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		return 0;
	if (errno == ECONNRESET || errno == ENOTCONN)
		return -EPIPE;
	if (errno != EAGAIN && errno != EINTR)
		return -errno;

	sd_event_source_set_io_events(z->control_source, EPOLLIN | EPOLLOUT);
	return -EAGAIN;
}

void zygote_kill(struct zygote *z)
{
	if (z->pid > 0)
		kill(z->pid, SIGKILL);
}

int zygote_pid(const struct zygote *z)
{
	return z->pid;
}
