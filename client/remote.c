/* SPDX-License-Identifier: Apache-2.0 */
#include "remote.h"

#include <string.h>

#include "doc.h"

#define REMOTE_PATH        "/api/v1/captures"
#define REMOTE_REPLY_BYTES 65536

static int remote_body(char **ret, const struct capture_options *o, int child)
{
	_cleanup_(json_decrefp) json_t *targets = json_array(), *body = NULL;
	char pid[16];

	for (size_t i = 0; i < o->n_targets; i++)
		json_array_append_new(targets, json_pack("{s:s, s:s}", "kind", o->targets[i].kind,
							 "value", o->targets[i].value));
	if (child > 0) {
		snprintf(pid, sizeof(pid), "%d", child);
		json_array_append_new(targets,
				      json_pack("{s:s, s:s}", "kind", "pid", "value", pid));
	}

	body = json_pack("{s:O, s:f, s:i, s:b, s:s, s:s}", "targets", targets, "seconds",
			 (double)o->duration_ns / 1e9, "hz", (int)o->hz, "children", o->children,
			 "symbols", o->fast_symbols ? "fast" : "full", "names",
			 o->short_names ? "short" : "full");
	/* a target that is not UTF-8 (comm is any bytes) makes no JSON string */
	if (!body || json_array_size(targets) != o->n_targets + (child > 0)) {
		say_error("a target's name is not valid UTF-8: choose it by --pid instead");
		return -EINVAL;
	}

	*ret = json_dumps(body, JSON_COMPACT);
	if (!*ret) {
		say_error("out of memory");
		return -ENOMEM;
	}
	return 0;
}

/* Only what a daemon of ours may send becomes part of a path. */
static bool remote_id_is_valid(const char *id)
{
	size_t n = strspn(id, "0123456789abcdefABCDEFghijklmnopqrstuvwxyzGHIJKLMNOPQRSTUVWXYZ_-");

	return n > 0 && n < sizeof(((struct remote *)NULL)->id) && !id[n];
}

int remote_start(struct remote *ret, struct daemon *d, const struct capture_options *o, int child)
{
	_cleanup_(buf_done) struct buf reply = BUF_INIT(REMOTE_REPLY_BYTES);
	_cleanup_(json_decrefp) json_t *j = NULL;
	_cleanup_free_ char *body = NULL;
	int r;

	*ret = (struct remote){ .daemon = d };
	r = remote_body(&body, o, child);
	if (r < 0)
		return r;
	r = daemon_request(d, "POST", REMOTE_PATH, body, &reply);
	if (r < 0)
		return r;

	j = json_loadb(reply.data ? reply.data : "", reply.size, 0, NULL);
	if (!remote_id_is_valid(doc_text(j, "id"))) {
		say_error("the daemon named no capture: are cprofd and cprofctl of one version?");
		return -EBADMSG;
	}
	strcpy(ret->id, doc_text(j, "id"));
	return 0;
}

static void remote_path(const struct remote *c, const char *tail, char *path, size_t size)
{
	snprintf(path, size, "%s/%s%s", REMOTE_PATH, c->id, tail);
}

static void remote_losses(struct remote_progress *p, const json_t *lost)
{
	const char *key;
	json_t *value;

	json_object_foreach((json_t *)lost, key, value)
	{
		struct remote_loss *loss = &p->lost[p->n_lost];

		if (doc_count(lost, key) == 0 || p->n_lost == ARRAY_SIZE(p->lost))
			continue;
		loss->count = doc_count(lost, key);
		snprintf(loss->name, sizeof(loss->name), "%s", key);
		for (char *s = loss->name; *s; s++)
			if (*s == '_')
				*s = ' ';
		p->n_lost++;
	}
}

static int remote_parse(struct remote_progress *p, const json_t *j)
{
	const char *state = doc_text(j, "state");

	*p = (struct remote_progress){
		.elapsed_ns = doc_count(j, "elapsed_ns"),
		.duration_ns = doc_count(j, "duration_ns"),
		.samples = doc_count(j, "samples"),
		.cpu_ns = doc_count(j, "cpu_ns"),
		.due = doc_count(j, "due"),
		.target_cpu_ns = doc_count(j, "target_cpu_ns"),
		.not_permitted = doc_count(j, "not_permitted"),
		.truncated = doc_count(j, "truncated"),
		.files = doc_count(j, "files"),
		.files_named = doc_count(j, "files_named"),
		.target_ended = json_is_true(json_object_get(j, "target_ended")),
	};
	snprintf(p->waiting, sizeof(p->waiting), "%s", doc_text(j, "waiting"));
	remote_losses(p, json_object_get(j, "lost"));

	if (strcmp(state, "running") == 0)
		p->state = REMOTE_RUNNING;
	else if (strcmp(state, "naming") == 0)
		p->state = REMOTE_NAMING;
	else if (strcmp(state, "done") == 0)
		p->state = REMOTE_DONE;
	else
		return -EREMOTEIO;
	return 0;
}

int remote_poll(struct remote *c, struct remote_progress *ret)
{
	_cleanup_(json_decrefp) json_t *j = NULL;
	char path[128];
	int r;

	daemon_tend(c->daemon);
	remote_path(c, "", path, sizeof(path));
	r = daemon_get_json(c->daemon, path, &j);
	if (r < 0)
		return r;

	r = remote_parse(ret, j);
	if (r < 0)
		say_error("%s", *doc_text(j, "error")
					? doc_text(j, "error")
					: "the capture failed, the daemon did not say why");
	return r;
}

int remote_stop(struct remote *c)
{
	char path[128];

	remote_path(c, "/stop", path, sizeof(path));
	return daemon_request(c->daemon, "POST", path, NULL, NULL);
}

int remote_fetch(struct remote *c, struct buf *profile)
{
	char path[128];

	/* large ones take their time */
	http_set_timeout(daemon_http(c->daemon), 0);
	remote_path(c, "/profile", path, sizeof(path));
	return daemon_request(c->daemon, "GET", path, NULL, profile);
}

void remote_drop(struct remote *c)
{
	char path[128];

	if (!c->id[0])
		return;
	remote_path(c, "", path, sizeof(path));
	http_request(daemon_http(c->daemon), "DELETE", path, NULL, NULL);
}
