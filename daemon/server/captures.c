/* SPDX-License-Identifier: Apache-2.0 */
/* Captures as resources: what cprofctl uses, so that Ctrl-C can both stop and save. */
#include <inttypes.h>
#include <string.h>

#include "http.h"
#include "spec.h"

#define ID_DIGITS 16

enum MHD_Result captures_create(struct request *q)
{
	_cleanup_(spec_done) struct capture_spec spec = { 0 };
	_cleanup_free_ char *error = NULL;
	enum MHD_Result answer = MHD_NO;
	char id[ID_DIGITS + 1], location[64];
	struct hold *h;
	int r;

	r = spec_from_json(&spec, q->body.data, q->body.size, &error);
	if (r == -ENOMEM)
		return reply_no_memory(q);
	if (r < 0)
		return reply_error(q, 400, "%s", error);
	h = hold_new(q, &spec, true, &answer);
	if (!h)
		return answer;

	snprintf(id, sizeof(id), "%016" PRIx64, h->id);
	snprintf(location, sizeof(location), "/api/v1/captures/%s", id);
	return reply_json(q, 201, json_pack("{s:s}", "id", id), "Location", location);
}

static const char *state_name(enum capture_state state)
{
	switch (state) {
	case CAPTURE_RUNNING:
		return "running";
	case CAPTURE_NAMING:
		return "naming";
	case CAPTURE_DONE:
		return "done";
	case CAPTURE_FAILED:
		break;
	}
	return "failed";
}

static enum MHD_Result progress(struct request *q, struct hold *h)
{
	struct capture_progress p = { 0 };
	char id[ID_DIGITS + 1];
	json_t *json;

	capture_progress(h->capture, &p);
	snprintf(id, sizeof(id), "%016" PRIx64, h->id);
	json = json_pack(
		"{s:s, s:s, s:I, s:I, s:I, s:I, s:I, s:I, s:{s:I, s:I, s:I, s:I}, s:I, s:I, s:I, "
		"s:b}",
		"id", id, "state", state_name(p.state), "elapsed_ns", (json_int_t)p.elapsed_ns,
		"duration_ns", (json_int_t)p.duration_ns, "samples", (json_int_t)p.samples,
		"cpu_ns", (json_int_t)p.cpu_ns, "due", (json_int_t)p.due, "target_cpu_ns",
		(json_int_t)p.target_cpu_ns, "lost", "missed_tick", (json_int_t)p.lost_missed_tick,
		"ring_full", (json_int_t)p.lost_ring_full, "aggregate_full",
		(json_int_t)p.lost_aggregate_full, "other", (json_int_t)p.lost_other,
		"not_permitted", (json_int_t)p.not_permitted, "truncated", (json_int_t)p.truncated,
		"complete", (json_int_t)p.complete, "target_ended", p.target_ended);
	if (!json)
		return reply_no_memory(q);

	if (p.files > 0) {
		(void)json_object_set_new(json, "files", json_integer((json_int_t)p.files));
		(void)json_object_set_new(json, "files_named",
					  json_integer((json_int_t)p.files_named));
	}
	/* jansson refuses what is not UTF-8; the document goes out without it then */
	(void)json_object_set_new(json, "waiting", json_string(p.waiting));
	if (p.state == CAPTURE_FAILED) {
		const char *why = capture_error(h->capture);

		(void)json_object_set_new(json, "error", json_string(why ? why : "unknown reason"));
	}
	return reply_json(q, 200, json, NULL, NULL);
}

/* The first call waits, unless it is over already; the one after the wait answers. */
static enum MHD_Result result(struct request *q, struct hold *h)
{
	if (!h->finished) {
		if (request_wait(q, h) < 0)
			return reply_no_memory(q);
		return MHD_YES;
	}
	if (!q->hold)
		q->hold = hold_ref(h);
	return reply_profile(q, h);
}

static int parse_id(const char *s, uint64_t *ret_id, const char **ret_rest)
{
	uint64_t id = 0;

	for (size_t i = 0; i < ID_DIGITS; i++) {
		char c = s[i];

		if (c >= '0' && c <= '9')
			id = id << 4 | (uint64_t)(c - '0');
		else if (c >= 'a' && c <= 'f')
			id = id << 4 | (uint64_t)(c - 'a' + 10);
		else
			return -EINVAL;
	}
	*ret_id = id;
	*ret_rest = s + ID_DIGITS;
	return 0;
}

static enum MHD_Result wrong_method(struct request *q, const char *allow)
{
	return reply_error_header(q, 405, "Allow", allow, "%s is not for %s: use %s", q->method,
				  q->path, allow);
}

static enum MHD_Result not_found(struct request *q)
{
	return reply_error(q, 404,
			   "no such capture: it is another user's, was fetched already, or the "
			   "connection that made it is gone");
}

enum MHD_Result captures_one(struct request *q)
{
	const char *rest = NULL, *method = q->method;
	struct hold *h;
	uint64_t id;

	if (q->hold)
		return q->hold->ended ? not_found(q) : result(q, q->hold);
	if (parse_id(q->path + strlen("/api/v1/captures/"), &id, &rest) < 0)
		return not_found(q);
	h = hold_find(q, id);
	if (!h)
		return not_found(q);

	if (strcmp(rest, "/profile") == 0)
		return strcmp(method, "GET") == 0 ? result(q, h) : wrong_method(q, "GET");
	if (strcmp(rest, "/stop") == 0) {
		if (strcmp(method, "POST") != 0)
			return wrong_method(q, "POST");
		capture_stop(h->capture);
		return progress(q, h);
	}
	if (*rest)
		return reply_error(q, 404, "a capture has /stop and /profile");
	if (strcmp(method, "GET") == 0)
		return progress(q, h);
	if (strcmp(method, "DELETE") != 0)
		return wrong_method(q, "GET, DELETE");
	hold_end(h);
	return reply_empty(q, 204, NULL, NULL);
}
