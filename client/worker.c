/* SPDX-License-Identifier: Apache-2.0 */
#include "worker.h"

#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "cprof/jobs.h"
#include "debug_paths.h"
#include "uid.h"

#define WORKER_MEMORY_MIB       4096
#define WORKER_MEMORY_TEXT      "4 GiB"
#define WORKER_END_MS           1000
#define WORKER_MAX_ANSWER_BYTES (256U << 20)

struct worker {
	pid_t pid;
	int control;
	int sock; /* of the session, -1 none */
	uint64_t id;
	int fd; /* that goes with the first question, then -1 */
	char *path;
	const char *debug_folder;
	uint32_t flags;
	const char *section;
	struct debug_paths paths;
	struct buf question, answer;
};

/* Beside our own file (a build folder), in its prefix, then where the system has it. */
static void worker_exec(char **argv)
{
	static const char *const beside[] = { "cprof-worker", "../libexec/cprofd/cprof-worker",
					      "../lib/cprofd/cprof-worker" };
	char exe[PATH_MAX], path[PATH_MAX + 64];
	char *envp[] = { NULL };
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	char *slash;

	if (n > 0) {
		exe[n] = '\0';
		slash = strrchr(exe, '/');
		for (size_t i = 0; slash && i < ARRAY_SIZE(beside); i++) {
			snprintf(path, sizeof(path), "%.*s/%s", (int)(slash - exe), exe, beside[i]);
			execve(path, argv, envp);
		}
	}
	execve("/usr/libexec/cprofd/cprof-worker", argv, envp);
}

/* A process group of its own: Ctrl-C is for the client, whose end is the worker's. */
static _Noreturn void worker_child(int control, int fail_fd, uint32_t id)
{
	char number[16];
	char *argv[] = { (char *)"cprof-worker", (char *)"--zygote", number, number, NULL };
	sigset_t none;
	int null, error;

	setpgid(0, 0);
	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	signal(SIGPIPE, SIG_DFL);
	snprintf(number, sizeof(number), "%u", id);

	null = open("/dev/null", O_RDWR | O_CLOEXEC);
	control = fcntl(control, F_DUPFD_CLOEXEC, 16);
	fail_fd = fcntl(fail_fd, F_DUPFD_CLOEXEC, 16);
	if (null >= 0 && dup2(null, 0) >= 0 && dup2(null, 1) >= 0 && dup2(null, 2) >= 0 &&
	    dup2(control, JOB_ZYGOTE_FD) >= 0)
		worker_exec(argv);
	error = errno;
	if (write(fail_fd, &error, sizeof(error)) < 0)
		_exit(1);
	_exit(127);
}

static int worker_spawn(struct worker *w, uint32_t id)
{
	_cleanup_close_ int theirs = -1, fail_read = -1, fail_write = -1;
	int pair[2], error;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	w->control = pair[0];
	theirs = pair[1];
	if (pipe2(pair, O_CLOEXEC) < 0)
		return -errno;
	fail_read = pair[0];
	fail_write = pair[1];

	w->pid = fork();
	if (w->pid < 0) {
		w->pid = 0;
		return -errno;
	}
	if (w->pid == 0)
		worker_child(theirs, fail_write, id);
	fail_write = safe_close(fail_write);
	return read(fail_read, &error, sizeof(error)) == sizeof(error) ? -error : 0;
}

/* The first report: its sandbox stands, or why not. */
static int worker_wait_hello(struct worker *w)
{
	struct job_report report;
	ssize_t n;

	do {
		n = recv(w->control, &report, sizeof(report), 0);
	} while (n < 0 && errno == EINTR);
	if (n < 0)
		return -errno;
	if (n != sizeof(report) || report.kind != JOB_REPORT_HELLO)
		return -EPIPE;
	if (report.error < 0)
		return report.error;
	return report.sandbox & JOB_SANDBOX_SECCOMP ? 0 : -EPROTONOSUPPORT;
}

int worker_new(struct worker **ret)
{
	_cleanup_(worker_freep) struct worker *w = calloc(1, sizeof(*w));
	uint32_t id = 0;
	int r;

	if (!w)
		return -ENOMEM;
	w->control = w->sock = w->fd = -1;
	w->question = BUF_INIT(JOB_MAX_INPUT_BYTES);
	w->answer = BUF_INIT(WORKER_MAX_ANSWER_BYTES);
	if (uid_may_change()) {
		r = uid_find_free(&id);
		if (r < 0)
			return r;
	}
	r = worker_spawn(w, id);
	if (r == 0)
		r = worker_wait_hello(w);
	if (r < 0)
		return r;
	*ret = TAKE_PTR(w);
	return 0;
}

static void worker_close(struct worker *w)
{
	w->sock = safe_close(w->sock);
	w->fd = safe_close(w->fd);
	free(w->path);
	w->path = NULL;
	debug_paths_done(&w->paths);
}

/* Lets the worker see its last job end, so that what the job used is counted as ours (times(2)). */
static void worker_wait_job(const struct worker *w)
{
	struct pollfd p = { .fd = w->control, .events = POLLIN };
	struct job_report report = { 0 };

	while (w->id > 0 && report.kind != JOB_REPORT_EXIT && poll(&p, 1, WORKER_END_MS) > 0 &&
	       recv(w->control, &report, sizeof(report), 0) == sizeof(report))
		;
}

struct worker *worker_free(struct worker *w)
{
	if (!w)
		return NULL;
	worker_close(w);
	worker_wait_job(w);
	safe_close(w->control);
	/* the end of its control socket ends it, and its job with it */
	if (w->pid > 0)
		waitpid(w->pid, NULL, 0);
	buf_done(&w->question);
	buf_done(&w->answer);
	free(w);
	return NULL;
}

/* size bytes, with a descriptor at the first of them where fd >= 0. */
static int worker_send(int sock, const void *data, size_t size, int fd)
{
	union {
		struct cmsghdr header;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {};
	const char *p = data;

	while (size > 0) {
		struct iovec iov = { .iov_base = (void *)(uintptr_t)p, .iov_len = size };
		struct msghdr m = { .msg_iov = &iov, .msg_iovlen = 1 };
		ssize_t n;

		if (fd >= 0) {
			m.msg_control = control.bytes;
			m.msg_controllen = sizeof(control.bytes);
			control.header.cmsg_level = SOL_SOCKET;
			control.header.cmsg_type = SCM_RIGHTS;
			control.header.cmsg_len = CMSG_LEN(sizeof(int));
			memcpy(CMSG_DATA(&control.header), &fd, sizeof(int));
		}
		n = sendmsg(sock, &m, MSG_NOSIGNAL);
		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			return errno == ECONNRESET ? -EPIPE : -errno;
		fd = -1;
		p += n;
		size -= (size_t)n;
	}
	return 0;
}

static int worker_read(int sock, void *data, size_t size)
{
	char *p = data;

	while (size > 0) {
		ssize_t n = recv(sock, p, size, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0 && errno != ECONNRESET)
			return -errno;
		if (n <= 0)
			return -EPIPE;
		p += n;
		size -= (size_t)n;
	}
	return 0;
}

int worker_open(struct worker *w, int fd, const char *path, const char *debug_folder,
		uint32_t flags, const char *section, bool last)
{
	struct job_header header = {
		.kind = JOB_SYMBOLIZE_SESSION,
		.memory_bytes_mib = WORKER_MEMORY_MIB,
		.cpu_seconds = INT_MAX,
		.flags = last ? JOB_LAST : 0,
		.id = ++w->id,
	};
	_cleanup_close_ int theirs = -1;
	int pair[2], r;

	worker_close(w);
	w->path = realpath(path, NULL);
	if (!w->path)
		w->path = strdup(path);
	w->fd = fcntl(fd, F_DUPFD_CLOEXEC, 3);
	if (!w->path || w->fd < 0)
		return -ENOMEM;
	w->debug_folder = debug_folder;
	w->flags = flags;
	w->section = section;

	if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair) < 0)
		return -errno;
	w->sock = pair[0];
	theirs = pair[1];
	r = worker_send(w->control, &header, sizeof(header), theirs);
	return r;
}

/* /usr/lib/debug/x is x beneath a folder of debug files; any other path is itself there. */
static int worker_open_path(const struct worker *w, const char *path)
{
	static const char system[] = "/usr/lib/debug/";
	const int flags = O_RDONLY | O_CLOEXEC | O_NOCTTY | O_NONBLOCK;
	char beneath[PATH_MAX];
	int fd = -1;

	if (w->debug_folder) {
		bool under = strncmp(path, system, sizeof(system) - 1) == 0;

		snprintf(beneath, sizeof(beneath), "%s/%s", w->debug_folder,
			 under ? path + sizeof(system) - 1 : path);
		fd = open(beneath, flags);
	}
	if (fd < 0)
		fd = open(path, flags);
	return fd < 0 ? -errno : fd;
}

/* The job asks for a debug file. */
static int worker_opened(struct worker *w, const struct job_open *request, const char *id)
{
	struct job_message message = { .kind = JOB_MSG_OPENED };
	_cleanup_close_ int fd = -1;
	int r;

	for (;;) {
		_cleanup_free_ char *path = NULL;

		r = debug_paths_next(&w->paths, request, id, w->path, &path);
		if (r < 0)
			break;
		r = worker_open_path(w, path);
		if (r >= 0) {
			fd = r;
			break;
		}
	}
	message.value = fd < 0 ? r : 0;
	return worker_send(w->sock, &message, sizeof(message), fd);
}

static int worker_on_open(struct worker *w, uint64_t size)
{
	struct {
		struct job_open request;
		char id[JOB_MAX_OPEN_ID_BYTES + 1];
	} o;
	int r;

	if (size < sizeof(o.request) || size > sizeof(o.request) + JOB_MAX_OPEN_ID_BYTES)
		return -EBADMSG;
	r = worker_read(w->sock, &o.request, sizeof(o.request));
	if (r < 0)
		return r;
	if (o.request.id_bytes != size - sizeof(o.request) ||
	    o.request.build_id_bytes > sizeof(o.request.build_id))
		return -EBADMSG;
	r = worker_read(w->sock, o.id, o.request.id_bytes);
	if (r < 0)
		return r;
	o.id[o.request.id_bytes] = '\0';
	return worker_opened(w, &o.request, o.id);
}

static int worker_read_answer(struct worker *w)
{
	struct job_message message;
	void *p;
	int r;

	for (unsigned opens = 0; opens <= JOB_MAX_OPENS; opens++) {
		r = worker_read(w->sock, &message, sizeof(message));
		if (r < 0)
			return r;
		if (message.kind == JOB_MSG_ANSWER)
			break;
		r = message.kind == JOB_MSG_OPEN ? worker_on_open(w, message.size_bytes) : -EBADMSG;
		if (r < 0)
			return r;
	}
	if (message.kind != JOB_MSG_ANSWER || message.value > 0 ||
	    message.size_bytes > WORKER_MAX_ANSWER_BYTES)
		return -EBADMSG;
	if (message.value < 0)
		return message.value;

	buf_reset(&w->answer);
	p = buf_reserve(&w->answer, (size_t)message.size_bytes);
	if (!p)
		return -ENOMEM;
	r = worker_read(w->sock, p, (size_t)message.size_bytes);
	if (r == 0)
		w->answer.size = (size_t)message.size_bytes;
	return r;
}

static int worker_send_question(struct worker *w, const uint64_t *offsets, size_t n)
{
	struct job_message message = { .kind = JOB_MSG_INPUT };
	struct symbolize_input head = {
		.flags = w->flags,
		.n_offsets = (uint32_t)n,
		.n_sections = w->section != NULL,
	};
	struct symbolize_section section = { 0 };
	int r;

	message.size_bytes = sizeof(head) + n * sizeof(*offsets);
	if (w->section) {
		snprintf(section.name, sizeof(section.name), "%s", w->section);
		message.size_bytes += sizeof(section);
	}
	buf_reset(&w->question);
	buf_append(&w->question, &message, sizeof(message));
	buf_append(&w->question, &head, sizeof(head));
	r = buf_append(&w->question, offsets, n * sizeof(*offsets));
	if (w->section)
		r = buf_append(&w->question, &section, sizeof(section));
	if (r < 0)
		return r;
	r = worker_send(w->sock, w->question.data, w->question.size, w->fd);
	w->fd = safe_close(w->fd);
	return r;
}

int worker_ask(struct worker *w, const uint64_t *offsets, size_t n, struct symanswer *ret)
{
	int r;

	if (w->sock < 0)
		return -ENOTCONN;
	r = worker_send_question(w, offsets, n);
	/* what it said before it went counts */
	if (r == 0 || r == -EPIPE)
		r = worker_read_answer(w);
	if (r == 0)
		r = w->flags & SYMBOLIZE_VADDR
			    ? symanswer_check_vaddrs(w->answer.data, w->answer.size, offsets, n,
						     ret)
			    : symanswer_check(w->answer.data, w->answer.size, offsets, n, ret);
	if (r < 0)
		worker_close(w);
	return r;
}

const char *worker_start_error(int error)
{
	switch (error) {
	case -ENOENT:
		return "no cprof-worker beside cprofctl: install cprofd's package whole";
	case -EPROTONOSUPPORT:
		return "this kernel has no seccomp filters: without them no foreign file is read";
	default:
		return strerror(-error);
	}
}

const char *worker_error(int error)
{
	switch (error) {
	case -ETXTBSY:
		return "it, or its debug file, changed while it was read: try again";
	case -ENOEXEC:
		return "not an ELF file for x86-64";
	case -EINVAL:
		return "linked: --section is for object files and kernel modules, whose code has "
		       "no addresses yet";
	case -ENOENT:
		return "no such section with code";
	case -EOPNOTSUPP:
		return "an object file or kernel module, whose code has no addresses before it is "
		       "loaded";
	case -EPIPE:
		return "cannot be read: cprof-worker ended over it";
	case -EFBIG:
		return "debug information in a file over " SYMBOLIZE_MAX_DWARF_FILE_TEXT
		       " is not read; --symbols=fast looks into symbol tables only";
	case -ENOMEM:
		return "needs more memory than cprof-worker may have (" WORKER_MEMORY_TEXT
		       "); --symbols=fast needs less";
	case -EBADMSG:
	case -ENODATA:
		return "broken";
	default:
		return strerror(-error);
	}
}
