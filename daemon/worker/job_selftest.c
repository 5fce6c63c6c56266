/* SPDX-License-Identifier: Apache-2.0 */
/*
 * JOB_SELFTEST: what a job that is in an attacker's hands would try, and what becomes of it. The
 * input is a command; a call that is refused is answered with its errno as the job's result, one
 * that succeeds with 0 and "done".
 */

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include "broker.h"
#include "cleanup.h"
#include "task.h"

#define SELFTEST_CHUNK (16UL << 20)

static int done(struct task *t, long result)
{
	if (result < 0)
		return -errno;
	return buf_puts(&t->answer, "done");
}

static int selftest_crash(struct task *t _unused_, const char *arg _unused_)
{
	volatile char *p = mmap(NULL, 4096, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if ((char *)p == MAP_FAILED)
		return -errno;
	*p = 1;
	return 0;
}

static int selftest_hang(struct task *t _unused_, const char *arg _unused_)
{
	volatile int forever = 1;

	while (forever)
		;
	return 0;
}

/* Waits for what never comes. */
static int selftest_sleep(struct task *t, const char *arg _unused_)
{
	char c;

	return task_read(t->sock, &c, 1);
}

static int selftest_bloat(struct task *t _unused_, const char *arg _unused_)
{
	for (;;) {
		char *p = malloc(SELFTEST_CHUNK);

		if (!p)
			return -ENOMEM;
		for (size_t i = 0; i < SELFTEST_CHUNK; i += 4096)
			((volatile char *)p)[i] = 1;
	}
}

/* Memory that RLIMIT_DATA does not count. */
static int selftest_share(struct task *t, const char *arg _unused_)
{
	void *p = mmap(NULL, SELFTEST_CHUNK, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1,
		       0);

	return done(t, p == MAP_FAILED ? -1 : 0);
}

static int selftest_execmap(struct task *t, const char *arg _unused_)
{
	void *p = mmap(NULL, 4096, PROT_READ | PROT_EXEC, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	return done(t, p == MAP_FAILED ? -1 : 0);
}

static int selftest_exit(struct task *t _unused_, const char *arg _unused_)
{
	exit(1);
}

static int selftest_flood(struct task *t, const char *arg _unused_)
{
	static const char zeros[65536];
	struct job_message message = { .kind = JOB_MSG_ANSWER, .size_bytes = UINT64_MAX };

	task_write(t->sock, &message, sizeof(message));
	while (task_write(t->sock, zeros, sizeof(zeros)) == 0)
		;
	return 0;
}

static int selftest_nonsense(struct task *t, const char *arg _unused_)
{
	static const char text[] = "this is no struct job_message at all";

	task_write(t->sock, text, sizeof(text));
	return selftest_sleep(t, NULL);
}

/* An answer that never gets whole. */
static int selftest_half(struct task *t, const char *arg _unused_)
{
	struct job_message message = { .kind = JOB_MSG_ANSWER, .size_bytes = 100 };

	task_write(t->sock, &message, sizeof(message));
	task_write(t->sock, "half", 4);
	_exit(0);
}

/* Closes its socket and goes on. */
static int selftest_deaf(struct task *t, const char *arg)
{
	close(t->sock);
	return selftest_hang(t, arg);
}

static int selftest_exec(struct task *t, const char *arg _unused_)
{
	char *argv[] = { (char *)"true", NULL };

	return done(t, execv("/bin/true", argv));
}

static int selftest_socket(struct task *t, const char *arg _unused_)
{
	return done(t, socket(AF_UNIX, SOCK_STREAM, 0));
}

static int selftest_ptrace(struct task *t, const char *arg _unused_)
{
	return done(t, ptrace(PTRACE_TRACEME, 0, NULL, NULL));
}

static int selftest_fork(struct task *t, const char *arg _unused_)
{
	return done(t, fork());
}

static int selftest_kill(struct task *t, const char *arg _unused_)
{
	return done(t, kill(-1, SIGKILL));
}

static int selftest_limit(struct task *t, const char *arg _unused_)
{
	struct rlimit none = { RLIM_INFINITY, RLIM_INFINITY };

	return done(t, setrlimit(RLIMIT_DATA, &none));
}

static int selftest_openfile(struct task *t, const char *arg)
{
	return done(t, open(arg, O_RDONLY | O_CLOEXEC));
}

static int selftest_stat(struct task *t, const char *arg)
{
	struct stat st;

	return done(t, stat(arg, &st));
}

/* Asks the daemon for a file by name and answers with its beginning. */
static int selftest_ask(struct task *t, const char *arg)
{
	struct job_open request = { .kind = JOB_OPEN_DEBUGLINK, .id_bytes = (uint32_t)strlen(arg) };
	_cleanup_close_ int fd = broker_open(t, &request, arg);
	char text[64];
	ssize_t n;

	if (fd < 0)
		return fd;
	n = pread(fd, text, sizeof(text), 0);
	return n < 0 ? -errno : buf_append(&t->answer, text, (size_t)n);
}

/* The same by open(), as libdw does for .dwo files. */
static int selftest_dwo(struct task *t, const char *arg)
{
	_cleanup_close_ int fd = open(arg, O_RDONLY | O_CLOEXEC);
	char text[64];
	struct stat st;
	ssize_t n;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -errno;
	n = pread(fd, text, MIN(sizeof(text), (size_t)st.st_size), 0);
	return n < 0 ? -errno : buf_append(&t->answer, text, (size_t)n);
}

/* Touches a mapping of fds[0] after the daemon's side has had its turn. */
static int selftest_sigbus(struct task *t, const char *arg)
{
	struct job_open request = { .kind = JOB_OPEN_DEBUGLINK };
	volatile const char *p = mmap(NULL, 4096, PROT_READ, MAP_SHARED, t->fds[0], 0);

	if ((const char *)p == MAP_FAILED)
		return -errno;
	broker_open(t, &request, arg);
	return buf_putc(&t->answer, p[0]);
}

/* Descriptors that are open, one a byte. */
static int selftest_fds(struct task *t, const char *arg _unused_)
{
	for (int fd = 0; fd < 1024; fd++)
		if (fcntl(fd, F_GETFD) >= 0)
			buf_putc(&t->answer, (char)fd);
	return t->answer.error;
}

static int selftest_env(struct task *t, const char *arg _unused_)
{
	for (char **e = environ; e && *e; e++)
		buf_puts(&t->answer, *e);
	return t->answer.error;
}

/* So many bytes of 'x'. */
static int selftest_size(struct task *t, const char *arg)
{
	size_t size = strtoul(arg, NULL, 10);
	char *p = buf_reserve(&t->answer, size);

	if (!p)
		return t->answer.error;
	memset(p, 'x', size);
	t->answer.size += size;
	return 0;
}

static int selftest_echo(struct task *t, const char *arg)
{
	return buf_puts(&t->answer, arg);
}

/* Counts the input's bytes, so that it was all read. */
static int selftest_sum(struct task *t, const char *arg _unused_)
{
	uint64_t sum = 0;

	for (size_t i = 0; i < t->input_bytes; i++)
		sum += t->input[i];
	return buf_append(&t->answer, &sum, sizeof(sum));
}

static int selftest_write(struct task *t, const char *arg)
{
	return done(t, ftruncate(t->fds[0], (off_t)strtoull(arg, NULL, 10)));
}

static const struct {
	const char *name;
	int (*run)(struct task *t, const char *arg);
} commands[] = {
	{ "crash", selftest_crash },       { "hang", selftest_hang },
	{ "sleep", selftest_sleep },       { "bloat", selftest_bloat },
	{ "share", selftest_share },       { "execmap", selftest_execmap },
	{ "exit", selftest_exit },         { "flood", selftest_flood },
	{ "nonsense", selftest_nonsense }, { "half", selftest_half },
	{ "deaf", selftest_deaf },         { "exec", selftest_exec },
	{ "socket", selftest_socket },     { "ptrace", selftest_ptrace },
	{ "fork", selftest_fork },         { "kill", selftest_kill },
	{ "limit", selftest_limit },       { "openfile", selftest_openfile },
	{ "stat", selftest_stat },         { "ask", selftest_ask },
	{ "dwo", selftest_dwo },           { "sigbus", selftest_sigbus },
	{ "fds", selftest_fds },           { "env", selftest_env },
	{ "size", selftest_size },         { "echo", selftest_echo },
	{ "sum", selftest_sum },           { "write", selftest_write },
};

/* "name" or "name argument", NUL-terminated; more may follow. */
int job_selftest(struct task *t)
{
	const char *text = (const char *)t->input;

	if (!text || !memchr(text, '\0', t->input_bytes))
		return -EINVAL;

	for (size_t i = 0; i < ARRAY_SIZE(commands); i++) {
		size_t n = strlen(commands[i].name);

		if (strncmp(text, commands[i].name, n) == 0 && (text[n] == ' ' || text[n] == '\0'))
			return commands[i].run(t, text[n] ? text + n + 1 : text + n);
	}
	return -EINVAL;
}
