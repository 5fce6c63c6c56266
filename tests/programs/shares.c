/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Three functions that use 60, 30 and 10 % of the time: usage: shares SECONDS [CYCLE_MS]. One turn
 * through the three takes CYCLE_MS of CPU time, calibrated at the start. One that is near a third of a
 * clock's period (about 20 ms) stays in step with it for the seconds of a short capture; 47 does not.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

static volatile uint64_t sink;

#define WORK(n)                            \
	for (uint64_t i = 0; i < (n); i++) \
	sink += i ^ sink

__attribute__((noinline)) void sixty(uint64_t n)
{
	WORK(n * 6);
}

__attribute__((noinline)) void thirty(uint64_t n)
{
	WORK(n * 3);
}

__attribute__((noinline)) void ten(uint64_t n)
{
	WORK(n);
}

static double now(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

int main(int argc, char **argv)
{
	double seconds = argc > 1 ? atof(argv[1]) : 5,
	       cycle = (argc > 2 ? atof(argv[2]) : 20) / 1000, begin = now();
	uint64_t n = 1 << 20;

	sixty(n);
	thirty(n);
	ten(n);
	n = (uint64_t)((double)n * cycle / (now() - begin));
	while (now() - begin < seconds) {
		sixty(n);
		thirty(n);
		ten(n);
	}
	return 0;
}
