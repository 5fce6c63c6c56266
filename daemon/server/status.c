/* SPDX-License-Identifier: Apache-2.0 */
/* What the daemon says of itself and of what runs. */
#include <string.h>
#include <sys/utsname.h>

#include "http.h"

enum MHD_Result status_version(struct request *q)
{
	struct utsname u;

	if (uname(&u) < 0)
		strcpy(u.release, "unknown");
	return reply_json(q, 200,
			  json_pack("{s:s, s:s, s:i}", "version", CPROF_VERSION, "kernel",
				    u.release, "api", CPROF_API_VERSION),
			  NULL, NULL);
}

enum MHD_Result status_status(struct request *q)
{
	const struct server_callbacks *c = &q->server->callbacks;

	return reply_json(q, 200, c->status ? c->status(c->arg, &q->peer) : json_object(), NULL,
			  NULL);
}

enum MHD_Result status_targets(struct request *q)
{
	const struct server_callbacks *c = &q->server->callbacks;

	return reply_json(q, 200, c->targets ? c->targets(c->arg, &q->peer) : json_array(), NULL,
			  NULL);
}

enum MHD_Result status_metrics(struct request *q)
{
	const struct server_callbacks *c = &q->server->callbacks;
	struct buf b = BUF_INIT(HTTP_MAX_PAGE_BYTES);
	int r = c->metrics ? c->metrics(c->arg, &b) : 0;

	if (r < 0) {
		buf_done(&b);
		return reply_error(q, 500, "cannot collect the metrics: %s", strerror(-r));
	}
	return reply_body(q, 200, "text/plain; version=0.0.4; charset=utf-8", &b, NULL, NULL);
}
