/* SPDX-License-Identifier: Apache-2.0 */
/* Reports and folded stacks of the shared sample; tests/cli compares them with go tool pprof's. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "profile_sample.h"
#include "report.h"
#include "scale.h"

#define HOSTILE "\033[2J;a 9\n\"<b>\xff"

static char *print(const struct profile *p, enum report_kind kind, const char *arg, int expect)
{
	char *text = NULL;
	size_t size;
	FILE *f = open_memstream(&text, &size);

	assert_non_null(f);
	assert_int_equal(report_print(p, kind, arg, f), expect);
	fclose(f);
	return text;
}

static void test_values(void **state)
{
	static const struct {
		int64_t value;
		const char *from, *to, *want;
	} cases[] = {
		{ 0, "nanoseconds", "auto", "0" },
		{ 999, "nanoseconds", "auto", "999ns" },
		{ 1500, "nanoseconds", "auto", "1.50us" },
		{ 1500000000, "nanoseconds", "ms", "1500ms" },
		{ 10000000, "nanoseconds", "s", "0.01s" },
		{ 7200, "seconds", "auto", "2hrs" },
		{ 1024, "bytes", "auto", "1kB" },
		{ -1536, "BYTES", "auto", "-1.50kB" },
		{ 5, "count", "auto", "5" },
		{ 5, "count", "count", "5" },
		{ 5, "count", "widgets", "5widgets" },
		{ 100, "id", "auto", "100" },
		{ INT64_MIN, "count", "auto", "-9223372036854775808" },
	};
	char s[SCALE_TEXT_BYTES];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(cases); i++)
		assert_string_equal(scale_value(s, cases[i].value, cases[i].from, cases[i].to),
				    cases[i].want);
	assert_string_equal(scale_percent(s, 1, 3), "33.33%");
	assert_string_equal(scale_percent(s, 1, 1000), "  0.1%");
	assert_string_equal(scale_percent(s, 99960, 100000), "  100%");
	assert_string_equal(scale_percent(s, -1, 2), "50.00%");
	assert_string_equal(scale_percent(s, 1, 0), "    0%");
}

static void test_top(void **state)
{
	_cleanup_(profile_freep) struct profile *p = sample_profile();
	_cleanup_(buf_done) struct buf out = BUF_INIT(65536);
	struct text_options o = { .bare = true, .rows = 2 };

	(void)state;
	assert_int_equal(profile_text(p, &o, &out), 0);
	assert_string_equal(out.data, "      flat  flat%   sum%        cum   cum%\n"
				      "     500ms 50.00% 50.00%      500ms 50.00%  work\n"
				      "     300ms 30.00% 80.00%      350ms 35.00%  memcpy\n");

	buf_reset(&out);
	o = (struct text_options){ .bare = true, .by_cum = true, .type = "samples" };
	assert_int_equal(profile_text(p, &o, &out), 0);
	assert_string_equal(out.data,
			    "      flat  flat%   sum%        cum   cum%\n"
			    "        15 15.00% 15.00%        100   100%  main\n"
			    "        50 50.00% 65.00%         50 50.00%  work\n"
			    "        30 30.00% 95.00%         35 35.00%  memcpy\n"
			    "         0     0% 95.00%         35 35.00%  parse\n"
			    "         0     0% 95.00%         35 35.00%  tokenize (inline)\n"
			    "         5  5.00%   100%          5  5.00%  asm_exc_page_fault\n");

	buf_reset(&out);
	assert_int_equal(profile_text(p, NULL, &out), 0);
	assert_non_null(strstr(
		out.data,
		"File: prog\nBuild ID: 0123456789abcdef\ncprofd on host\nType: cpu\nTime: "));
	assert_non_null(strstr(out.data,
			       "\nDuration: 1s, Total samples = 1000ms (  100%)\n"
			       "Showing nodes accounting for 1000ms, 100% of 1000ms total\n"));

	o.type = "space";
	assert_int_equal(profile_text(p, &o, &out), -ENOENT);
}

static void test_peek(void **state)
{
	_cleanup_(profile_freep) struct profile *p = sample_profile();
	_cleanup_free_ char *text = print(p, REPORT_PEEK, "^(memcpy|nothing)$", 0);
	char *none, *bad;

	(void)state;
	assert_non_null(strstr(
		text, "350ms   100% |   tokenize\n"
		      "     300ms 30.00% 30.00%      350ms 35.00%                | memcpy\n"));
	assert_non_null(strstr(text, "50ms 14.29% |   asm_exc_page_fault\n"));
	assert_null(strstr(text, "work"));

	none = print(p, REPORT_PEEK, "nothing", -ESRCH);
	assert_string_equal(none, "");
	free(none);
	bad = print(p, REPORT_PEEK, "(", -EINVAL);
	free(bad);
	bad = print(p, REPORT_PEEK, NULL, -EINVAL);
	free(bad);
}

static void test_traces(void **state)
{
	_cleanup_(profile_freep) struct profile *p = sample_profile();
	_cleanup_free_ char *text = print(p, REPORT_TRACES, NULL, 0);

	(void)state;
	assert_non_null(strstr(text, "      comm:  prog\n"
				     "       pid:  101\n"
				     "      50ms   asm_exc_page_fault\n"
				     "             memcpy\n"
				     "             tokenize (inline)\n"
				     "             parse\n"
				     "             main\n"));
}

static void test_tree(void **state)
{
	_cleanup_(profile_freep) struct profile *p = sample_profile();
	_cleanup_free_ char *text = print(p, REPORT_TREE, NULL, 0);

	(void)state;
	assert_non_null(strstr(
		text, "     150ms 15.00% 95.00%     1000ms   100%                | main\n"
		      "                                             500ms 50.00% |   work\n"
		      "                                             350ms 35.00% |   parse\n"));
}

/* A function that is its own caller counts once. */
static void test_recursion(void **state)
{
	_cleanup_(profile_freep) struct profile *p = sample_empty();
	_cleanup_(buf_done) struct buf out = BUF_INIT(65536);
	struct text_options o = { .bare = true, .type = "samples" };
	uint64_t m = sample_mapping(p, "prog", 0x1000, 0x1000);
	uint64_t a = sample_frame(p, m, 0x1001, "a"), b = sample_frame(p, m, 0x1002, "b");

	(void)state;
	assert_int_equal(sample_add(p, (uint64_t[]){ a, b, a, b, a }, 5, 3, 1, "x"), 0);
	assert_int_equal(profile_text(p, &o, &out), 0);
	assert_string_equal(out.data, "      flat  flat%   sum%        cum   cum%\n"
				      "         3   100%   100%          3   100%  a\n"
				      "         0     0%   100%          3   100%  b\n");
}

static void test_folded(void **state)
{
	_cleanup_(profile_freep) struct profile *p = sample_profile();
	_cleanup_(buf_done) struct buf out = BUF_INIT(65536), full = BUF_INIT(10);

	(void)state;
	assert_int_equal(profile_folded(p, &out), 0);
	assert_string_equal(out.data, "prog;main;work 50\n"
				      "prog;main;parse;tokenize;memcpy 30\n"
				      "prog;main;parse;tokenize;memcpy;asm_exc_page_fault 5\n"
				      "prog;main 15\n");
	buf_reset(&out);
	assert_int_equal(profile_folded_by(p, "cpu", &out), 0);
	assert_true(strncmp(out.data, "prog;main;work 500000000\n", 25) == 0);
	assert_int_equal(profile_folded_by(p, "space", &out), -ENOENT);
	assert_int_equal(profile_folded(p, &full), -ENOSPC);
}

static void test_hostile_names(void **state)
{
	_cleanup_(profile_freep) struct profile *p = sample_empty();
	_cleanup_(buf_done) struct buf out = BUF_INIT(65536);
	uint64_t m = sample_mapping(p, "/x/" HOSTILE, 0x1000, 0x1000);
	uint64_t f = sample_frame(p, m, 0x1001, HOSTILE);

	(void)state;
	assert_int_equal(profile_add_comment(p, HOSTILE), 0);
	assert_int_equal(sample_add(p, &f, 1, 3, 1, HOSTILE), 0);
	assert_int_equal(profile_folded(p, &out), 0);
	assert_string_equal(
		out.data,
		"\\x1b[2J:a 9\\x0a\"<b>\xef\xbf\xbd;\\x1b[2J:a 9\\x0a\"<b>\xef\xbf\xbd 3\n");

	for (enum report_kind kind = 0; kind < REPORT_MAX; kind++) {
		_cleanup_free_ char *text = print(p, kind, kind == REPORT_PEEK ? "a" : NULL, 0);

		assert_null(strchr(text, '\033'));
		assert_non_null(strstr(text, "\\x1b[2J;a 9\\x0a\"<b>\xef\xbf\xbd\n"));
	}
}

static void test_empty(void **state)
{
	_cleanup_(profile_freep) struct profile *p = sample_empty(), *none = NULL;
	_cleanup_(buf_done) struct buf out = BUF_INIT(65536);

	(void)state;
	assert_int_equal(profile_folded(p, &out), 0);
	assert_int_equal(out.size, 0);
	for (enum report_kind kind = 0; kind < REPORT_MAX; kind++) {
		_cleanup_free_ char *text = print(p, kind, kind == REPORT_PEEK ? "a" : NULL,
						  kind == REPORT_PEEK ? -ESRCH : 0);
	}
	assert_int_equal(profile_new(&none, NULL, 0), 0);
	assert_int_equal(profile_text(none, NULL, &out), -ENOENT);
	assert_int_equal(profile_folded(none, &out), -ENOENT);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_values), cmocka_unit_test(test_top),
		cmocka_unit_test(test_peek),   cmocka_unit_test(test_traces),
		cmocka_unit_test(test_tree),   cmocka_unit_test(test_recursion),
		cmocka_unit_test(test_folded), cmocka_unit_test(test_hostile_names),
		cmocka_unit_test(test_empty),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
