/* SPDX-License-Identifier: Apache-2.0 */
#include "daemon.h"

#include <string.h>

#include "dial.h"
#include "private.h"

#define DAEMON_JSON_MAX_BYTES  (64U << 20)
#define DAEMON_TIMEOUT_SECONDS 30

struct daemon {
	const struct client *client;
	struct http *http;
	struct private_daemon *private;
	int connect_error;
	uid_t peer_uid;
};

static bool daemon_absent(int r)
{
	return r == -ENOENT || r == -ENOTDIR || r == -ECONNREFUSED;
}

/* The connection stands, nothing has been sent. */
static int daemon_connected(void *arg, int fd)
{
	struct daemon *d = arg;

	d->connect_error = d->private ? private_start(d->private) : dial_check(fd, &d->peer_uid);
	return d->connect_error;
}

static int daemon_open_http(struct daemon *d)
{
	const char *path = d->private ? private_name(d->private) : d->client->socket;
	int r = http_new(&d->http, path, daemon_connected, d);

	if (r == -ELIBACC)
		say_error("cannot load libcurl.so.4, which speaks to the daemon: install libcurl4 "
			  "(Debian) or libcurl");
	else if (r < 0)
		say_error("cannot set up libcurl: %s", strerror(-r));
	else
		http_set_timeout(d->http, DAEMON_TIMEOUT_SECONDS);
	return r;
}

static int daemon_open_private(struct daemon *d)
{
	int r = private_new(&d->private);

	if (r < 0) {
		say_error("cannot start a private daemon: %s", strerror(-r));
		return r;
	}

	say("cprofctl: no daemon at %s: starting one for this run", d->client->socket);
	r = daemon_open_http(d);
	/* whether it can work is told now, before anything else begins */
	return r < 0 ? r : daemon_request(d, "GET", "/api/v1/version", NULL, NULL);
}

int daemon_open(struct daemon **ret, const struct client *c, unsigned flags)
{
	_cleanup_(daemon_freep) struct daemon *d = calloc(1, sizeof(*d));
	uid_t uid = 0;
	int r;

	if (!d) {
		say_error("out of memory");
		return -ENOMEM;
	}
	d->client = c;

	r = dial(c->socket, &uid);
	if (r >= 0) {
		r = daemon_open_http(d);
	} else if (daemon_absent(r) && (flags & DAEMON_MAY_START) && !c->socket_chosen &&
		   geteuid() == 0) {
		r = daemon_open_private(d);
	} else if (daemon_absent(r) && (flags & DAEMON_QUIET)) {
		return -ENOENT;
	} else {
		dial_say(c, r, uid);
	}
	if (r < 0)
		return r;

	*ret = TAKE_PTR(d);
	return 0;
}

struct daemon *daemon_free(struct daemon *d)
{
	if (!d)
		return NULL;

	http_free(d->http);
	private_free(d->private);
	free(d);
	return NULL;
}

static void daemon_say(struct daemon *d, int r)
{
	const char *line = d->private ? private_last_line(d->private) : NULL;

	if (d->connect_error == -ENOENT && d->private)
		say_error("there is no program cprofd to start: install it beside cprofctl, or in "
			  "/usr/sbin");
	else if (d->connect_error < 0 && d->private)
		say_error("cannot start a private daemon: %s", strerror(-d->connect_error));
	else if (d->connect_error < 0)
		dial_say(d->client, d->connect_error, d->peer_uid);
	else if (r == -ENOTCONN && line)
		say_error("%s", line);
	else if (r == -ENOTCONN && d->private)
		say_error("the private daemon ended without a word: run `cprofd` to see why");
	else if (r == -ENOTCONN)
		say_error("%s closed the connection: the daemon ended or was restarted; "
			  "`journalctl -u cprofd` says why",
			  d->client->socket);
	else
		say_error("%s", http_error(d->http));
}

int daemon_request(struct daemon *d, const char *method, const char *path, const char *body,
		   struct buf *reply)
{
	int r = http_request(d->http, method, path, body, reply);

	if (r < 0 && r != -ECANCELED)
		daemon_say(d, r);
	return r;
}

int daemon_get_json(struct daemon *d, const char *path, json_t **ret)
{
	_cleanup_(buf_done) struct buf reply = BUF_INIT(DAEMON_JSON_MAX_BYTES);
	json_error_t error;
	json_t *j;
	int r;

	r = daemon_request(d, "GET", path, NULL, &reply);
	if (r < 0)
		return r;

	j = json_loadb(reply.data ? reply.data : "", reply.size, JSON_REJECT_DUPLICATES, &error);
	if (!j) {
		say_error(
			"the daemon's answer to %s is no JSON: %s; are cprofd and cprofctl of one "
			"version?",
			path, error.text);
		return -EBADMSG;
	}
	*ret = j;
	return 0;
}

struct http *daemon_http(struct daemon *d)
{
	return d->http;
}

void daemon_tend(struct daemon *d)
{
	if (d->private)
		private_tend(d->private);
}

int daemon_pid(const struct daemon *d)
{
	return d->private ? private_pid(d->private) : 0;
}
