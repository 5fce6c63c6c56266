/* SPDX-License-Identifier: Apache-2.0 */
/* What the flame graph's file holds; tests of how it behaves need a browser. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "profile_sample.h"
#include "report.h"

#define HOSTILE "]]></script><script>alert(1)</script>\"'&\033\xef\xbf\xbf\xff"

static void test_frames(void **state)
{
	_cleanup_(profile_freep) struct profile *p = sample_profile();
	_cleanup_(buf_done) struct buf out = BUF_INIT(1 << 20);

	(void)state;
	assert_int_equal(profile_svg(p, NULL, &out), 0);
	assert_non_null(
		strstr(out.data,
		       "data-s=\"0\" data-v=\"1000000000\"><title>all\n1s (100%), 100 samples<"));
	assert_non_null(strstr(out.data, "<title>prog\n1s (100%), 100 samples</title>"));
	assert_non_null(
		strstr(out.data, "<title>tokenize\n350ms (35.00%), 35 samples\nprog</title>"));
	assert_non_null(
		strstr(out.data, "<title>memcpy\n350ms (35.00%), 35 samples\nlibc.so.6</title>"));
	/* by name: parse begins where main does, work behind it */
	assert_non_null(
		strstr(out.data, "data-s=\"350000000\" data-v=\"500000000\"><title>work\n"));
	assert_non_null(strstr(out.data, ">kernel</text>"));
	assert_null(strstr(out.data, ">JIT</text>"));
	assert_null(strstr(out.data, "left out"));
}

static void test_hostile(void **state)
{
	_cleanup_(profile_freep) struct profile *p = sample_empty();
	_cleanup_(buf_done) struct buf out = BUF_INIT(1 << 20);
	uint64_t m = sample_mapping(p, "/x" HOSTILE, 0x1000, 0x1000);
	uint64_t f = sample_frame(p, m, 0x1001, HOSTILE);
	struct svg_options o = { .title = HOSTILE, .subtitle = HOSTILE };
	const char *s;

	(void)state;
	assert_int_equal(sample_add(p, &f, 1, 3, 1, HOSTILE), 0);
	for (int i = 0; i < 2; i++) {
		buf_reset(&out);
		assert_int_equal(profile_svg(p, i ? &o : NULL, &out), 0);
		assert_null(strstr(out.data, "<script>alert"));
		assert_null(strstr(out.data, "\xef\xbf\xbf"));
		assert_null(strchr(out.data, '\033'));
		assert_non_null(strstr(out.data, "]]&gt;&lt;/script&gt;&lt;script&gt;alert(1)&lt;/"
						 "script&gt;&quot;&#39;&amp;"));
		/* our own script's and style's are the only sections there are */
		s = strstr(out.data, "]]>");
		assert_non_null(s);
		s = strstr(s + 1, "]]>");
		assert_non_null(s);
		assert_null(strstr(s + 1, "]]>"));
	}
}

static void test_narrow_and_deep(void **state)
{
	_cleanup_(profile_freep) struct profile *p = sample_empty();
	_cleanup_(buf_done) struct buf out = BUF_INIT(16 << 20);
	uint64_t m = sample_mapping(p, "prog", 0x1000, 0x100000), stack[PROFILE_MAX_DEPTH], f;
	char name[32];

	(void)state;
	for (size_t i = 0; i < ARRAY_SIZE(stack); i++) {
		snprintf(name, sizeof(name), "deep_%u", (unsigned)i);
		stack[i] = sample_frame(p, m, 0x1000 + i, name);
	}
	assert_int_equal(sample_add(p, stack, ARRAY_SIZE(stack), 100000, 1, "prog"), 0);
	f = sample_frame(p, m, 0x90000, "narrow");
	assert_int_equal(sample_add(p, &f, 1, 1, 1, "prog"), 0);
	assert_int_equal(profile_svg(p, NULL, &out), 0);
	assert_non_null(strstr(out.data, "<title>deep_0\n"));
	assert_null(strstr(out.data, "<title>narrow\n"));
	assert_non_null(strstr(out.data, "1 frame narrower than 0.1 px left out"));
}

static void test_limits(void **state)
{
	_cleanup_(profile_freep) struct profile *p = sample_profile(), *empty = sample_empty();
	_cleanup_(buf_done) struct buf small = BUF_INIT(5000), out = BUF_INIT(1 << 20);
	struct svg_options o = { .type = "space" };

	(void)state;
	assert_int_equal(profile_svg(p, NULL, &small), -ENOSPC);
	assert_int_equal(profile_svg(p, &o, &out), -ENOENT);
	assert_int_equal(profile_svg(empty, NULL, &out), 0);
	assert_non_null(strstr(out.data, "No samples."));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frames),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_narrow_and_deep),
		cmocka_unit_test(test_limits),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
