/* SPDX-License-Identifier: Apache-2.0 */
/* Two profiles compared, and the rows of a live table. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include "diff.h"
#include "filter.h"
#include "profile_sample.h"
#include "tally.h"

DEFINE_CLEANUP(struct diff *, diff_free);
DEFINE_CLEANUP(struct tally *, tally_free);

static void named(const char *name, const char *expected)
{
	assert_int_equal(diff_name_bytes(name), strlen(expected));
	assert_memory_equal(name, expected, strlen(expected));
}

static void test_names(void **state)
{
	(void)state;
	named("f", "f");
	named("f.isra.0", "f");
	named("f.constprop.1.isra.12", "f");
	named("f.part.2.cold", "f");
	named("f.llvm.1234567890", "f");
	named("f.lto_priv.0", "f");
	named("ns::g(int) [clone .isra.0]", "ns::g(int)");
	named("ns::g(int) [clone .isra.0] [clone .cold]", "ns::g(int)");
	named("core::fmt::write::h0123456789abcdef", "core::fmt::write");
	named("core::fmt::write::h0123456789abcdeg", "core::fmt::write::h0123456789abcdeg");
	named("write::hot", "write::hot");
	named("main.run.func1", "main.run.func1");
	named("f.5", "f.5");
	named("v1.2", "v1.2");
	named(".cold", ".cold");
	named("", "");
	named("[lib.so.1.cold+0x1230]", "[lib.so.1.cold+0x1230]");
	named("operator[]", "operator[]");
	named("::h0123456789abcdef", "::h0123456789abcdef");
}

static const struct diff_row *row(const struct diff *d, const char *name)
{
	for (size_t i = 0; i < d->n; i++)
		if (strcmp(d->rows[i].name, name) == 0)
			return &d->rows[i];
	return NULL;
}

/* before: work 1000, copy 100 (in work); after: work.isra.0 400, copy 105, fresh 50 */
static struct profile *compared(void)
{
	struct profile *before = sample_empty(), *after = sample_empty();
	uint64_t m = sample_mapping(before, "prog", 0x1000, 0x1000);
	uint64_t work = sample_frame(before, m, 0x1100, "work");
	uint64_t copy = sample_frame(before, m, 0x1200, "copy");

	assert_int_equal(sample_add(before, &work, 1, 1000, 1, "a"), 0);
	assert_int_equal(sample_add(before, (uint64_t[]){ copy, work, work }, 3, 100, 1, "a"), 0);

	m = sample_mapping(after, "prog", 0x1000, 0x1000);
	work = sample_frame(after, m, 0x1110, "work.isra.0");
	copy = sample_frame(after, m, 0x1220, "copy");
	assert_int_equal(sample_add(after, &work, 1, 400, 2, "a"), 0);
	assert_int_equal(sample_add(after, (uint64_t[]){ copy, work }, 2, 105, 2, "a"), 0);
	work = sample_frame(after, m, 0x1330, "fresh\x1b[2J");
	assert_int_equal(sample_add(after, &work, 1, 50, 2, "b"), 0);

	assert_int_equal(profile_merge_filtered(after, before,
						&(struct profile_filter){ .base = true }, NULL),
			 0);
	profile_free(before);
	return after;
}

static void test_rows(void **state)
{
	_cleanup_(profile_freep) struct profile *p = compared();
	_cleanup_(diff_freep) struct diff *flat = NULL, *cum = NULL;
	_cleanup_(buf_done) struct buf b = BUF_INIT(65536);

	(void)state;
	assert_int_equal(diff_new(&flat, p, &(struct diff_options){}), 0);
	assert_int_equal(flat->n, 3);
	assert_int_equal(flat->n_before, 1100);
	assert_int_equal(flat->n_after, 555);
	assert_string_equal(flat->rows[0].name, "work");
	assert_int_equal(row(flat, "work")->before, 1000 * (int64_t)SAMPLE_PERIOD_NS);
	assert_int_equal(row(flat, "work")->after, 400 * (int64_t)SAMPLE_PERIOD_NS);
	assert_false(row(flat, "work")->noise);
	assert_int_equal(row(flat, "copy")->n_after, 105);
	/* as many seconds, but twice the share */
	assert_false(row(flat, "copy")->noise);
	assert_false(row(flat, "fresh\x1b[2J")->noise);

	/* recursion counts once */
	assert_int_equal(diff_new(&cum, p, &(struct diff_options){ .cum = true }), 0);
	assert_int_equal(row(cum, "work")->n_before, 1100);
	assert_int_equal(row(cum, "work")->n_after, 505);

	assert_int_equal(
		diff_print(flat, &(struct diff_print){ .unit = "nanoseconds", .rows = 2 }, &b), 0);
	assert_non_null(strstr(b.data, "10.00s      4.00s     -6.00s    -18.84  work\n"));
	assert_non_null(strstr(b.data, "  1 more"));
	buf_reset(&b);
	assert_int_equal(diff_print(flat, &(struct diff_print){ .unit = "nanoseconds" }, &b), 0);
	assert_non_null(strstr(b.data, "fresh\\x1b[2J"));
	assert_null(strchr(b.data, '\x1b'));
	assert_int_equal(diff_new(&cum, p, &(struct diff_options){ .type = "none" }), -ENOENT);
}

static void test_noise(void **state)
{
	_cleanup_(profile_freep) struct profile *a = sample_profile(), *b = sample_profile();
	_cleanup_(diff_freep) struct diff *d = NULL;
	_cleanup_(buf_done) struct buf out = BUF_INIT(65536);

	(void)state;
	assert_int_equal(sample_add(a, (uint64_t[]){ 2, 1 }, 2, 7, 100, "prog"), 0);
	assert_int_equal(
		profile_merge_filtered(a, b, &(struct profile_filter){ .base = true }, NULL), 0);
	assert_int_equal(diff_new(&d, a, &(struct diff_options){}), 0);
	for (size_t i = 0; i < d->n; i++)
		assert_true(d->rows[i].noise);
	assert_int_equal(diff_print(d, &(struct diff_print){ .dim = true }, &out), 0);
	assert_non_null(strstr(out.data, "\033[2m"));
	assert_null(strchr(out.data, '~'));
}

/* Half the time before: half the counts there are no difference, and the sampling error is less than twice it. */
static void test_scaled(void **state)
{
	_cleanup_(profile_freep) struct profile *p = compared();
	_cleanup_(diff_freep) struct diff *half = NULL, *alike = NULL;
	_cleanup_(buf_done) struct buf out = BUF_INIT(65536);

	(void)state;
	assert_int_equal(diff_new(&half, p, &(struct diff_options){ .scale = 0.5 }), 0);
	assert_int_equal(row(half, "work")->before, 500 * (int64_t)SAMPLE_PERIOD_NS);
	assert_int_equal(row(half, "work")->n_before, 1000);
	assert_int_equal(row(half, "work")->after, 400 * (int64_t)SAMPLE_PERIOD_NS);
	/* 400 - 500 with the deviation sqrt(400 + 1000 / 4) = 25.5 */
	assert_false(row(half, "work")->noise);
	assert_int_equal(half->before, 550 * (int64_t)SAMPLE_PERIOD_NS);
	assert_int_equal(diff_print(half, &(struct diff_print){ .unit = "nanoseconds" }, &out), 0);
	/* 555 and 550 are alike */
	assert_non_null(strstr(out.data, "~       5.50s      5.55s     +0.05s"));
	/* shares know nothing of it */
	assert_int_equal(diff_new(&alike, p, &(struct diff_options){}), 0);
	assert_true(row(half, "work")->points == row(alike, "work")->points);
}

static void test_nothing(void **state)
{
	_cleanup_(profile_freep) struct profile *p = sample_empty(), *none = NULL;
	_cleanup_(diff_freep) struct diff *d = NULL;
	_cleanup_(tally_freep) struct tally *t = NULL;
	_cleanup_(buf_done) struct buf out = BUF_INIT(65536);

	(void)state;
	assert_int_equal(diff_new(&d, p, &(struct diff_options){}), 0);
	assert_int_equal(d->n, 0);
	assert_int_equal(diff_print(d, &(struct diff_print){}, &out), 0);
	assert_int_equal(profile_new(&none, NULL, 0), 0);
	assert_int_equal(tally_new(&t, none, TALLY_FUNCTION), 0);
	assert_int_equal(t->n, 0);
}

static void test_tally(void **state)
{
	_cleanup_(profile_freep) struct profile *p = sample_profile();
	struct tally *t;
	enum tally_by by;

	(void)state;
	assert_int_equal(tally_by_parse("pid", &by), 0);
	assert_int_equal(by, TALLY_PID);
	assert_int_equal(tally_by_parse("exe", &by), -EINVAL);

	assert_int_equal(tally_new(&t, p, TALLY_FUNCTION), 0);
	assert_int_equal(t->total, 100 * (int64_t)SAMPLE_PERIOD_NS);
	assert_string_equal(t->rows[0].name, "work");
	assert_int_equal(t->rows[0].flat, 50 * (int64_t)SAMPLE_PERIOD_NS);
	assert_string_equal(t->rows[2].name, "main");
	assert_int_equal(t->rows[2].cum, 100 * (int64_t)SAMPLE_PERIOD_NS);
	tally_free(t);

	assert_int_equal(tally_new(&t, p, TALLY_PID), 0);
	assert_int_equal(t->n, 2);
	assert_int_equal(t->rows[0].pid, 100);
	assert_int_equal(t->rows[0].flat, 70 * (int64_t)SAMPLE_PERIOD_NS);
	assert_string_equal(t->rows[1].name, "prog");
	tally_free(t);

	assert_int_equal(tally_new(&t, p, TALLY_UNIT), 0);
	assert_int_equal(t->n, 1);
	assert_string_equal(t->rows[0].name, "");
	tally_free(t);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_names),   cmocka_unit_test(test_rows),
		cmocka_unit_test(test_noise),   cmocka_unit_test(test_scaled),
		cmocka_unit_test(test_nothing), cmocka_unit_test(test_tally),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
