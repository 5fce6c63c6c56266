/* SPDX-License-Identifier: Apache-2.0 */
#include "child.h"

#include <fcntl.h>
#include <grp.h>
#include <pwd.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>

/* Who the child becomes; looked up before the fork, so that errors are ours to tell. */
static int child_find_user(const char *user, const struct passwd **ret)
{
	*ret = NULL;
	if (!user)
		return 0;

	if (geteuid() != 0) {
		say_error("--user needs root: run this with sudo, or leave it out");
		return EXIT_OURS;
	}
	*ret = getpwnam(user);
	if (!*ret) {
		say_error("no such user: %s", user);
		return EXIT_OURS;
	}
	return 0;
}

static int child_become(const struct passwd *pw)
{
	if (initgroups(pw->pw_name, pw->pw_gid) < 0 || setgid(pw->pw_gid) < 0 ||
	    setuid(pw->pw_uid) < 0)
		return -errno;
	if (setenv("HOME", pw->pw_dir, 1) < 0 || setenv("USER", pw->pw_name, 1) < 0 ||
	    setenv("LOGNAME", pw->pw_name, 1) < 0 || setenv("SHELL", pw->pw_shell, 1) < 0)
		return -errno;
	return 0;
}

static void child_main(int go, int failed, char **command, const struct passwd *pw,
		       const sigset_t *mask)
{
	int error = 0;
	char byte;
	ssize_t n;

	if (pw)
		error = -child_become(pw);
	do
		n = read(go, &byte, 1);
	while (n < 0 && errno == EINTR);
	if (n != 1)
		_exit(EXIT_OURS); /* there will be no capture */

	if (error == 0) {
		sigprocmask(SIG_SETMASK, mask, NULL);
		execvp(command[0], command);
		error = errno;
	}
	if (write(failed, &error, sizeof(error)) < 0)
		_exit(EXIT_OURS);
	_exit(EXIT_NOT_EXECUTABLE);
}

int child_fork(struct child *ret, char **command, const char *user, const sigset_t *mask)
{
	int go[2] = { -1, -1 }, failed[2] = { -1, -1 }, r;
	const struct passwd *pw;
	pid_t pid;

	*ret = (struct child){ .go_fd = -1, .failed_fd = -1 };
	r = child_find_user(user, &pw);
	if (r != 0)
		return r;

	if (pipe2(go, O_CLOEXEC) < 0 || pipe2(failed, O_CLOEXEC) < 0) {
		say_error("cannot make a pipe: %s", strerror(errno));
		safe_close(go[0]);
		safe_close(go[1]);
		return EXIT_OURS;
	}

	/* orphans of the command come to us, so that we know of them */
	prctl(PR_SET_CHILD_SUBREAPER, 1);
	pid = fork();
	if (pid == 0) {
		close(go[1]);
		child_main(go[0], failed[1], command, pw, mask);
	}
	safe_close(go[0]);
	safe_close(failed[1]);
	*ret = (struct child){ .pid = pid, .go_fd = go[1], .failed_fd = failed[0] };
	if (pid < 0) {
		say_error("cannot start a process: %s", strerror(errno));
		ret->pid = 0;
		return EXIT_OURS;
	}
	return 0;
}

int child_go(struct child *c, char **command)
{
	int error;

	if (write(c->go_fd, "", 1) != 1) {
		say_error("the command's process went away: %s", strerror(errno));
		return EXIT_OURS;
	}
	c->go_fd = safe_close(c->go_fd);
	if (read(c->failed_fd, &error, sizeof(error)) != sizeof(error))
		return 0;

	say_error("cannot run %s: %s; %s", command[0], strerror(error),
		  error == ENOENT   ? "check the name and $PATH"
		  : error == EACCES ? "it must be executable"
				    : "see execve(2)");
	return error == ENOENT ? EXIT_NOT_FOUND : EXIT_NOT_EXECUTABLE;
}

static uint64_t rusage_ns(const struct rusage *u)
{
	return ((uint64_t)u->ru_utime.tv_sec + (uint64_t)u->ru_stime.tv_sec) * NSEC_PER_SEC +
	       ((uint64_t)u->ru_utime.tv_usec + (uint64_t)u->ru_stime.tv_usec) * NSEC_PER_USEC;
}

/* wait4(2) of one process, its CPU time and that of its children added up. */
static pid_t child_wait(struct child *c, pid_t pid, int *ret_status, int options)
{
	struct rusage usage = {};
	pid_t r = wait4(pid, ret_status, options, &usage);

	if (r > 0)
		c->cpu_ns += rusage_ns(&usage);
	return r;
}

bool child_reap(struct child *c, pid_t not_this)
{
	siginfo_t info;

	for (;;) {
		int status;

		info.si_pid = 0;
		/* look first: the private daemon is waited for elsewhere */
		if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid == 0)
			break;
		if (info.si_pid == not_this)
			break;
		if (child_wait(c, info.si_pid, &status, 0) == c->pid) {
			c->status = status;
			c->ended = true;
		}
	}
	/* an ended private daemon would hide it from the loop above */
	if (!c->ended && child_wait(c, c->pid, &c->status, WNOHANG) == c->pid)
		c->ended = true;
	return c->ended;
}

bool child_left_any(pid_t not_this)
{
	_cleanup_fclose_ FILE *f = fopen("/proc/thread-self/children", "re");
	int pid;

	while (f && fscanf(f, "%d", &pid) == 1)
		if (pid != not_this)
			return true;
	return false;
}

int child_exit_status(const struct child *c)
{
	return WIFSIGNALED(c->status) ? 128 + WTERMSIG(c->status) : WEXITSTATUS(c->status);
}

void child_done(struct child *c)
{
	c->go_fd = safe_close(c->go_fd);
	c->failed_fd = safe_close(c->failed_fd);
	if (c->pid > 0 && !c->ended)
		waitpid(c->pid, &c->status, 0);
	c->pid = 0;
}
