/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Connecting to the daemon's Unix socket, and whom to trust there: root talks only to a socket
 * whose listener is root or the user cprofd, so that nobody who owns a folder on the way can feed
 * it profiles (docs/security.md 16).
 */

#include <sys/types.h>

#include "client.h"

/* Finds out whether somebody to be trusted listens there: 0, or a negative errno; -EPERM: somebody
 * else listens, *ret_uid says who. */
int dial(const char *path, uid_t *ret_uid);
/* The same question about a connection that stands. */
int dial_check(int fd, uid_t *ret_uid);
/* Says why dial() failed and what to do about it. */
void dial_say(const struct client *c, int error, uid_t uid);
