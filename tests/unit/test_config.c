/* SPDX-License-Identifier: Apache-2.0 */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "buf.h"
#include "config.h"

struct problem {
	enum config_level level;
	unsigned line;
	char file[256], message[512];
};

struct problems {
	struct problem p[32];
	size_t n;
};

static void note(void *arg, enum config_level level, const char *file, unsigned line,
		 const char *message)
{
	struct problems *all = arg;
	struct problem *p;

	assert_true(all->n < ARRAY_SIZE(all->p));
	p = &all->p[all->n++];
	p->level = level;
	p->line = line;
	snprintf(p->file, sizeof(p->file), "%s", file);
	snprintf(p->message, sizeof(p->message), "%s", message);
}

static int parse(struct config *c, struct problems *p, const char *text)
{
	memset(p, 0, sizeof(*p));
	return config_parse(c, text, strlen(text), "test.conf", note, p);
}

static void test_defaults(void **state _unused_)
{
	struct config c;

	config_defaults(&c);
	assert_int_equal(c.sampling.frequency_hz, 100);
	assert_true(c.continuous.enabled);
	assert_int_equal(c.continuous.window_ns, 60 * NSEC_PER_SEC);
	assert_null(c.continuous.include);
	assert_int_equal(c.budget.mean_ns, 600 * NSEC_PER_SEC);
	assert_int_equal(c.store.max_bytes, 1ULL << 30);
	assert_int_equal(c.store.max_age_ns, 7 * 86400 * NSEC_PER_SEC);
	assert_int_equal(c.budget.cpu_ppm, 10000);
	assert_int_equal(c.budget.memory_bytes, 256ULL << 20);
	assert_null(c.server.listen);
	assert_null(c.symbols.debuginfod_urls);
	assert_int_equal(c.server.connections_per_uid, 4);
	assert_int_equal(c.server.captures_per_uid, 1);
	assert_int_equal(c.server.hz_per_user, 1000);
	assert_int_equal(c.server.duration_ns_per_user, 600 * NSEC_PER_SEC);
	config_done(&c);
}

static void test_values(void **state _unused_)
{
	struct problems p;
	struct config c;

	config_defaults(&c);
	assert_int_equal(parse(&c, &p,
			       "\xef\xbb\xbf# a comment\n[Sampling]\nFrequency = 99\r\n"
			       "[Continuous]\n  Enabled=off\nWindow=1min 30s\n"
			       "[Store]\nMaxBytes=512M\nMaxAge=2d\n\n; other\n"
			       "[Budget]\nCPU=0.5%\nMemory=1G\n"
			       "[Server]\nListen=127.0.0.1:7000 [::1]:7000\nListen=10.0.0.1:80\n"
			       "TokenFile=/etc/token\nMaxFrequencyPerUser=500\n"
			       "[Symbols]\nDebuginfodUrls=https://a/\nCacheBytes=0"),
			 0);
	assert_int_equal(p.n, 0);
	assert_int_equal(c.sampling.frequency_hz, 99);
	assert_false(c.continuous.enabled);
	assert_int_equal(c.continuous.window_ns, 90 * NSEC_PER_SEC);
	assert_int_equal(c.store.max_bytes, 512ULL << 20);
	assert_int_equal(c.store.max_age_ns, 2 * 86400 * NSEC_PER_SEC);
	assert_int_equal(c.budget.cpu_ppm, 5000);
	assert_int_equal(c.budget.memory_bytes, 1ULL << 30);
	assert_string_equal(c.server.listen, "127.0.0.1:7000 [::1]:7000 10.0.0.1:80");
	assert_string_equal(c.server.token_file, "/etc/token");
	assert_int_equal(c.server.hz_per_user, 500);
	assert_string_equal(c.symbols.debuginfod_urls, "https://a/");
	assert_int_equal(c.symbols.cache_bytes, 0);
	config_done(&c);
}

static void test_reset(void **state _unused_)
{
	struct problems p;
	struct config c;

	config_defaults(&c);
	assert_int_equal(parse(&c, &p,
			       "[Server]\nListen=127.0.0.1:1\nListen=\nListen=127.0.0.1:2\n"
			       "TokenFile=/a\nTokenFile=/b\nTokenFile=\n"
			       "[Sampling]\nFrequency=7\nFrequency=\n"),
			 0);
	assert_string_equal(c.server.listen, "127.0.0.1:2");
	assert_null(c.server.token_file);
	assert_int_equal(c.sampling.frequency_hz, 100);
	config_done(&c);
}

/* An unknown name must warn with its place, and leave the rest in force. */
static void test_unknown(void **state _unused_)
{
	struct problems p;
	struct config c;

	config_defaults(&c);
	assert_int_equal(parse(&c, &p,
			       "Early=1\n[Sampling]\nfrequency=5\nFrequency=50\n[sampling]\n"
			       "Frequency=6\n"),
			 0);
	assert_int_equal(p.n, 3);
	for (size_t i = 0; i < 3; i++) {
		assert_int_equal(p.p[i].level, CONFIG_WARNING);
		assert_string_equal(p.p[i].file, "test.conf");
	}
	assert_int_equal(p.p[0].line, 1);
	assert_int_equal(p.p[1].line, 3);
	assert_non_null(strstr(p.p[1].message, "unknown key frequency= in [Sampling]"));
	assert_int_equal(p.p[2].line, 6);
	assert_non_null(strstr(p.p[2].message, "unknown section [sampling]"));
	assert_int_equal(c.sampling.frequency_hz, 50);
	config_done(&c);
}

static void test_bad_values(void **state _unused_)
{
	static const char *const bad[] = {
		"[Sampling]\nFrequency=0\n",
		"[Sampling]\nFrequency=10001\n",
		"[Sampling]\nFrequency=-1\n",
		"[Sampling]\nFrequency=ten\n",
		"[Continuous]\nEnabled=maybe\n",
		"[Continuous]\nWindow=1parsec\n",
		"[Continuous]\nWindow=2h\n",
		"[Continuous]\nWindow=4s\n",
		"[Continuous]\nInclude=nginx\n",
		"[Continuous]\nExclude=user:\n",
		"[Budget]\nMean=1s\n",
		"[Budget]\nCPU=1\n",
		"[Budget]\nCPU=101%\n",
		"[Budget]\nCPU=0%\n",
		"[Budget]\nCPU=99999999999999999999999999%\n",
		"[Budget]\nMemory=1M\n",
		"[Server]\nTokenFile=relative\n",
		"[Store]\nMaxBytes=99999999999999999999G\n",
		"# one\n[Unclosed\n",
		"# one\njust words\n",
		"# one\nX=\xff\n",
	};

	for (size_t i = 0; i < ARRAY_SIZE(bad); i++) {
		struct problems p;
		struct config c;

		config_defaults(&c);
		assert_int_equal(parse(&c, &p, bad[i]), -EINVAL);
		assert_int_equal(p.n, 1);
		assert_int_equal(p.p[0].level, CONFIG_ERROR);
		assert_int_equal(p.p[0].line, 2);
		config_done(&c);
	}
}

/* 199 bytes pass whole, 200 are an error at their line, and the next line counts again. */
static void test_long_line(void **state _unused_)
{
	char text[600];
	struct problems p;
	struct config c;
	size_t n;

	config_defaults(&c);
	n = (size_t)sprintf(text, "[Server]\nTokenFile=/");
	memset(text + n, 'x', 199 - 11);
	text[n + 199 - 11] = '\0';
	assert_int_equal(parse(&c, &p, text), 0);
	assert_int_equal(strlen(c.server.token_file), 199 - 10);

	strcat(text, "y\nMaxConnections=99\n");
	assert_int_equal(parse(&c, &p, text), -EINVAL);
	assert_int_equal(p.n, 1);
	assert_int_equal(p.p[0].line, 2);
	assert_non_null(strstr(p.p[0].message, "199 bytes"));
	assert_int_equal(c.server.connections, 99);
	config_done(&c);
}

static void test_hostile_text(void **state _unused_)
{
	static const char nul[] = "[Sampling]\nFreq\0uency=3\n";
	struct problems p = { .n = 0 };
	struct config c;

	config_defaults(&c);
	assert_int_equal(config_parse(&c, nul, sizeof(nul) - 1, "f", note, &p), -EINVAL);
	assert_int_equal(p.p[0].line, 2);
	assert_int_equal(parse(&c, &p, "[Sampling]\n\033[2J=1\n"), 0);
	assert_int_equal(p.n, 1);
	assert_null(strchr(p.p[0].message, '\033'));
	config_done(&c);
}

static void write_file(const char *dir, const char *name, const char *text)
{
	char path[512];
	FILE *f;

	snprintf(path, sizeof(path), "%s/%s", dir, name);
	f = fopen(path, "we");
	assert_non_null(f);
	fputs(text, f);
	assert_int_equal(fclose(f), 0);
}

static void test_files(void **state _unused_)
{
	char dir[] = "/tmp/test_config.XXXXXX", conf[64], dropins[64], command[128];
	struct problems p = { .n = 0 };
	struct config c = { .sampling.frequency_hz = 1234 };

	assert_non_null(mkdtemp(dir));
	snprintf(conf, sizeof(conf), "%s/c.conf", dir);
	snprintf(dropins, sizeof(dropins), "%s/c.conf.d", dir);

	assert_int_equal(config_load(&c, conf, note, &p), -ENOENT);
	assert_int_equal(p.n, 1);
	assert_int_equal(c.sampling.frequency_hz, 1234);

	write_file(dir, "c.conf", "[Sampling]\nFrequency=10\n[Server]\nListen=127.0.0.1:1\n");
	assert_int_equal(mkdir(dropins, 0755), 0);
	write_file(dropins, "20-b.conf",
		   "[Sampling]\nFrequency=30\n[Server]\nListen=127.0.0.1:3\n");
	write_file(dropins, "10-a.conf",
		   "[Sampling]\nFrequency=20\n[Server]\nListen=127.0.0.1:2\n");
	write_file(dropins, "ignored.txt", "nonsense");
	p.n = 0;
	assert_int_equal(config_load(&c, conf, note, &p), 0);
	assert_int_equal(p.n, 0);
	assert_int_equal(c.sampling.frequency_hz, 30);
	assert_string_equal(c.server.listen, "127.0.0.1:1 127.0.0.1:2 127.0.0.1:3");
	config_done(&c);

	write_file(dropins, "15-bad.conf", "\n[Store]\nMaxAge=soon\n");
	assert_int_equal(config_load(&c, conf, note, &p), -EINVAL);
	assert_int_equal(p.n, 1);
	assert_int_equal(p.p[0].line, 3);
	assert_non_null(strstr(p.p[0].file, "c.conf.d/15-bad.conf"));
	assert_non_null(strstr(p.p[0].message, "MaxAge=soon"));

	snprintf(command, sizeof(command), "rm -rf %s", dir);
	assert_int_equal(system(command), 0);
}

static char *print(const struct config *c)
{
	struct buf b = BUF_INIT(65536);

	assert_int_equal(config_print(c, &b), 0);
	return buf_take(&b, NULL);
}

/* What is printed reads back as the same configuration, and names where each value is from. */
static void test_print(void **state _unused_)
{
	static const char text[] =
		"[Sampling]\nFrequency=49\n[Store]\nMaxBytes=1536M\nMaxAge=\nKeepFree=0\n"
		"[Continuous]\nWindow=90s\nEnabled=off\n[Budget]\nCPU=0.0625%\n"
		"[Server]\nListen=127.0.0.1:1 [::1]:2\n\nListen=127.0.0.1:3\nIdleTimeout=1001ms\n"
		"AllowedHosts=a\nAllowedHosts=\nAllowedHosts=b\n";
	static const char *const lines[] = {
		"Frequency=49                            ; test.conf:2\n",
		"MaxBytes=1536M                          ; test.conf:4\n",
		"MaxAge=7d                               ; test.conf:5\n",
		"KeepFree=0                              ; test.conf:6\n",
		"Enabled=no                              ; test.conf:9\n",
		"Window=1min 30s                         ; test.conf:8\n",
		"CPU=0.0625%                             ; test.conf:11\n",
		"Memory=256M                             ; default\n",
		"Listen=127.0.0.1:1                      ; test.conf:13\n"
		"Listen=[::1]:2                          ; test.conf:13\n"
		"Listen=127.0.0.1:3                      ; test.conf:15\n",
		"TokenFile=                              ; default\n",
		"IdleTimeout=1s 1ms                      ; test.conf:16\n",
		"AllowedHosts=b                          ; test.conf:19\n",
	};
	_cleanup_free_ char *once = NULL, *twice = NULL;
	struct problems p;
	struct config c, again;
	char *line = NULL;

	config_defaults(&c);
	assert_int_equal(parse(&c, &p, text), 0);
	once = print(&c);
	for (size_t i = 0; i < ARRAY_SIZE(lines); i++) {
		line = strstr(once, lines[i]);
		assert_non_null(line);
	}

	config_defaults(&again);
	assert_int_equal(parse(&again, &p, once), 0);
	assert_int_equal(p.n, 0);
	assert_int_equal(again.server.idle_timeout_ns, c.server.idle_timeout_ns);
	assert_int_equal(again.budget.cpu_ppm, 625);
	assert_string_equal(again.server.listen, c.server.listen);
	assert_null(again.server.token_file);
	config_done(&again);
	config_done(&c);
}

static void on_change(void *arg, const char *section, const char *name, const char *from,
		      const char *to, bool applied)
{
	struct problems *all = arg;
	struct problem *p = &all->p[all->n++];

	snprintf(p->message, sizeof(p->message), "%s.%s %s %s %d", section, name, from, to,
		 applied);
}

/* What may change does, with its place; the rest is told and stays. */
static void test_adopt(void **state _unused_)
{
	struct config running, loaded;
	struct problems p, changes = { .n = 0 };

	config_defaults(&running);
	assert_int_equal(parse(&running, &p, "[Server]\nListen=127.0.0.1:1\nAllowedHosts=a\n"), 0);
	config_defaults(&loaded);
	assert_int_equal(parse(&loaded, &p,
			       "\n[Server]\nListen=127.0.0.1:2\nAllowedHosts=a b\n"
			       "MaxCapturesPerUser=3\n[Budget]\nMemory=512M\n"),
			 0);
	assert_int_equal(config_adopt(&running, &loaded, on_change, &changes), 0);

	assert_int_equal(changes.n, 4);
	assert_string_equal(changes.p[0].message, "Budget.Memory 256M 512M 0");
	assert_string_equal(changes.p[1].message, "Server.Listen 127.0.0.1:1 127.0.0.1:2 0");
	assert_string_equal(changes.p[2].message, "Server.AllowedHosts a a b 1");
	assert_string_equal(changes.p[3].message, "Server.MaxCapturesPerUser 1 3 1");
	assert_int_equal(running.budget.memory_bytes, 256ULL << 20);
	assert_string_equal(running.server.listen, "127.0.0.1:1");
	assert_string_equal(running.server.allowed_hosts, "a b");
	assert_int_equal(running.server.captures_per_uid, 3);
	assert_null(loaded.server.listen);
	config_done(&running);
	config_done(&loaded);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_defaults),     cmocka_unit_test(test_values),
		cmocka_unit_test(test_reset),        cmocka_unit_test(test_unknown),
		cmocka_unit_test(test_bad_values),   cmocka_unit_test(test_long_line),
		cmocka_unit_test(test_hostile_text), cmocka_unit_test(test_files),
		cmocka_unit_test(test_print),        cmocka_unit_test(test_adopt),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
