/* SPDX-License-Identifier: Apache-2.0 */
/* The server as its clients meet it, over a Unix socket. */
#include "server_harness.h"

static int setup(void **state)
{
	static struct harness h;

	harness_start(&h, &(struct harness_options){ .own_group = true });
	*state = &h;
	return 0;
}

static int teardown(void **state)
{
	harness_stop(*state);
	return 0;
}

static void ask(const struct harness *h, const char *method, const char *path, const char *body,
		struct answer *a)
{
	int fd = client_connect(h, -1);

	client_ask(fd, method, path, NULL, body, a);
	close(fd);
}

static bool has(const struct answer *a, const char *header)
{
	return strcasestr(a->headers, header);
}

static void test_routes(void **state)
{
	static const struct {
		const char *method, *path;
		int status;
		const char *header;
	} cases[] = {
		{ "GET", "/debug/pprof", 301, "\r\nLocation: /debug/pprof/\r\n" },
		{ "GET", "/debug/pprof/", 200, "\r\nContent-Type: text/html; charset=utf-8\r\n" },
		{ "HEAD", "/debug/pprof/", 200, "text/html" },
		{ "GET", "/debug/pprof/style.css", 200, "text/css" },
		{ "GET", "/debug/pprof/cmdline", 200, "text/plain" },
		{ "GET", "/metrics", 200, "text/plain; version=0.0.4" },
		{ "GET", "/api/v1/version", 200, "application/json" },
		{ "GET", "/api/v1/targets", 200, "application/json" },
		{ "GET", "/nowhere", 404, "\r\nX-Go-Pprof: 1\r\n" },
		{ "GET", "/debug/pprof/heap", 404, "text/plain; charset=utf-8" },
		{ "POST", "/metrics", 405, "\r\nAllow: GET, HEAD\r\n" },
		{ "PUT", "/debug/pprof/profile", 405, "\r\nAllow: GET\r\n" },
		{ "GET", "/api/v1/captures", 405, "\r\nAllow: POST\r\n" },
		{ "GET", "/api/v1/captures/", 404, "\r\nX-Go-Pprof: 1\r\n" },
		{ "GET", "/api/v1/captures/0123456789abcdef", 404, "text/plain" },
		{ "GET", "/debug/pprof/profile?pid=x", 400, "\r\nX-Go-Pprof: 1\r\n" },
		{ "GET", "/debug/pprof/profile?comm=%zz", 400, "text/plain" },
		{ "GET", "/debug/pprof/profile?pid=4000000", 404, "text/plain" },
		{ "DELETE", "/api/v1/captures/0123456789abcdef", 404, "text/plain" },
	};

	for (size_t i = 0; i < ARRAY_SIZE(cases); i++) {
		struct answer a;

		ask(*state, cases[i].method, cases[i].path, NULL, &a);
		assert_int_equal(a.status, cases[i].status);
		assert_true(has(&a, cases[i].header));
		assert_true(has(&a, "\r\nX-Content-Type-Options: nosniff\r\n"));
		assert_true(has(&a, "default-src 'self'"));
		assert_int_equal(has(&a, "X-Go-Pprof"), a.status >= 400);
		if (a.status >= 400) {
			assert_true(a.body_bytes > 1 && a.body[a.body_bytes - 1] == '\n');
			assert_ptr_equal(strchr(a.body, '\n'), a.body + a.body_bytes - 1);
			assert_null(strchr(a.body, '\033'));
		}
		answer_done(&a);
	}
}

static void test_symbol_and_cmdline(void **state)
{
	struct answer a;

	ask(*state, "GET", "/debug/pprof/symbol", NULL, &a);
	assert_string_equal(a.body, "num_symbols: 1\n");
	answer_done(&a);
	ask(*state, "POST", "/debug/pprof/symbol", "0x12+0x34", &a);
	assert_string_equal(a.body, "num_symbols: 1\n0x12+0x34 name\n");
	answer_done(&a);
	ask(*state, "GET", "/debug/pprof/symbol?0x12", NULL, &a);
	assert_string_equal(a.body, "num_symbols: 1\n0x12 name\n");
	answer_done(&a);
	ask(*state, "GET", "/debug/pprof/cmdline", NULL, &a);
	assert_non_null(strstr(a.body, "test_server"));
	assert_true(a.body[a.body_bytes - 1] != '\0');
	answer_done(&a);
}

/* Names of processes are foreign: in the page they are text, in its links percent-encoded. */
static void test_index(void **state)
{
	struct answer a;
	char *hot, *idle;

	ask(*state, "GET", "/debug/pprof/", NULL, &a);
	assert_null(strstr(a.body, "<script>"));
	assert_null(strchr(a.body, '\033'));
	assert_non_null(strstr(a.body, "&lt;script&gt;&#39;&quot;&amp;"));
	assert_non_null(strstr(a.body, "'profile?seconds=30&amp;unit=a%27b%26c.service'"));
	hot = strstr(a.body, "'profile?seconds=30&amp;pid=12'");
	idle = strstr(a.body, "'profile?seconds=30&amp;pid=11'");
	assert_true(hot && idle && hot < idle);
	assert_null(strstr(a.body, "style="));
	answer_done(&a);
}

static void test_profile(void **state)
{
	struct answer a;

	ask(*state, "GET", "/debug/pprof/profile?seconds=1&unit=size-100000", NULL, &a);
	assert_int_equal(a.status, 200);
	assert_true(has(&a, "\r\nContent-Type: application/octet-stream\r\n"));
	assert_true(has(&a, "\r\nContent-Disposition: attachment; filename=\"profile\"\r\n"));
	assert_int_equal(a.body_bytes, 100000);
	assert_memory_equal(a.body, "PROFILE ", 8);
	answer_done(&a);
	ask(*state, "GET", "/debug/pprof/profile?seconds=1&comm=fail", NULL, &a);
	assert_int_equal(a.status, 500);
	assert_non_null(strstr(a.body, "it was told to"));
	answer_done(&a);
	assert_int_equal(status_becomes(*state, "live", 0), 0);
}

static void create(int fd, const char *body, char path[64])
{
	struct answer a;
	char *location;

	client_ask(fd, "POST", "/api/v1/captures", NULL, body, &a);
	assert_int_equal(a.status, 201);
	location = strcasestr(a.headers, "\r\nLocation: ");
	assert_non_null(location);
	assert_int_equal(sscanf(location + 12, "%63[/a-z0-9]", path), 1);
	assert_int_equal(strlen(path), strlen("/api/v1/captures/") + 16);
	assert_non_null(strstr(a.body, path + strlen("/api/v1/captures/")));
	answer_done(&a);
}

static int ask_one(int fd, const char *method, const char *path, const char *tail)
{
	char whole[128];
	struct answer a;

	snprintf(whole, sizeof(whole), "%s%s", path, tail);
	client_ask(fd, method, whole, NULL, NULL, &a);
	answer_done(&a);
	return a.status;
}

static void test_capture(void **state)
{
	int fd = client_connect(*state, -1), other = client_connect(*state, -1), wrong;
	char path[64], again[64], tail[128];
	struct answer a;

	create(fd, "{\"seconds\":0}", path);
	client_ask(other, "GET", path, NULL, NULL, &a);
	assert_int_equal(a.status, 200);
	assert_non_null(strstr(a.body, "\"state\":\"running\""));
	assert_non_null(strstr(a.body, "\"lost\":{\"missed_tick\":0"));
	assert_int_equal(number_in(a.body, "samples"), 7);
	answer_done(&a);
	assert_int_equal(ask_one(other, "GET", path, "/stop"), 405);
	assert_int_equal(ask_one(other, "GET", path, "/nothing"), 404);
	/* libmicrohttpd closes a connection whose request may have a body that nobody will read */
	wrong = client_connect(*state, -1);
	assert_int_equal(ask_one(wrong, "PUT", path, ""), 405);
	close(wrong);
	assert_int_equal(ask_one(other, "POST", path, "/stop"), 200);

	snprintf(tail, sizeof(tail), "%s/profile", path);
	client_ask(fd, "GET", tail, NULL, NULL, &a);
	assert_int_equal(a.status, 200);
	assert_memory_equal(a.body, "PROFILE ", 8);
	answer_done(&a);
	/* fetched: gone, and its memory with it */
	assert_int_equal(ask_one(fd, "GET", path, ""), 404);
	assert_int_equal(status_number(*state, "live"), 0);

	create(fd, "{\"seconds\":0}", again);
	assert_string_not_equal(path, again);
	assert_int_equal(ask_one(other, "DELETE", again, ""), 204);
	assert_int_equal(ask_one(fd, "GET", again, "/profile"), 404);
	assert_int_equal(status_number(*state, "live"), 0);
	close(fd);
	close(other);
}

/* Who waits for a capture that is deleted, or whose maker leaves, is told. */
static void test_capture_ends_under_waiter(void **state)
{
	int fd = client_connect(*state, -1), other = client_connect(*state, -1);
	char path[64], request[160];
	struct answer a;

	for (int leave = 0; leave < 2; leave++) {
		create(fd, "{\"seconds\":0}", path);
		snprintf(request, sizeof(request), "GET %s/profile HTTP/1.1\r\nHost: x\r\n\r\n",
			 path);
		client_send(other, request);
		usleep(50000);
		if (leave)
			close(fd);
		else
			assert_int_equal(ask_one(fd, "DELETE", path, ""), 204);
		client_read(other, &a, false);
		assert_int_equal(a.status, 404);
		answer_done(&a);
	}
	close(other);
	assert_int_equal(status_becomes(*state, "live", 0), 0);
}

/* A suspended connection must still notice that its client is gone. */
static void test_disconnect_ends_capture(void **state)
{
	int fd = client_connect(*state, -1), waiter;
	char path[64], request[160];

	client_send(fd, "GET /debug/pprof/profile?seconds=80000 HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_int_equal(status_becomes(*state, "live", 1), 1);
	close(fd);
	assert_int_equal(status_becomes(*state, "live", 0), 0);

	fd = client_connect(*state, -1);
	client_send(fd, "GET /debug/pprof/profile?seconds=80000 HTTP/1.1\r\nHost: x\r\n\r\n");
	assert_int_equal(status_becomes(*state, "live", 1), 1);
	shutdown(fd, SHUT_WR);
	assert_int_equal(status_becomes(*state, "live", 0), 0);
	assert_true(closes(fd));
	close(fd);

	/* a waiter that is not the maker leaves the capture alone */
	fd = client_connect(*state, -1);
	waiter = client_connect(*state, -1);
	create(fd, "{\"seconds\":0}", path);
	snprintf(request, sizeof(request), "GET %s/profile HTTP/1.1\r\nHost: x\r\n\r\n", path);
	client_send(waiter, request);
	usleep(50000);
	close(waiter);
	assert_int_equal(status_becomes(*state, "connections", 2), 2);
	assert_int_equal(ask_one(fd, "GET", path, ""), 200);

	/* the maker itself, idle or waiting, takes it along */
	client_send(fd, request);
	usleep(50000);
	close(fd);
	assert_int_equal(status_becomes(*state, "live", 0), 0);
	fd = client_connect(*state, -1);
	create(fd, "{\"seconds\":0}", path);
	close(fd);
	assert_int_equal(status_becomes(*state, "live", 0), 0);
}

static void test_malformed(void **state)
{
	static const char *const bad[] = {
		"\x16\x03\x01\x02\r\n\r\n\r\n",
		"GET\r\n\r\n",
		"GET /api/v1/version HTTP/1.1\r\n\r\n", /* no Host */
		"GET /api/v1/version HTTP/1.1\r\nHost: x\r\nno colon\r\n\r\n",
		"POST /api/v1/captures HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
		"POST /api/v1/captures HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\n",
		"POST /api/v1/captures HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: "
		"chunked\r\n\r\nzz\r\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		int fd = client_connect(*state, -1);
		struct answer a;

		client_send(fd, bad[i]);
		shutdown(fd, SHUT_WR);
		client_read(fd, &a, false);
		if (a.status != 400 && a.status != 0)
			print_message("%zu: %d\n", i, a.status);
		assert_true(a.status == 400 || a.status == 0);
		answer_done(&a);
		close(fd);
	}
	assert_int_equal(status_of_get(*state, -1, "/api/v1/version", NULL), 200);
}

static void test_too_large(void **state)
{
	int fd = client_connect(*state, -1);
	struct answer a;

	client_send(fd,
		    "POST /api/v1/captures HTTP/1.1\r\nHost: x\r\nContent-Length: 65537\r\n\r\n");
	client_read(fd, &a, false);
	assert_int_equal(a.status, 413);
	answer_done(&a);
	close(fd);

	/* of unknown length: read, dropped, refused */
	fd = client_connect(*state, -1);
	client_send(fd, "POST /api/v1/captures HTTP/1.1\r\nHost: x\r\n"
			"Transfer-Encoding: chunked\r\n\r\n");
	for (int i = 0; i < 17; i++) {
		char chunk[4096 + 16];

		sprintf(chunk, "1000\r\n%04096d\r\n", 0);
		client_send(fd, chunk);
	}
	client_send(fd, "0\r\n\r\n");
	client_read(fd, &a, false);
	assert_int_equal(a.status, 413);
	answer_done(&a);
	close(fd);

	fd = client_connect(*state, -1);
	client_send(fd, "GET / HTTP/1.1\r\nHost: x\r\nX: ");
	for (int i = 0; i < 40; i++) {
		char part[1025];

		sprintf(part, "%01024d", 0);
		(void)!send(fd, part, 1024, MSG_NOSIGNAL);
	}
	client_read(fd, &a, false);
	assert_true(a.status == 431 || a.status == 413 || a.status == 0);
	answer_done(&a);
	close(fd);
}

/* Half a request, and an answer that nobody reads, must not stop anybody else. */
static void test_slow_clients(void **state)
{
	int half[8], deaf = client_connect(*state, -1), small = 4096;
	struct answer a;

	for (size_t i = 0; i < ARRAY_SIZE(half); i++) {
		half[i] = client_connect(*state, -1);
		client_send(half[i], "GET /api/v1/version HTTP/1.1\r\nHos");
	}
	setsockopt(deaf, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	client_send(deaf, "GET /debug/pprof/profile?seconds=1&unit=size-50000000 HTTP/1.1\r\n"
			  "Host: x\r\n\r\n");
	ask(*state, "GET", "/debug/pprof/profile?seconds=2", NULL, &a);
	assert_int_equal(a.status, 200);
	answer_done(&a);

	/* and it gets all of it when it does read */
	client_read(deaf, &a, false);
	assert_int_equal(a.body_bytes, 50000000);
	answer_done(&a);
	client_send(half[0], "t: x\r\n\r\n");
	client_read(half[0], &a, false);
	assert_int_equal(a.status, 200);
	answer_done(&a);
	for (size_t i = 0; i < ARRAY_SIZE(half); i++)
		close(half[i]);
	close(deaf);
	assert_int_equal(status_becomes(*state, "connections", 1), 1);
}

/* A reader that breaks off in the middle of its profile leaves nothing behind. */
static void test_reader_breaks_off(void **state)
{
	int fd = client_connect(*state, -1);
	char byte;

	client_send(fd, "GET /debug/pprof/profile?seconds=1&unit=size-50000000 HTTP/1.1\r\n"
			"Host: x\r\n\r\n");
	assert_int_equal(recv(fd, &byte, 1, 0), 1);
	close(fd);
	assert_int_equal(status_becomes(*state, "live", 0), 0);
}

static void test_64_at_once(void **state)
{
	int fd[64];

	for (size_t i = 0; i < ARRAY_SIZE(fd); i++) {
		fd[i] = client_connect(*state, -1);
		client_send(fd[i],
			    "GET /debug/pprof/profile?seconds=5 HTTP/1.1\r\nHost: x\r\n\r\n");
	}
	for (size_t i = 0; i < ARRAY_SIZE(fd); i++) {
		struct answer a;

		client_read(fd[i], &a, false);
		assert_int_equal(a.status, 200);
		assert_memory_equal(a.body, "PROFILE ", 8);
		answer_done(&a);
	}
	/* all of them are keep-alive */
	for (size_t i = 0; i < ARRAY_SIZE(fd); i++) {
		struct answer a;

		client_ask(fd[i], "GET", "/api/v1/version", NULL, NULL, &a);
		assert_int_equal(a.status, 200);
		answer_done(&a);
		close(fd[i]);
	}
	assert_int_equal(status_becomes(*state, "live", 0), 0);
}

/* The server may be ended in any state of its clients: the teardown asserts that it is whole. */
static void test_stop_while_busy(void **state _unused_)
{
	struct harness h;
	char path[64];
	int fd[4];

	harness_start(&h, &(struct harness_options){ .own_group = true });
	for (size_t i = 0; i < ARRAY_SIZE(fd); i++)
		fd[i] = client_connect(&h, -1);
	client_send(fd[0], "GET /debug/pprof/profile?seconds=80000 HTTP/1.1\r\nHost: x\r\n\r\n");
	client_send(fd[1], "GET /debug/pprof/pro");
	create(fd[2], "{\"seconds\":0}", path);
	client_send(fd[3], "GET /debug/pprof/profile?seconds=1&unit=size-50000000 HTTP/1.1\r\n"
			   "Host: x\r\n\r\n");
	usleep(300000);
	harness_stop(&h);
	for (size_t i = 0; i < ARRAY_SIZE(fd); i++)
		close(fd[i]);
}

static void test_pipelined(void **state)
{
	int fd = client_connect(*state, -1);
	struct answer a;

	client_send(fd, "GET /debug/pprof/profile?seconds=1 HTTP/1.1\r\nHost: x\r\n\r\n"
			"GET /api/v1/version HTTP/1.1\r\nHost: x\r\n\r\n");
	client_read(fd, &a, false);
	assert_memory_equal(a.body, "PROFILE ", 8);
	answer_done(&a);
	client_read(fd, &a, false);
	assert_non_null(strstr(a.body, "\"api\""));
	answer_done(&a);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_routes),
		cmocka_unit_test(test_symbol_and_cmdline),
		cmocka_unit_test(test_index),
		cmocka_unit_test(test_profile),
		cmocka_unit_test(test_capture),
		cmocka_unit_test(test_capture_ends_under_waiter),
		cmocka_unit_test(test_disconnect_ends_capture),
		cmocka_unit_test(test_malformed),
		cmocka_unit_test(test_too_large),
		cmocka_unit_test(test_slow_clients),
		cmocka_unit_test(test_reader_breaks_off),
		cmocka_unit_test(test_64_at_once),
		cmocka_unit_test(test_stop_while_busy),
		cmocka_unit_test(test_pipelined),
	};

	return cmocka_run_group_tests(tests, setup, teardown);
}
