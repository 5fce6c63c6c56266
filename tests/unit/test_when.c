/* SPDX-License-Identifier: Apache-2.0 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <cmocka.h>

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "when.h"

#define SEC  1000000000LL
#define MIN_ (60 * SEC)
#define HOUR (3600 * SEC)
#define DAY  (24 * HOUR)

/* Tuesday 2026-11-24 13:30:00 in Berlin, 12:30:00 UTC. */
#define NOW_S 1795523400LL
#define NOW   (NOW_S * SEC)

static int zone(void **state)
{
	(void)state;
	setenv("TZ", "CET-1CEST,M3.5.0,M10.5.0/3", 1);
	tzset();
	return 0;
}

static int64_t at(const char *s)
{
	int64_t ns = -1;
	int r = when_parse(s, NOW, &ns, NULL);

	if (r < 0)
		fail_msg("'%s': %s", s, strerror(-r));
	return ns;
}

static void fails(const char *s, int error)
{
	int64_t ns = 77;
	int r = when_parse(s, NOW, &ns, NULL);

	if (r != error || ns != 77)
		fail_msg("'%s': %d, not %d", s, r, error);
}

static void test_spans(void **state)
{
	(void)state;
	assert_int_equal(at("now"), NOW);
	assert_int_equal(at("10 min ago"), NOW - 10 * MIN_);
	assert_int_equal(at("  10   min\tago "), NOW - 10 * MIN_);
	assert_int_equal(at("10min ago"), NOW - 10 * MIN_);
	assert_int_equal(at("2h"), NOW - 2 * HOUR);
	assert_int_equal(at("1h 30min ago"), NOW - 90 * MIN_);
	assert_int_equal(at("1.5h"), NOW - 90 * MIN_);
	assert_int_equal(at("-5s"), NOW - 5 * SEC);
	assert_int_equal(at("+1d"), NOW + DAY);
	assert_int_equal(at("2 hours left"), NOW + 2 * HOUR);
	assert_int_equal(at("90"), NOW - 90 * SEC);
	assert_int_equal(at("1 week ago"), NOW - 7 * DAY);
	assert_int_equal(at("99999999"), NOW - 99999999 * SEC);
	/* these mean something else */
	fails("1795864800", -EINVAL);
	fails("100000000", -EINVAL);
	fails("11.00", -EINVAL);
	fails("-11.00", -EINVAL);
	fails("2h UTC", -EINVAL);
	fails("now UTC", -EINVAL);
	fails("ago", -EINVAL);
	fails("-5s ago", -EINVAL);
	fails("- 5 s", -EINVAL);
	fails("5 parsecs ago", -EINVAL);
	fails("99999 weeks", -ERANGE);
	fails("+99999 weeks", -ERANGE);
	fails("18446744073709551615s", -ERANGE);
}

static void test_days(void **state)
{
	int64_t midnight = NOW - 13 * HOUR - 30 * MIN_;

	(void)state;
	assert_int_equal(at("today"), midnight);
	assert_int_equal(at("yesterday"), midnight - DAY);
	assert_int_equal(at("tomorrow"), midnight + DAY);
	assert_int_equal(at("today 14:00"), midnight + 14 * HOUR);
	assert_int_equal(at("Today at 14:00:05"), midnight + 14 * HOUR + 5 * SEC);
	assert_int_equal(at("yesterday 2:00"), midnight - 22 * HOUR);
	/* Tuesday */
	assert_int_equal(at("Tue"), midnight);
	assert_int_equal(at("monday"), midnight - DAY);
	assert_int_equal(at("Wed 10:00"), midnight - 6 * DAY + 10 * HOUR);
	assert_int_equal(at("Tue 13:00"), midnight + 13 * HOUR);
	assert_int_equal(at("Tue 14:00"), midnight - 7 * DAY + 14 * HOUR);
	fails("today 24:00", -EINVAL);
	fails("today 2", -EINVAL);
	fails("yesterdays", -EINVAL);
	fails("todayx 14:00", -EINVAL);
	fails("Mond", -EINVAL);
}

static void test_clock(void **state)
{
	int64_t midnight = NOW - 13 * HOUR - 30 * MIN_, ns;
	enum when_kind kind;

	(void)state;
	assert_int_equal(at("02:00"), midnight + 2 * HOUR);
	assert_int_equal(at("02:00:30.25"), midnight + 2 * HOUR + 30 * SEC + SEC / 4);
	/* not yet today: last night's */
	assert_int_equal(at("23:00"), midnight - HOUR);
	assert_int_equal(when_parse("23:00", NOW, &ns, &kind), 0);
	assert_int_equal(kind, WHEN_CLOCK);
	assert_int_equal(when_parse("today 13:00", NOW, &ns, &kind), 0);
	assert_int_equal(kind, WHEN_POINT);

	assert_int_equal(when_clock_after(at("23:30"), WHEN_CLOCK, at("23:00")),
			 midnight - HOUR / 2);
	assert_int_equal(when_clock_after(at("01:00"), WHEN_CLOCK, at("23:00")), midnight + HOUR);
	assert_int_equal(when_clock_after(at("14:00"), WHEN_CLOCK, at("12:00")),
			 midnight + 14 * HOUR);
	assert_int_equal(when_clock_after(at("12:00"), WHEN_CLOCK, at("12:00")),
			 midnight + 36 * HOUR);
	fails("24:00", -EINVAL);
	fails("12:60", -EINVAL);
	fails("12:00:61", -EINVAL);
	fails("12:", -EINVAL);
	fails("12:0", -EINVAL);
	fails("12:00.5", -EINVAL);
	fails("12:00:00.", -EINVAL);
	fails("12:00x", -EINVAL);
}

static void test_dates(void **state)
{
	int64_t midnight = NOW - 13 * HOUR - 30 * MIN_;

	(void)state;
	assert_int_equal(at("2026-11-24"), midnight);
	assert_int_equal(at("2026-11-24 13:30"), NOW);
	assert_int_equal(at("2026-11-24 at 13:30"), NOW);
	assert_int_equal(at("Tue 2026-11-24 13:30:00"), NOW);
	assert_int_equal(at("2026-11-24 12:30 UTC"), NOW);
	assert_int_equal(at("2026-11-24 UTC"), midnight + HOUR);
	assert_int_equal(at("2026-11-24T12:30:00Z"), NOW);
	assert_int_equal(at("2026-11-24t12:30:00z"), NOW);
	assert_int_equal(at("2026-11-24T13:30:00.000000001+01:00"), NOW + 1);
	assert_int_equal(at("2026-11-24T07:00:00-0530"), NOW);
	assert_int_equal(at("2026-11-24 13:30:00 +01:00"), NOW);
	assert_int_equal(at("2026-11-24T13:30:00"), NOW);
	assert_int_equal(at("2024-02-29 01:00 UTC"), 1709168400 * SEC);
	/* summer time, and the hour that it leaves out */
	assert_int_equal(at("2026-07-01 14:00"), at("2026-07-01 12:00 UTC"));
	assert_true(at("2026-03-29 02:30") == at("2026-03-29 01:30 UTC") ||
		    at("2026-03-29 02:30") == at("2026-03-29 00:30 UTC"));
	assert_int_equal(at("1970-01-01 UTC"), 0);
	assert_int_equal(at("2262-01-01 UTC"), 9214646400 * SEC);
	fails("2263-01-01", -ERANGE);
	fails("9999-12-31", -ERANGE);
	fails("1969-12-31 UTC", -ERANGE);
	fails("Mon 2026-11-24", -EINVAL);
	fails("2026-02-29", -EINVAL);
	fails("2026-13-01", -EINVAL);
	fails("2026-00-01", -EINVAL);
	fails("2026-11-31", -EINVAL);
	fails("2026-11-24 25:00", -EINVAL);
	fails("2026-11-24T", -EINVAL);
	fails("2026-11-24 ago", -EINVAL);
	fails("2026-11-24 12:00 Mars", -EINVAL);
	fails("2026-11-24T12:30:00+1", -EINVAL);
	fails("2026-11-24T12:30:00+24:00", -EINVAL);
	fails("26-11-24", -EINVAL);
}

static void test_utc(void **state)
{
	int64_t midnight = NOW - 12 * HOUR - 30 * MIN_, ns;
	enum when_kind kind;

	(void)state;
	assert_int_equal(at("11:20 UTC"), midnight + 11 * HOUR + 20 * MIN_);
	assert_int_equal(at("12:30:00  utc"), NOW);
	assert_int_equal(at("12:31 UTC"), NOW + MIN_ - DAY);
	assert_int_equal(at("today UTC"), midnight);
	assert_int_equal(at("yesterday at 2:00 UTC"), midnight - 22 * HOUR);
	assert_int_equal(at("Tue 13:00 UTC"), midnight + 13 * HOUR - 7 * DAY);
	assert_int_equal(at("Nov 24 12:30 UTC"), NOW);
	assert_int_equal(when_parse("11:20 UTC", NOW, &ns, &kind), 0);
	assert_int_equal(kind, WHEN_CLOCK_UTC);
	/* the local clock goes back between them */
	assert_int_equal(
		when_clock_after(at("11:20 UTC"), WHEN_CLOCK_UTC, at("2026-10-24 23:00 UTC")),
		at("2026-10-25 11:20 UTC"));
	fails("UTC", -EINVAL);
	fails("12:30UTC", -EINVAL);
	fails("12:30 UTC UTC", -EINVAL);
	fails("2026-11-24T12:30:00Z UTC", -EINVAL);
	fails("2026-11-24 12:30 +01:00 UTC", -EINVAL);
	fails("@5 UTC", -EINVAL);
}

static void test_months(void **state)
{
	int64_t midnight = NOW - 13 * HOUR - 30 * MIN_;

	(void)state;
	assert_int_equal(at("Nov 24 11:00"), midnight + 11 * HOUR);
	assert_int_equal(at("nov 24 11:00:05.5"), midnight + 11 * HOUR + 5 * SEC + SEC / 2);
	assert_int_equal(at("Nov 24 13:30"), NOW);
	assert_int_equal(at("Nov 24 13:31"), at("2025-11-24 13:31"));
	assert_int_equal(at("Nov  8 11:00"), at("2026-11-08 11:00"));
	assert_int_equal(at("November 08 11:00"), at("2026-11-08 11:00"));
	assert_int_equal(at("May 1 1:00"), at("2026-05-01 01:00"));
	assert_int_equal(at("Dec 31 23:59:59"), at("2025-12-31 23:59:59"));
	assert_int_equal(at("Feb 29 10:00"), at("2024-02-29 10:00"));
	fails("Nov 31 11:00", -EINVAL);
	fails("Nov 0 11:00", -EINVAL);
	fails("Nov 24", -EINVAL);
	fails("Nov", -EINVAL);
	fails("Novem 24 11:00", -EINVAL);
	fails("Nov 24 11:00:05 x", -EINVAL);
	fails("Nov 24 2026 11:00", -EINVAL);
}

static void test_unix(void **state)
{
	(void)state;
	assert_int_equal(at("@1795523400"), NOW);
	assert_int_equal(at("@0.5"), SEC / 2);
	fails("@", -EINVAL);
	fails("@-1", -EINVAL);
	fails("@1.", -EINVAL);
	fails("@1x", -EINVAL);
	fails("@99999999999", -ERANGE);
	fails("@99999999999999999999999999999999999999999", -ERANGE);
}

static void test_nothing(void **state)
{
	char many[500];

	(void)state;
	memset(many, '1', sizeof(many) - 1);
	many[sizeof(many) - 1] = '\0';
	fails("", -EINVAL);
	fails(" ", -EINVAL);
	fails("soon", -EINVAL);
	fails("+", -EINVAL);
	fails(many, -EINVAL);
}

static void test_rfc3339(void **state)
{
	char s[WHEN_TEXT_BYTES];

	(void)state;
	assert_string_equal(when_rfc3339(s, NOW), "2026-11-24T12:30:00Z");
	assert_string_equal(when_rfc3339(s, NOW + 5), "2026-11-24T12:30:00.000000005Z");
	assert_int_equal(at(when_rfc3339(s, NOW + 5)), NOW + 5);
	assert_string_equal(when_rfc3339(s, -1), "1970-01-01T00:00:00Z");
	assert_string_equal(when_rfc3339(s, INT64_MAX), "2262-04-11T23:47:16.854775807Z");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_spans),   cmocka_unit_test(test_days),
		cmocka_unit_test(test_clock),   cmocka_unit_test(test_dates),
		cmocka_unit_test(test_unix),    cmocka_unit_test(test_nothing),
		cmocka_unit_test(test_rfc3339), cmocka_unit_test(test_utc),
		cmocka_unit_test(test_months),
	};

	return cmocka_run_group_tests(tests, zone, NULL);
}
