/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Short-lived processes, back to back: usage: forks COUNT BURN_MS [PROGRAM]. Each child burns
 * BURN_MS of CPU time in a function of its own, after exec of PROGRAM (called as PROGRAM -
 * BURN_MS) where one is given. Prints the CPU time of all children in seconds.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static volatile uint64_t sink;

static double cpu(clockid_t clock)
{
	struct timespec ts;

	clock_gettime(clock, &ts);
	return (double)ts.tv_sec + (double)ts.tv_nsec / 1e9;
}

__attribute__((noinline)) void child_work(double ms)
{
	/* what exec and the loader used is part of the child's life */
	while (cpu(CLOCK_PROCESS_CPUTIME_ID) * 1000 < ms)
		for (int i = 0; i < 1000; i++)
			sink += (uint64_t)i;
}

int main(int argc, char **argv)
{
	struct rusage usage;

	if (argc == 3 && strcmp(argv[1], "-") == 0) {
		child_work(atof(argv[2]));
		return 0;
	}
	if (argc < 3)
		return 2;

	for (int i = 0; i < atoi(argv[1]); i++) {
		pid_t pid = fork();

		if (pid == 0) {
			if (argc > 3)
				execl(argv[3], argv[3], "-", argv[2], (char *)NULL);
			else
				child_work(atof(argv[2]));
			_exit(0);
		}
		waitpid(pid, NULL, 0);
	}
	getrusage(RUSAGE_CHILDREN, &usage);
	printf("%.6f\n", (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
				 (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
	return 0;
}
