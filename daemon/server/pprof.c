/* SPDX-License-Identifier: Apache-2.0 */
/* The endpoints of net/http/pprof, as its clients know them. */
#include <fcntl.h>
#include <string.h>

#include "http.h"
#include "range.h"
#include "spec.h"

enum MHD_Result pprof_redirect(struct request *q)
{
	return reply_empty(q, strcmp(q->path, "/") == 0 ? 302 : 301, "Location", "/debug/pprof/");
}

/* Called first to start the capture, then when it has ended. */
enum MHD_Result pprof_profile(struct request *q)
{
	_cleanup_(spec_done) struct capture_spec spec = { 0 };
	_cleanup_free_ char *error = NULL;
	enum MHD_Result answer = MHD_NO;
	struct hold *h;
	int r;

	if (range_is_asked(q->query))
		return windows_profile(q);
	if (q->hold && q->hold->ended)
		return MHD_NO;
	if (q->hold)
		return reply_profile(q, q->hold);

	r = spec_from_query(&spec, q->query, &error);
	if (r == -ENOMEM)
		return reply_no_memory(q);
	if (r < 0)
		return reply_error(q, 400, "%s", error);
	h = hold_new(q, &spec, false, &answer);
	if (!h)
		return answer;
	if (request_wait(q, h) < 0) {
		hold_end(h);
		return reply_no_memory(q);
	}
	return MHD_YES;
}

enum MHD_Result pprof_cmdline(struct request *q)
{
	_cleanup_close_ int fd = open("/proc/self/cmdline", O_RDONLY | O_CLOEXEC);
	struct buf b = BUF_INIT(HTTP_MAX_PAGE_BYTES);

	if (fd < 0 || buf_read_fd(&b, fd) < 0) {
		buf_done(&b);
		return reply_error(q, 500, "cannot read /proc/self/cmdline: %s", strerror(errno));
	}
	/* separated, not terminated */
	if (b.size && b.data[b.size - 1] == '\0')
		b.size--;
	return reply_body(q, 200, "text/plain; charset=utf-8", &b, NULL, NULL);
}

/* Profiles are symbolized already, so there is little to ask; num_symbols: 1 is what makes pprof
 * believe that it could. Kernel addresses are named for the privileged only (docs/security.md 7). */
enum MHD_Result pprof_symbol(struct request *q)
{
	const struct server_callbacks *callbacks = &q->server->callbacks;
	struct buf b = BUF_INIT(HTTP_MAX_PAGE_BYTES);
	const char *addresses = q->query ? q->query : "";
	size_t size = strlen(addresses);
	int r = 0;

	if (strcmp(q->method, "POST") == 0) {
		addresses = q->body.size ? q->body.data : "";
		size = q->body.size;
	}
	buf_puts(&b, "num_symbols: 1\n");
	if (size && q->peer.privileged && callbacks->symbol)
		r = callbacks->symbol(callbacks->arg, addresses, size, &b);
	if (r < 0) {
		buf_done(&b);
		return reply_error(q, r == -EINVAL ? 400 : 500, "cannot look up the addresses: %s",
				   strerror(-r));
	}
	return reply_body(q, 200, "text/plain; charset=utf-8", &b, NULL, NULL);
}
