/* SPDX-License-Identifier: Apache-2.0 */
/* What was: windows of continuous profiling, and profiles merged of them. */
#include <string.h>

#include "http.h"
#include "range.h"
#include "text.h"
#include "when.h"

#define MAX_LIST_BYTES (64 * 1024 * 1024)

static unsigned status_of(int error)
{
	switch (error) {
	case -ENOENT:
		return 404;
	case -E2BIG:
	case -EINVAL:
		return 400;
	case -EBUSY:
	case -ENOMEM:
	case -ENOSPC:
	case -EFBIG:
	case -ETIME:
	case -EMFILE:
	case -ENFILE:
	case -EIO:
		return 503;
	default:
		return 500;
	}
}

static enum MHD_Result no_history(struct request *q)
{
	return reply_error(q, 404,
			   "this daemon keeps no windows: it has no state directory, or could not "
			   "use it");
}

static enum MHD_Result ask(struct request *q, const struct history_query *query)
{
	int r;

	if (!q->server->history)
		return no_history(q);
	r = request_ask(q, query);
	if (r == -ENOMEM)
		return reply_no_memory(q);
	if (r == -EBUSY)
		return reply_error(q, 503, "%d questions are being answered: try again later",
				   HISTORY_MAX_REQUESTS);
	return r < 0 ? reply_error(q, 500, "cannot ask the store: %s", strerror(-r)) : MHD_YES;
}

static enum MHD_Result ask_range(struct request *q, enum history_what what)
{
	_cleanup_(range_done) struct range range = {};
	_cleanup_free_ char *error = NULL;
	int r = range_parse(&range, q->query, what, &error);

	if (r < 0)
		return error ? reply_error(q, 400, "%s", error) : reply_no_memory(q);
	return ask(q, &range.query);
}

static enum MHD_Result reply_failed(struct request *q)
{
	return reply_error(q, status_of(q->answer.error), "%s", q->answer.message);
}

static json_t *text_value(const char *s)
{
	_cleanup_free_ char *safe = text_printable(s);

	return json_string(safe ?: "");
}

static json_t *line_json(const struct catalog_line *l)
{
	char start[WHEN_TEXT_BYTES];
	json_t *top = json_array(), *json;

	for (size_t i = 0; i < CATALOG_TOP && l->top[i].name; i++)
		json_array_append_new(top,
				      json_pack("{s:o, s:I}", "name", text_value(l->top[i].name),
						"cpu_ns", (json_int_t)l->top[i].cpu_ns));
	json = json_pack("{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:i, s:o}", "id", l->name,
			 "start", when_rfc3339(start, l->start_ns), "duration_ns",
			 (json_int_t)l->duration_ns, "samples", (json_int_t)l->samples, "cpu_ns",
			 (json_int_t)l->cpu_ns, "bytes", (json_int_t)l->bytes, "lost",
			 (json_int_t)l->lost, "truncated", (json_int_t)l->truncated, "frequency_hz",
			 (int)l->hz, "top", top);
	if (json && l->open)
		json_object_set_new(json, "open", json_true());
	return json;
}

/* A long list is text piece by piece: a tree of it would be many times as large. */
static enum MHD_Result reply_list(struct request *q)
{
	struct buf b = BUF_INIT(MAX_LIST_BYTES);

	buf_putc(&b, '[');
	for (size_t i = 0; i < q->answer.list.n && !b.error; i++) {
		json_t *line = line_json(&q->answer.list.lines[i]);
		_cleanup_free_ char *text = line ? json_dumps(line, JSON_COMPACT) : NULL;

		json_decref(line);
		if (!text) {
			buf_done(&b);
			return reply_no_memory(q);
		}
		buf_puts(&b, i ? ",\n" : "");
		buf_puts(&b, text);
	}
	buf_puts(&b, "]\n");
	return reply_body(q, 200, "application/json", &b, NULL, NULL);
}

static enum MHD_Result reply_merged(struct request *q)
{
	struct buf profile = q->answer.profile;

	q->answer.profile = (struct buf){};
	return reply_body(q, 200, "application/octet-stream", &profile, "Content-Disposition",
			  "attachment; filename=\"profile\"");
}

enum MHD_Result windows_list(struct request *q)
{
	if (!q->answer_due)
		return ask_range(q, HISTORY_LIST);
	return q->answer.error < 0 ? reply_failed(q) : reply_list(q);
}

/* Also the handler of /debug/pprof/profile, whose route anybody may take. */
enum MHD_Result windows_profile(struct request *q)
{
	if (!q->peer.privileged)
		return reply_error(q, 403,
				   "stored windows are for root and members of group " CPROF_GROUP
				   ": use sudo, or join the group and log in again");
	if (!q->answer_due)
		return ask_range(q, HISTORY_PROFILE);
	return q->answer.error < 0 ? reply_failed(q) : reply_merged(q);
}

enum MHD_Result windows_one(struct request *q)
{
	const char *id = q->path + strlen("/api/v1/windows/"), *slash = strchr(id, '/');
	char name[WINDOW_MAX_NAME];

	if (q->answer_due && q->answer.error == -ENOENT)
		return reply_error(q, 404,
				   "there is no window of this id, or no longer: "
				   "`cprofctl list --ids` shows which there are");
	if (q->answer_due)
		return q->answer.error < 0 ? reply_failed(q) : reply_merged(q);
	if (!slash || strcmp(slash, "/profile") != 0 || (size_t)(slash - id) >= sizeof(name))
		return reply_error(q, 404, "a window has /profile");
	snprintf(name, sizeof(name), "%.*s", (int)(slash - id), id);
	return ask(q, &(struct history_query){ .what = HISTORY_WINDOW, .name = name });
}

enum MHD_Result windows_snapshot(struct request *q)
{
	const struct catalog_line *l = q->answer.list.lines;
	char start[WHEN_TEXT_BYTES];

	if (!q->answer_due)
		return ask(q, &(struct history_query){ .what = HISTORY_SNAPSHOT });
	if (q->answer.error < 0)
		return reply_failed(q);
	if (q->answer.list.n == 0)
		return reply_no_memory(q);
	return reply_json(q, 200,
			  json_pack("{s:s, s:s, s:I, s:I, s:I}", "id", l->name, "start",
				    when_rfc3339(start, l->start_ns), "duration_ns",
				    (json_int_t)l->duration_ns, "samples", (json_int_t)l->samples,
				    "cpu_ns", (json_int_t)l->cpu_ns),
			  NULL, NULL);
}
