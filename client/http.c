/* SPDX-License-Identifier: Apache-2.0 */
#include "http.h"

#include <fcntl.h>
#include <string.h>
#include <sys/socket.h>

#include "libcurl.h"

#define HTTP_ERROR_MAX_BYTES 4096

struct http {
	struct libcurl lib;
	CURL *curl;
	CURLM *multi; /* it, unlike the easy interface, waits for a descriptor of ours too */
	struct curl_slist *json_headers;
	int fd; /* libcurl's, -1 before it has one */
	bool opened;
	int (*connected)(void *arg, int fd); /* NULL once it has run */
	void *connected_arg;
	int connected_error;
	bool (*cancel)(void *arg);
	void *cancel_arg;
	int cancel_fd;
	struct buf *reply; /* of the request under way, NULL: drop it */
	struct buf error;
	char curl_error[CURL_ERROR_SIZE];
	long status;
};

static curl_socket_t http_open(void *arg, curlsocktype purpose _unused_,
			       struct curl_sockaddr *address)
{
	struct http *h = arg;

	if (h->opened)
		return CURL_SOCKET_BAD;
	h->opened = true;
	h->fd = socket(address->family, address->socktype | SOCK_CLOEXEC, 0);
	return h->fd >= 0 ? h->fd : CURL_SOCKET_BAD;
}

static int http_before_request(void *arg, char *remote_ip _unused_, char *local_ip _unused_,
			       int remote_port _unused_, int local_port _unused_)
{
	struct http *h = arg;

	if (h->connected) {
		h->connected_error = h->connected(h->connected_arg, h->fd);
		h->connected = NULL;
	}
	return h->connected_error < 0 ? CURL_PREREQFUNC_ABORT : CURL_PREREQFUNC_OK;
}

/* An answer goes to the caller only when it is one of success; an error's text is kept, cut. */
static size_t http_write(char *data, size_t one _unused_, size_t size, void *arg)
{
	struct http *h = arg;
	long status = 0;

	h->lib.easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, &status);
	if (status >= 200 && status < 300)
		return !h->reply || buf_append(h->reply, data, size) >= 0 ? size : 0;

	buf_append(&h->error, data, MIN(size, HTTP_ERROR_MAX_BYTES - h->error.size));
	return size;
}

static int http_setup(struct http *h, const char *path)
{
	CURL *c = h->curl;
	CURLcode r = CURLE_OK;

	/* nothing of the environment or of ~/.netrc decides where a request goes */
	r |= h->lib.easy_setopt(c, CURLOPT_PROXY, "");
	r |= h->lib.easy_setopt(c, CURLOPT_PROTOCOLS_STR, "http");
	r |= h->lib.easy_setopt(c, CURLOPT_NOSIGNAL, 1L);
	r |= h->lib.easy_setopt(c, CURLOPT_UNIX_SOCKET_PATH, path);
	r |= h->lib.easy_setopt(c, CURLOPT_OPENSOCKETFUNCTION, http_open);
	r |= h->lib.easy_setopt(c, CURLOPT_OPENSOCKETDATA, h);
	r |= h->lib.easy_setopt(c, CURLOPT_PREREQFUNCTION, http_before_request);
	r |= h->lib.easy_setopt(c, CURLOPT_PREREQDATA, h);
	r |= h->lib.easy_setopt(c, CURLOPT_WRITEFUNCTION, http_write);
	r |= h->lib.easy_setopt(c, CURLOPT_WRITEDATA, h);
	r |= h->lib.easy_setopt(c, CURLOPT_ERRORBUFFER, h->curl_error);
	r |= h->lib.easy_setopt(c, CURLOPT_USERAGENT, "cprofctl");
	return r == CURLE_OK ? 0 : -EIO;
}

/* libcurl's wakeup descriptors survive exec: a command that is run later must not get them. Everything
 * that init opens is numbered below HTTP_FDS unless the caller left hundreds open. */
#define HTTP_FDS 1024

static CURLM *http_new_multi(const struct http *h)
{
	bool before[HTTP_FDS];
	CURLM *multi;

	for (int fd = 0; fd < HTTP_FDS; fd++)
		before[fd] = fcntl(fd, F_GETFD) >= 0;
	multi = h->lib.multi_init();
	for (int fd = 0; fd < HTTP_FDS; fd++)
		if (!before[fd] && fcntl(fd, F_GETFD) >= 0)
			fcntl(fd, F_SETFD, FD_CLOEXEC);
	return multi;
}

int http_new(struct http **ret, const char *path, int (*connected)(void *arg, int fd), void *arg)
{
	_cleanup_(http_freep) struct http *h = calloc(1, sizeof(*h));
	int r;

	if (!h)
		return -ENOMEM;
	h->fd = -1;
	h->connected = connected;
	h->connected_arg = arg;
	h->error = BUF_INIT(HTTP_ERROR_MAX_BYTES);

	r = libcurl_load(&h->lib);
	if (r < 0)
		return r;
	if (h->lib.global_init(CURL_GLOBAL_NOTHING) != CURLE_OK)
		return -EIO;
	h->curl = h->lib.easy_init();
	h->multi = http_new_multi(h);
	h->json_headers = h->lib.slist_append(NULL, "Content-Type: application/json");
	if (!h->curl || !h->multi || !h->json_headers)
		return -ENOMEM;
	r = http_setup(h, path);
	if (r < 0)
		return r;

	*ret = TAKE_PTR(h);
	return 0;
}

struct http *http_free(struct http *h)
{
	if (!h)
		return NULL;

	/* without the library there is none of them */
	if (h->curl)
		h->lib.easy_cleanup(h->curl);
	if (h->multi)
		h->lib.multi_cleanup(h->multi);
	if (h->json_headers)
		h->lib.slist_free_all(h->json_headers);
	buf_done(&h->error);
	free(h);
	return NULL;
}

void http_set_cancel(struct http *h, int fd, bool (*cancel)(void *arg), void *arg)
{
	h->cancel_fd = fd;
	h->cancel = cancel;
	h->cancel_arg = arg;
}

void http_set_timeout(struct http *h, unsigned seconds)
{
	h->lib.easy_setopt(h->curl, CURLOPT_TIMEOUT, (long)seconds);
}

static void http_set_request(struct http *h, const char *method, const char *body)
{
	h->lib.easy_setopt(h->curl, CURLOPT_HTTPGET, 1L);
	h->lib.easy_setopt(h->curl, CURLOPT_HTTPHEADER, NULL);
	if (strcmp(method, "POST") == 0) {
		h->lib.easy_setopt(h->curl, CURLOPT_POST, 1L);
		h->lib.easy_setopt(h->curl, CURLOPT_POSTFIELDSIZE, (long)(body ? strlen(body) : 0));
		h->lib.easy_setopt(h->curl, CURLOPT_POSTFIELDS, body ? body : "");
		h->lib.easy_setopt(h->curl, CURLOPT_HTTPHEADER, h->json_headers);
	}
	h->lib.easy_setopt(h->curl, CURLOPT_CUSTOMREQUEST, method);
}

static int http_failure(struct http *h, CURLcode code)
{
	const char *why = h->curl_error[0] ? h->curl_error : h->lib.easy_strerror(code);

	buf_reset(&h->error);
	switch (code) {
	case CURLE_ABORTED_BY_CALLBACK:
		if (h->connected_error < 0)
			return h->connected_error;
		buf_puts(&h->error, "given up");
		return -ECANCELED;
	case CURLE_WRITE_ERROR:
		buf_puts(&h->error, "the daemon's answer is larger than the client takes");
		return -ENOSPC;
	case CURLE_OUT_OF_MEMORY:
		buf_puts(&h->error, "out of memory");
		return -ENOMEM;
	case CURLE_OPERATION_TIMEDOUT:
		buf_puts(&h->error, "the daemon does not answer");
		return -ETIMEDOUT;
	case CURLE_COULDNT_CONNECT:
	case CURLE_GOT_NOTHING:
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_PARTIAL_FILE:
		buf_puts(&h->error, "the daemon closed the connection");
		return -ENOTCONN;
	default:
		buf_puts(&h->error, why);
		return -EPROTO;
	}
}

/* The daemon's line, without the end of line. */
static int http_refused(struct http *h)
{
	while (h->error.size > 0 && strchr("\r\n ", h->error.data[h->error.size - 1]))
		h->error.data[--h->error.size] = '\0';
	if (h->error.size == 0)
		buf_printf(&h->error, "the daemon answered with HTTP status %ld and no reason",
			   h->status);
	return -EREMOTEIO;
}

/* curl_easy_perform() that looks at cancel_fd meanwhile. */
static CURLcode http_perform(struct http *h)
{
	CURLcode code = CURLE_FAILED_INIT;
	int running = 1, queued;
	CURLMsg *message;

	if (h->lib.multi_add_handle(h->multi, h->curl) != CURLM_OK)
		return CURLE_OUT_OF_MEMORY;

	while (running) {
		struct curl_waitfd extra = { .fd = h->cancel_fd, .events = CURL_WAIT_POLLIN };

		if (h->lib.multi_perform(h->multi, &running) != CURLM_OK)
			break;
		if (running &&
		    h->lib.multi_poll(h->multi, &extra, h->cancel ? 1 : 0, 1000, NULL) != CURLM_OK)
			break;
		if (running && extra.revents && h->cancel(h->cancel_arg)) {
			code = CURLE_ABORTED_BY_CALLBACK;
			break;
		}
	}

	while ((message = h->lib.multi_info_read(h->multi, &queued)))
		if (message->msg == CURLMSG_DONE)
			code = message->data.result;
	h->lib.multi_remove_handle(h->multi, h->curl);
	return code;
}

int http_request(struct http *h, const char *method, const char *path, const char *body,
		 struct buf *reply)
{
	char url[512];
	CURLcode code;

	if (snprintf(url, sizeof(url), "http://localhost%s", path) >= (int)sizeof(url))
		return -ENAMETOOLONG;

	buf_reset(&h->error);
	h->curl_error[0] = '\0';
	h->status = 0;
	h->reply = reply;
	http_set_request(h, method, body);
	if (h->lib.easy_setopt(h->curl, CURLOPT_URL, url) != CURLE_OK)
		return http_failure(h, CURLE_OUT_OF_MEMORY);

	code = http_perform(h);
	h->reply = NULL;
	if (code != CURLE_OK)
		return http_failure(h, code);

	h->lib.easy_getinfo(h->curl, CURLINFO_RESPONSE_CODE, &h->status);
	return h->status >= 200 && h->status < 300 ? 0 : http_refused(h);
}

const char *http_error(const struct http *h)
{
	return h->error.data ? h->error.data : "";
}

long http_status(const struct http *h)
{
	return h->status;
}
