/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The inside of the HTTP server: connections, requests and the captures that they hold.
 *
 * One request runs through route.c: begun when its headers are there (who, whether, which route),
 * fed with its body, handled. A handler answers by one of the reply functions, or waits for a
 * capture with request_wait() and is called again when that has ended. While it waits libmicrohttpd
 * has suspended the connection and sees neither disconnect nor timeout; the descriptor is watched
 * by sd-event instead.
 */

#include <microhttpd.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>

#include "listen.h"
#include "server.h"

#define HTTP_MAX_HEADER_BYTES  (32 * 1024) /* libmicrohttpd's memory of one connection */
#define HTTP_MAX_PAGE_BYTES    (8 * 1024 * 1024)
#define HTTP_MAX_REFUSED       32 /* connections kept open only to be told why they are refused */
#define HTTP_REFUSED_TIMEOUT_S 5

struct conn {
	struct server *server;
	struct MHD_Connection *mhd;
	int fd; /* owned by libmicrohttpd */
	struct peer peer;
	bool known;       /* peer is somebody; else each request needs the token */
	bool local;       /* a Unix socket */
	bool is_private;  /* options.private_fd */
	bool nobody;      /* its owner has the overflow uid */
	unsigned refusal; /* 0, or the HTTP status that every request gets */
	unsigned n_holds;
	/* Seconds; applied by server.c when libmicrohttpd is not inside a call. */
	unsigned timeout_wanted_s, timeout_set_s;
	bool suspended; /* until its request is handled again */
	LIST_ENTRY(conn) list;
};

/* A capture as HTTP sees it: with an owner, the connection that made it, and those who wait. */
struct hold {
	struct server *server;
	struct conn *conn;       /* that made it */
	struct capture *capture; /* NULL when given up */
	uint64_t id;             /* random; 0 when it cannot be asked for */
	uint32_t uid;
	bool privileged;
	bool finished;    /* DONE or FAILED */
	bool ended;       /* not in the server's list any more */
	unsigned readers; /* responses that send its profile */
	unsigned refs;    /* the list, requests, readers */
	LIST_HEAD(, request) waiters;
	LIST_ENTRY(hold) list;
};

struct route;

struct request {
	struct server *server;
	struct conn *conn;
	struct MHD_Connection *mhd;
	struct peer peer; /* the connection's, raised by a token */
	const struct route *route;
	const char *method; /* libmicrohttpd's */
	char *path;         /* decoded */
	char *query;        /* raw, behind the '?'; NULL none */
	struct buf body;
	size_t dropped_bytes; /* of a body that is too large */
	bool begun, admitted, answered, waiting, gone;
	struct hold *hold;       /* what it waits for or sends */
	sd_event_source *hangup; /* while it waits */
	/* What it asked the history, and the answer once it is there. */
	struct history_request *asked;
	struct history_answer answer;
	bool answer_due;
	LIST_ENTRY(request) waiters;
};

struct server {
	sd_event *event;
	struct MHD_Daemon *mhd;
	sd_event_source *io, *timer, *kick, *pause;
	struct listener *listeners;
	size_t n_listeners;
	struct sessions *sessions;
	struct continuous *continuous;
	struct history *history;
	struct server_limits limits;
	unsigned mhd_timeout_s; /* what a new connection gets from libmicrohttpd */
	struct server_callbacks callbacks;
	char *group_file, *allowed_hosts, *token;
	struct conn *adding; /* between MHD_add_connection() and its notification */
	bool freeing, timeouts_changed;
	struct server_stats stats;
	LIST_HEAD(, conn) conns;
	LIST_HEAD(, hold) holds;
	LIST_HEAD(, request) asking; /* requests that wait for the history */
};

/* route.c */
struct route {
	const char *path; /* a final '*' stands for the id of a capture and what follows */
	unsigned methods; /* enum http_method */
	bool privileged;
	enum MHD_Result (*handle)(struct request *q);
	const char *what; /* it is, to who may not; NULL: its path says so */
};
enum http_method { HTTP_GET = 1, HTTP_HEAD = 2, HTTP_POST = 4, HTTP_DELETE = 8 };
enum MHD_Result route_request(void *arg, struct MHD_Connection *mhd, const char *url,
			      const char *method, const char *version, const char *upload,
			      size_t *upload_bytes, void **context);

/* request.c */
void *request_new(void *arg, const char *uri, struct MHD_Connection *mhd);
void request_done(void *arg, struct MHD_Connection *mhd, void **context,
		  enum MHD_RequestTerminationCode how);
const char *request_header(const struct request *q, const char *name);
/* Suspends the connection until the hold has finished or ended. */
int request_wait(struct request *q, struct hold *hold);
void request_wake(struct request *q);
/* Asks the history, and suspends the connection until the answer is there: the handler is called
 * again, with answer_due. */
int request_ask(struct request *q, const struct history_query *query);

/* reply.c: each answers the request; NAME and VALUE are a further header or NULL. `body` is taken
 * over. Errors are one printable line. */
enum MHD_Result reply_body(struct request *q, unsigned status, const char *type, struct buf *body,
			   const char *name, const char *value);
enum MHD_Result reply_json(struct request *q, unsigned status, json_t *json, const char *name,
			   const char *value); /* json is taken over, NULL is out of memory */
enum MHD_Result reply_error(struct request *q, unsigned status, const char *fmt, ...)
	_printf_(3, 4);
enum MHD_Result reply_error_header(struct request *q, unsigned status, const char *name,
				   const char *value, const char *fmt, ...) _printf_(5, 6);
enum MHD_Result reply_empty(struct request *q, unsigned status, const char *name,
			    const char *value);
enum MHD_Result reply_no_memory(struct request *q);
/* The gzip pprof of a finished hold, or the error of a failed one. */
enum MHD_Result reply_profile(struct request *q, struct hold *hold);

/* hold.c: hold_new() starts the capture, under the limits; on failure the request is answered, the
 * answer's result is in *ret_answer, and NULL is returned. */
struct hold *hold_new(struct request *q, struct capture_spec *spec, bool with_id,
		      enum MHD_Result *ret_answer);
struct hold *hold_ref(struct hold *h);
struct hold *hold_unref(struct hold *h);
/* Takes it from the list, gives the capture up unless its profile is being sent, wakes those who
 * wait. */
void hold_end(struct hold *h);
void hold_reader_done(struct hold *h);
/* By id, for this peer: others' captures do not exist. */
struct hold *hold_find(struct request *q, uint64_t id);

/* Has libmicrohttpd run once more in the event loop: it does not see by itself that a connection was
 * resumed. */
void server_kick(struct server *s);

/* conn.c, server.c */
/* 0: never. Takes effect when libmicrohttpd's call is over: inside it, another connection may be
 * half closed, which MHD_set_connection_option() does not survive. */
void conn_set_timeout(struct conn *c, unsigned seconds);
unsigned server_idle_timeout_s(const struct server *s);

/* Takes the accepted descriptor over: asks the kernel who it is, and gives it to libmicrohttpd, to
 * be served or to be told why not. */
int conn_accept(struct server *s, int fd, bool local);
int conn_adopt_private(struct server *s, int fd);
/* MHD_OPTION_NOTIFY_CONNECTION */
void conn_notify(void *arg, struct MHD_Connection *mhd, void **context,
		 enum MHD_ConnectionNotificationCode code);
void conn_apply_timeouts(struct server *s);

/* The routes. */
enum MHD_Result pprof_redirect(struct request *q);
enum MHD_Result pprof_profile(struct request *q);
enum MHD_Result pprof_cmdline(struct request *q);
enum MHD_Result pprof_symbol(struct request *q);
enum MHD_Result index_page(struct request *q);
enum MHD_Result index_style(struct request *q);
enum MHD_Result captures_create(struct request *q);
enum MHD_Result captures_one(struct request *q);
enum MHD_Result windows_list(struct request *q);
enum MHD_Result windows_one(struct request *q);
enum MHD_Result windows_profile(struct request *q);
enum MHD_Result windows_snapshot(struct request *q);
enum MHD_Result control_pause(struct request *q);
enum MHD_Result control_resume(struct request *q);
enum MHD_Result control_rules(struct request *q);
enum MHD_Result control_targets(struct request *q);
enum MHD_Result status_version(struct request *q);
enum MHD_Result status_status(struct request *q);
enum MHD_Result status_targets(struct request *q);
enum MHD_Result status_metrics(struct request *q);
