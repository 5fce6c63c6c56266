/* SPDX-License-Identifier: Apache-2.0 */
/* Continuous profiling, told what to do: pause, resume, whom to take. */
#include <string.h>

#include "clock.h"
#include "http.h"
#include "text.h"
#include "when.h"

static enum MHD_Result not_continuous(struct request *q)
{
	return reply_error(q, 404, "this daemon does not profile continuously");
}

static enum MHD_Result reply_state(struct request *q)
{
	struct continuous_stats s;
	char until[WHEN_TEXT_BYTES] = "";

	continuous_stats(q->server->continuous, &s);
	if (s.paused_until_ns)
		when_rfc3339(until, s.paused_until_ns);
	return reply_json(q, 200,
			  json_pack("{s:b, s:b, s:s}", "running", s.running, "paused", s.paused,
				    "paused_until", until),
			  NULL, NULL);
}

/* An object, or nothing at all. NULL: answered. */
static json_t *body_json(struct request *q, enum MHD_Result *ret_answer)
{
	json_error_t error;
	json_t *json;

	if (q->body.size == 0)
		return json_object();
	json = json_loadb(q->body.data, q->body.size, JSON_REJECT_DUPLICATES, &error);
	if (json_is_object(json))
		return json;
	json_decref(json);
	*ret_answer = reply_error(q, 400, "the body must be a JSON object");
	return NULL;
}

enum MHD_Result control_pause(struct request *q)
{
	enum MHD_Result answer = MHD_NO;
	json_auto_t *json = NULL;
	const json_t *value;
	double seconds = 0;
	int64_t until_ns = 0;

	if (!q->server->continuous)
		return not_continuous(q);
	json = body_json(q, &answer);
	if (!json)
		return answer;
	value = json_object_get(json, "seconds");
	seconds = json_number_value(value);
	if ((value && !json_is_number(value)) || !(seconds >= 0 && seconds <= 366.0 * 86400))
		return reply_error(q, 400,
				   "seconds must be a number from 0 (until resumed) to a "
				   "year");
	if (seconds > 0)
		until_ns = (int64_t)clock_ns(CLOCK_REALTIME) + (int64_t)(seconds * 1e9);
	(void)continuous_pause(q->server->continuous, until_ns);
	return reply_state(q);
}

enum MHD_Result control_resume(struct request *q)
{
	int r;

	if (!q->server->continuous)
		return not_continuous(q);
	r = continuous_resume(q->server->continuous);
	if (r < 0)
		return reply_error(q, 503, "sampling cannot go on: %s", strerror(-r));
	return reply_state(q);
}

static json_t *list_json(const struct rule_list *l)
{
	json_t *array = json_array();

	for (size_t i = 0; i < l->n; i++) {
		_cleanup_free_ char *safe = text_printable(l->items[i].value);

		json_array_append_new(array, json_pack("{s:s, s:s}", "kind",
						       rule_kind_name(l->items[i].kind), "value",
						       safe ?: ""));
	}
	return array;
}

enum MHD_Result control_rules(struct request *q)
{
	const struct rules *r;

	if (!q->server->continuous)
		return not_continuous(q);
	r = continuous_rules(q->server->continuous);
	return reply_json(q, 200,
			  json_pack("{s:b, s:o, s:o}", "all", r->all, "include",
				    list_json(&r->include), "exclude", list_json(&r->exclude)),
			  NULL, NULL);
}

/* One target: true when it is done; else it has been answered. */
static bool change_one(struct request *q, bool add, const json_t *target,
		       enum MHD_Result *ret_answer)
{
	const char *kind = json_string_value(json_object_get(target, "kind"));
	const json_t *value = json_object_get(target, "value");
	_cleanup_free_ char *error = NULL;
	char number[32];
	const char *text = json_string_value(value);
	int r;

	if (json_is_integer(value)) {
		snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT,
			 json_integer_value(value));
		text = number;
	}
	if (!kind || !text) {
		*ret_answer = reply_error(q, 400, "a target must be {\"kind\":..., \"value\":...}");
		return false;
	}
	r = continuous_rule(q->server->continuous, add, kind, text, &error);
	if (r >= 0)
		return true;
	*ret_answer = r == -ENOMEM ? reply_no_memory(q)
				   : reply_error(q,
						 r == -ESRCH    ? 404
						 : r == -EINVAL ? 400
								: 503,
						 "%s", error ?: strerror(-r));
	return false;
}

static enum MHD_Result change(struct request *q)
{
	enum MHD_Result answer = MHD_NO;
	json_auto_t *json = NULL;
	const json_t *targets, *target;
	const char *action;
	size_t i;

	if (!q->peer.privileged)
		return reply_error(q, 403,
				   "what is profiled continuously is for root and members of "
				   "group " CPROF_GROUP " to change: use sudo, or join the group "
				   "and log in again");
	if (!q->server->continuous)
		return not_continuous(q);
	json = body_json(q, &answer);
	if (!json)
		return answer;
	action = json_string_value(json_object_get(json, "action")) ?: "";
	targets = json_object_get(json, "targets");
	if (strcmp(action, "add") != 0 && strcmp(action, "remove") != 0)
		return reply_error(q, 400, "action must be add or remove");
	if (!json_is_array(targets) || json_array_size(targets) == 0)
		return reply_error(q, 400, "targets must be an array with at least one target");
	json_array_foreach(targets, i, target)
	{
		if (!change_one(q, strcmp(action, "add") == 0, target, &answer))
			return answer;
	}
	return control_rules(q);
}

enum MHD_Result control_targets(struct request *q)
{
	return strcmp(q->method, "POST") == 0 ? change(q) : status_targets(q);
}
