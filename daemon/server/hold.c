/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <sys/random.h>

#include "http.h"
#include "spec.h"

struct hold *hold_ref(struct hold *h)
{
	h->refs++;
	return h;
}

struct hold *hold_unref(struct hold *h)
{
	if (!h || --h->refs > 0)
		return NULL;
	capture_free(h->capture);
	free(h);
	return NULL;
}

static void wake_all(struct hold *h)
{
	while (!LIST_EMPTY(&h->waiters))
		request_wake(LIST_FIRST(&h->waiters));
}

void hold_end(struct hold *h)
{
	if (h->ended)
		return;

	h->ended = true;
	LIST_REMOVE(h, list);
	if (--h->conn->n_holds == 0)
		conn_set_timeout(h->conn, server_idle_timeout_s(h->server));
	h->conn = NULL;
	if (h->readers == 0)
		h->capture = capture_free(h->capture);
	wake_all(h);
	hold_unref(h);
}

void hold_reader_done(struct hold *h)
{
	if (--h->readers == 0 && h->ended)
		h->capture = capture_free(h->capture);
	hold_unref(h);
}

/* From the sessions, in the event loop. */
static void on_finished(void *arg)
{
	struct hold *h = arg;

	h->finished = true;
	wake_all(h);
}

/* Others' captures do not exist. The id is compared as a number; it is no secret to time. */
struct hold *hold_find(struct request *q, uint64_t id)
{
	struct hold *h;

	LIST_FOREACH (h, &q->server->holds, list)
		if (h->id == id && id != 0)
			return q->peer.privileged || (!h->privileged && h->uid == q->peer.uid)
				       ? h
				       : NULL;
	return NULL;
}

/* 0, or the status of the refusal, which has been answered. */
static unsigned over_limit(struct request *q, enum MHD_Result *ret_answer)
{
	const struct server_limits *limits = &q->server->limits;
	unsigned all = 0, ordinary = 0, own = 0;
	struct hold *h;

	LIST_FOREACH (h, &q->server->holds, list) {
		all++;
		ordinary += !h->privileged;
		own += !h->privileged && h->uid == q->peer.uid;
	}
	if (!q->peer.privileged && own >= limits->captures_per_uid) {
		*ret_answer = reply_error(q, 429,
					  "you have %u captures of the %u that a user may have: "
					  "stop one or wait for its end",
					  own, limits->captures_per_uid);
		return 429;
	}
	if (all >= limits->captures ||
	    (!q->peer.privileged && ordinary >= limits->captures - limits->captures / 4)) {
		*ret_answer = reply_error(q, 503,
					  "%u captures run already, the most that [Server] "
					  "MaxCaptures=%u allows: try again later",
					  all, limits->captures);
		return 503;
	}
	return 0;
}

static unsigned status_of(int r)
{
	switch (r) {
	case -ENOMEM:
	case -EBUSY:
	case -ENOSPC:
	case -EMFILE:
	case -ENFILE:
	case -EAGAIN:
		return 503;
	case -ESRCH:
	case -ENOENT:
		return 404;
	case -EPERM:
	case -EACCES:
		return 403;
	case -EINVAL:
	case -ERANGE:
	case -E2BIG:
		return 400;
	case -EDQUOT:
		return 429;
	default:
		return 500;
	}
}

static enum MHD_Result refuse(struct request *q, int r, const char *what, const char *error)
{
	if (error)
		return reply_error(q, status_of(r), "%s", error);
	return reply_error(q, status_of(r), "%s: %s", what, strerror(-r));
}

static int new_id(const struct server *s, uint64_t *ret)
{
	const struct hold *h;
	uint64_t id = 0;

	/* the pool is seeded long before a daemon starts; if not, no id rather than a guessable one */
	do {
		if (getrandom(&id, sizeof(id), GRND_NONBLOCK) != sizeof(id))
			return -EAGAIN;
		LIST_FOREACH (h, &s->holds, list)
			if (h->id == id)
				id = 0;
	} while (id == 0);

	*ret = id;
	return 0;
}

struct hold *hold_new(struct request *q, struct capture_spec *spec, bool with_id,
		      enum MHD_Result *ret_answer)
{
	_cleanup_free_ struct hold *h = calloc(1, sizeof(*h));
	_cleanup_free_ char *error = NULL;
	int r;

	if (!h) {
		*ret_answer = reply_no_memory(q);
		return NULL;
	}
	if (over_limit(q, ret_answer) != 0)
		return NULL;
	r = spec_limit(spec, &q->peer, &q->server->limits, &error);
	if (r >= 0 && with_id)
		r = new_id(q->server, &h->id);
	if (r >= 0)
		r = capture_new(q->server->sessions, spec, on_finished, h, &h->capture, &error);
	if (r < 0) {
		*ret_answer = refuse(q, r, "cannot start the capture", error);
		return NULL;
	}

	h->server = q->server;
	h->conn = q->conn;
	h->uid = q->peer.uid;
	h->privileged = q->peer.privileged;
	h->refs = 1;
	LIST_INIT(&h->waiters);
	LIST_INSERT_HEAD(&q->server->holds, h, list);
	if (q->conn->n_holds++ == 0)
		conn_set_timeout(q->conn, 0);
	return TAKE_PTR(h);
}
