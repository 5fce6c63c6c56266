/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include "auth.h"
#include "cleanup.h"
#include "http.h"

#define ACCEPTS_PER_WAKEUP 32
#define PAUSE_US           (200 * 1000)

/* One turn of libmicrohttpd, and what had to wait for its end. */
static void run(struct server *s)
{
	MHD_run(s->mhd);
	conn_apply_timeouts(s);
}

static int on_io(sd_event_source *source _unused_, int fd _unused_, uint32_t events _unused_,
		 void *arg)
{
	run(arg);
	return 0;
}

static int on_timer(sd_event_source *source _unused_, uint64_t usec _unused_, void *arg)
{
	run(arg);
	return 0;
}

static int on_kick(sd_event_source *source _unused_, void *arg)
{
	run(arg);
	return 0;
}

void server_kick(struct server *s)
{
	sd_event_source_set_enabled(s->kick, SD_EVENT_ONESHOT);
}

/* Before the loop sleeps: libmicrohttpd says for how long it may. */
static int on_prepare(sd_event_source *source _unused_, void *arg)
{
	struct server *s = arg;
	MHD_UNSIGNED_LONG_LONG ms;
	int r;

	if (MHD_get_timeout(s->mhd, &ms) != MHD_YES)
		return sd_event_source_set_enabled(s->timer, SD_EVENT_OFF);
	r = sd_event_source_set_time_relative(s->timer, ms * 1000);
	return r < 0 ? r : sd_event_source_set_enabled(s->timer, SD_EVENT_ONESHOT);
}

static void listeners_enable(struct server *s, int enabled)
{
	for (size_t i = 0; i < s->n_listeners; i++)
		sd_event_source_set_enabled(s->listeners[i].source, enabled);
}

static int on_pause_over(sd_event_source *source _unused_, uint64_t usec _unused_, void *arg)
{
	listeners_enable(arg, SD_EVENT_ON);
	return 0;
}

/* Without descriptors or memory accept() fails at once, again and again: the loop would spin. */
static void pause_accepting(struct server *s)
{
	listeners_enable(s, SD_EVENT_OFF);
	sd_event_source_set_time_relative(s->pause, PAUSE_US);
	sd_event_source_set_enabled(s->pause, SD_EVENT_ONESHOT);
	s->stats.refused++;
}

static int on_accept(sd_event_source *source _unused_, int fd, uint32_t events _unused_, void *arg)
{
	struct listener *l = arg;

	for (unsigned i = 0; i < ACCEPTS_PER_WAKEUP; i++) {
		int accepted = accept4(fd, NULL, NULL, SOCK_CLOEXEC | SOCK_NONBLOCK);

		if (accepted >= 0) {
			/* whatever became of it, the peer has been told */
			(void)conn_accept(l->server, accepted, l->local);
			continue;
		}
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM)
			pause_accepting(l->server);
		/* all else is of that one connection, EAGAIN included */
		break;
	}
	/* a new connection may have sent its request already */
	run(l->server);
	return 0;
}

static _printf_(3, 4) int fail(char **ret_error, int r, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	if (vasprintf(ret_error, fmt, ap) < 0)
		*ret_error = NULL;
	va_end(ap);
	return r;
}

static struct listener *next_listener(struct server *s)
{
	struct listener *l;

	if (s->n_listeners == LISTEN_MAX)
		return NULL;
	l = &s->listeners[s->n_listeners++];
	*l = (struct listener){ .fd = -1 };
	return l;
}

static int listen_all_tcp(struct server *s, const char *list, char **ret_error)
{
	while (list && *(list += strspn(list, " \t"))) {
		size_t size = strcspn(list, " \t");
		struct listener *l = next_listener(s);
		int r = l ? listen_tcp(l, list, size, s->token, ret_error)
			  : fail(ret_error, -E2BIG, "more than %d addresses to listen on",
				 LISTEN_MAX);

		if (r < 0)
			return r;
		list += size;
	}
	return 0;
}

/* The array never moves: event sources point into it. */
static int open_listeners(struct server *s, const struct server_options *o, int *socket_fd,
			  char **ret_error)
{
	int r;

	s->listeners = calloc(LISTEN_MAX, sizeof(*s->listeners));
	if (!s->listeners)
		return -ENOMEM;
	if (*socket_fd >= 0) {
		r = listen_given(next_listener(s), TAKE_FD(*socket_fd), s->token, ret_error);
		if (r < 0)
			return r;
	}
	if (o->socket_path) {
		r = listen_unix(next_listener(s), o->socket_path, ret_error);
		if (r < 0)
			return r;
	}
	r = listen_all_tcp(s, o->listen, ret_error);
	if (r < 0)
		return r;

	for (size_t i = 0; i < s->n_listeners; i++) {
		struct listener *l = &s->listeners[i];

		l->server = s;
		r = sd_event_add_io(s->event, &l->source, l->fd, EPOLLIN, on_accept, l);
		if (r < 0)
			return fail(ret_error, r, "event loop: %s", strerror(-r));
	}
	return 0;
}

static int start_mhd(struct server *s, char **ret_error)
{
	const union MHD_DaemonInfo *info;
	int r;

	s->mhd_timeout_s = server_idle_timeout_s(s);
	s->mhd = MHD_start_daemon(
		MHD_USE_EPOLL | MHD_USE_NO_LISTEN_SOCKET | MHD_ALLOW_SUSPEND_RESUME, 0, NULL, NULL,
		route_request, s, MHD_OPTION_CONNECTION_MEMORY_LIMIT, (size_t)HTTP_MAX_HEADER_BYTES,
		MHD_OPTION_CONNECTION_LIMIT, s->limits.connections + HTTP_MAX_REFUSED + 1,
		MHD_OPTION_CONNECTION_TIMEOUT, s->mhd_timeout_s, MHD_OPTION_NOTIFY_COMPLETED,
		request_done, s, MHD_OPTION_NOTIFY_CONNECTION, conn_notify, s,
		MHD_OPTION_URI_LOG_CALLBACK, request_new, s, MHD_OPTION_STRICT_FOR_CLIENT, 1,
		MHD_OPTION_END);
	info = s->mhd ? MHD_get_daemon_info(s->mhd, MHD_DAEMON_INFO_EPOLL_FD) : NULL;
	if (!info)
		return fail(ret_error, -EIO, "libmicrohttpd does not start");

	r = sd_event_add_io(s->event, &s->io, info->epoll_fd, EPOLLIN, on_io, s);
	if (r >= 0)
		r = sd_event_source_set_prepare(s->io, on_prepare);
	if (r >= 0)
		r = sd_event_add_time_relative(s->event, &s->timer, CLOCK_MONOTONIC, 0, 1000,
					       on_timer, s);
	if (r >= 0)
		r = sd_event_add_defer(s->event, &s->kick, on_kick, s);
	if (r >= 0)
		r = sd_event_add_time_relative(s->event, &s->pause, CLOCK_MONOTONIC, 0, 1000,
					       on_pause_over, s);
	if (r >= 0)
		r = sd_event_source_set_enabled(s->pause, SD_EVENT_OFF);
	return r < 0 ? fail(ret_error, r, "event loop: %s", strerror(-r)) : 0;
}

static int load_token(const char *path, char **ret_token, char **ret_error)
{
	int r = path ? auth_token_load(path, ret_token) : 0;

	if (r == -EPERM)
		return fail(ret_error, r, "TokenFile=%s: others may read it, chmod o-r", path);
	if (r == -EINVAL)
		return fail(ret_error, r, "TokenFile=%s: it must hold one word of 16 to 4096 bytes",
			    path);
	return r < 0 ? fail(ret_error, r, "TokenFile=%s: %s", path, strerror(-r)) : 0;
}

static void free_token(char *token)
{
	if (token)
		explicit_bzero(token, strlen(token));
	free(token);
}

static int copy_options(struct server *s, const struct server_options *o, char **ret_error)
{
	s->event = sd_event_ref(o->event);
	s->sessions = o->sessions;
	s->continuous = o->continuous;
	s->history = o->history;
	s->limits = o->limits;
	s->callbacks = o->callbacks;
	s->group_file = strdup(o->group_file ? o->group_file : "/etc/group");
	s->allowed_hosts = o->allowed_hosts ? strdup(o->allowed_hosts) : NULL;
	if (!s->group_file || (o->allowed_hosts && !s->allowed_hosts))
		return -ENOMEM;
	return load_token(o->token_file, &s->token, ret_error);
}
DEFINE_CLEANUP(struct server *, server_free)

int server_new(struct server **ret, const struct server_options *options, char **ret_error)
{
	_cleanup_close_ int socket_fd = options->socket_fd, private_fd = options->private_fd;
	_cleanup_(server_freep) struct server *s = calloc(1, sizeof(*s));
	int r;

	*ret_error = NULL;
	if (!s)
		return -ENOMEM;
	LIST_INIT(&s->conns);
	LIST_INIT(&s->holds);
	LIST_INIT(&s->asking);
	r = copy_options(s, options, ret_error);
	if (r < 0)
		return r;
	r = start_mhd(s, ret_error);
	if (r < 0)
		return r;
	r = open_listeners(s, options, &socket_fd, ret_error);
	if (r < 0)
		return r;
	if (private_fd >= 0) {
		r = conn_adopt_private(s, TAKE_FD(private_fd));
		if (r < 0)
			return fail(ret_error, r, "cannot serve the private socket: %s",
				    strerror(-r));
		conn_apply_timeouts(s);
	}

	*ret = TAKE_PTR(s);
	return 0;
}

/* libmicrohttpd panics when it is stopped with connections suspended. */
static void stop_mhd(struct server *s)
{
	struct request *asking;
	struct hold *h;

	while ((h = LIST_FIRST(&s->holds))) {
		struct request *q;

		LIST_FOREACH (q, &h->waiters, waiters)
			q->gone = true;
		hold_end(h);
	}
	while ((asking = LIST_FIRST(&s->asking))) {
		asking->gone = true;
		asking->asked = history_cancel(asking->asked);
		request_wake(asking);
	}
	MHD_run(s->mhd);
	MHD_stop_daemon(s->mhd);
}

struct server *server_free(struct server *s)
{
	if (!s)
		return NULL;

	s->freeing = true;
	for (size_t i = 0; i < s->n_listeners; i++)
		listen_done(&s->listeners[i]);
	if (s->mhd)
		stop_mhd(s);
	sd_event_source_disable_unref(s->io);
	sd_event_source_disable_unref(s->timer);
	sd_event_source_disable_unref(s->kick);
	sd_event_source_disable_unref(s->pause);
	sd_event_unref(s->event);
	free(s->listeners);
	free(s->group_file);
	free(s->allowed_hosts);
	free_token(s->token);
	free(s);
	return NULL;
}

int server_reload(struct server *s, const struct server_limits *limits, const char *token_file,
		  const char *allowed_hosts, char **ret_error)
{
	_cleanup_free_ char *hosts = allowed_hosts ? strdup(allowed_hosts) : NULL;
	unsigned connections = s->limits.connections, captures = s->limits.captures;
	char *token = NULL;
	int r;

	*ret_error = NULL;
	if (allowed_hosts && !hosts)
		return -ENOMEM;
	r = load_token(token_file, &token, ret_error);
	if (r < 0)
		return r;

	free_token(s->token);
	s->token = token;
	free(s->allowed_hosts);
	s->allowed_hosts = TAKE_PTR(hosts);
	s->limits = *limits;
	s->limits.connections = connections;
	s->limits.captures = captures;
	return 0;
}

void server_stats(const struct server *s, struct server_stats *ret)
{
	*ret = s->stats;
}
