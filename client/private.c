/* SPDX-License-Identifier: Apache-2.0 */
#include "private.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#define PRIVATE_LOG_BYTES 4096
#define PRIVATE_END_MS    5000 /* until it is told, then until it is killed */

struct private_daemon {
	int listen_fd;   /* until the connection is there */
	char folder[32]; /* that holds the socket, "" once it is gone */
	char name[sizeof(((struct sockaddr_un *)0)->sun_path)];
	pid_t pid;
	int log_fd;
	char log[PRIVATE_LOG_BYTES + 1]; /* the last bytes */
	size_t log_size;
};

/* Beside our own file (a build folder, /usr/local/bin), in its prefix, then where the system has it. */
static void private_exec(char **argv)
{
	static const char *const beside[] = { "cprofd", "../sbin/cprofd", "../libexec/cprofd" };
	char exe[PATH_MAX], path[PATH_MAX + 32];
	ssize_t n = readlink("/proc/self/exe", exe, sizeof(exe) - 1);
	char *slash;

	if (n > 0) {
		exe[n] = '\0';
		slash = strrchr(exe, '/');
		for (size_t i = 0; slash && i < ARRAY_SIZE(beside); i++) {
			snprintf(path, sizeof(path), "%.*s/%s", (int)(slash - exe), exe, beside[i]);
			execv(path, argv);
		}
	}
	execv("/usr/sbin/cprofd", argv);
	execvp("cprofd", argv);
}

static void private_child(int fd, int log_fd, int fail_fd, pid_t parent)
{
	char number[16];
	char *argv[] = { (char *)"cprofd", (char *)"--private-fd", number, NULL };
	sigset_t none;
	int r;

	/* Ctrl-C is for the client, which tells the daemon what it wants */
	setsid();
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(1);

	sigemptyset(&none);
	sigprocmask(SIG_SETMASK, &none, NULL);
	fd = fcntl(fd, F_DUPFD, 3); /* the copy survives exec */
	snprintf(number, sizeof(number), "%d", fd);
	r = open("/dev/null", O_RDWR);
	if (r >= 0 && fd >= 0 && dup2(r, STDIN_FILENO) >= 0 && dup2(log_fd, STDOUT_FILENO) >= 0 &&
	    dup2(log_fd, STDERR_FILENO) >= 0)
		private_exec(argv);

	r = errno;
	if (write(fail_fd, &r, sizeof(r)) < 0)
		_exit(1);
	_exit(127);
}

int private_new(struct private_daemon **ret)
{
	_cleanup_(private_freep) struct private_daemon *p = calloc(1, sizeof(*p));
	struct sockaddr_un address = { .sun_family = AF_UNIX };

	if (!p)
		return -ENOMEM;
	p->log_fd = -1;
	p->listen_fd = -1;

	/* in a folder of our own, where nobody else can connect; libcurl 7.88 does not use the connection to a
	 * name of the abstract namespace twice */
	strcpy(p->folder, "/tmp/cprofctl-XXXXXX");
	if (!mkdtemp(p->folder)) {
		p->folder[0] = '\0';
		return -errno;
	}
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/s", p->folder);
	strcpy(p->name, address.sun_path);

	p->listen_fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (p->listen_fd < 0 ||
	    bind(p->listen_fd, (struct sockaddr *)&address, sizeof(address)) < 0 ||
	    listen(p->listen_fd, 1) < 0)
		return -errno;

	*ret = TAKE_PTR(p);
	return 0;
}

static void private_remove(struct private_daemon *p)
{
	if (!p->folder[0])
		return;

	unlink(p->name);
	rmdir(p->folder);
	p->folder[0] = '\0';
}

/* The one connection is made: nothing is left to connect to. */
static int private_accept(struct private_daemon *p)
{
	int fd = accept4(p->listen_fd, NULL, NULL, SOCK_CLOEXEC);

	if (fd < 0)
		return -errno;

	p->listen_fd = safe_close(p->listen_fd);
	private_remove(p);
	return fd;
}

int private_start(struct private_daemon *p)
{
	_cleanup_close_ int fd = -1, log_write = -1, fail_read = -1, fail_write = -1;
	pid_t self = getpid();
	int pair[2], error;

	fd = private_accept(p);
	if (fd < 0)
		return fd;
	if (pipe2(pair, O_CLOEXEC) < 0)
		return -errno;
	p->log_fd = pair[0], log_write = pair[1];
	if (pipe2(pair, O_CLOEXEC) < 0)
		return -errno;
	fail_read = pair[0], fail_write = pair[1];
	/* a client that is busy must not make the daemon wait for room in its log */
	if (fcntl(log_write, F_SETFL, O_NONBLOCK) < 0 || fcntl(p->log_fd, F_SETFL, O_NONBLOCK) < 0)
		return -errno;

	p->pid = fork();
	if (p->pid < 0) {
		p->pid = 0;
		return -errno;
	}
	if (p->pid == 0)
		private_child(fd, log_write, fail_write, self);

	fail_write = safe_close(fail_write);
	return read(fail_read, &error, sizeof(error)) == sizeof(error) ? -error : 0;
}

const char *private_name(const struct private_daemon *p)
{
	return p->name;
}

static bool private_wait(struct private_daemon *p)
{
	for (int i = 0; i < PRIVATE_END_MS / 10; i++) {
		if (waitpid(p->pid, NULL, WNOHANG) != 0)
			return true;
		nanosleep(&(struct timespec){ .tv_nsec = 10000000 }, NULL);
		private_tend(p);
	}
	return false;
}

struct private_daemon *private_free(struct private_daemon *p)
{
	if (!p)
		return NULL;

	if (p->pid > 0 && !private_wait(p)) {
		kill(p->pid, SIGTERM);
		if (!private_wait(p)) {
			kill(p->pid, SIGKILL);
			waitpid(p->pid, NULL, 0);
		}
	}
	private_remove(p);
	safe_close(p->listen_fd);
	safe_close(p->log_fd);
	free(p);
	return NULL;
}

void private_tend(struct private_daemon *p)
{
	char chunk[PRIVATE_LOG_BYTES];
	ssize_t n;

	if (p->log_fd < 0)
		return;
	while ((n = read(p->log_fd, chunk, sizeof(chunk))) > 0) {
		size_t size = (size_t)n, keep = MIN(p->log_size, PRIVATE_LOG_BYTES - size);

		memmove(p->log, p->log + p->log_size - keep, keep);
		memcpy(p->log + keep, chunk, size);
		p->log_size = keep + size;
		p->log[p->log_size] = '\0';
	}
}

const char *private_last_line(struct private_daemon *p)
{
	char *line;

	private_tend(p);
	while (p->log_size > 0 && strchr("\r\n", p->log[p->log_size - 1]))
		p->log[--p->log_size] = '\0';
	if (p->log_size == 0)
		return NULL;

	line = memrchr(p->log, '\n', p->log_size);
	line = line ? line + 1 : p->log;
	/* as sd-daemon(3) marks a priority */
	if (line[0] == '<' && line[1] >= '0' && line[1] <= '7' && line[2] == '>')
		line += 3;
	if (strncmp(line, "cprofd: ", 8) == 0)
		line += 8;
	return line;
}

pid_t private_pid(const struct private_daemon *p)
{
	return p->pid;
}
