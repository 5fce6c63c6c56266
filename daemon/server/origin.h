/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Keeps web pages out (docs/security.md 8). A page of another site can make a local browser send
 * requests; by rebinding its name to 127.0.0.1 it can even read the answers. Against the first
 * stand Origin and Sec-Fetch-Site, against the second the Host header, which must not be a name
 * that somebody else could own. Unix sockets are checked as well, because `ssh -L
 * PORT:/run/cprofd/cprofd.sock` puts a browser behind one; there a name without a dot is allowed,
 * as clients of Unix sockets send whatever they like.
 */

#include <stdbool.h>

/* Host is an IP literal, localhost or below, or one of `allowed` (separated by blanks, may be
 * NULL), each with or without a port. NULL, from HTTP/1.0, is allowed. */
bool origin_host_allowed(const char *host, const char *allowed, bool local_socket);

/* Origin and Sec-Fetch-Site as sent, NULL where missing. */
bool origin_is_foreign(const char *origin, const char *host, const char *sec_fetch_site);
