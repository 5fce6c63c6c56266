/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * HTTP/1.1 on the Unix socket and, when asked, on TCP: the routes of include/cprof/api.h, over
 * libmicrohttpd inside the daemon's event loop. Who may see what is decided here (auth.h,
 * docs/security.md 5 to 9); what there is to see comes from the callbacks.
 */

#include <jansson.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "continuous.h"
#include "history.h"
#include "session.h"

struct server;

/* Who is at the other end of a connection. */
struct peer {
	uint32_t uid, gid;
	uint32_t pid;    /* 0 for TCP */
	bool privileged; /* root or a member of group cprofd */
};

struct server_callbacks {
	/* A new JSON document; the asker's rights decide what is in it. */
	json_t *(*status)(void *arg, const struct peer *peer);
	json_t *(*targets)(void *arg, const struct peer *peer);
	/* Prometheus text. */
	int (*metrics)(void *arg, struct buf *out);
	/* Appends a line "0xADDRESS name" for each address of "0x1234+0x5678" that has a name. */
	int (*symbol)(void *arg, const char *addresses, size_t size, struct buf *out);
	/* The connection on private_fd is gone: end. Called once, in the event loop. */
	void (*private_gone)(void *arg);
	void *arg;
};

/*
 * The _per_ limits hold for ordinary users. All ordinary users together leave a sixteenth of the
 * connections and a quarter of the captures to root and group cprofd.
 */
struct server_limits {
	unsigned connections, connections_per_uid;
	unsigned captures, captures_per_uid;
	unsigned hz_per_user;
	uint64_t duration_ns_per_user;
	/* Without progress in either direction; whole seconds, rounded up. A connection that waits
	 * for a capture, or owns one, is not idle. */
	uint64_t idle_timeout_ns;
};

struct server_options {
	sd_event *event;
	struct sessions *sessions;
	/* Both NULL: nothing is profiled all the time, and nothing is kept. */
	struct continuous *continuous;
	struct history *history;
	const char *socket_path; /* NULL: none */
	int socket_fd;           /* -1; or a listening socket from socket activation */
	int private_fd;          /* -1; or one connected socket: the daemon ends with it */
	const char *listen;      /* NULL, or ADDR:PORT; several, separated by spaces */
	/* Needed to listen on an address that is not a loopback one: who sends the token in it as
	 * "Authorization: Bearer" is privileged, from wherever. NULL: none. */
	const char *token_file;
	const char *allowed_hosts; /* NULL, or names that a Host header may carry; spaces between */
	const char *group_file;    /* NULL: /etc/group */
	struct server_limits limits;
	struct server_callbacks callbacks;
};

/*
 * Strings are copied. Closes socket_fd and private_fd in server_free(), also on failure. A stale
 * socket file at socket_path is replaced when nobody listens on it (else -EADDRINUSE), its folder
 * made when missing, and the file removed by server_free(). On failure *ret_error is a line for
 * the operator, freed by the caller, or NULL without memory.
 */
int server_new(struct server **ret, const struct server_options *options, char **ret_error);
struct server *server_free(struct server *s);

/*
 * Other limits from now on, for what begins from now on; the token file is read again. `connections`,
 * `captures` and the sockets stay as they were made. On failure nothing has changed; *ret_error as of
 * server_new().
 */
int server_reload(struct server *s, const struct server_limits *limits, const char *token_file,
		  const char *allowed_hosts, char **ret_error);

struct server_stats {
	uint64_t requests;     /* whose headers were understood */
	uint64_t refused;      /* 401, 403, 429, 503, and connections closed without an answer */
	uint64_t bad_requests; /* other 4xx */
	unsigned connections;
};
void server_stats(const struct server *s, struct server_stats *ret);
