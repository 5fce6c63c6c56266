/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Ctrl-C and its kin as something to read: blocked from here on and taken from a descriptor, so
 * that no code runs inside a handler. Children get the mask that was found.
 */

#include <signal.h>
#include <stdbool.h>
#include <sys/signalfd.h>

struct signals {
	int fd;
	sigset_t before;
	unsigned ends;     /* times that SIGINT, SIGTERM or SIGHUP was read */
	unsigned patience; /* so many do not mean "give up" */
};

/* with_children: SIGCHLD and SIGQUIT too. Negative errno. */
int signals_init(struct signals *s, bool with_children);
void signals_restore(struct signals *s); /* the mask as it was; what is pending takes effect */
void signals_done(struct signals *s);
/* Waits up to ms; true with the next signal in *ret. Counts those that mean "end". */
bool signals_next(struct signals *s, int ms, struct signalfd_siginfo *ret);
/* Reads all that are pending; true once there were more "end"s than patience. For http_set_cancel(). */
bool signals_give_up(void *signals);
