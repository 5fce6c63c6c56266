/* SPDX-License-Identifier: Apache-2.0 */
#include "human.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "cleanup.h"

void human_count(char *s, size_t size, uint64_t v)
{
	char digits[24];
	size_t n = (size_t)snprintf(digits, sizeof(digits), "%" PRIu64, v), o = 0;

	for (size_t i = 0; i < n && o + 2 < size; i++) {
		if (i > 0 && (n - i) % 3 == 0)
			s[o++] = ',';
		s[o++] = digits[i];
	}
	s[o] = '\0';
}

void human_seconds(char *s, size_t size, double seconds)
{
	uint64_t whole = seconds > 0 ? (uint64_t)(seconds + 0.5) : 0;

	if (seconds < 1)
		snprintf(s, size, "%.2g s", seconds > 0 ? seconds : 0);
	else if (seconds < 9.95)
		snprintf(s, size, "%.1f s", seconds);
	else if (seconds < 119.5)
		snprintf(s, size, "%.*f s",
			 seconds - (double)whole > 0.05 || (double)whole - seconds > 0.05, seconds);
	else if (whole < 3600)
		snprintf(s, size, "%" PRIu64 " min %" PRIu64 " s", whole / 60, whole % 60);
	else
		snprintf(s, size, "%" PRIu64 " h %" PRIu64 " min", whole / 3600, whole % 3600 / 60);
}

void human_bytes(char *s, size_t size, double bytes)
{
	static const char *const units[] = { "B", "KiB", "MiB", "GiB", "TiB" };
	size_t i = 0;

	while (bytes >= 1024 && i + 1 < sizeof(units) / sizeof(units[0])) {
		bytes /= 1024;
		i++;
	}
	snprintf(s, size, "%.*f %s", i > 0 && bytes < 100, bytes, units[i]);
}

char *human_time(char s[HUMAN_TIME_BYTES], int64_t ns)
{
	time_t t = (time_t)(ns / (int64_t)NSEC_PER_SEC);
	struct tm tm;

	localtime_r(&t, &tm);
	strftime(s, HUMAN_TIME_BYTES, "%Y-%m-%d %H:%M:%S", &tm);
	return s;
}
