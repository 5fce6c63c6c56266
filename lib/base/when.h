/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Points in time as people write them, in local time ($TZ), or in UTC where " UTC" ends those of the first five
 * lines:
 *
 *	now  today  yesterday  tomorrow			the days: at 00:00
 *	14:00  14:00:30.5				today
 *	today 14:00  yesterday 02:00  Mon 14:00		also "today at 14:00"; the last Monday that has come
 *	2026-11-23  2026-11-23 14:00[:30[.5]]		also "Mon 2026-11-23 ...", checked
 *	Nov 23 14:00[:30[.5]]				as log files have it: the last one that has come
 *	2026-11-23T14:00:30.5Z  ...+01:00		RFC 3339; a blank for the T, a missing zone is local
 *	10 min ago  2h  1h 30min ago  -5s  +5s  2h left	from now; a bare span is one that has passed, a bare
 *							number of up to 8 digits seconds of one
 *	@1790000000[.5]					seconds since 1970
 *
 * Unlike systemd's (systemd.time(7)), a clock time without a day (WHEN_CLOCK) that today has yet to see is yesterday's: what is
 * asked for has happened. A time that a change of the clocks leaves out is the one that is read on them
 * then.
 */

#include <stdint.h>

enum when_kind {
	WHEN_POINT,
	WHEN_CLOCK, /* a clock time without a day: see when_clock_after() */
	WHEN_CLOCK_UTC,
};

/*
 * now_ns and the result: nanoseconds since 1970, the result not before that. 0; -EINVAL where s is no time,
 * -ERANGE where it is one that nanoseconds cannot count. ret_kind may be NULL.
 */
int when_parse(const char *s, int64_t now_ns, int64_t *ret_ns, enum when_kind *ret_kind);

/* The first time after after_ns at which clocks of this kind show what they show at clock_ns. */
int64_t when_clock_after(int64_t clock_ns, enum when_kind kind, int64_t after_ns);

#define WHEN_TEXT_BYTES 48

/* RFC 3339 in UTC, to the nanosecond where it has any: "2026-11-23T14:00:30Z". Returns s. */
char *when_rfc3339(char s[WHEN_TEXT_BYTES], int64_t ns);
