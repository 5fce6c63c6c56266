/* SPDX-License-Identifier: Apache-2.0 */
#include "attach.h"

#include <fcntl.h>
#include <linux/openat2.h>
#include <signal.h>
#include <stdbool.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

#include "buf.h"
#include "cleanup.h"
#include "clock.h"
#include "hurry.h"
#include "protocol.h"
#include "sandbox.h"
#include "stat.h"
#include "text.h"

#define START_SLACK_NS  (20 * NSEC_PER_MSEC) /* of clock ticks */
#define LOOK_NS         (20 * NSEC_PER_MSEC)
#define PROC_FILE_BYTES (1U << 20)
#define ANSWER_BYTES    65536

struct attach {
	uint64_t pid, ns_pid, start_ns;
	uid_t uid;
	gid_t gid;
	int pidfd, proc, status, tmp;
	uint64_t deadline_ns;
};

static int attach_read(const struct attach *a, const char *name, struct buf *text)
{
	_cleanup_close_ int fd = openat(a->proc, name, O_RDONLY | O_CLOEXEC);
	int r;

	if (fd < 0)
		return -errno;
	r = buf_read_fd(text, fd);
	if (r < 0)
		return r;
	return text->data ? buf_putc(text, '\0') : -ESRCH;
}

/* The process is the one that is meant: pidfd was opened before, and holds the same one. */
static int attach_check_start(const struct attach *a)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT(PROC_FILE_BYTES);
	struct proc_stat st;
	uint64_t start_ns;
	int r;

	r = attach_read(a, "stat", &text);
	if (r == 0)
		r = stat_parse(text.data, text.size - 1, &st);
	if (r < 0)
		return r;
	start_ns = st.start_ticks * (NSEC_PER_SEC / (uint64_t)sysconf(_SC_CLK_TCK));
	return start_ns > a->start_ns + START_SLACK_NS || start_ns + START_SLACK_NS < a->start_ns
		       ? -ESRCH
		       : 0;
}

static int attach_check_program(const struct attach *a)
{
	_cleanup_(buf_done) struct buf text = BUF_INIT(PROC_FILE_BYTES);
	char exe[4096], *slash;
	ssize_t n = readlinkat(a->proc, "exe", exe, sizeof(exe) - 1);
	int r;

	if (n < 0)
		return -errno;
	exe[n] = '\0';
	slash = strrchr(exe, '/');
	if (!slash || (strcmp(slash, "/java") != 0 && strcmp(slash, "/java (deleted)") != 0))
		return -EPERM;

	/* it would answer the signal with a dump of its threads */
	r = attach_read(a, "cmdline", &text);
	if (r < 0)
		return r;
	return memmem(text.data, text.size, "-XX:+DisableAttachMechanism", 27) ? -EPERM : 0;
}

static bool all_same(const unsigned *ids)
{
	return ids[0] == ids[1] && ids[0] == ids[2] && ids[0] == ids[3];
}

/* One user and group in all respects, and a handler for SIGQUIT, which would end it otherwise. */
static int attach_check_status(const struct attach *a, uid_t *ret_uid, gid_t *ret_gid)
{
	char text[8192], *p;
	ssize_t n = pread(a->status, text, sizeof(text) - 1, 0);
	unsigned uids[4], gids[4];
	unsigned long long caught;

	if (n <= 0)
		return -ESRCH;
	text[n] = '\0';
	p = strstr(text, "\nUid:");
	if (!p || sscanf(p, "\nUid: %u %u %u %u", &uids[0], &uids[1], &uids[2], &uids[3]) != 4)
		return -EBADMSG;
	p = strstr(text, "\nGid:");
	if (!p || sscanf(p, "\nGid: %u %u %u %u", &gids[0], &gids[1], &gids[2], &gids[3]) != 4)
		return -EBADMSG;
	p = strstr(text, "\nSigCgt:");
	if (!p || sscanf(p, "\nSigCgt: %llx", &caught) != 1)
		return -EBADMSG;
	if (!all_same(uids) || !all_same(gids) || !(caught & 1ULL << (SIGQUIT - 1)))
		return -EPERM;

	*ret_uid = uids[0];
	*ret_gid = gids[0];
	return 0;
}

/* Its /tmp, beneath its own root: no link of its leads out of there. */
static int attach_open_tmp(struct attach *a)
{
	struct open_how how = {
		.flags = O_PATH | O_DIRECTORY | O_CLOEXEC,
		.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS,
	};
	_cleanup_close_ int root = openat(a->proc, "root", O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (root < 0)
		return -errno;
	a->tmp = (int)syscall(SYS_openat2, root, "/tmp", &how, sizeof(how));
	return a->tmp < 0 ? -errno : 0;
}

/* With the daemon's privileges: reads, and opens what the rest needs. */
static int attach_hold(struct attach *a)
{
	char path[64];
	int r;

	a->pidfd = (int)syscall(SYS_pidfd_open, (pid_t)a->pid, 0);
	if (a->pidfd < 0)
		return -errno;
	snprintf(path, sizeof(path), "/proc/%llu", (unsigned long long)a->pid);
	a->proc = open(path, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (a->proc < 0)
		return -errno;
	a->status = openat(a->proc, "status", O_RDONLY | O_CLOEXEC);
	if (a->status < 0)
		return -errno;

	r = attach_check_start(a);
	if (r == 0)
		r = attach_check_program(a);
	if (r == 0)
		r = attach_check_status(a, &a->uid, &a->gid);
	if (r == 0)
		r = attach_open_tmp(a);
	a->proc = safe_close(a->proc);
	return r;
}

/* -ENOENT: there is none yet. */
static int attach_connect(const struct attach *a)
{
	struct timeval limit = { .tv_sec = ATTACH_DEADLINE_NS / NSEC_PER_SEC };
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	_cleanup_close_ int path = -1, sock = -1;
	struct ucred peer;
	socklen_t size = sizeof(peer);
	char name[64];
	struct stat st;

	snprintf(name, sizeof(name), ".java_pid%llu", (unsigned long long)a->ns_pid);
	path = openat(a->tmp, name, O_PATH | O_NOFOLLOW | O_CLOEXEC);
	if (path < 0 || fstat(path, &st) < 0)
		return -errno;
	if (!S_ISSOCK(st.st_mode) || st.st_uid != a->uid)
		return -EPERM;

	sock = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (sock < 0 || setsockopt(sock, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof(limit)) < 0 ||
	    setsockopt(sock, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0)
		return -errno;
	snprintf(address.sun_path, sizeof(address.sun_path), "/proc/self/fd/%d", path);
	if (connect(sock, (const struct sockaddr *)&address, sizeof(address)) < 0)
		return errno == ECONNREFUSED ? -ENOENT : -errno; /* of a program that went */
	if (getsockopt(sock, SOL_SOCKET, SO_PEERCRED, &peer, &size) < 0)
		return -errno;
	if (peer.pid != (pid_t)a->pid || peer.uid != a->uid)
		return -EPERM;
	return TAKE_FD(sock);
}

static int attach_wait_socket(const struct attach *a)
{
	const struct timespec pause = { .tv_nsec = LOOK_NS };
	int r;

	while ((r = attach_connect(a)) == -ENOENT) {
		if (clock_ns(CLOCK_MONOTONIC) >= a->deadline_ns)
			return -ETIME;
		nanosleep(&pause, NULL);
	}
	return r;
}

static int attach_signal(const struct attach *a)
{
	uid_t uid;
	gid_t gid;
	int r;

	/* once more: it may be another program by now */
	r = attach_check_status(a, &uid, &gid);
	if (r < 0)
		return r;
	if (uid != a->uid || gid != a->gid)
		return -EPERM;
	return syscall(SYS_pidfd_send_signal, a->pidfd, SIGQUIT, NULL, 0) < 0 ? -errno : 0;
}

/* The program makes its socket when it finds this file at a SIGQUIT. */
static int attach_open_socket(const struct attach *a)
{
	_cleanup_close_ int fd = -1;
	char name[64];
	int r;

	r = attach_connect(a);
	if (r != -ENOENT)
		return r;

	snprintf(name, sizeof(name), ".attach_pid%llu", (unsigned long long)a->ns_pid);
	fd = openat(a->tmp, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600);
	if (fd < 0) /* EEXIST: somebody else is at it, with more right than we have */
		return -errno;
	r = attach_signal(a);
	if (r == 0)
		r = attach_wait_socket(a);
	unlinkat(a->tmp, name, 0);
	return r;
}

static int attach_ask(const struct attach *a)
{
	static const char question[] = "1\0jcmd\0Compiler.perfmap\0\0";
	_cleanup_(buf_done) struct buf answer = BUF_INIT(ANSWER_BYTES);
	_cleanup_close_ int sock = attach_open_socket(a);
	int r;

	if (sock < 0)
		return sock;
	if (send(sock, question, sizeof(question), MSG_NOSIGNAL) != (ssize_t)sizeof(question))
		return -EIO;
	r = buf_read_fd(&answer, sock);
	if (r < 0)
		return r;
	/* the command's result first: JDK 16 and older do not know it */
	return answer.size >= 2 && memcmp(answer.data, "0\n", 2) == 0 ? 0 : -EOPNOTSUPP;
}

/* With the program's own ids only. */
static int attach_run(struct attach *a)
{
	static const struct rlimit none = { 0, 0 };
	int r;

	r = sandbox_become(true, a->uid, a->gid);
	if (r < 0)
		return r;
	if (setrlimit(RLIMIT_CORE, &none) < 0 || setrlimit(RLIMIT_FSIZE, &none) < 0)
		return -errno;
	return attach_ask(a);
}

int attach_main(char **argv)
{
	struct attach a = { .pidfd = -1, .proc = -1, .status = -1, .tmp = -1 };
	int r;

	if (text_parse_u64(argv[0], INT32_MAX, &a.pid) < 0 ||
	    text_parse_u64(argv[1], INT32_MAX, &a.ns_pid) < 0 ||
	    text_parse_u64(argv[2], UINT64_MAX, &a.start_ns) < 0)
		return 2;

	/* whatever hangs */
	alarm((unsigned)(3 * ATTACH_DEADLINE_NS / NSEC_PER_SEC));
	close_range(3, ~0U, 0);
	clearenv();
	umask(077);
	process_no_hurry();
	a.deadline_ns = clock_ns(CLOCK_MONOTONIC) + ATTACH_DEADLINE_NS;

	r = attach_hold(&a);
	if (r < 0)
		return r == -EPERM ? ATTACH_REFUSED : ATTACH_FAILED;
	return attach_run(&a) < 0 ? ATTACH_FAILED : ATTACH_DONE;
}
