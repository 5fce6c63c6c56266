/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The daemon at the other end: found on its socket, or, for root and where none runs, started for
 * as long as the client lives ("private", over a socketpair). Failures are said here, once, in
 * one line with what to do; callers only return.
 */

#include <jansson.h>

#include "buf.h"
#include "client.h"
#include "http.h"

struct daemon;

enum daemon_flags {
	DAEMON_MAY_START = 1 << 0, /* root may get a private one */
	DAEMON_QUIET =
		1 << 1, /* a daemon that does not run is not an error: -ENOENT, nothing said */
};

int daemon_open(struct daemon **ret, const struct client *c, unsigned flags);
/* Ends a private daemon and waits for it. */
struct daemon *daemon_free(struct daemon *d);
DEFINE_CLEANUP(struct daemon *, daemon_free);

/* http_request() that says what failed. */
int daemon_request(struct daemon *d, const char *method, const char *path, const char *body,
		   struct buf *reply);
/* GET of a JSON document; -EBADMSG, said, where it is none. */
int daemon_get_json(struct daemon *d, const char *path, json_t **ret);
/* To set a cancel function, and for callers that take a failure for no failure. */
struct http *daemon_http(struct daemon *d);
/* Keeps a private daemon's log from filling; called now and then. */
void daemon_tend(struct daemon *d);
/* Process id of the private daemon, 0 when it is not ours. */
int daemon_pid(const struct daemon *d);
