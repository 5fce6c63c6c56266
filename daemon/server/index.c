/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The index page of net/http/pprof with what exists here, and below it the running targets. All
 * names are foreign: they enter as escaped text and percent-encoded links, and nothing else.
 */
#include <inttypes.h>
#include <string.h>

#include "http.h"
#include "text.h"

#define MAX_ROWS 1000

static const struct endpoint {
	const char *name, *link, *description;
	bool privileged;
} endpoints[] = {
	{ "cmdline", "cmdline", "The command line invocation of cprofd", true },
	{ "profile", "profile?seconds=30",
	  "CPU profile. You can specify the duration in the seconds GET parameter, and what to "
	  "profile by pid, comm, unit, cgroup or container. After you get the profile file, use "
	  "the "
	  "go tool pprof command to investigate the profile.",
	  false },
	{ "symbol", "symbol", "Names of the program addresses given; profiles have theirs already",
	  false },
};

static const char style[] =
	"body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 72rem;\n"
	"	padding: 0 1.5rem; color: #1f2328; background: #fff; }\n"
	"h1 { font-size: 1.4rem; margin: 0 0 .5rem; }\n"
	"h2 { font-size: 1.05rem; margin: 2rem 0 .5rem; }\n"
	"table { border-collapse: collapse; }\n"
	"td, th { padding: .2rem 1.2rem .2rem 0; text-align: left; vertical-align: top; }\n"
	"thead { border-bottom: 1px solid #d0d7de; font-weight: 600; }\n"
	"tbody tr:hover { background: #f6f8fa; }\n"
	".n { text-align: right; font-variant-numeric: tabular-nums; }\n"
	".t { overflow-x: auto; }\n"
	".profile-name { display: inline-block; width: 6rem; }\n"
	"a { color: #0969da; text-decoration: none; }\n"
	"a:hover { text-decoration: underline; }\n"
	"code { font-size: .9em; background: #f6f8fa; padding: .1rem .3rem; border-radius: 4px; }\n"
	".dim { color: #59636e; }\n"
	"@media (prefers-color-scheme: dark) {\n"
	"	body { color: #e6edf3; background: #0d1117; }\n"
	"	thead { border-color: #30363d; }\n"
	"	tbody tr:hover, code { background: #161b22; }\n"
	"	a { color: #4493f8; }\n"
	"	.dim { color: #9198a1; }\n"
	"}\n";

static void put_text(struct buf *b, const char *s)
{
	_cleanup_(buf_done) struct buf safe = BUF_INIT(64 * 1024);

	text_append_printable(&safe, s, strlen(s));
	for (const char *p = safe.data; p && *p; p++) {
		switch (*p) {
		case '<':
			buf_puts(b, "&lt;");
			break;
		case '>':
			buf_puts(b, "&gt;");
			break;
		case '&':
			buf_puts(b, "&amp;");
			break;
		case '"':
			buf_puts(b, "&quot;");
			break;
		case '\'':
			buf_puts(b, "&#39;");
			break;
		default:
			buf_putc(b, *p);
		}
	}
}

static void put_percent(struct buf *b, const char *s)
{
	for (; *s; s++) {
		unsigned char c = (unsigned char)*s;

		if ((c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') ||
		    strchr("-._~", c))
			buf_putc(b, *s);
		else
			buf_printf(b, "%%%02X", c);
	}
}

static const char *string_of(const json_t *row, const char *member)
{
	const char *s = json_string_value(json_object_get(row, member));

	return s ? s : "";
}

static double cpu_of(const json_t *row)
{
	return json_number_value(json_object_get(row, "cpu"));
}

static void put_link(struct buf *b, const char *kind, const char *value)
{
	if (!*value)
		return;
	buf_printf(b, "<a href='profile?seconds=30&amp;%s=", kind);
	put_percent(b, value);
	buf_puts(b, "'>");
	put_text(b, value);
	buf_puts(b, "</a>");
}

static void put_target(struct buf *b, const json_t *row)
{
	const char *unit = string_of(row, "unit"), *container = string_of(row, "container");
	char pid[32];

	snprintf(pid, sizeof(pid), "%" JSON_INTEGER_FORMAT,
		 json_integer_value(json_object_get(row, "pid")));
	buf_puts(b, "<tr><td class=n>");
	put_link(b, "pid", pid);
	buf_puts(b, "</td><td>");
	put_text(b, string_of(row, "comm"));
	buf_puts(b, "</td><td>");
	put_link(b, "unit", unit);
	if (*unit && *container)
		buf_puts(b, "<br>");
	put_link(b, "container", container);
	buf_puts(b, "</td><td>");
	put_text(b, string_of(row, "user"));
	buf_printf(b, "</td><td class=n>%.1f&nbsp;%%</td></tr>\n", 100 * cpu_of(row));
}

static int by_cpu(const void *a, const void *b)
{
	double x = cpu_of(*(json_t *const *)a), y = cpu_of(*(json_t *const *)b);

	return (x < y) - (x > y);
}

static int put_targets(struct buf *b, const json_t *targets)
{
	size_t n = json_array_size(targets);
	_cleanup_free_ const json_t **rows = calloc(n ? n : 1, sizeof(*rows));

	if (!rows)
		return -ENOMEM;
	for (size_t i = 0; i < n; i++)
		rows[i] = json_array_get(targets, i);
	qsort(rows, n, sizeof(*rows), by_cpu);

	buf_puts(b, "<h2>Running targets</h2>\n<p class=dim>Each link profiles for 30 seconds. CPU "
		    "is the share of one processor.</p>\n<div class=t><table>\n"
		    "<thead><tr><th class=n>PID</th><th>Command</th><th>Unit or container</th>"
		    "<th>User</th><th class=n>CPU</th></tr></thead>\n<tbody>\n");
	for (size_t i = 0; i < n && i < MAX_ROWS; i++)
		put_target(b, rows[i]);
	buf_puts(b, "</tbody>\n</table></div>\n");
	if (n > MAX_ROWS)
		buf_printf(b, "<p class=dim>%zu more: cprofctl targets</p>\n", n - MAX_ROWS);
	if (n == 0)
		buf_puts(b, "<p class=dim>None that you may see.</p>\n");
	return 0;
}

static void put_endpoints(struct buf *b, struct request *q)
{
	unsigned running = 0;
	const struct hold *h;

	LIST_FOREACH (h, &q->server->holds, list)
		running += !h->finished && (q->peer.privileged || h->uid == q->peer.uid);

	buf_puts(b, "<table>\n<thead><tr><td>Count</td><td>Profile</td></tr></thead>\n<tbody>\n");
	for (size_t i = 0; i < ARRAY_SIZE(endpoints); i++)
		if (!endpoints[i].privileged || q->peer.privileged)
			buf_printf(b, "<tr><td>%u</td><td><a href='%s'>%s</a></td></tr>\n",
				   strcmp(endpoints[i].name, "profile") == 0 ? running : 0,
				   endpoints[i].link, endpoints[i].name);
	buf_puts(b, "</tbody>\n</table>\n<h2>Profile Descriptions:</h2>\n<ul>\n");
	for (size_t i = 0; i < ARRAY_SIZE(endpoints); i++)
		if (!endpoints[i].privileged || q->peer.privileged)
			buf_printf(b, "<li><div class=profile-name>%s:</div> %s</li>\n",
				   endpoints[i].name, endpoints[i].description);
	buf_puts(b, "</ul>\n");
}

enum MHD_Result index_page(struct request *q)
{
	const struct server_callbacks *c = &q->server->callbacks;
	struct buf b = BUF_INIT(HTTP_MAX_PAGE_BYTES);
	json_auto_t *targets = NULL;

	buf_puts(&b, "<!DOCTYPE html>\n<html lang=en>\n<head>\n<meta charset=utf-8>\n"
		     "<meta name=viewport content='width=device-width'>\n"
		     "<title>/debug/pprof/</title>\n<link rel=stylesheet href=style.css>\n</head>\n"
		     "<body>\n<h1>/debug/pprof/</h1>\n<p>Types of profiles available:</p>\n");
	put_endpoints(&b, q);
	targets = c->targets ? c->targets(c->arg, &q->peer) : json_array();
	if (!targets || put_targets(&b, targets) < 0) {
		buf_done(&b);
		return reply_no_memory(q);
	}
	buf_puts(&b, "<p class=dim>cprofd " CPROF_VERSION "</p>\n</body>\n</html>\n");
	return reply_body(q, 200, "text/html; charset=utf-8", &b, NULL, NULL);
}

enum MHD_Result index_style(struct request *q)
{
	struct buf b = BUF_INIT(sizeof(style));

	buf_puts(&b, style);
	return reply_body(q, 200, "text/css; charset=utf-8", &b, NULL, NULL);
}
