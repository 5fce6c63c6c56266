/* SPDX-License-Identifier: Apache-2.0 */
#include <string.h>
#include <strings.h>

#include "auth.h"
#include "http.h"
#include "origin.h"
#include "text.h"

/* How much of a body that is too large is read, to be able to say so, before the line is cut. */
#define MAX_DROPPED_BYTES (1024 * 1024)

#define RECORDED "what was recorded (`cprofctl list`, `get`, `diff`)"

static const struct route routes[] = {
	{ "/", HTTP_GET | HTTP_HEAD, false, pprof_redirect },
	{ "/debug/pprof", HTTP_GET | HTTP_HEAD, false, pprof_redirect },
	{ "/debug/pprof/", HTTP_GET | HTTP_HEAD, false, index_page },
	{ "/debug/pprof/style.css", HTTP_GET | HTTP_HEAD, false, index_style },
	{ "/debug/pprof/profile", HTTP_GET, false, pprof_profile },
	{ "/debug/pprof/cmdline", HTTP_GET | HTTP_HEAD, true, pprof_cmdline },
	{ "/debug/pprof/symbol", HTTP_GET | HTTP_HEAD | HTTP_POST, false, pprof_symbol },
	{ "/metrics", HTTP_GET | HTTP_HEAD, true, status_metrics },
	{ "/api/v1/version", HTTP_GET | HTTP_HEAD, false, status_version },
	{ "/api/v1/status", HTTP_GET | HTTP_HEAD, false, status_status },
	{ "/api/v1/targets", HTTP_GET | HTTP_HEAD | HTTP_POST, false, control_targets },
	{ "/api/v1/targets/rules", HTTP_GET | HTTP_HEAD, true, control_rules,
	  "what is profiled continuously" },
	{ "/api/v1/pause", HTTP_POST, true, control_pause, "`cprofctl pause`" },
	{ "/api/v1/resume", HTTP_POST, true, control_resume, "`cprofctl resume`" },
	{ "/api/v1/windows", HTTP_GET | HTTP_HEAD, true, windows_list, RECORDED },
	{ "/api/v1/windows/*", HTTP_GET, true, windows_one, RECORDED },
	{ "/api/v1/profile", HTTP_GET, true, windows_profile, RECORDED },
	{ "/api/v1/snapshot", HTTP_POST, true, windows_snapshot, "`cprofctl snapshot`" },
	{ "/api/v1/captures", HTTP_POST, false, captures_create },
	{ "/api/v1/captures/*", HTTP_GET | HTTP_POST | HTTP_DELETE, false, captures_one },
};

static const struct route *find_route(const char *path)
{
	for (size_t i = 0; i < ARRAY_SIZE(routes); i++) {
		size_t len = strlen(routes[i].path);

		if (routes[i].path[len - 1] == '*'
			    ? strncmp(routes[i].path, path, len - 1) == 0 && path[len - 1]
			    : strcmp(routes[i].path, path) == 0)
			return &routes[i];
	}
	return NULL;
}

static unsigned method_of(const char *method)
{
	static const struct {
		const char *name;
		unsigned bit;
	} methods[] = { { "GET", HTTP_GET },
			{ "HEAD", HTTP_HEAD },
			{ "POST", HTTP_POST },
			{ "DELETE", HTTP_DELETE } };

	for (size_t i = 0; i < ARRAY_SIZE(methods); i++)
		if (strcmp(methods[i].name, method) == 0)
			return methods[i].bit;
	return 0;
}

static enum MHD_Result wrong_method(struct request *q)
{
	unsigned m = q->route->methods;
	char allow[64];

	snprintf(allow, sizeof(allow), "%s%s%s%s", m & HTTP_GET ? ", GET" : "",
		 m & HTTP_HEAD ? ", HEAD" : "", m & HTTP_POST ? ", POST" : "",
		 m & HTTP_DELETE ? ", DELETE" : "");
	return reply_error_header(q, 405, "Allow", allow + 2, "%s is not for %s: use %s", q->method,
				  q->path, allow + 2);
}

/* Token of "Authorization: Bearer TOKEN": 1 right, 0 none sent, -EPERM wrong. */
static int check_token(const struct request *q)
{
	const char *given = request_header(q, "Authorization"), *token = q->server->token;

	if (!given || strncasecmp(given, "Bearer ", 7) != 0)
		return 0;
	given += 7;
	given += strspn(given, " ");
	return token && auth_token_equal(given, strlen(given), token, strlen(token)) ? 1 : -EPERM;
}

/* True when the asker may go on; else it has been answered. */
static bool admit(struct request *q, enum MHD_Result *ret_answer)
{
	const char *host = request_header(q, "Host");
	int token;

	q->peer = q->conn->peer;
	if (q->conn->refusal == 403 && q->conn->nobody) {
		*ret_answer = reply_error(q, 403,
					  "you are uid %u, which stands for every user without a "
					  "number here: call as a user of your own, or as root",
					  auth_overflow_uid());
		return false;
	}
	if (q->conn->refusal == 403) {
		*ret_answer = reply_error(q, 403,
					  "no user of this system owns your connection: connect "
					  "from this machine, to its Unix socket, or set "
					  "TokenFile=");
		return false;
	}
	if (q->conn->refusal) {
		*ret_answer = reply_error(q, q->conn->refusal,
					  "too many connections: close one, or raise [Server] %s=",
					  q->conn->refusal == 429 ? "MaxConnectionsPerUser"
								  : "MaxConnections");
		return false;
	}
	if (!origin_host_allowed(host, q->server->allowed_hosts, q->conn->local)) {
		*ret_answer = reply_error(q, 403,
					  "host %.128s is not known here: use the address, "
					  "localhost, or add it to [Server] AllowedHosts=",
					  host);
		return false;
	}
	if (origin_is_foreign(request_header(q, "Origin"), host,
			      request_header(q, "Sec-Fetch-Site"))) {
		*ret_answer = reply_error(q, 403, "requests from other sites' pages are refused");
		return false;
	}

	token = check_token(q);
	if (token > 0)
		q->peer.privileged = true;
	if (token < 0 || (token == 0 && !q->conn->known)) {
		*ret_answer = reply_error_header(q, 401, "WWW-Authenticate", "Bearer",
						 "send the token of TokenFile= as Authorization: "
						 "Bearer TOKEN");
		return false;
	}
	return true;
}

/* Whether a body of this length may come. */
static bool check_length(struct request *q, enum MHD_Result *ret_answer)
{
	const char *length = request_header(q, "Content-Length");
	uint64_t bytes = 0;
	int r = length ? text_parse_u64(length, UINT64_MAX, &bytes) : 0;

	if (r == -EINVAL) {
		*ret_answer = reply_error(q, 400, "malformed Content-Length");
		return false;
	}
	if (r < 0 || bytes > CPROF_MAX_REQUEST_BYTES) {
		*ret_answer = reply_error(q, 413,
					  "the body is over %d bytes: ask for fewer targets",
					  CPROF_MAX_REQUEST_BYTES);
		return false;
	}
	return true;
}

/* The headers are there. True to go on; else it has been answered. */
static bool begin(struct request *q, const char *url, const char *method,
		  enum MHD_Result *ret_answer)
{
	const union MHD_ConnectionInfo *info;

	info = MHD_get_connection_info(q->mhd, MHD_CONNECTION_INFO_SOCKET_CONTEXT);
	q->conn = info ? info->socket_context : NULL;
	q->method = method;
	q->path = strdup(url);
	q->server->stats.requests++;
	*ret_answer = MHD_NO;
	if (!q->conn || !q->path)
		return false;

	if (!admit(q, ret_answer) || !check_length(q, ret_answer))
		return false;
	q->route = find_route(q->path);
	if (!q->route) {
		*ret_answer = reply_error(q, 404, "there is no %s: start at /debug/pprof/",
					  q->path);
		return false;
	}
	if (!(q->route->methods & method_of(method))) {
		*ret_answer = wrong_method(q);
		return false;
	}
	if (q->route->privileged && !q->peer.privileged) {
		*ret_answer = reply_error(q, 403,
					  "%s is for root and members of group " CPROF_GROUP
					  ": use sudo, or join the group and log in again",
					  q->route->what ?: q->path);
		return false;
	}
	return true;
}

static bool has_body(const struct request *q)
{
	return request_header(q, "Content-Length") || request_header(q, "Transfer-Encoding");
}

static enum MHD_Result take_body(struct request *q, const char *data, size_t *bytes)
{
	if (q->dropped_bytes || buf_append(&q->body, data, *bytes) < 0)
		q->dropped_bytes += *bytes;
	*bytes = 0;
	return q->dropped_bytes > MAX_DROPPED_BYTES ? MHD_NO : MHD_YES;
}

/* MHD_AccessHandlerCallback: called once with the headers, then with each piece of the body, then
 * until there is an answer. */
enum MHD_Result route_request(void *arg _unused_, struct MHD_Connection *mhd _unused_,
			      const char *url, const char *method, const char *version _unused_,
			      const char *upload, size_t *upload_bytes, void **context)
{
	struct request *q = *context;
	enum MHD_Result answer;

	if (q && q->conn)
		q->conn->suspended = false;
	if (!q || q->gone)
		return MHD_NO;
	if (!q->begun) {
		q->begun = true;
		/* an answer before the request's end makes libmicrohttpd close the connection: that
		 * is for bodies which are not worth reading only */
		if (!has_body(q))
			return MHD_YES;
	}
	if (!q->admitted) {
		if (!begin(q, url, method, &answer))
			return answer;
		q->admitted = true;
		if (has_body(q))
			return MHD_YES;
	}
	if (*upload_bytes)
		return take_body(q, upload, upload_bytes);
	if (q->dropped_bytes)
		return reply_error(q, 413, "the body is over %d bytes: ask for fewer targets",
				   CPROF_MAX_REQUEST_BYTES);
	return q->route->handle(q);
}
