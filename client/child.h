/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The command of `record`: a child that is there, with its process id, before it runs, so that its
 * first instruction is in the profile. Terminal, standard streams, signals and environment are the
 * caller's.
 */

#include <signal.h>
#include <stdint.h>
#include <sys/types.h>

#include "client.h"

#define EXIT_OURS           125 /* as env(1), nohup(1) and timeout(1) have it */
#define EXIT_NOT_EXECUTABLE 126
#define EXIT_NOT_FOUND      127

struct child {
	pid_t pid;
	int go_fd;     /* a byte starts the command; closing it ends the child */
	int failed_fd; /* an errno when it cannot be executed; end of file when it is */
	int status;    /* of waitpid(), when ended */
	bool ended;
	/* of it and of all that were waited for, by it or here; whole when ended */
	uint64_t cpu_ns;
};

/*
 * Forks the child, which waits. mask: the signal mask that the command gets. user: run as that
 * user, with its groups and HOME, USER, LOGNAME and SHELL (root only), or NULL. 0, or the
 * program's exit status after a line has been said.
 */
int child_fork(struct child *ret, char **command, const char *user, const sigset_t *mask);
/* Lets it run. 0, or EXIT_NOT_EXECUTABLE or EXIT_NOT_FOUND or EXIT_OURS, said. */
int child_go(struct child *c, char **command);
/* Takes in what has ended, also orphans that the command left to us. True when the command has. */
bool child_reap(struct child *c, pid_t not_this);
/* True where the command has ended and has left processes behind. */
bool child_left_any(pid_t not_this);
/* As a shell would: 128 + signal. */
int child_exit_status(const struct child *c);
/* A child that never ran is ended. */
void child_done(struct child *c);
