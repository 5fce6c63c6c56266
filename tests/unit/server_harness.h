/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A server in a child process, over sessions that only keep time, and a client that speaks bytes;
 * all static, for the tests that include it. A capture of the stub runs a tenth of its duration;
 * its profile is "PROFILE " and padding:
 *	unit size-N	a profile of N bytes
 *	comm fail	ends as failed
 *	pid 4000000	does not exist
 * /api/v1/status tells what the stub and the server count, and who asks.
 */

#include <arpa/inet.h>
#include <fcntl.h>
#include <grp.h>
#include <netinet/in.h>
#include <poll.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <strings.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <time.h>

#include <cmocka.h>

#include "server.h"

struct capture {
	sd_event_source *timer;
	struct buf profile;
	void (*done)(void *arg);
	void *arg;
	struct capture_progress progress;
	bool fail;
};

static struct {
	sd_event *event;
	unsigned live, created, stopped;
} stub;

static int stub_over(sd_event_source *source _unused_, uint64_t usec _unused_, void *arg)
{
	struct capture *c = arg;

	c->progress.state = c->fail ? CAPTURE_FAILED : CAPTURE_DONE;
	c->done(c->arg);
	return 0;
}

int capture_new(struct sessions *s _unused_, const struct capture_spec *spec,
		void (*done)(void *arg), void *arg, struct capture **ret, char **ret_error)
{
	size_t bytes = 64;
	struct capture *c;

	for (size_t i = 0; i < spec->n_targets; i++) {
		const struct capture_target *t = &spec->targets[i];

		if (t->kind == CAPTURE_PID && strcmp(t->value, "4000000") == 0) {
			*ret_error = strdup("no process \033[2J4000000");
			return -ESRCH;
		}
		if (t->kind == CAPTURE_UNIT)
			(void)sscanf(t->value, "size-%zu", &bytes);
	}
	c = calloc(1, sizeof(*c));
	c->fail = spec->targets[0].kind == CAPTURE_COMM &&
		  strcmp(spec->targets[0].value, "fail") == 0;
	c->profile = BUF_INIT(1 << 30);
	c->done = done;
	c->arg = arg;
	c->progress = (struct capture_progress){ .duration_ns = spec->duration_ns, .samples = 7 };
	memset(buf_reserve(&c->profile, bytes), 'x', bytes);
	c->profile.size = bytes;
	memcpy(c->profile.data, "PROFILE ", 8);
	if (spec->duration_ns)
		sd_event_add_time_relative(stub.event, &c->timer, CLOCK_MONOTONIC,
					   spec->duration_ns / 10000, 1, stub_over, c);
	stub.live++;
	stub.created++;
	*ret = c;
	return 0;
}

struct capture *capture_free(struct capture *c)
{
	if (!c)
		return NULL;
	stub.live--;
	sd_event_source_disable_unref(c->timer);
	buf_done(&c->profile);
	free(c);
	return NULL;
}

void capture_stop(struct capture *c)
{
	if (c->progress.state != CAPTURE_RUNNING)
		return;
	stub.stopped++;
	c->progress.state = CAPTURE_NAMING;
	sd_event_source_disable_unref(c->timer);
	sd_event_add_time_relative(stub.event, &c->timer, CLOCK_MONOTONIC, 0, 1, stub_over, c);
}

void capture_progress(struct capture *c, struct capture_progress *ret)
{
	*ret = c->progress;
}

const struct buf *capture_profile(const struct capture *c)
{
	return &c->profile;
}

const char *capture_error(const struct capture *c _unused_)
{
	return "it was told to";
}

struct harness {
	pid_t pid;
	char dir[64], socket[96], group[96], token[96];
	int private_fd; /* the client's end */
};

struct harness_options {
	bool own_group; /* the caller is a member of group cprofd */
	bool with_private;
	const char *listen, *token;
	struct server_limits limits; /* what is 0 gets a default */
};

static struct server *stub_server;

static json_t *stub_status(void *arg _unused_, const struct peer *peer)
{
	struct server_stats stats;

	server_stats(stub_server, &stats);
	return json_pack("{s:i, s:i, s:i, s:i, s:b, s:i, s:i, s:i}", "live", stub.live, "created",
			 stub.created, "stopped", stub.stopped, "uid", (int)peer->uid, "privileged",
			 peer->privileged, "connections", stats.connections, "refused",
			 (int)stats.refused, "requests", (int)stats.requests);
}

static json_t *stub_targets(void *arg _unused_, const struct peer *peer _unused_)
{
	return json_pack("[{s:i,s:s,s:s,s:s,s:s,s:f},{s:i,s:s,s:s,s:s,s:s,s:f}]", "pid", 11, "comm",
			 "idle", "unit", "", "container", "", "user", "me", "cpu", 0.01, "pid", 12,
			 "comm", "<script>'\"&\033[2J", "unit", "a'b&c.service", "container", "",
			 "user", "root", "cpu", 0.5);
}

static int stub_metrics(void *arg _unused_, struct buf *out)
{
	return buf_puts(out, "cprofd_up 1\n");
}

static int stub_symbol(void *arg _unused_, const char *addresses, size_t size, struct buf *out)
{
	return buf_printf(out, "%.*s name\n", (int)size, addresses);
}

static void stub_private_gone(void *arg)
{
	sd_event_exit(arg, 33);
}

static int stub_signal(sd_event_source *source _unused_, const struct signalfd_siginfo *si _unused_,
		       void *arg)
{
	return sd_event_exit(arg, 0);
}

/* The child: serves until SIGTERM, then all must be given back. */
static int stub_main(struct server_options *o, int ready)
{
	sd_event *event = NULL;
	char *error = NULL;
	sigset_t mask;
	int r;

	sigemptyset(&mask);
	sigaddset(&mask, SIGTERM);
	sigprocmask(SIG_BLOCK, &mask, NULL);
	if (sd_event_new(&event) < 0 ||
	    sd_event_add_signal(event, NULL, SIGTERM, stub_signal, event) < 0)
		return 40;
	stub.event = o->event = event;
	o->callbacks = (struct server_callbacks){ .status = stub_status,
						  .targets = stub_targets,
						  .metrics = stub_metrics,
						  .symbol = stub_symbol,
						  .private_gone = stub_private_gone,
						  .arg = event };
	r = server_new(&stub_server, o, &error);
	if (r < 0) {
		fprintf(stderr, "server_new: %s\n", error);
		free(error);
		sd_event_unref(event);
		return 41;
	}
	if (write(ready, "", 1) != 1)
		return 42;
	close(ready);
	r = sd_event_loop(event);
	stub_server = server_free(stub_server);
	sd_event_unref(event);
	return stub.live ? 43 : r;
}

static _unused_ void put_file(const char *path, const char *text, mode_t mode)
{
	FILE *f = fopen(path, "we");

	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
	assert_int_equal(chmod(path, mode), 0);
}

static struct server_limits limits_or_defaults(const struct server_limits *l)
{
	return (struct server_limits){
		.connections = l->connections ? l->connections : 128,
		.connections_per_uid = l->connections_per_uid ? l->connections_per_uid : 4,
		.captures = l->captures ? l->captures : 100,
		.captures_per_uid = l->captures_per_uid ? l->captures_per_uid : 1,
		.hz_per_user = 1000,
		.duration_ns_per_user = 600 * NSEC_PER_SEC,
		.idle_timeout_ns = l->idle_timeout_ns ? l->idle_timeout_ns : 30 * NSEC_PER_SEC,
	};
}

static _unused_ void harness_start(struct harness *h, const struct harness_options *options)
{
	int ready[2], pair[2] = { -1, -1 };
	char text[64], byte;

	*h = (struct harness){ .dir = "/tmp/test_server.XXXXXX" };
	assert_non_null(mkdtemp(h->dir));
	assert_int_equal(chmod(h->dir, 0755), 0);
	snprintf(h->socket, sizeof(h->socket), "%s/sub/s.sock", h->dir);
	snprintf(h->group, sizeof(h->group), "%s/group", h->dir);
	snprintf(h->token, sizeof(h->token), "%s/token", h->dir);
	snprintf(text, sizeof(text), "cprofd:x:%u:\n", getegid());
	put_file(h->group, options->own_group ? text : "other:x:1:\n", 0644);
	if (options->token)
		put_file(h->token, options->token, 0600);
	assert_int_equal(pipe2(ready, O_CLOEXEC), 0);
	if (options->with_private)
		assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, pair), 0);
	h->private_fd = pair[0];

	h->pid = fork();
	assert_true(h->pid >= 0);
	if (h->pid == 0) {
		struct server_options o = {
			.socket_path = options->with_private ? NULL : h->socket,
			.socket_fd = -1,
			.private_fd = pair[1],
			.listen = options->listen,
			.token_file = options->token ? h->token : NULL,
			.group_file = h->group,
			.limits = limits_or_defaults(&options->limits),
		};

		close(ready[0]);
		if (pair[0] >= 0)
			close(pair[0]);
		exit(stub_main(&o, ready[1]));
	}
	close(ready[1]);
	if (pair[1] >= 0)
		close(pair[1]);
	assert_int_equal(read(ready[0], &byte, 1), 1);
	close(ready[0]);
}

/* Waits for the child to end by itself; its exit status. */
static _unused_ int harness_wait(struct harness *h)
{
	char command[128];
	int status;

	assert_int_equal(waitpid(h->pid, &status, 0), h->pid);
	snprintf(command, sizeof(command), "rm -rf %s", h->dir);
	assert_int_equal(system(command), 0);
	assert_true(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* Ends it; no capture may be left, nor memory under a sanitizer, nor the socket. */
static _unused_ void harness_stop(struct harness *h)
{
	kill(h->pid, SIGTERM);
	assert_int_equal(harness_wait(h), 0);
	assert_int_equal(access(h->socket, F_OK), -1);
}

static void client_timeout(int fd)
{
	const struct timeval t = { .tv_sec = 60 };

	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &t, sizeof(t)), 0);
	assert_int_equal(setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &t, sizeof(t)), 0);
}

/* A connection as this uid, for which one must be root; -1: as who we are. */
static _unused_ int client_connect(const struct harness *h, int uid)
{
	struct sockaddr_un a = { .sun_family = AF_UNIX };
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0), r;

	strcpy(a.sun_path, h->socket);
	if (uid >= 0) {
		assert_int_equal(setgroups(0, NULL), 0);
		assert_int_equal(setegid((gid_t)uid), 0);
		assert_int_equal(seteuid((uid_t)uid), 0);
	}
	r = connect(fd, (struct sockaddr *)&a, sizeof(a));
	if (uid >= 0) {
		assert_int_equal(seteuid(0), 0);
		assert_int_equal(setegid(0), 0);
	}
	assert_int_equal(r, 0);
	client_timeout(fd);
	return fd;
}

static _unused_ int client_connect_tcp(int port)
{
	struct sockaddr_in a = { .sin_family = AF_INET,
				 .sin_port = htons((uint16_t)port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	client_timeout(fd);
	return fd;
}

static _unused_ int free_port(void)
{
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK) };
	socklen_t size = sizeof(a);
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	assert_int_equal(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(getsockname(fd, (struct sockaddr *)&a, &size), 0);
	close(fd);
	return ntohs(a.sin_port);
}

static _unused_ void client_send(int fd, const char *text)
{
	size_t size = strlen(text);

	assert_int_equal(send(fd, text, size, MSG_NOSIGNAL), (ssize_t)size);
}

struct answer {
	int status; /* 0: the connection was closed without an answer */
	char headers[8192];
	char *body;
	size_t body_bytes;
};

static void answer_done(struct answer *a)
{
	free(a->body);
	a->body = NULL;
}

static void read_body(int fd, struct answer *a)
{
	const char *length = strcasestr(a->headers, "\r\nContent-Length:");
	size_t have = 0;

	a->body_bytes = length ? strtoul(length + 17, NULL, 10) : 0;
	a->body = calloc(1, a->body_bytes + 1);
	while (have < a->body_bytes) {
		ssize_t n = recv(fd, a->body + have, a->body_bytes - have, 0);

		assert_true(n > 0);
		have += (size_t)n;
	}
}

/* Byte by byte up to the empty line, so that nothing of the next answer is taken. */
static _unused_ void client_read(int fd, struct answer *a, bool head)
{
	size_t n = 0;

	memset(a, 0, sizeof(*a));
	while (!strstr(a->headers, "\r\n\r\n")) {
		ssize_t r = recv(fd, a->headers + n, 1, 0);

		assert_true(n < sizeof(a->headers) - 2);
		if (r < 0)
			assert_int_equal(errno, ECONNRESET);
		if (r <= 0)
			return;
		n++;
	}
	assert_int_equal(sscanf(a->headers, "HTTP/1.1 %d", &a->status), 1);
	if (head)
		a->body = calloc(1, 1);
	else if (a->status >= 200 && a->status != 204)
		read_body(fd, a);
}

/* Further headers end in \r\n. */
static _unused_ void client_ask(int fd, const char *method, const char *path, const char *headers,
				const char *body, struct answer *ret)
{
	char request[16384];
	int n;

	if (!body)
		n = snprintf(request, sizeof(request),
			     "%s %s HTTP/1.1\r\nHost: localhost\r\n%s\r\n", method, path,
			     headers ? headers : "");
	else
		n = snprintf(request, sizeof(request),
			     "%s %s HTTP/1.1\r\nHost: localhost\r\n%sContent-Length: %zu\r\n\r\n%s",
			     method, path, headers ? headers : "", strlen(body), body);
	assert_true(n < (int)sizeof(request));
	client_send(fd, request);
	client_read(fd, ret, strcmp(method, "HEAD") == 0);
}

/* A request on a new connection. */
static _unused_ int status_of_get(const struct harness *h, int uid, const char *path,
				  const char *headers)
{
	int fd = client_connect(h, uid);
	struct answer a;

	client_ask(fd, "GET", path, headers, NULL, &a);
	answer_done(&a);
	close(fd);
	return a.status;
}

static long number_in(const char *json, const char *member)
{
	json_auto_t *o = json_loads(json, 0, NULL);
	const json_t *v = json_object_get(o, member);

	assert_non_null(v);
	return json_is_boolean(v) ? json_is_true(v) : (long)json_integer_value(v);
}

static _unused_ long status_number(const struct harness *h, const char *member)
{
	int fd = client_connect(h, -1);
	struct answer a;
	long v;

	client_ask(fd, "GET", "/api/v1/status", NULL, NULL, &a);
	assert_int_equal(a.status, 200);
	v = number_in(a.body, member);
	answer_done(&a);
	close(fd);
	return v;
}

/* Waits for this value, for a minute at most; the value it has then. */
static _unused_ long status_becomes(const struct harness *h, const char *member, long value)
{
	long v = 0;

	for (unsigned i = 0; i < 6000; i++) {
		v = status_number(h, member);
		if (v == value)
			break;
		usleep(10000);
	}
	return v;
}

/* Whether the peer has closed, within a minute; data before that is dropped. */
static _unused_ bool closes(int fd)
{
	char drop[4096];
	ssize_t n;

	while ((n = recv(fd, drop, sizeof(drop), 0)) > 0)
		;
	return n == 0 || errno == ECONNRESET;
}
