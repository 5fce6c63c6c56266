/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Wakes every PERIOD_MS on the clock's grid and burns BURN_MS of CPU each time: the program that a
 * sampler on a round period misses or doubles. usage: wake SECONDS PERIOD_MS BURN_MS
 */
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

static volatile uint64_t sink;

static uint64_t now_ns(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (uint64_t)ts.tv_sec * 1000000000ULL + (uint64_t)ts.tv_nsec;
}

__attribute__((noinline)) void burn(uint64_t ns)
{
	uint64_t end = now_ns(CLOCK_THREAD_CPUTIME_ID) + ns;

	while (now_ns(CLOCK_THREAD_CPUTIME_ID) < end)
		for (int i = 0; i < 2000; i++)
			sink += (uint64_t)i;
}

int main(int argc, char **argv)
{
	if (argc < 4)
		return 2;

	uint64_t period = (uint64_t)(atof(argv[2]) * 1e6), spend = (uint64_t)(atof(argv[3]) * 1e6);
	uint64_t at = now_ns(CLOCK_MONOTONIC) / period * period,
		 end = at + (uint64_t)(atof(argv[1]) * 1e9);

	for (at += period; at < end; at += period) {
		struct timespec ts = { .tv_sec = (time_t)(at / 1000000000ULL),
				       .tv_nsec = (long)(at % 1000000000ULL) };

		clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &ts, NULL);
		burn(spend);
	}
	return 0;
}
