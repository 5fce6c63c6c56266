/* SPDX-License-Identifier: Apache-2.0 */
/* Whom continuous profiling takes. */
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "cleanup.h"
#include "rules.h"

static void parse(struct rules *r, const char *include, const char *exclude, int expect)
{
	_cleanup_free_ char *error = NULL;

	assert_int_equal(rules_parse(r, include, exclude, &error), expect);
}

static void test_parse(void **state)
{
	_cleanup_free_ char *error = NULL;
	struct rules r;

	(void)state;
	parse(&r, NULL, NULL, 0);
	assert_true(r.all);
	rules_done(&r);

	parse(&r, "unit:nginx.service  comm:a\\x20b user:0 user:root", "pid:1", 0);
	assert_false(r.all);
	assert_int_equal(r.include.n, 4);
	assert_string_equal(r.include.items[1].value, "a b");
	assert_int_equal(r.include.items[3].number, 0);
	assert_int_equal(r.exclude.n, 1);
	assert_int_equal(r.exclude.items[0].number, 1);
	rules_done(&r);

	parse(&r, "colour:red", NULL, -EINVAL);
	parse(&r, "nginx", NULL, -EINVAL);
	parse(&r, "pid:zero", NULL, -EINVAL);
	/* who is not there is no reason not to begin; but not everything then */
	assert_int_equal(rules_parse(&r, "pid:999999999 user:no-such-user", NULL, &error), 0);
	assert_non_null(strstr(error, "no such user"));
	assert_false(r.all);
	assert_int_equal(r.include.n, 0);
	rules_done(&r);
}

static bool matches(const char *rule, const struct process_info *p, uint32_t uid)
{
	struct rules r;
	bool match;

	parse(&r, rule, NULL, 0);
	match = rules_match(&r.include, p, uid);
	rules_done(&r);
	return match;
}

static void test_match(void **state)
{
	char cgroup[] = "/system.slice/system-web.slice/nginx.service/x.slice";
	char comm[] = "nginx", unit[] = "nginx.service", container[] = "0123456789abcdef";
	struct process_info p = {
		.pid = 7, .comm = comm, .cgroup = cgroup, .unit = unit, .container = container
	};
	struct target t;
	struct rules r;

	(void)state;
	assert_true(matches("unit:nginx.service", &p, 0));
	assert_true(matches("unit:nginx", &p, 0));
	assert_false(matches("unit:ngin", &p, 0));
	assert_true(matches("unit:system.slice", &p, 0));
	assert_true(matches("unit:system-web.slice", &p, 0));
	/* a folder that the service made itself */
	assert_false(matches("unit:x.slice", &p, 0));
	assert_true(matches("cgroup:/system.slice", &p, 0));
	assert_true(matches("cgroup:/system.slice/", &p, 0));
	assert_false(matches("cgroup:/system", &p, 0));
	assert_true(matches("container:012345", &p, 0));
	assert_false(matches("container:01234", &p, 0));
	assert_true(matches("user:33", &p, 33));
	assert_false(matches("user:33", &p, 34));
	p.container = NULL;
	p.unit = NULL;
	assert_false(matches("container:012345 unit:nginx", &p, 0));

	/* these are the kernel's to match */
	parse(&r, "comm:nginx pid:1", NULL, 0);
	assert_false(rules_match(&r.include, &p, 0));
	assert_true(rule_target(&r.include.items[0], &t));
	assert_int_equal(t.kind, TARGET_COMM);
	assert_true(rule_target(&r.include.items[1], &t));
	assert_int_equal(t.pid, 1);
	rules_done(&r);
}

static int change(struct rules *r, bool add, const char *kind, const char *value)
{
	_cleanup_free_ char *error = NULL;

	return add ? rules_add(r, kind, value, &error) : rules_remove(r, kind, value, &error);
}

static void test_run_time(void **state)
{
	struct rules r;

	(void)state;
	parse(&r, NULL, NULL, 0);
	/* everything is taken: there is nothing to add, but to leave out and to take back in */
	assert_int_equal(change(&r, true, "comm", "a"), 0);
	assert_int_equal(change(&r, true, "pid", "1"), 0);
	assert_int_equal(change(&r, true, "pid", "999999999"), -ESRCH);
	assert_int_equal(change(&r, true, "user", "no such user"), -ESRCH);
	assert_int_equal(change(&r, false, "comm", "a"), 1);
	assert_int_equal(change(&r, false, "comm", "a"), 0);
	assert_int_equal(r.exclude.n, 1);
	assert_int_equal(change(&r, true, "comm", "a"), 1);
	assert_int_equal(r.exclude.n, 0);
	assert_true(r.all);
	rules_done(&r);

	/* of a list the last one goes, and everything is not what is left */
	parse(&r, "comm:a", NULL, 0);
	assert_int_equal(change(&r, true, "unit", "b"), 1);
	assert_int_equal(change(&r, false, "comm", "a"), 1);
	assert_int_equal(change(&r, false, "unit", "b"), 1);
	assert_int_equal(r.include.n, 0);
	assert_false(r.all);
	assert_int_equal(change(&r, true, "colour", "red"), -EINVAL);
	assert_int_equal(change(&r, true, "comm", ""), -EINVAL);
	assert_int_equal(change(&r, true, "pid", "999999999"), -ESRCH);
	rules_done(&r);
}

static void test_sweep(void **state)
{
	char pid_text[32];
	struct rules r;
	pid_t pid = fork();

	(void)state;
	if (pid == 0) {
		pause();
		_exit(0);
	}
	parse(&r, NULL, "comm:a", 0);
	snprintf(pid_text, sizeof(pid_text), "%d", pid);
	assert_int_equal(change(&r, false, "pid", pid_text), 1);
	assert_false(rules_sweep(&r));
	kill(pid, SIGKILL);
	waitpid(pid, NULL, 0);
	assert_true(rules_sweep(&r));
	assert_int_equal(r.exclude.n, 1);
	rules_done(&r);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_parse),
		cmocka_unit_test(test_match),
		cmocka_unit_test(test_run_time),
		cmocka_unit_test(test_sweep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
