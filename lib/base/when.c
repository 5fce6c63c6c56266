/* SPDX-License-Identifier: Apache-2.0 */
#include "when.h"

#include <string.h>
#include <strings.h>
#include <time.h>

#include "cleanup.h"
#include "text.h"

#define WHEN_MAX_BYTES   128
#define WHEN_NAME_BYTES  3 /* of a weekday or a month, where it is short */
#define WHEN_LEAP_YEARS  8 /* that may lie between two February 29 */
#define WHEN_STAMP_BYTES 9 /* a number as long as this is a point in time, not a span */

/* A cursor over text of one blank between words. */
struct when {
	const char *p;
	int64_t now_ns;
	bool utc; /* " UTC" stood at its end */
};

struct when_clock {
	int hour, minute, second;
	int64_t fraction_ns;
};

static int when_compose(int64_t seconds, int64_t fraction_ns, int64_t *ret_ns)
{
	int64_t ns;

	if (seconds < 0 || __builtin_mul_overflow(seconds, (int64_t)NSEC_PER_SEC, &ns) ||
	    __builtin_add_overflow(ns, fraction_ns, &ns))
		return -ERANGE;
	*ret_ns = ns;
	return 0;
}

/* Exactly n digits, below limit. */
static bool when_digits(struct when *w, unsigned n, int limit, int *ret)
{
	int v = 0;

	for (unsigned i = 0; i < n; i++) {
		if (w->p[i] < '0' || w->p[i] > '9')
			return false;
		v = v * 10 + (w->p[i] - '0');
	}
	if (v >= limit)
		return false;
	w->p += n;
	*ret = v;
	return true;
}

static bool when_char(struct when *w, char c)
{
	if (*w->p != c)
		return false;
	w->p++;
	return true;
}

/* A whole word, in any case; the blank behind it goes with it. */
static bool when_word(struct when *w, const char *word)
{
	size_t n = strlen(word);

	if (strncasecmp(w->p, word, n) != 0 || (w->p[n] && w->p[n] != ' '))
		return false;
	w->p += n + (w->p[n] == ' ');
	return true;
}

/* Digits behind a point, as nanoseconds; more than nine are cut. */
static bool when_fraction(struct when *w, int64_t *ret_ns)
{
	int64_t unit = NSEC_PER_SEC / 10, ns = 0;

	if (*w->p < '0' || *w->p > '9')
		return false;
	for (; *w->p >= '0' && *w->p <= '9'; w->p++, unit /= 10)
		ns += (*w->p - '0') * unit;
	*ret_ns = ns;
	return true;
}

/* HH:MM[:SS[.fraction]]; H:MM too. */
static bool when_clock(struct when *w, struct when_clock *ret)
{
	struct when_clock c = {};

	if (!when_digits(w, 2, 24, &c.hour) && !when_digits(w, 1, 10, &c.hour))
		return false;
	if (!when_char(w, ':') || !when_digits(w, 2, 60, &c.minute))
		return false;
	/* a leap second reads as the next minute's first */
	if (when_char(w, ':') && (!when_digits(w, 2, 61, &c.second) ||
				  (when_char(w, '.') && !when_fraction(w, &c.fraction_ns))))
		return false;
	*ret = c;
	return true;
}

/* month from 0 */
static int when_days_in(int year, int month)
{
	static const int days[] = { 31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31 };
	bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);

	return days[month] + (month == 1 && leap);
}

static bool when_date(struct when *w, struct tm *ret)
{
	struct when at = *w;
	int year, month, day;

	if (!when_digits(&at, 4, 10000, &year) || !when_char(&at, '-') ||
	    !when_digits(&at, 2, 13, &month) || !when_char(&at, '-') ||
	    !when_digits(&at, 2, 32, &day) || month == 0 || day == 0)
		return false;
	if (day > when_days_in(year, month - 1))
		return false;

	*w = at;
	*ret = (struct tm){ .tm_year = year - 1900, .tm_mon = month - 1, .tm_mday = day };
	return true;
}

/* "Z", "UTC" or "+01:00" to the end: *ret_offset in seconds east. False: something else. */
static bool when_zone(struct when *w, int *ret_offset)
{
	int hours, minutes, sign = *w->p == '-' ? -1 : 1;

	if (strcasecmp(w->p, "z") == 0 || strcasecmp(w->p, "utc") == 0) {
		*ret_offset = 0;
		return true;
	}
	if (!when_char(w, '+') && !when_char(w, '-'))
		return false;
	if (!when_digits(w, 2, 24, &hours))
		return false;
	when_char(w, ':');
	if (!when_digits(w, 2, 60, &minutes) || *w->p)
		return false;
	*ret_offset = sign * (hours * 3600 + minutes * 60);
	return true;
}

/* A day of tm with a clock time. */
static int when_at(bool utc, struct tm tm, const struct when_clock *c, int64_t *ret_ns)
{
	time_t t;

	tm.tm_hour = c->hour;
	tm.tm_min = c->minute;
	tm.tm_sec = c->second;
	tm.tm_isdst = -1;
	t = utc ? timegm(&tm) : mktime(&tm);
	return when_compose(t, c->fraction_ns, ret_ns);
}

static void when_day(bool utc, int64_t ns, int days, struct tm *ret)
{
	time_t t = (time_t)(ns / (int64_t)NSEC_PER_SEC);

	if (utc)
		gmtime_r(&t, ret);
	else
		localtime_r(&t, ret);
	ret->tm_mday += days;
}

/* The clock behind a day's name or a date, if there is one, and nothing behind that. */
static bool when_optional_clock(struct when *w, struct when_clock *ret)
{
	*ret = (struct when_clock){};
	if (!*w->p)
		return true;
	when_word(w, "at");
	return when_clock(w, ret) && !*w->p;
}

/* One of these names or the first three letters of it; -1 none. */
static int when_name(struct when *w, const char *const names[], int n)
{
	char brief[WHEN_NAME_BYTES + 1];

	for (int i = 0; i < n; i++) {
		snprintf(brief, sizeof(brief), "%.*s", WHEN_NAME_BYTES, names[i]);
		if (when_word(w, names[i]) || when_word(w, brief))
			return i;
	}
	return -1;
}

/* 0 Sunday; -1 none. */
static int when_weekday(struct when *w)
{
	static const char *const names[] = { "sunday",   "monday", "tuesday", "wednesday",
					     "thursday", "friday", "saturday" };

	return when_name(w, names, (int)ARRAY_SIZE(names));
}

/* 0 January; -1 none. */
static int when_month(struct when *w)
{
	static const char *const names[] = { "january",   "february", "march",    "april",
					     "may",       "june",     "july",     "august",
					     "september", "october",  "november", "december" };

	return when_name(w, names, (int)ARRAY_SIZE(names));
}

static int when_parse_date(struct when *w, struct tm tm, int weekday, int64_t *ret_ns)
{
	struct when_clock c = {};
	bool blank;
	int offset;
	time_t t = timegm(
		&(struct tm){ .tm_year = tm.tm_year, .tm_mon = tm.tm_mon, .tm_mday = tm.tm_mday });

	if (weekday >= 0 && gmtime(&t)->tm_wday != weekday)
		return -EINVAL;
	if (!*w->p)
		return when_at(w->utc, tm, &c, ret_ns);

	blank = when_char(w, ' ');
	if (!blank && !when_char(w, 'T') && !when_char(w, 't'))
		return -EINVAL;
	if (blank)
		when_word(w, "at");
	if ((!blank || (*w->p >= '0' && *w->p <= '9')) && !when_clock(w, &c))
		return -EINVAL;
	when_char(w, ' ');
	if (!*w->p)
		return when_at(w->utc, tm, &c, ret_ns);
	if (w->utc || !when_zone(w, &offset))
		return -EINVAL;

	return when_compose(t + c.hour * 3600 + c.minute * 60 + c.second - offset, c.fraction_ns,
			    ret_ns);
}

static int when_parse_weekday(struct when *w, int weekday, int64_t *ret_ns)
{
	struct when_clock c;
	struct tm tm;
	int back, r;

	if (!when_optional_clock(w, &c))
		return -EINVAL;
	when_day(w->utc, w->now_ns, 0, &tm);
	back = (tm.tm_wday - weekday + 7) % 7;
	tm.tm_mday -= back;
	r = when_at(w->utc, tm, &c, ret_ns);
	if (r == 0 && *ret_ns > w->now_ns) {
		tm.tm_mday -= 7;
		r = when_at(w->utc, tm, &c, ret_ns);
	}
	return r;
}

/* As log files have it, without a year: the last one that has come. */
static int when_parse_month(struct when *w, int month, int64_t *ret_ns)
{
	struct when_clock c;
	struct tm today;
	int day, r;

	if ((!when_digits(w, 2, 32, &day) && !when_digits(w, 1, 10, &day)) || day == 0 ||
	    !when_char(w, ' ') || !when_clock(w, &c) || *w->p)
		return -EINVAL;
	when_day(w->utc, w->now_ns, 0, &today);
	for (int back = 0; back <= WHEN_LEAP_YEARS; back++) {
		struct tm tm = { .tm_year = today.tm_year - back, .tm_mon = month, .tm_mday = day };

		if (day > when_days_in(tm.tm_year + 1900, month))
			continue;
		r = when_at(w->utc, tm, &c, ret_ns);
		if (r < 0 || *ret_ns <= w->now_ns)
			return r;
	}
	return -EINVAL;
}

static int when_parse_unix(struct when *w, int64_t *ret_ns)
{
	char digits[32];
	int64_t fraction = 0;
	size_t n = strspn(w->p, "0123456789");
	uint64_t seconds;

	if (n == 0 || n >= sizeof(digits))
		return n ? -ERANGE : -EINVAL;
	memcpy(digits, w->p, n);
	digits[n] = '\0';
	w->p += n;
	if ((when_char(w, '.') && !when_fraction(w, &fraction)) || *w->p)
		return -EINVAL;
	if (text_parse_u64(digits, INT64_MAX, &seconds) < 0)
		return -ERANGE;
	return when_compose((int64_t)seconds, fraction, ret_ns);
}

/* A span with its direction before or behind it; without one it is past. */
static int when_parse_span(struct when *w, int64_t *ret_ns)
{
	char text[WHEN_MAX_BYTES];
	size_t n = strlen(w->p);
	bool sign = *w->p == '-' || *w->p == '+', forward = *w->p == '+';
	uint64_t span;
	int64_t ns;
	int r;

	memcpy(text, w->p + sign, n + 1 - sign);
	n -= sign;
	if (!sign && n > 4 && strcasecmp(text + n - 4, " ago") == 0) {
		text[n - 4] = '\0';
	} else if (!sign && n > 5 && strcasecmp(text + n - 5, " left") == 0) {
		text[n - 5] = '\0';
		forward = true;
	}

	/* seconds since 1970 without their @, or a clock time with a point */
	if (text[strspn(text, "0123456789.")] == '\0' &&
	    (strchr(text, '.') || strlen(text) >= WHEN_STAMP_BYTES))
		return -EINVAL;
	r = text_parse_span_ns(text, &span);
	if (r < 0)
		return r;
	if (span > INT64_MAX)
		return -ERANGE;
	if (forward ? __builtin_add_overflow(w->now_ns, (int64_t)span, &ns)
		    : __builtin_sub_overflow(w->now_ns, (int64_t)span, &ns) || ns < 0)
		return -ERANGE;
	*ret_ns = ns;
	return 0;
}

static int when_parse_clock(struct when *w, int64_t *ret_ns)
{
	struct when_clock c;
	struct tm tm;
	int r;

	if (!when_clock(w, &c) || *w->p)
		return -EINVAL;
	when_day(w->utc, w->now_ns, 0, &tm);
	r = when_at(w->utc, tm, &c, ret_ns);
	if (r == 0 && *ret_ns > w->now_ns) {
		tm.tm_mday--;
		r = when_at(w->utc, tm, &c, ret_ns);
	}
	return r;
}

static int when_parse_named_day(struct when *w, int days, int64_t *ret_ns)
{
	struct when_clock c;
	struct tm tm;

	if (!when_optional_clock(w, &c))
		return -EINVAL;
	when_day(w->utc, w->now_ns, days, &tm);
	return when_at(w->utc, tm, &c, ret_ns);
}

static int when_parse_words(struct when *w, int64_t *ret_ns, enum when_kind *ret_kind)
{
	static const struct {
		const char *name;
		int days;
	} days[] = { { "today", 0 }, { "yesterday", -1 }, { "tomorrow", 1 } };
	struct when clock = *w;
	struct when_clock c;
	struct tm tm;
	int weekday, month;

	for (size_t i = 0; i < ARRAY_SIZE(days); i++)
		if (when_word(w, days[i].name))
			return when_parse_named_day(w, days[i].days, ret_ns);

	weekday = when_weekday(w);
	if (when_date(w, &tm))
		return when_parse_date(w, tm, weekday, ret_ns);
	if (weekday >= 0)
		return when_parse_weekday(w, weekday, ret_ns);
	month = when_month(w);
	if (month >= 0)
		return when_parse_month(w, month, ret_ns);
	if (when_clock(&clock, &c)) {
		*ret_kind = w->utc ? WHEN_CLOCK_UTC : WHEN_CLOCK;
		return when_parse_clock(w, ret_ns);
	}

	/* what follows is the same in any zone */
	if (w->utc)
		return -EINVAL;
	if (strcasecmp(w->p, "now") == 0) {
		*ret_ns = w->now_ns;
		return 0;
	}
	if (when_char(w, '@'))
		return when_parse_unix(w, ret_ns);
	return when_parse_span(w, ret_ns);
}

int when_parse(const char *s, int64_t now_ns, int64_t *ret_ns, enum when_kind *ret_kind)
{
	enum when_kind kind = WHEN_POINT;
	char text[WHEN_MAX_BYTES];
	struct when w = { .p = text, .now_ns = now_ns };
	size_t n = 0;
	int64_t ns;
	int r;

	/* one blank between words, none around them */
	for (s += strspn(s, " \t"); *s; s++) {
		bool blank = *s == ' ' || *s == '\t';

		if (blank && (!s[1] || s[1] == ' ' || s[1] == '\t'))
			continue;
		if (n + 1 == sizeof(text))
			return -EINVAL;
		text[n++] = blank ? ' ' : *s;
	}
	text[n] = '\0';
	if (n > 4 && strcasecmp(text + n - 4, " utc") == 0) {
		text[n - 4] = '\0';
		w.utc = true;
	}

	r = when_parse_words(&w, &ns, &kind);
	if (r < 0)
		return r;
	*ret_ns = ns;
	if (ret_kind)
		*ret_kind = kind;
	return 0;
}

int64_t when_clock_after(int64_t clock_ns, enum when_kind kind, int64_t after_ns)
{
	int64_t fraction = clock_ns % (int64_t)NSEC_PER_SEC, ns;
	bool utc = kind == WHEN_CLOCK_UTC;
	struct when_clock c;
	struct tm clock, day;

	when_day(utc, clock_ns, 0, &clock);
	c = (struct when_clock){ clock.tm_hour, clock.tm_min, clock.tm_sec, fraction };
	when_day(utc, after_ns, 0, &day);
	for (int i = 0; i < 3; i++, day.tm_mday++)
		if (when_at(utc, day, &c, &ns) == 0 && ns > after_ns)
			return ns;
	return after_ns;
}

char *when_rfc3339(char s[WHEN_TEXT_BYTES], int64_t ns)
{
	time_t t = (time_t)(ns / (int64_t)NSEC_PER_SEC);
	int fraction = (int)(ns % (int64_t)NSEC_PER_SEC);
	char stamp[32];
	struct tm tm;

	if (ns < 0)
		t = fraction = 0;
	gmtime_r(&t, &tm);
	strftime(stamp, sizeof(stamp), "%Y-%m-%dT%H:%M:%S", &tm);
	if (fraction)
		snprintf(s, WHEN_TEXT_BYTES, "%s.%09dZ", stamp, fraction);
	else
		snprintf(s, WHEN_TEXT_BYTES, "%sZ", stamp);
	return s;
}
