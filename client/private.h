/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A daemon of our own: a child process `cprofd --private-fd N`, which has one end of a connection of
 * ours to ourselves. It ends when our end closes, and by signal when the client dies. What it logs
 * is kept, its last part only, to tell why it failed.
 */

#include <stdbool.h>

#include "cleanup.h"

struct private_daemon;

/* Makes the place to connect to, a socket in a folder of its own; nothing runs yet. */
int private_new(struct private_daemon **ret);
const char *private_name(const struct private_daemon *p);
/* Starts it with the other end of the connection that this process has just made to that name.
 * -ENOENT when there is no program to start, or what fork and accept may return. */
int private_start(struct private_daemon *p);
/* Waits for its end, for which our end of the pair must be closed; ends it by force when it lags. */
struct private_daemon *private_free(struct private_daemon *p);
DEFINE_CLEANUP(struct private_daemon *, private_free);

/* Takes in what it has logged. */
void private_tend(struct private_daemon *p);
/* The last line it logged, without priority and name; NULL: it said nothing. */
const char *private_last_line(struct private_daemon *p);
/* 0: it has not been started. */
pid_t private_pid(const struct private_daemon *p);
