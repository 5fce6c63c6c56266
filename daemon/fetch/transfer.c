/* SPDX-License-Identifier: Apache-2.0 */
#include "transfer.h"

#include <curl/curl.h>
#include <stdbool.h>
#include <string.h>
#include <strings.h>
#include <time.h>

#include "cleanup.h"
#include "clock.h"
#include "cprof/api.h"

#define MAX_REDIRECTS   5L
#define CONNECT_MS      5000L
#define LOW_SPEED_BYTES 1024L /* a second: who is slower for LOW_SPEED_S is as good as gone */
#define LOW_SPEED_S     20L

struct transfer {
	const struct fetch_request *request;
	int fd;
	uint64_t deadline_ns; /* CLOCK_MONOTONIC, of all servers together */
	uint64_t written;
	bool too_large;
};

static bool url_is_http(const char *url)
{
	return strncasecmp(url, "http://", 7) == 0 || strncasecmp(url, "https://", 8) == 0;
}

static long transfer_left_ms(const struct transfer *x)
{
	uint64_t now = clock_ns(CLOCK_MONOTONIC);

	return now < x->deadline_ns ? (long)((x->deadline_ns - now) / NSEC_PER_MSEC) + 1 : 1;
}

static size_t on_data(char *data, size_t size, size_t n, void *arg)
{
	struct transfer *x = arg;
	size_t bytes = size * n, done = 0;

	if (bytes > x->request->max_bytes - x->written) {
		x->too_large = true;
		return 0;
	}
	while (done < bytes) {
		ssize_t w = write(x->fd, data + done, bytes - done);

		if (w < 0 && errno == EINTR)
			continue;
		if (w <= 0)
			return 0;
		done += (size_t)w;
	}
	x->written += bytes;
	return bytes;
}

static int transfer_set(struct transfer *x, CURL *e, const char *url)
{
	bool ok;

	ok = curl_easy_setopt(e, CURLOPT_URL, url) == CURLE_OK &&
	     curl_easy_setopt(e, CURLOPT_PROTOCOLS_STR, "http,https") == CURLE_OK &&
	     curl_easy_setopt(e, CURLOPT_REDIR_PROTOCOLS_STR, "http,https") == CURLE_OK &&
	     curl_easy_setopt(e, CURLOPT_FOLLOWLOCATION, 1L) == CURLE_OK &&
	     curl_easy_setopt(e, CURLOPT_MAXREDIRS, MAX_REDIRECTS) == CURLE_OK &&
	     curl_easy_setopt(e, CURLOPT_FAILONERROR, 1L) == CURLE_OK &&
	     curl_easy_setopt(e, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
	     curl_easy_setopt(e, CURLOPT_NETRC, (long)CURL_NETRC_IGNORED) == CURLE_OK &&
	     curl_easy_setopt(e, CURLOPT_CONNECTTIMEOUT_MS, CONNECT_MS) == CURLE_OK &&
	     curl_easy_setopt(e, CURLOPT_TIMEOUT_MS, transfer_left_ms(x)) == CURLE_OK &&
	     curl_easy_setopt(e, CURLOPT_LOW_SPEED_LIMIT, LOW_SPEED_BYTES) == CURLE_OK &&
	     curl_easy_setopt(e, CURLOPT_LOW_SPEED_TIME, LOW_SPEED_S) == CURLE_OK &&
	     curl_easy_setopt(e, CURLOPT_MAXFILESIZE_LARGE, (curl_off_t)x->request->max_bytes) ==
		     CURLE_OK &&
	     curl_easy_setopt(e, CURLOPT_USERAGENT, "cprofd/" CPROF_VERSION) == CURLE_OK &&
	     curl_easy_setopt(e, CURLOPT_WRITEFUNCTION, on_data) == CURLE_OK &&
	     curl_easy_setopt(e, CURLOPT_WRITEDATA, x) == CURLE_OK;
	return ok ? 0 : -EINVAL;
}

static int transfer_error(const struct transfer *x, CURLcode code, long status)
{
	if (x->too_large || code == CURLE_FILESIZE_EXCEEDED)
		return -EFBIG;
	if (code == CURLE_OPERATION_TIMEDOUT)
		return -ETIME;
	if (code == CURLE_HTTP_RETURNED_ERROR && (status == 404 || status == 410))
		return -ENOENT;
	return -EIO;
}

/* Asks one server. *ret_error: why it is not there. */
static int transfer_try(struct transfer *x, const char *server, long *ret_status)
{
	char hex[2 * FETCH_MAX_ID_BYTES + 1] = "";
	char url[FETCH_MAX_URLS_BYTES + sizeof(hex) + 32];
	CURL *e = curl_easy_init();
	CURLcode code;
	int r;

	if (!e)
		return -ENOMEM;
	for (uint32_t i = 0; i < x->request->build_id_bytes; i++)
		snprintf(hex + 2 * (size_t)i, 3, "%02x", x->request->build_id[i]);
	snprintf(url, sizeof(url), "%s/buildid/%s/debuginfo", server, hex);

	x->written = 0;
	x->too_large = false;
	r = transfer_set(x, e, url);
	if (r == 0 && (ftruncate(x->fd, 0) < 0 || lseek(x->fd, 0, SEEK_SET) < 0))
		r = -errno;
	if (r == 0) {
		code = curl_easy_perform(e);
		curl_easy_getinfo(e, CURLINFO_RESPONSE_CODE, ret_status);
		if (code != CURLE_OK || *ret_status != 200 || x->written == 0)
			r = transfer_error(x, code, *ret_status);
	}
	curl_easy_cleanup(e);
	return r;
}

void transfer_run(char *urls, const struct fetch_request *request, int fd, struct fetch_reply *ret)
{
	struct transfer x = {
		.request = request,
		.fd = fd,
		.deadline_ns = clock_ns(CLOCK_MONOTONIC) + request->timeout_ms * NSEC_PER_MSEC,
	};
	char *save = NULL;

	*ret = (struct fetch_reply){ .error = -ENOENT };
	for (char *url = strtok_r(urls, " \t", &save); url; url = strtok_r(NULL, " \t", &save)) {
		long status = 0;
		size_t n = strlen(url);
		int r;

		while (n > 0 && url[n - 1] == '/')
			url[--n] = '\0';
		r = url_is_http(url) ? transfer_try(&x, url, &status) : -EINVAL;
		ret->http_status = (int32_t)status;
		if (r == 0) {
			ret->error = 0;
			ret->bytes = x.written;
			return;
		}
		/* that one does not have it says less than that another could not be asked */
		if (ret->error == -ENOENT)
			ret->error = r;
	}
}
