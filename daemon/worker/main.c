/* SPDX-License-Identifier: Apache-2.0 */
/*
 * cprof-worker: a zygote that shuts itself in and then forks one short-lived process a job. It reads
 * datagrams of fixed size and nothing else; what a job is about only its own process sees.
 */

#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "attach.h"
#include "broker.h"
#include "cleanup.h"
#include "hurry.h"
#include "protocol.h"
#include "sandbox.h"
#include "task.h"
#include "text.h"

struct child {
	pid_t pid; /* 0: the place is free */
	bool due;  /* ended; `report` is still to be sent */
	struct job_report report;
};

struct nursery {
	int control; /* the daemon */
	int signals;
	struct sandbox sandbox;
	struct child children[JOB_MAX_PARALLEL];
};

#ifdef CPROF_SANITIZED
/* Crashes are to look as they do without; leak checking would need ptrace. */
const char *__asan_default_options(void);
const char *__asan_default_options(void)
{
	return "detect_leaks=0:handle_segv=0:handle_sigbus=0:handle_abort=0:"
	       "allocator_may_return_null=1";
}
#endif

static uint64_t cpu_ns(const struct rusage *u)
{
	return ((uint64_t)u->ru_utime.tv_sec + (uint64_t)u->ru_stime.tv_sec) * NSEC_PER_SEC +
	       ((uint64_t)u->ru_utime.tv_usec + (uint64_t)u->ru_stime.tv_usec) * NSEC_PER_USEC;
}

/* -EAGAIN when the daemon does not read at present; without a daemon there is nothing left to do. */
static int nursery_report(struct nursery *n, struct job_report *report)
{
	struct rusage usage = {};

	getrusage(RUSAGE_SELF, &usage);
	report->zygote_cpu_ns = cpu_ns(&usage);
	if (send(n->control, report, sizeof(*report), MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
		return 0;
	if (errno == EAGAIN || errno == EINTR)
		return -EAGAIN;
	_exit(0);
}

/* A library has called exit(): libdw, when it is out of memory. */
static void on_exit_of_job(void)
{
	_exit(JOB_EXIT_NO_MEMORY);
}

static _Noreturn void run_job(const struct nursery *n, const struct job_header *header, int sock)
{
	struct task task = {};
	int r;

	/* all other descriptors are the zygote's: its control socket is what a job must not have */
	if (dup2(sock, JOB_ZYGOTE_FD) < 0 || close_range(JOB_ZYGOTE_FD + 1, ~0U, 0) < 0)
		_exit(JOB_EXIT_LOST);
	if (atexit(on_exit_of_job) != 0 || broker_install(&task) < 0)
		_exit(JOB_EXIT_LOST);
	if (sandbox_enter_job(&n->sandbox, header) < 0)
		_exit(JOB_EXIT_LOST);

	r = task_receive(&task, JOB_ZYGOTE_FD, header->kind);
	if (r == -EPIPE)
		_exit(JOB_EXIT_LOST);
	if (r == 0)
		r = task_run(&task);
	_exit(task_send_answer(&task, r) < 0 ? JOB_EXIT_LOST : 0);
}

static struct child *nursery_find(struct nursery *n, pid_t pid)
{
	for (size_t i = 0; i < ARRAY_SIZE(n->children); i++)
		if (n->children[i].pid == pid && !n->children[i].due)
			return &n->children[i];
	return NULL;
}

static struct child *nursery_free_place(struct nursery *n)
{
	for (size_t i = 0; i < ARRAY_SIZE(n->children); i++)
		if (n->children[i].pid == 0 && !n->children[i].due)
			return &n->children[i];
	return NULL;
}

static void nursery_flush(struct nursery *n, struct child *c)
{
	if (c->due && nursery_report(n, &c->report) == 0)
		*c = (struct child){};
}

static void nursery_start(struct nursery *n, const struct job_header *header, int sock)
{
	struct child *c = nursery_free_place(n);
	struct job_report report = { .kind = JOB_REPORT_STARTED, .id = header->id };
	pid_t pid;

	if (header->flags & JOB_LAST)
		run_job(n, header, sock);

	if (!c) {
		/* more than agreed; if this is lost, the closed socket says the same */
		report.kind = JOB_REPORT_EXIT;
		report.error = -EAGAIN;
		nursery_report(n, &report);
		return;
	}

	pid = fork();
	if (pid == 0)
		run_job(n, header, sock);

	c->report = (struct job_report){ .kind = JOB_REPORT_EXIT, .id = header->id };
	if (pid < 0) {
		c->report.error = -errno;
		c->due = true;
		nursery_flush(n, c);
		return;
	}

	c->pid = c->report.pid = report.pid = pid;
	nursery_report(n, &report);
}

static void nursery_kill(struct nursery *n, uint64_t id)
{
	for (size_t i = 0; i < ARRAY_SIZE(n->children); i++) {
		struct child *c = &n->children[i];

		/* not waited for yet, so that the pid is still its own */
		if (c->pid > 0 && !c->due && c->report.id == id)
			kill(c->pid, SIGKILL);
	}
}

static int take_fd(struct msghdr *m)
{
	struct cmsghdr *c = CMSG_FIRSTHDR(m);
	int fd;

	if (!c || c->cmsg_level != SOL_SOCKET || c->cmsg_type != SCM_RIGHTS ||
	    c->cmsg_len != CMSG_LEN(sizeof(int)))
		return -1;
	memcpy(&fd, CMSG_DATA(c), sizeof(int));
	return fd;
}

/* One datagram. The daemon is trusted to speak the protocol; if it does not, all is lost anyway. */
static void nursery_on_control(struct nursery *n)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct job_header header;
	struct iovec iov = { &header, sizeof(header) };
	struct msghdr m = { .msg_iov = &iov,
			    .msg_iovlen = 1,
			    .msg_control = control.bytes,
			    .msg_controllen = sizeof(control.bytes) };
	_cleanup_close_ int fd = -1;
	ssize_t size = recvmsg(n->control, &m, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);

	if (size < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (size != sizeof(header))
		_exit(size == 0 ? 0 : 1);

	fd = take_fd(&m);
	if (header.kind == JOB_KILL)
		nursery_kill(n, header.id);
	else if (fd >= 0)
		nursery_start(n, &header, fd);
}

static void nursery_on_signal(struct nursery *n)
{
	struct signalfd_siginfo info;
	struct rusage usage;
	pid_t pid;
	int status;

	if (read(n->signals, &info, sizeof(info)) < 0 && errno != EAGAIN)
		return;

	while ((pid = wait4(-1, &status, WNOHANG, &usage)) > 0) {
		struct child *c = nursery_find(n, pid);

		if (!c)
			continue;
		c->report.status = status;
		c->report.cpu_ns = cpu_ns(&usage);
		c->report.max_rss_bytes = (uint64_t)usage.ru_maxrss * 1024;
		c->due = true;
		nursery_flush(n, c);
	}
}

static bool nursery_flush_all(struct nursery *n)
{
	bool due = false;

	for (size_t i = 0; i < ARRAY_SIZE(n->children); i++) {
		nursery_flush(n, &n->children[i]);
		due |= n->children[i].due;
	}
	return due;
}

static _Noreturn void nursery_loop(struct nursery *n)
{
	struct pollfd p[] = { { .fd = n->control }, { .fd = n->signals, .events = POLLIN } };

	for (;;) {
		p[0].events = (short)(POLLIN | (nursery_flush_all(n) ? POLLOUT : 0));
		if (poll(p, ARRAY_SIZE(p), -1) < 0)
			continue;
		if (p[1].revents)
			nursery_on_signal(n);
		if (p[0].revents & (POLLIN | POLLHUP | POLLERR))
			nursery_on_control(n);
	}
}

/* Descriptors 0 to 2 are the daemon's /dev/null. */
static int nursery_open(struct nursery *n)
{
	sigset_t mask;

	n->control = JOB_ZYGOTE_FD;
	sigemptyset(&mask);
	sigaddset(&mask, SIGCHLD);
	if (sigprocmask(SIG_BLOCK, &mask, NULL) < 0)
		return -errno;
	n->signals = signalfd(-1, &mask, SFD_CLOEXEC | SFD_NONBLOCK);
	return n->signals < 0 ? -errno : 0;
}

static bool is_control_socket(int fd)
{
	socklen_t size = sizeof(int);
	int type;

	return getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 && type == SOCK_SEQPACKET;
}

int main(int argc, char **argv)
{
	static struct nursery n;
	struct job_report hello = { .kind = JOB_REPORT_HELLO };
	uint64_t uid, gid;

	if (argc == 5 && strcmp(argv[1], "--attach") == 0)
		return attach_main(argv + 2);
	if (argc != 4 || strcmp(argv[1], "--zygote") != 0 ||
	    text_parse_u64(argv[2], UINT32_MAX - 1, &uid) < 0 ||
	    text_parse_u64(argv[3], UINT32_MAX - 1, &gid) < 0 ||
	    !is_control_socket(JOB_ZYGOTE_FD)) {
		fputs("cprof-worker: started by cprofd, which hands it its work\n", stderr);
		return 2;
	}

	close_range(JOB_ZYGOTE_FD + 1, ~0U, 0);
	clearenv();
	process_no_hurry(); /* the daemon is in one */
	hello.error = nursery_open(&n);
	if (hello.error == 0)
		hello.error = sandbox_enter(&n.sandbox, (uid_t)uid, (gid_t)gid);
	hello.sandbox = n.sandbox.flags;
	nursery_report(&n, &hello);
	if (hello.error < 0)
		_exit(1);

	nursery_loop(&n);
}
