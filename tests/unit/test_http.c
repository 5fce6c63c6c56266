/* SPDX-License-Identifier: Apache-2.0 */
/* What the server decides without a connection: who, from where, and what a request asks for. */
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include <linux/inet_diag.h>
#include <linux/netlink.h>
#include <linux/sock_diag.h>

#include "auth.h"
#include "diag.h"
#include "listen.h"
#include "origin.h"
#include "spec.h"

static void test_group(void **state _unused_)
{
	static const char text[] = "root:x:0:\ncprofd2:x:5:\nxcprofd:x:6:\ncprofd:x:991:a,b\n"
				   "cprofd:x:7:\nlast:x:12:";
	uint32_t gid = 1;

	assert_int_equal(auth_group_parse(text, strlen(text), "cprofd", &gid), 0);
	assert_int_equal(gid, 991);
	assert_int_equal(auth_group_parse(text, strlen(text), "last", &gid), 0);
	assert_int_equal(gid, 12);
	assert_int_equal(auth_group_parse(text, strlen(text), "cprof", &gid), -ENOENT);
	assert_int_equal(auth_group_parse("", 0, "cprofd", &gid), -ENOENT);

	static const char *const bad[] = { "cprofd",
					   "cprofd:",
					   "cprofd:x",
					   "cprofd:x:",
					   "cprofd:x::",
					   "cprofd:x:-1:",
					   "cprofd:x:1a:",
					   "cprofd:x:4294967295:",
					   "cprofd:x:99999999999999999999:",
					   "cprofd:x:\n:0:" };
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		gid = 77;
		assert_true(auth_group_parse(bad[i], strlen(bad[i]), "cprofd", &gid) < 0);
		assert_int_equal(gid, 77);
	}
}

static void test_decide(void **state _unused_)
{
	const uint32_t groups[] = { 4, 24, 991 };
	struct peer p;

	assert_int_equal(auth_decide(0, 0, NULL, 0, AUTH_NO_GID, 65534, &p), 0);
	assert_true(p.privileged);
	assert_int_equal(auth_decide(1000, 1000, groups, 2, 991, 65534, &p), 0);
	assert_false(p.privileged);
	assert_int_equal(p.uid, 1000);
	assert_int_equal(auth_decide(1000, 1000, groups, 3, 991, 65534, &p), 0);
	assert_true(p.privileged);
	assert_int_equal(auth_decide(1000, 991, NULL, 0, 991, 65534, &p), 0);
	assert_true(p.privileged);
	assert_int_equal(auth_decide(65534, 0, groups, 3, 991, 65534, &p), -EPERM);
	assert_int_equal(auth_decide(UINT32_MAX, 0, groups, 3, 991, 65534, &p), -EPERM);
	/* no group of that name: a peer without groups is not in it */
	assert_int_equal(auth_decide(1000, AUTH_NO_GID, NULL, 0, AUTH_NO_GID, 65534, &p), 0);
	assert_false(p.privileged);
	/* unnameable groups read as 65534 */
	assert_int_equal(auth_decide(1000, 65534, NULL, 0, 65534, 65534, &p), 0);
	assert_false(p.privileged);
}

static size_t diag_answer(char *out, uint8_t tcp_state, uint32_t uid, uint32_t inode)
{
	struct inet_diag_msg m = { .idiag_state = tcp_state,
				   .idiag_uid = uid,
				   .idiag_inode = inode };
	struct nlmsghdr h = { .nlmsg_len = NLMSG_HDRLEN + sizeof(m),
			      .nlmsg_type = SOCK_DIAG_BY_FAMILY };

	memcpy(out, &h, sizeof(h));
	memcpy(out + NLMSG_HDRLEN, &m, sizeof(m));
	return h.nlmsg_len;
}

/* A closed socket reads as uid 0: taking it at its word would make any user root. */
static void test_diag_parse(void **state _unused_)
{
	char answer[512] = { 0 };
	uint32_t uid = 5;
	size_t size;

	size = diag_answer(answer, TCP_ESTABLISHED, 1000, 77);
	assert_int_equal(diag_parse(answer, size, &uid), 0);
	assert_int_equal(uid, 1000);
	for (size_t i = 0; i < size; i++)
		assert_int_equal(diag_parse(answer, i, &uid), -EBADMSG);
	uid = 5;
	size = diag_answer(answer, TCP_TIME_WAIT, 0, 0);
	assert_int_equal(diag_parse(answer, size, &uid), -ENOENT);
	size = diag_answer(answer, TCP_FIN_WAIT1, 0, 0);
	assert_int_equal(diag_parse(answer, size, &uid), -ENOENT);
	size = diag_answer(answer, TCP_ESTABLISHED, 0, 0);
	assert_int_equal(diag_parse(answer, size, &uid), -ENOENT);
	assert_int_equal(uid, 5);
}

static void test_diag_live(void **state _unused_)
{
	struct sockaddr_storage own, other;
	struct sockaddr_in a = { .sin_family = AF_INET, .sin_addr.s_addr = htonl(0x7f000001) };
	socklen_t size = sizeof(a), own_size = sizeof(own), other_size = sizeof(other);
	int listener = socket(AF_INET, SOCK_STREAM, 0), client, accepted;
	uint32_t uid = 99;
	struct peer peer;

	assert_int_equal(bind(listener, (struct sockaddr *)&a, sizeof(a)), 0);
	assert_int_equal(listen(listener, 1), 0);
	assert_int_equal(getsockname(listener, (struct sockaddr *)&a, &size), 0);
	client = socket(AF_INET, SOCK_STREAM, 0);
	assert_int_equal(connect(client, (struct sockaddr *)&a, sizeof(a)), 0);
	accepted = accept(listener, NULL, NULL);
	assert_true(accepted >= 0);
	getsockname(accepted, (struct sockaddr *)&own, &own_size);
	getpeername(accepted, (struct sockaddr *)&other, &other_size);

	assert_int_equal(diag_socket_owner(&other, &own, &uid), 0);
	assert_int_equal(uid, geteuid());
	assert_int_equal(auth_peer_tcp(accepted, &peer), 0);
	assert_int_equal(peer.uid, geteuid());
	close(client);
	assert_true(auth_peer_tcp(accepted, &peer) < 0);
	((struct sockaddr_in *)&other)->sin_port = htons(1);
	assert_int_equal(diag_socket_owner(&other, &own, &uid), -ENOENT);
	close(accepted);
	close(listener);
}

static void test_host(void **state _unused_)
{
	static const char *const good[] = {
		"127.0.0.1",        "127.0.0.1:7000",     "[::1]",       "[::1]:80",
		"localhost",        "LocalHost:1",        "a.localhost", "10.1.2.3:9",
		"host.example.org", "HOST.example.org:80"
	};
	static const char *const bad[] = { "evil.example",
					   "localhost.evil.example",
					   "127.0.0.1.evil.example",
					   "",
					   "[::1",
					   "[::1]x",
					   "[evil]",
					   "127.0.0.1:80:90",
					   "127.0.0.1:x",
					   "host.example.orgx",
					   "[127.0.0.1]",
					   "xlocalhost.de" };

	for (size_t i = 0; i < ARRAY_SIZE(good); i++)
		assert_true(origin_host_allowed(good[i], "other host.example.org", false));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_false(origin_host_allowed(bad[i], "other host.example.org", false));
	assert_false(origin_host_allowed("cprofd", NULL, false));
	assert_true(origin_host_allowed("cprofd", NULL, true));
	assert_true(origin_host_allowed("", NULL, true));
	/* a browser behind ssh -L, on a page whose name was rebound */
	assert_false(origin_host_allowed("evil.example:8080", NULL, true));
	assert_true(origin_host_allowed(NULL, NULL, false));
}

static void test_origin(void **state _unused_)
{
	assert_false(origin_is_foreign(NULL, "localhost:1", NULL));
	assert_false(origin_is_foreign("http://localhost:1", "localhost:1", "same-origin"));
	assert_true(origin_is_foreign("http://localhost:2", "localhost:1", NULL));
	assert_true(origin_is_foreign("http://evil.example", "localhost:1", NULL));
	assert_true(origin_is_foreign("null", "localhost:1", NULL));
	assert_true(origin_is_foreign("http://localhost:1", NULL, NULL));
	assert_true(origin_is_foreign(NULL, "localhost:1", "cross-site"));
	assert_false(origin_is_foreign(NULL, "localhost:1", "none"));
}

static void test_token(void **state _unused_)
{
	char path[] = "/tmp/test_http.XXXXXX", *token = NULL;
	int fd = mkstemp(path);

	assert_true(auth_token_equal("abc", 3, "abc", 3));
	assert_false(auth_token_equal("abc", 3, "abd", 3));
	assert_false(auth_token_equal("abc", 3, "abcd", 4));

	assert_int_equal(auth_token_load(path, &token), -EINVAL);
	assert_int_equal(write(fd, "0123456789abcdef\n", 17), 17);
	assert_int_equal(auth_token_load(path, &token), 0);
	assert_string_equal(token, "0123456789abcdef");
	free(token);
	assert_int_equal(write(fd, "second\n", 7), 7);
	assert_int_equal(auth_token_load(path, &token), -EINVAL);
	assert_int_equal(fchmod(fd, 0644), 0);
	assert_int_equal(auth_token_load(path, &token), -EPERM);
	close(fd);
	unlink(path);
	assert_int_equal(auth_token_load(path, &token), -ENOENT);
}

static void test_query_next(void **state _unused_)
{
	struct buf k = BUF_INIT(16), v = BUF_INIT(16);
	const char *q = "a=1&&b=x%20y+z&c&=d&%65%3D=%C3%A9";

	assert_int_equal(query_next(&q, &k, &v), 1);
	assert_string_equal(k.data, "a");
	assert_string_equal(v.data, "1");
	assert_int_equal(query_next(&q, &k, &v), 1);
	assert_string_equal(v.data, "x y z");
	assert_int_equal(query_next(&q, &k, &v), 1);
	assert_string_equal(k.data, "c");
	assert_string_equal(v.data, "");
	assert_int_equal(query_next(&q, &k, &v), 1);
	assert_string_equal(k.data, "");
	assert_int_equal(query_next(&q, &k, &v), 1);
	assert_string_equal(k.data, "e=");
	assert_string_equal(v.data, "\xc3\xa9");
	assert_int_equal(query_next(&q, &k, &v), 0);

	static const char *const bad[] = {
		"a=%", "a=%4", "a=%4g", "%00=1", "a=%00", "a=%ff", "\xff"
	};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		q = bad[i];
		assert_int_equal(query_next(&q, &k, &v), -EINVAL);
	}
	q = "a=12345678901234567";
	assert_int_equal(query_next(&q, &k, &v), -ENOSPC);
	buf_done(&k);
	buf_done(&v);
}

static void seconds_are(const char *query, uint64_t seconds)
{
	struct capture_spec s;
	char *error = NULL;

	assert_int_equal(spec_from_query(&s, query, &error), 0);
	assert_int_equal(s.duration_ns, seconds * NSEC_PER_SEC);
	spec_done(&s);
}

static void test_spec_query(void **state _unused_)
{
	struct capture_spec s;
	char *error = NULL;

	assert_int_equal(spec_from_query(&s, NULL, &error), 0);
	assert_int_equal(s.n_targets, 1);
	assert_int_equal(s.targets[0].kind, CAPTURE_ALL);
	assert_int_equal(s.hz, 100);
	assert_true(s.children);
	assert_false(s.privileged);
	spec_done(&s);

	seconds_are(NULL, 30);
	seconds_are("seconds=5", 5);
	seconds_are("seconds=%2B5", 5);
	seconds_are("seconds=0", 30);
	seconds_are("seconds=-3", 30);
	seconds_are("seconds=2.5", 30);
	seconds_are("seconds=", 30);
	seconds_are("seconds=99999999999999999999999", 30);
	seconds_are("seconds=86400", 86400);

	assert_int_equal(
		spec_from_query(&s,
				"pid=12&pid=13&comm=a+b&unit=x.service&cgroup=%2fa&"
				"container=ab&children=0&hz=99&symbols=fast&names=short&debug=1",
				&error),
		0);
	assert_int_equal(s.n_targets, 6);
	assert_int_equal(s.targets[1].kind, CAPTURE_PID);
	assert_string_equal(s.targets[1].value, "13");
	assert_string_equal(s.targets[2].value, "a b");
	assert_int_equal(s.targets[4].kind, CAPTURE_CGROUP);
	assert_string_equal(s.targets[4].value, "/a");
	assert_false(s.children);
	assert_true(s.fast_symbols);
	assert_true(s.short_names);
	assert_int_equal(s.hz, 99);
	spec_done(&s);

	static const char *const bad[] = { "seconds=86401", "hz=0",  "hz=10001",  "hz=x",
					   "pid=0",         "pid=x", "pid=-1",    "pid=4194305",
					   "pid=",          "comm=", "pdi=1",     "children=2",
					   "unit=%ff",      "a=%zz", "symbols=x", "all=x",
					   "names=x" };
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		error = NULL;
		assert_int_equal(spec_from_query(&s, bad[i], &error), -EINVAL);
		assert_non_null(error);
		free(error);
	}
}

static void test_spec_many(void **state _unused_)
{
	char query[4096] = "pid=1", *error = NULL;
	struct capture_spec s;

	for (int i = 1; i < CPROF_MAX_TARGETS; i++)
		strcat(query, "&pid=1");
	assert_int_equal(spec_from_query(&s, query, &error), 0);
	assert_int_equal(s.n_targets, CPROF_MAX_TARGETS);
	spec_done(&s);
	strcat(query, "&pid=1");
	assert_int_equal(spec_from_query(&s, query, &error), -EINVAL);
	assert_non_null(strstr(error, "64 targets"));
	free(error);
}

static int json(struct capture_spec *s, const char *text)
{
	_cleanup_free_ char *error = NULL;
	int r = spec_from_json(s, text, strlen(text), &error);

	assert_true((r < 0) == (error != NULL));
	return r;
}

static void test_spec_json(void **state _unused_)
{
	struct capture_spec s;

	assert_int_equal(json(&s, "{}"), 0);
	assert_int_equal(s.targets[0].kind, CAPTURE_ALL);
	assert_int_equal(s.duration_ns, 30 * NSEC_PER_SEC);
	spec_done(&s);
	assert_int_equal(json(&s, "{\"targets\":[{\"kind\":\"pid\",\"value\":\"7\"},"
				  "{\"kind\":\"pid\",\"value\":8},{\"kind\":\"all\"}],"
				  "\"seconds\":0.25,\"hz\":1000,\"children\":false,"
				  "\"symbols\":\"fast\",\"names\":\"short\"}"),
			 0);
	assert_int_equal(s.n_targets, 3);
	assert_string_equal(s.targets[1].value, "8");
	assert_int_equal(s.duration_ns, 250 * NSEC_PER_MSEC);
	assert_int_equal(s.hz, 1000);
	assert_false(s.children);
	assert_true(s.fast_symbols);
	assert_true(s.short_names);
	spec_done(&s);
	assert_int_equal(json(&s, "{\"seconds\":0}"), 0);
	assert_int_equal(s.duration_ns, 0);
	spec_done(&s);
	assert_int_equal(json(&s, "{\"seconds\":1e-300}"), 0);
	assert_true(s.duration_ns > 0);
	spec_done(&s);

	static const char *const bad[] = {
		"",
		"[]",
		"{",
		"null",
		"{\"seconds\":-1}",
		"{\"seconds\":1e99}",
		"{\"seconds\":\"1\"}",
		"{\"hz\":0}",
		"{\"hz\":1.5}",
		"{\"hz\":20000}",
		"{\"children\":1}",
		"{\"symbols\":\"x\"}",
		"{\"targets\":{}}",
		"{\"targets\":[1]}",
		"{\"targets\":[{\"kind\":\"x\",\"value\":\"1\"}]}",
		"{\"targets\":[{\"kind\":\"pid\"}]}",
		"{\"targets\":[{\"kind\":\"pid\",\"value\":-1}]}",
		"{\"targets\":[{\"kind\":\"pid\",\"value\":\"1\",\"x\":1}]}",
		"{\"file\":\"/etc\"}",
		"{\"hz\":1,\"hz\":2}",
		"{} x",
	};
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(json(&s, bad[i]), -EINVAL);
}

static void test_spec_limit(void **state _unused_)
{
	const struct server_limits limits = { .hz_per_user = 1000,
					      .duration_ns_per_user = 600 * NSEC_PER_SEC };
	const struct peer root = { .uid = 0, .privileged = true }, user = { .uid = 7, .gid = 8 };
	struct capture_spec s;
	char *error = NULL;

	assert_int_equal(spec_from_query(&s, "hz=1001", &error), 0);
	assert_int_equal(spec_limit(&s, &root, &limits, &error), 0);
	assert_true(s.privileged);
	assert_int_equal(spec_limit(&s, &user, &limits, &error), -EDQUOT);
	assert_non_null(strstr(error, "1000 Hz"));
	free(TAKE_PTR(error));
	assert_false(s.privileged);
	assert_int_equal(s.uid, 7);
	assert_int_equal(s.gid, 8);
	s.hz = 1000;
	s.duration_ns = 600 * NSEC_PER_SEC;
	assert_int_equal(spec_limit(&s, &user, &limits, &error), 0);
	s.duration_ns++;
	assert_int_equal(spec_limit(&s, &user, &limits, &error), -EDQUOT);
	free(TAKE_PTR(error));
	s.duration_ns = 0;
	assert_int_equal(spec_limit(&s, &user, &limits, &error), 0);
	assert_int_equal(s.duration_ns, 600 * NSEC_PER_SEC);
	spec_done(&s);
}

static void test_addresses(void **state _unused_)
{
	static const char *const bad[] = {
		"",       ":",       ":80",  "localhost:80",    "127.0.0.1",    "[::1]",
		"::1:80", "[::1:80", "[:80", "127.0.0.1:65536", "127.0.0.1:-1", "1.2.3:4"
	};
	struct sockaddr_storage a;
	socklen_t size;

	assert_int_equal(listen_parse_address("127.0.0.1:70", 12, &a, &size), 0);
	assert_int_equal(a.ss_family, AF_INET);
	assert_true(auth_is_loopback(&a));
	assert_int_equal(listen_parse_address("[::1]:70", 8, &a, &size), 0);
	assert_int_equal(a.ss_family, AF_INET6);
	assert_true(auth_is_loopback(&a));
	assert_int_equal(listen_parse_address("0.0.0.0:70", 10, &a, &size), 0);
	assert_false(auth_is_loopback(&a));
	assert_int_equal(listen_parse_address("[::]:70", 7, &a, &size), 0);
	assert_false(auth_is_loopback(&a));
	for (size_t i = 0; i < ARRAY_SIZE(bad); i++)
		assert_int_equal(listen_parse_address(bad[i], strlen(bad[i]), &a, &size), -EINVAL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_group),      cmocka_unit_test(test_decide),
		cmocka_unit_test(test_diag_parse), cmocka_unit_test(test_diag_live),
		cmocka_unit_test(test_host),       cmocka_unit_test(test_origin),
		cmocka_unit_test(test_token),      cmocka_unit_test(test_query_next),
		cmocka_unit_test(test_spec_query), cmocka_unit_test(test_spec_many),
		cmocka_unit_test(test_spec_json),  cmocka_unit_test(test_spec_limit),
		cmocka_unit_test(test_addresses),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
