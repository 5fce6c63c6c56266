/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>

#include "http.h"
#include "text.h"

#define MAX_ERROR_BYTES 2048

static void count(struct server *s, unsigned status)
{
	if (status == 401 || status == 403 || status == 429 || status == 503)
		s->stats.refused++;
	else if (status >= 400 && status < 500)
		s->stats.bad_requests++;
}

/* Takes the response over. The page's own style sheet is all that the policy lets a browser load. */
static enum MHD_Result send_response(struct request *q, unsigned status,
				     struct MHD_Response *response, const char *type,
				     const char *name, const char *value)
{
	enum MHD_Result result;

	if (!response)
		return MHD_NO;
	if (MHD_add_response_header(response, "X-Content-Type-Options", "nosniff") != MHD_YES ||
	    MHD_add_response_header(response, "Cache-Control", "no-store") != MHD_YES ||
	    MHD_add_response_header(response, "Content-Security-Policy",
				    "default-src 'self'; frame-ancestors 'none'") != MHD_YES ||
	    (type && MHD_add_response_header(response, "Content-Type", type) != MHD_YES) ||
	    (status >= 400 && MHD_add_response_header(response, "X-Go-Pprof", "1") != MHD_YES) ||
	    (name && MHD_add_response_header(response, name, value) != MHD_YES) ||
	    (q->conn->refusal &&
	     MHD_add_response_header(response, "Connection", "close") != MHD_YES)) {
		MHD_destroy_response(response);
		return MHD_NO;
	}

	result = MHD_queue_response(q->mhd, status, response);
	MHD_destroy_response(response);
	q->answered = result == MHD_YES;
	count(q->server, status);
	return result;
}

enum MHD_Result reply_body(struct request *q, unsigned status, const char *type, struct buf *body,
			   const char *name, const char *value)
{
	struct MHD_Response *response;
	size_t size;
	char *data;

	if (body->error) {
		buf_done(body);
		return reply_no_memory(q);
	}
	data = buf_take(body, &size);
	response = MHD_create_response_from_buffer(
		size, data, data ? MHD_RESPMEM_MUST_FREE : MHD_RESPMEM_PERSISTENT);
	if (!response)
		free(data);
	return send_response(q, status, response, type, name, value);
}

enum MHD_Result reply_json(struct request *q, unsigned status, json_t *json, const char *name,
			   const char *value)
{
	struct buf b = BUF_INIT(HTTP_MAX_PAGE_BYTES);
	char *text = json ? json_dumps(json, JSON_COMPACT) : NULL;

	json_decref(json);
	if (!text)
		return reply_no_memory(q);
	buf_puts(&b, text);
	buf_putc(&b, '\n');
	free(text);
	return reply_body(q, status, "application/json", &b, name, value);
}

static enum MHD_Result reply_errorv(struct request *q, unsigned status, const char *name,
				    const char *value, const char *fmt, va_list ap)
{
	_cleanup_(buf_done) struct buf raw = BUF_INIT(MAX_ERROR_BYTES * 4);
	struct buf line = BUF_INIT(MAX_ERROR_BYTES * 32);

	if (buf_vprintf(&raw, fmt, ap) < 0)
		return reply_no_memory(q);
	/* foreign names are quoted in errors, and these end up on terminals */
	text_append_printable(&line, raw.data ? raw.data : "",
			      MIN(raw.size, (size_t)MAX_ERROR_BYTES));
	buf_putc(&line, '\n');
	return reply_body(q, status, "text/plain; charset=utf-8", &line, name, value);
}

enum MHD_Result reply_error(struct request *q, unsigned status, const char *fmt, ...)
{
	enum MHD_Result result;
	va_list ap;

	va_start(ap, fmt);
	result = reply_errorv(q, status, NULL, NULL, fmt, ap);
	va_end(ap);
	return result;
}

enum MHD_Result reply_error_header(struct request *q, unsigned status, const char *name,
				   const char *value, const char *fmt, ...)
{
	enum MHD_Result result;
	va_list ap;

	va_start(ap, fmt);
	result = reply_errorv(q, status, name, value, fmt, ap);
	va_end(ap);
	return result;
}

enum MHD_Result reply_empty(struct request *q, unsigned status, const char *name, const char *value)
{
	return send_response(q, status,
			     MHD_create_response_from_buffer(0, NULL, MHD_RESPMEM_PERSISTENT), NULL,
			     name, value);
}

/* From static memory: there may be none for a message. */
enum MHD_Result reply_no_memory(struct request *q)
{
	static const char line[] = "out of memory: try again later\n";

	return send_response(q, 503,
			     MHD_create_response_from_buffer(strlen(line), (void *)(uintptr_t)line,
							     MHD_RESPMEM_PERSISTENT),
			     "text/plain; charset=utf-8", NULL, NULL);
}

static void profile_sent(void *arg)
{
	hold_reader_done(arg);
}

enum MHD_Result reply_profile(struct request *q, struct hold *h)
{
	struct capture_progress progress;
	struct MHD_Response *response;
	const struct buf *profile;

	capture_progress(h->capture, &progress);
	if (progress.state == CAPTURE_FAILED) {
		const char *why = capture_error(h->capture);

		return reply_error(q, 500, "the capture failed: %s", why ? why : "unknown reason");
	}

	profile = capture_profile(h->capture);
	if (!profile || !profile->data)
		return reply_error(q, 500, "the capture has no profile");
	hold_ref(h);
	h->readers++;
	response = MHD_create_response_from_buffer_with_free_callback_cls(
		profile->size, profile->data, profile_sent, h);
	if (!response) {
		hold_reader_done(h);
		return reply_no_memory(q);
	}
	/* who owns a capture never times out, who does not read the result does */
	conn_set_timeout(q->conn, server_idle_timeout_s(q->server));
	return send_response(q, 200, response, "application/octet-stream", "Content-Disposition",
			     "attachment; filename=\"profile\"");
}
