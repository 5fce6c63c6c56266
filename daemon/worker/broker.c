/* SPDX-License-Identifier: Apache-2.0 */
#include "broker.h"

#include <fcntl.h>
#include <signal.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <ucontext.h>

#include "cleanup.h"

/* The job of this process; a signal handler has no other way to it. */
static struct task *broker_task;

int broker_open(struct task *t, const struct job_open *request, const char *id)
{
	struct job_message message = { .kind = JOB_MSG_OPEN };
	int fd, r;

	if (request->id_bytes > JOB_MAX_OPEN_ID_BYTES)
		return -ENAMETOOLONG;

	message.size_bytes = sizeof(*request) + request->id_bytes;
	r = task_write(t->sock, &message, sizeof(message));
	if (r == 0)
		r = task_write(t->sock, request, sizeof(*request));
	if (r == 0)
		r = task_write(t->sock, id, request->id_bytes);
	if (r == 0)
		r = task_read_with_fd(t->sock, &message, sizeof(message), &fd);
	/* without the daemon there is nobody to answer to */
	if (r < 0 || message.kind != JOB_MSG_OPENED)
		_exit(JOB_EXIT_LOST);

	if (message.value < 0) {
		safe_close(fd);
		return message.value;
	}
	return fd >= 0 ? fd : -ENOENT;
}

static long broker_on_open(const char *path, int flags)
{
	size_t n = strnlen(path, JOB_MAX_OPEN_ID_BYTES + 1);
	struct job_open request = { .kind = JOB_OPEN_DWO, .id_bytes = (uint32_t)n };

	if ((flags & O_ACCMODE) != O_RDONLY || (flags & (O_CREAT | O_TRUNC | O_DIRECTORY)))
		return -EPERM;
	if (n < strlen(".dwo") || strncmp(path + n - strlen(".dwo"), ".dwo", strlen(".dwo")) != 0)
		return -EPERM;
	return broker_open(broker_task, &request, path);
}

/* glibc's fstat() is newfstatat() with an empty path; a path that is not empty leads nowhere. */
static long broker_on_stat(int fd, const char *path, struct stat *st, int flags)
{
	if (!(flags & AT_EMPTY_PATH) || (path && path[0]))
		return -EPERM;
	return syscall(SYS_fstat, fd, st) < 0 ? -errno : 0;
}

#if defined(__x86_64__)
#define BROKER_REGISTER(c, n) ((c)->uc_mcontext.gregs[n])
#define BROKER_ARG0(c)        BROKER_REGISTER(c, REG_RDI)
#define BROKER_ARG1(c)        BROKER_REGISTER(c, REG_RSI)
#define BROKER_ARG2(c)        BROKER_REGISTER(c, REG_RDX)
#define BROKER_ARG3(c)        BROKER_REGISTER(c, REG_R10)
#define BROKER_RESULT(c)      BROKER_REGISTER(c, REG_RAX)
#elif defined(__aarch64__)
#define BROKER_REGISTER(c, n) ((c)->uc_mcontext.regs[n])
#define BROKER_ARG0(c)        BROKER_REGISTER(c, 0)
#define BROKER_ARG1(c)        BROKER_REGISTER(c, 1)
#define BROKER_ARG2(c)        BROKER_REGISTER(c, 2)
#define BROKER_ARG3(c)        BROKER_REGISTER(c, 3)
#define BROKER_RESULT(c)      BROKER_REGISTER(c, 0)
#endif

/* Runs inside the call that was refused: nothing of the program is changed but errno. */
static void broker_on_trap(int signal _unused_, siginfo_t *info, void *context)
{
	ucontext_t *c = context;
	int saved = errno;
	long result;

	switch (info->si_syscall) {
#ifdef SYS_open
	case SYS_open:
		result = broker_on_open((const char *)BROKER_ARG0(c), (int)BROKER_ARG1(c));
		break;
#endif
	case SYS_openat:
		result = broker_on_open((const char *)BROKER_ARG1(c), (int)BROKER_ARG2(c));
		break;
	case SYS_newfstatat:
		result = broker_on_stat((int)BROKER_ARG0(c), (const char *)BROKER_ARG1(c),
					(struct stat *)BROKER_ARG2(c), (int)BROKER_ARG3(c));
		break;
	default:
		result = -EPERM;
		break;
	}

	BROKER_RESULT(c) = (__typeof__(BROKER_RESULT(c)))result;
	errno = saved;
}

int broker_install(struct task *t)
{
	struct sigaction action = { .sa_sigaction = broker_on_trap, .sa_flags = SA_SIGINFO };

	broker_task = t;
	return sigaction(SIGSYS, &action, NULL) < 0 ? -errno : 0;
}
