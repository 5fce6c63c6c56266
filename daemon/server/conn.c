/* SPDX-License-Identifier: Apache-2.0 */
#include <netinet/in.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>

#include "auth.h"
#include "http.h"

void conn_set_timeout(struct conn *c, unsigned seconds)
{
	/* the private client's connection is the daemon's life */
	c->timeout_wanted_s = c->is_private ? 0 : seconds;
	c->server->timeouts_changed = true;
}

unsigned server_idle_timeout_s(const struct server *s)
{
	return (unsigned)((s->limits.idle_timeout_ns + NSEC_PER_SEC - 1) / NSEC_PER_SEC);
}

void conn_apply_timeouts(struct server *s)
{
	struct conn *c;

	if (!s->timeouts_changed)
		return;
	s->timeouts_changed = false;
	LIST_FOREACH (c, &s->conns, list) {
		if (c->timeout_wanted_s == c->timeout_set_s)
			continue;
		if (c->suspended) {
			s->timeouts_changed = true;
			continue;
		}
		MHD_set_connection_option(c->mhd, MHD_CONNECTION_OPTION_TIMEOUT,
					  c->timeout_wanted_s);
		c->timeout_set_s = c->timeout_wanted_s;
	}
}

struct census {
	unsigned served, ordinary, own, refused;
};

static struct census count(const struct server *s, const struct conn *who)
{
	struct census n = { 0 };
	const struct conn *c;

	LIST_FOREACH (c, &s->conns, list) {
		if (c->refusal) {
			n.refused++;
			continue;
		}
		n.served++;
		n.ordinary += !c->peer.privileged;
		/* all who are still nobody share one share */
		n.own += !c->peer.privileged && c->known == who->known &&
			 (!c->known || c->peer.uid == who->peer.uid);
	}
	return n;
}

/* 0, or the status with which every request is to be refused; *ret_room: whether there is room to
 * say so. */
static unsigned refusal_of(const struct server *s, const struct conn *c, bool *ret_room)
{
	const struct server_limits *l = &s->limits;
	struct census n = count(s, c);

	*ret_room = n.refused < HTTP_MAX_REFUSED;
	if (!c->known && !s->token)
		return 403;
	if (!c->peer.privileged &&
	    n.own >= (c->known ? l->connections_per_uid : MAX(l->connections / 4, 1U)))
		return c->known ? 429 : 503;
	if (n.served >= l->connections ||
	    (!c->peer.privileged && n.ordinary >= l->connections - l->connections / 16))
		return 503;
	return 0;
}

/* Who is there to be known is decided once, at accept. */
static int identify(struct server *s, struct conn *c)
{
	const int on = 1;
	int r;

	r = c->local ? auth_peer_unix(c->fd, s->group_file, &c->peer)
		     : auth_peer_tcp(c->fd, &c->peer);
	c->known = r >= 0;
	c->nobody = r == -EPERM;
	if (r < 0)
		c->peer = (struct peer){ .uid = UINT32_MAX, .gid = UINT32_MAX };
	/* a token is for the network; a local nobody stays nobody */
	if (r < 0 && c->local)
		return -EPERM;
	/* a peer that vanished without a word must not keep its captures running */
	if (!c->local && setsockopt(c->fd, SOL_SOCKET, SO_KEEPALIVE, &on, sizeof(on)) < 0)
		return -errno;
	return 0;
}

static struct conn *conn_free(struct conn *c)
{
	free(c);
	return NULL;
}
DEFINE_CLEANUP(struct conn *, conn_free)

/* Hands the descriptor and the connection to libmicrohttpd, which closes the former in any case. */
static int add(struct server *s, struct conn *c)
{
	struct sockaddr_storage address = { .ss_family = AF_UNIX };
	socklen_t bytes = sizeof(address);
	int fd = c->fd;

	if (getpeername(fd, (struct sockaddr *)&address, &bytes) < 0 || bytes < sizeof(sa_family_t))
		bytes = sizeof(sa_family_t);
	/* an unnamed Unix socket's address is only its family */
	if (address.ss_family == AF_UNIX)
		bytes = sizeof(struct sockaddr_un);

	s->adding = c;
	if (MHD_add_connection(s->mhd, fd, (const struct sockaddr *)&address, bytes) != MHD_YES) {
		conn_free(TAKE_PTR(s->adding));
		s->stats.refused++;
		return -ECONNABORTED;
	}
	return 0;
}

/* For when not even a refused connection can be kept. */
static void turn_away(struct server *s, int fd)
{
	static const char answer[] =
		"HTTP/1.1 503 Service Unavailable\r\nContent-Type: text/plain; charset=utf-8\r\n"
		"X-Go-Pprof: 1\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n"
		"Content-Length: 42\r\n\r\ntoo many connections: try again in a while";

	(void)!send(fd, answer, strlen(answer), MSG_DONTWAIT | MSG_NOSIGNAL);
	close(fd);
	s->stats.refused++;
}

int conn_accept(struct server *s, int fd, bool local)
{
	_cleanup_(conn_freep) struct conn *c = calloc(1, sizeof(*c));
	bool room;
	int r;

	if (!c) {
		turn_away(s, fd);
		return -ENOMEM;
	}
	c->server = s;
	c->fd = fd;
	c->local = local;
	r = identify(s, c);
	c->refusal = refusal_of(s, c, &room);
	if (r < 0)
		c->refusal = 403;
	if (c->refusal && !room) {
		turn_away(s, fd);
		return -EUSERS;
	}

	c->timeout_set_s = s->mhd_timeout_s;
	conn_set_timeout(c, c->refusal ? HTTP_REFUSED_TIMEOUT_S : server_idle_timeout_s(s));
	return add(s, TAKE_PTR(c));
}

int conn_adopt_private(struct server *s, int fd)
{
	_cleanup_(conn_freep) struct conn *c = calloc(1, sizeof(*c));
	int r;

	if (!c) {
		close(fd);
		return -ENOMEM;
	}
	c->server = s;
	c->fd = fd;
	c->local = c->is_private = true;
	r = identify(s, c);
	if (r < 0) {
		close(fd);
		return r;
	}

	c->timeout_set_s = s->mhd_timeout_s;
	conn_set_timeout(c, 0);
	return add(s, TAKE_PTR(c));
}

static void conn_closed(struct conn *c)
{
	struct server *s = c->server;
	struct hold *h = LIST_FIRST(&s->holds);

	LIST_REMOVE(c, list);
	s->stats.connections--;
	while (h) {
		struct hold *next = LIST_NEXT(h, list);

		if (h->conn == c)
			hold_end(h);
		h = next;
	}
	if (c->is_private && !s->freeing && s->callbacks.private_gone)
		s->callbacks.private_gone(s->callbacks.arg);
	conn_free(c);
}

void conn_notify(void *arg, struct MHD_Connection *mhd, void **context,
		 enum MHD_ConnectionNotificationCode code)
{
	struct server *s = arg;

	if (code == MHD_CONNECTION_NOTIFY_CLOSED) {
		struct conn *c = *context;

		*context = NULL;
		if (c)
			conn_closed(c);
		return;
	}
	if (!s->adding)
		return;
	s->adding->mhd = mhd;
	LIST_INSERT_HEAD(&s->conns, s->adding, list);
	s->stats.connections++;
	*context = TAKE_PTR(s->adding);
}
