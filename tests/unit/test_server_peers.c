/* SPDX-License-Identifier: Apache-2.0 */
/* Who may do what, how much of it, and from where. Tests that need two users are skipped when not
 * run as root. */
#include "server_harness.h"

#define USER  12345
#define OTHER 12346

static void skip_unless_root(void)
{
	if (geteuid() != 0)
		skip();
}

static int get(int fd, const char *path, const char *headers)
{
	struct answer a;

	client_ask(fd, "GET", path, headers, NULL, &a);
	answer_done(&a);
	return a.status;
}

static void start_capture(int fd, int expected, char path[64])
{
	struct answer a;

	client_ask(fd, "POST", "/api/v1/captures", NULL, "{\"seconds\":0}", &a);
	assert_int_equal(a.status, expected);
	if (path)
		assert_int_equal(
			sscanf(strcasestr(a.headers, "\r\nLocation: ") + 12, "%63[/a-z0-9]", path),
			1);
	answer_done(&a);
}

static void test_rights(void **state _unused_)
{
	static const struct {
		const char *path;
		int status;
	} cases[] = { { "/debug/pprof/", 200 },
		      { "/debug/pprof/symbol", 200 },
		      { "/debug/pprof/cmdline", 403 },
		      { "/metrics", 403 },
		      { "/api/v1/version", 200 },
		      { "/api/v1/status", 200 },
		      { "/api/v1/targets", 200 },
		      { "/debug/pprof/profile?seconds=1", 200 },
		      { "/debug/pprof/profile?seconds=1&hz=1001", 429 },
		      { "/debug/pprof/profile?seconds=601", 429 } };
	struct harness h;
	struct answer a;
	int fd;

	skip_unless_root();
	harness_start(&h, &(struct harness_options){ 0 });
	fd = client_connect(&h, USER);
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_int_equal(get(fd, cases[i].path, NULL), cases[i].status);
	client_ask(fd, "GET", "/api/v1/status", NULL, NULL, &a);
	assert_int_equal(number_in(a.body, "uid"), USER);
	assert_int_equal(number_in(a.body, "privileged"), 0);
	answer_done(&a);
	/* addresses of the kernel are not named for everybody */
	client_ask(fd, "POST", "/debug/pprof/symbol", NULL, "0x12", &a);
	assert_string_equal(a.body, "num_symbols: 1\n");
	answer_done(&a);
	client_ask(fd, "GET", "/debug/pprof/", NULL, NULL, &a);
	assert_null(strstr(a.body, "cmdline"));
	answer_done(&a);
	/* in the asker's words */
	client_ask(fd, "GET", "/api/v1/windows", NULL, NULL, &a);
	assert_int_equal(a.status, 403);
	assert_non_null(strstr(a.body, "`cprofctl list`"));
	assert_null(strstr(a.body, "/api/v1"));
	answer_done(&a);
	close(fd);
	assert_int_equal(status_number(&h, "privileged"), 1);
	harness_stop(&h);
}

/* By the number that a group file gives to cprofd, and not without one. */
static void test_group_member(void **state _unused_)
{
	struct harness h;

	harness_start(&h, &(struct harness_options){ .own_group = true });
	assert_int_equal(status_number(&h, "privileged"), 1);
	put_file(h.group, geteuid() == 0 ? "cprofd:x:12345:\n" : "", 0644);
	assert_int_equal(status_number(&h, "privileged"), geteuid() == 0);
	if (geteuid() == 0) {
		assert_int_equal(status_of_get(&h, USER, "/metrics", NULL), 200);
		assert_int_equal(status_of_get(&h, OTHER, "/metrics", NULL), 403);
	}
	harness_stop(&h);
}

static void test_nobody_is_refused(void **state _unused_)
{
	struct harness h;
	struct answer a;
	int fd;

	skip_unless_root();
	harness_start(&h, &(struct harness_options){ 0 });
	fd = client_connect(&h, 65534);
	client_ask(fd, "GET", "/api/v1/version", NULL, NULL, &a);
	assert_int_equal(a.status, 403);
	assert_non_null(strstr(a.body, "you are uid 65534, which stands for every user without"));
	answer_done(&a);
	close(fd);
	harness_stop(&h);
}

static void test_captures_of_others(void **state _unused_)
{
	int mine, others, root;
	char path[64], of_root[64];
	struct harness h;

	skip_unless_root();
	harness_start(&h, &(struct harness_options){ 0 });
	mine = client_connect(&h, USER);
	others = client_connect(&h, OTHER);
	root = client_connect(&h, -1);
	start_capture(mine, 201, path);
	start_capture(root, 201, of_root);
	assert_int_equal(get(mine, path, NULL), 200);
	assert_int_equal(get(others, path, NULL), 404);
	assert_int_equal(get(root, path, NULL), 200);
	assert_int_equal(get(mine, of_root, NULL), 404);

	/* one a user; another user and root have their own */
	start_capture(mine, 429, NULL);
	assert_int_equal(get(mine, "/debug/pprof/profile?seconds=1", NULL), 429);
	start_capture(others, 201, NULL);
	start_capture(root, 201, NULL);
	close(mine);
	assert_int_equal(status_becomes(&h, "live", 3), 3);
	close(others);
	close(root);
	harness_stop(&h);
}

static void test_captures_in_all(void **state _unused_)
{
	const struct harness_options o = { .limits = { .captures = 4 } };
	struct harness h;
	int user[4], root;

	skip_unless_root();
	harness_start(&h, &o);
	root = client_connect(&h, -1);
	for (int i = 0; i < 4; i++) {
		user[i] = client_connect(&h, USER + i);
		/* a quarter is kept for root */
		start_capture(user[i], i < 3 ? 201 : 503, NULL);
	}
	start_capture(root, 201, NULL);
	start_capture(root, 503, NULL);
	for (int i = 0; i < 4; i++)
		close(user[i]);
	close(root);
	harness_stop(&h);
}

static void test_connections(void **state _unused_)
{
	struct harness h;
	int fd[6];

	skip_unless_root();
	harness_start(&h, &(struct harness_options){ 0 });
	for (int i = 0; i < 5; i++) {
		fd[i] = client_connect(&h, USER);
		assert_int_equal(get(fd[i], "/api/v1/version", NULL), i < 4 ? 200 : 429);
	}
	assert_int_equal(status_of_get(&h, OTHER, "/api/v1/version", NULL), 200);
	assert_int_equal(status_of_get(&h, -1, "/api/v1/version", NULL), 200);
	close(fd[0]);
	/* the fifth was told and closed, so there is room again */
	assert_true(closes(fd[4]));
	assert_int_equal(status_becomes(&h, "connections", 4), 4);
	assert_int_equal(status_of_get(&h, USER, "/api/v1/version", NULL), 200);
	for (int i = 1; i < 5; i++)
		close(fd[i]);
	harness_stop(&h);
}

/* Of 16 connections ordinary users leave one to root; beyond that root is told, too. */
static void test_connections_in_all(void **state _unused_)
{
	const struct harness_options o = { .limits = { .connections = 16,
						       .connections_per_uid = 100 } };
	struct harness h;
	int fd[18];

	skip_unless_root();
	harness_start(&h, &o);
	for (size_t i = 0; i < ARRAY_SIZE(fd); i++) {
		fd[i] = client_connect(&h, i < 16 ? USER : -1);
		assert_int_equal(get(fd[i], "/api/v1/version", NULL),
				 i < 15 || i == 16 ? 200 : 503);
	}
	for (size_t i = 0; i < ARRAY_SIZE(fd); i++)
		close(fd[i]);
	harness_stop(&h);
}

/* A user who opens connections without end neither stops root nor grows the daemon. */
static void test_connection_flood(void **state _unused_)
{
	struct harness h;
	int fd[100];

	skip_unless_root();
	harness_start(&h, &(struct harness_options){ 0 });
	for (size_t i = 0; i < ARRAY_SIZE(fd); i++)
		fd[i] = client_connect(&h, USER);
	/* 4 served, 32 refused and kept, this one */
	assert_in_range(status_number(&h, "connections"), 1, 4 + 32 + 1);
	assert_true(status_number(&h, "refused") >= 60);
	for (size_t i = 0; i < ARRAY_SIZE(fd); i++)
		close(fd[i]);
	assert_int_equal(status_becomes(&h, "connections", 1), 1);
	harness_stop(&h);
}

static void test_web_pages(void **state _unused_)
{
	struct harness h;
	struct answer a;
	int fd;

	harness_start(&h, &(struct harness_options){ 0 });
	fd = client_connect(&h, -1);
	assert_int_equal(get(fd, "/api/v1/version", "Origin: http://evil.example\r\n"), 403);
	assert_int_equal(get(fd, "/api/v1/version", "Sec-Fetch-Site: cross-site\r\n"), 403);
	assert_int_equal(get(fd, "/api/v1/version", "Origin: http://localhost\r\n"), 200);
	client_send(fd, "GET /api/v1/version HTTP/1.1\r\nHost: evil.example:8080\r\n\r\n");
	client_read(fd, &a, false);
	assert_int_equal(a.status, 403);
	assert_null(strcasestr(a.headers, "Access-Control"));
	answer_done(&a);
	close(fd);
	harness_stop(&h);
}

static void tcp_start(struct harness *h, const char *token, char address[64], int *port)
{
	*port = free_port();
	snprintf(address, 64, "127.0.0.1:%d", *port);
	harness_start(h, &(struct harness_options){ .listen = address, .token = token });
}

/* On loopback the owner of the peer's socket is who asks. */
static void test_tcp(void **state _unused_)
{
	char address[64];
	struct harness h;
	struct answer a;
	int port, fd;

	tcp_start(&h, NULL, address, &port);
	fd = client_connect_tcp(port);
	client_ask(fd, "GET", "/api/v1/status", NULL, NULL, &a);
	assert_int_equal(a.status, 200);
	assert_int_equal(number_in(a.body, "uid"), geteuid());
	answer_done(&a);
	client_send(fd, "GET /api/v1/version HTTP/1.1\r\nHost: cprofd\r\n\r\n");
	client_read(fd, &a, false);
	assert_int_equal(a.status, 403);
	answer_done(&a);
	assert_int_equal(get(fd, "/debug/pprof/profile?seconds=1", NULL), 200);
	close(fd);

	if (geteuid() == 0) {
		assert_int_equal(seteuid(USER), 0);
		fd = client_connect_tcp(port);
		assert_int_equal(seteuid(0), 0);
		assert_int_equal(get(fd, "/metrics", NULL), 403);
		close(fd);
	}
	harness_stop(&h);
}

static void test_token(void **state _unused_)
{
	char address[64];
	struct harness h;
	int port, fd;

	tcp_start(&h, "0123456789abcdef\n", address, &port);
	if (geteuid() == 0)
		assert_int_equal(seteuid(USER), 0);
	fd = client_connect_tcp(port);
	if (geteuid() != 0)
		(void)!seteuid(0);
	assert_int_equal(get(fd, "/metrics", NULL), 403);
	assert_int_equal(get(fd, "/metrics", "Authorization: Bearer 0123456789abcdeX\r\n"), 401);
	assert_int_equal(get(fd, "/metrics", "Authorization: Bearer 0123456789abcdef\r\n"), 200);
	assert_int_equal(get(fd, "/metrics", NULL), 403);
	close(fd);
	harness_stop(&h);
}

/* server_new() with these: the error's line has to have the word. */
static void refused_start(struct server_options *o, int expected, const char *word)
{
	_cleanup_free_ char *error = NULL;
	struct server *s = NULL;
	sd_event *event = NULL;

	assert_int_equal(sd_event_new(&event), 0);
	o->event = event;
	o->socket_fd = o->private_fd = -1;
	o->limits = limits_or_defaults(&o->limits);
	assert_int_equal(server_new(&s, o, &error), expected);
	assert_non_null(error);
	assert_non_null(strstr(error, word));
	assert_null(strchr(error, '\n'));
	sd_event_unref(event);
}

static void test_refused_starts(void **state _unused_)
{
	char path[160], long_path[200] = "/";
	struct harness h;
	int fd;

	memset(long_path + 1, 'x', 150);
	refused_start(&(struct server_options){ .listen = "0.0.0.0:0" }, -EPERM, "TokenFile=");
	refused_start(&(struct server_options){ .listen = "[::]:0" }, -EPERM, "TokenFile=");
	refused_start(&(struct server_options){ .listen = "localhost:80" }, -EINVAL, "127.0.0.1");
	refused_start(&(struct server_options){ .token_file = "/nowhere/x" }, -ENOENT, "TokenFile");
	refused_start(&(struct server_options){ .socket_path = long_path }, -ENAMETOOLONG, "107");

	/* a living daemon's socket is left alone, a file too, a stale socket is replaced */
	harness_start(&h, &(struct harness_options){ 0 });
	refused_start(&(struct server_options){ .socket_path = h.socket }, -EADDRINUSE, "another");
	refused_start(&(struct server_options){ .socket_path = h.group }, -EEXIST, "no socket");
	fd = client_connect(&h, -1);
	assert_int_equal(get(fd, "/api/v1/version", NULL), 200);
	close(fd);
	kill(h.pid, SIGKILL);
	waitpid(h.pid, NULL, 0);
	snprintf(path, sizeof(path), "%s", h.socket);
	h.pid = fork();
	if (h.pid == 0) {
		struct server_options o = { .socket_path = path,
					    .socket_fd = -1,
					    .private_fd = -1,
					    .group_file = h.group };
		int null = open("/dev/null", O_WRONLY);

		o.limits = limits_or_defaults(&o.limits);
		exit(stub_main(&o, null));
	}
	for (int i = 0; i < 6000; i++) {
		struct sockaddr_un a = { .sun_family = AF_UNIX };

		fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
		strcpy(a.sun_path, path);
		if (connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0)
			break;
		close(fd);
		fd = -1;
		usleep(10000);
	}
	assert_true(fd >= 0);
	client_timeout(fd);
	assert_int_equal(get(fd, "/api/v1/version", NULL), 200);
	close(fd);
	harness_stop(&h);
}

static void test_modes(void **state _unused_)
{
	char folder[96];
	struct harness h;
	struct stat st;

	harness_start(&h, &(struct harness_options){ 0 });
	assert_int_equal(stat(h.socket, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0666);
	snprintf(folder, sizeof(folder), "%s/sub", h.dir);
	assert_int_equal(stat(folder, &st), 0);
	assert_int_equal(st.st_mode & 07777, 0755);
	harness_stop(&h);
}

/* The private daemon's connection: it never idles out, and the daemon ends with it. */
static void test_private(void **state _unused_)
{
	const struct harness_options o = { .with_private = true,
					   .limits = { .idle_timeout_ns = NSEC_PER_SEC } };
	struct harness h;
	struct answer a;
	char path[64];

	harness_start(&h, &o);
	client_timeout(h.private_fd);
	start_capture(h.private_fd, 201, path);
	client_ask(h.private_fd, "DELETE", path, NULL, NULL, &a);
	assert_int_equal(a.status, 204);
	answer_done(&a);
	usleep(2500000);
	assert_int_equal(get(h.private_fd, "/api/v1/version", NULL), 200);
	close(h.private_fd);
	assert_int_equal(harness_wait(&h), 33);

	/* also while it waits for a profile */
	harness_start(&h, &o);
	client_send(h.private_fd,
		    "GET /debug/pprof/profile?seconds=500 HTTP/1.1\r\nHost: x\r\n\r\n");
	usleep(100000);
	close(h.private_fd);
	assert_int_equal(harness_wait(&h), 33);
}

/* Idle connections go; one that owns a capture is not idle; one that does not read is. */
static void test_idle(void **state _unused_)
{
	const struct harness_options o = { .own_group = true,
					   .limits = { .idle_timeout_ns = NSEC_PER_SEC } };
	int idle, half, owner, waiting, deaf;
	struct harness h;
	struct answer a;
	char path[64];

	harness_start(&h, &o);
	idle = client_connect(&h, -1);
	half = client_connect(&h, -1);
	owner = client_connect(&h, -1);
	waiting = client_connect(&h, -1);
	deaf = client_connect(&h, -1);
	client_send(half, "GET /api/v1/version HTTP/1.1\r\nHos");
	start_capture(owner, 201, path);
	client_send(waiting, "GET /debug/pprof/profile?seconds=30 HTTP/1.1\r\nHost: x\r\n\r\n");
	client_send(deaf, "GET /debug/pprof/profile?seconds=1&unit=size-50000000 HTTP/1.1\r\n"
			  "Host: x\r\n\r\n");
	assert_true(closes(idle));
	assert_true(closes(half));
	client_read(waiting, &a, false);
	assert_int_equal(a.status, 200);
	answer_done(&a);
	assert_int_equal(get(owner, path, NULL), 200);
	/* the owner's capture is what is left: the deaf one's profile is freed */
	assert_int_equal(status_becomes(&h, "live", 1), 1);
	assert_true(closes(deaf));
	assert_int_equal(get(owner, path, NULL), 200);
	close(idle);
	close(half);
	close(owner);
	close(waiting);
	close(deaf);
	harness_stop(&h);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rights),
		cmocka_unit_test(test_group_member),
		cmocka_unit_test(test_nobody_is_refused),
		cmocka_unit_test(test_captures_of_others),
		cmocka_unit_test(test_captures_in_all),
		cmocka_unit_test(test_connections),
		cmocka_unit_test(test_connections_in_all),
		cmocka_unit_test(test_connection_flood),
		cmocka_unit_test(test_web_pages),
		cmocka_unit_test(test_tcp),
		cmocka_unit_test(test_token),
		cmocka_unit_test(test_refused_starts),
		cmocka_unit_test(test_modes),
		cmocka_unit_test(test_private),
		cmocka_unit_test(test_idle),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
