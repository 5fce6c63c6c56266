/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What a request asks for, as a capture specification: from the query of GET /debug/pprof/profile
 * and from the JSON of POST /api/v1/captures. Both check everything that does not need the
 * system: ranges, lengths, UTF-8, unknown names. Errors are -EINVAL with a line for the asker in
 * *ret_error (freed by the caller), or -ENOMEM.
 */

#include <stdbool.h>
#include <stddef.h>

#include "buf.h"
#include "server.h"

#define SPEC_MAX_VALUE_BYTES 4096 /* of one target; a cgroup's path is the longest */
#define SPEC_MAX_PAIRS       256  /* in a query */

/* Frees the targets; the specification is empty then. */
void spec_done(struct capture_spec *spec);

/* query: what follows the '?', or NULL. seconds is read as net/http/pprof does: what is no
 * positive integer means 30. Owner fields are left zero. */
int spec_from_query(struct capture_spec *ret, const char *query, char **ret_error);
int spec_from_json(struct capture_spec *ret, const char *body, size_t size, char **ret_error);

/* Puts the asker's name on it, and holds an ordinary user to the limits: -EDQUOT with an error for
 * what is over them; a capture "until stopped" gets the longest duration allowed. */
int spec_limit(struct capture_spec *spec, const struct peer *peer,
	       const struct server_limits *limits, char **ret_error);

/*
 * The next "key=value" of an application/x-www-form-urlencoded string; *cursor moves behind it.
 * Both are decoded ('+' and %HH) into buffers that are reset before. Returns 1; 0 at the end;
 * -EINVAL for a broken %HH, a NUL or bytes that are not UTF-8; -ENOSPC when a buffer is too small.
 */
int query_next(const char **cursor, struct buf *key, struct buf *value);
