/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * HTTP/1.1 requests over one connection to a Unix socket, one after the other (libcurl). The
 * connection is kept alive between requests, because a capture belongs to the connection that made
 * it, and never silently replaced: when it is gone, requests fail.
 */

#include <stdbool.h>

#include "buf.h"

struct http;

/*
 * path: of the socket. connected runs when the
 * connection stands and before anything is sent over it: a negative errno from it fails the request
 * and closes the connection. (libcurl 7.88 and 7.89 connect a socket that the callback says is
 * connected already, so that one cannot be handed to it.) -ELIBACC: libcurl is not there; -ENOMEM, -EIO.
 */
int http_new(struct http **ret, const char *path, int (*connected)(void *arg, int fd), void *arg);
struct http *http_free(struct http *h);
DEFINE_CLEANUP(struct http *, http_free);

/* cancel is called when fd can be read while a request waits, and takes what there is; true gives the
 * request up (-ECANCELED). NULL: none. */
void http_set_cancel(struct http *h, int fd, bool (*cancel)(void *arg), void *arg);
/* For each request that follows, 0: none. -ETIMEDOUT. */
void http_set_timeout(struct http *h, unsigned seconds);

/*
 * Sends a request with the JSON body, if any, and appends the answer's body to reply, which may be
 * NULL. 0 on a 2xx status. -EREMOTEIO when the daemon answered otherwise: http_error() is its own
 * line of text. -ECANCELED. -ENOTCONN when the connection broke, -ENOSPC when the answer is larger
 * than reply may become, -ENOMEM, -EPROTO for anything else: http_error() says what. What connected
 * returned, if it failed.
 */
int http_request(struct http *h, const char *method, const char *path, const char *body,
		 struct buf *reply);
/* Of the last request that failed; raw bytes of the daemon, never NULL. */
const char *http_error(const struct http *h);
/* Status of the last answer, 0 none. */
long http_status(const struct http *h);
