/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <sys/epoll.h>

#include "http.h"

static struct request *request_free(struct request *q)
{
	if (!q)
		return NULL;
	if (q->waiting)
		LIST_REMOVE(q, waiters);
	sd_event_source_disable_unref(q->hangup);
	history_cancel(q->asked);
	buf_done(&q->answer.profile);
	catalog_list_done(&q->answer.list);
	hold_unref(q->hold);
	buf_done(&q->body);
	free(q->path);
	free(q->query);
	free(q);
	return NULL;
}

/* MHD_OPTION_URI_LOG_CALLBACK: the first that is heard of a request, before its headers; what it
 * returns becomes the request's context. NULL, without memory, closes the connection. */
void *request_new(void *arg, const char *uri, struct MHD_Connection *mhd)
{
	struct request *q = calloc(1, sizeof(*q));
	const char *query = strchr(uri, '?');

	if (!q)
		return NULL;
	q->server = arg;
	q->mhd = mhd;
	q->body = BUF_INIT(CPROF_MAX_REQUEST_BYTES);
	if (query) {
		q->query = strdup(query + 1);
		if (!q->query)
			return request_free(q);
	}
	return q;
}

/* MHD_OPTION_NOTIFY_COMPLETED: answered, or broken off at any point. */
void request_done(void *arg _unused_, struct MHD_Connection *mhd _unused_, void **context,
		  enum MHD_RequestTerminationCode how)
{
	struct request *q = *context;
	struct hold *h = q ? q->hold : NULL;

	*context = NULL;
	if (!q)
		return;
	/* a result that was fetched is not kept; one that broke off may be asked for again */
	if (h && !h->ended && h->finished && q->answered &&
	    (how == MHD_REQUEST_TERMINATED_COMPLETED_OK || h->id == 0))
		hold_end(h);
	else if (h && !h->ended && h->id == 0)
		hold_end(h);
	request_free(q);
}

const char *request_header(const struct request *q, const char *name)
{
	return MHD_lookup_connection_value(q->mhd, MHD_HEADER_KIND, name);
}

void request_wake(struct request *q)
{
	q->hangup = sd_event_source_disable_unref(q->hangup);
	LIST_REMOVE(q, waiters);
	q->waiting = false;
	MHD_resume_connection(q->mhd);
	server_kick(q->server);
}

/* The peer closed its end, or half of it, while it was to wait. */
static int on_hangup(sd_event_source *source _unused_, int fd _unused_, uint32_t events _unused_,
		     void *arg)
{
	struct request *q = arg;

	q->gone = true;
	if (!q->hold)
		request_wake(q); /* the question goes with it */
	else if (q->hold->id == 0)
		hold_end(q->hold); /* wakes q too */
	else
		request_wake(q);
	return 0;
}

int request_wait(struct request *q, struct hold *hold)
{
	int r;

	r = sd_event_add_io(q->server->event, &q->hangup, q->conn->fd, EPOLLRDHUP, on_hangup, q);
	if (r < 0)
		return r;

	if (!q->hold)
		q->hold = hold_ref(hold);
	LIST_INSERT_HEAD(&hold->waiters, q, waiters);
	q->waiting = true;
	q->conn->suspended = true;
	MHD_suspend_connection(q->mhd);
	return 0;
}

static void on_answer(void *arg, struct history_answer *answer)
{
	struct request *q = arg;

	q->asked = NULL;
	q->answer = *answer;
	*answer = (struct history_answer){};
	q->answer_due = true;
	request_wake(q);
}

int request_ask(struct request *q, const struct history_query *query)
{
	int r;

	r = sd_event_add_io(q->server->event, &q->hangup, q->conn->fd, EPOLLRDHUP, on_hangup, q);
	if (r < 0)
		return r;
	r = history_ask(q->server->history, query, on_answer, q, &q->asked);
	if (r < 0) {
		q->hangup = sd_event_source_disable_unref(q->hangup);
		return r;
	}
	LIST_INSERT_HEAD(&q->server->asking, q, waiters);
	q->waiting = true;
	q->conn->suspended = true;
	MHD_suspend_connection(q->mhd);
	return 0;
}
