/* SPDX-License-Identifier: Apache-2.0 */
/*
 * usage: measure RUNS INPUT OUTPUT COMMAND [ARG...]
 *
 * Runs a command with its standard input and output redirected, and prints "CPU_SECONDS PEAK_KIB": user and
 * system time of the whole tree of processes, the least of all runs; resident memory of the whole tree
 * at one moment, the most of all runs. Pages that several processes share are counted several times.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static long tree_kib(int pid)
{
	char path[64];
	long total, resident = 0;
	int child;
	FILE *f;

	snprintf(path, sizeof(path), "/proc/%d/statm", pid);
	f = fopen(path, "re");
	if (!f)
		return 0;
	if (fscanf(f, "%ld %ld", &total, &resident) != 2)
		resident = 0;
	fclose(f);
	resident *= sysconf(_SC_PAGESIZE) / 1024;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/children", pid, pid);
	f = fopen(path, "re");
	while (f && fscanf(f, "%d", &child) == 1)
		resident += tree_kib(child);
	if (f)
		fclose(f);
	return resident;
}

static double run(char **argv, long *peak)
{
	struct rusage usage;
	int status, fd;
	pid_t pid = fork();

	if (pid == 0) {
		fd = open(argv[2], O_RDONLY);
		if (fd < 0 || dup2(fd, 0) < 0)
			_exit(126);
		fd = open(argv[3], O_WRONLY | O_CREAT | O_TRUNC, 0644);
		if (fd < 0 || dup2(fd, 1) < 0)
			_exit(126);
		execvp(argv[4], argv + 4);
		_exit(127);
	}
	while (wait4(pid, &status, WNOHANG, &usage) == 0) {
		long now = tree_kib(pid);

		if (now > *peak)
			*peak = now;
		nanosleep(&(struct timespec){ .tv_nsec = 1000000 }, NULL);
	}
	if (usage.ru_maxrss > *peak)
		*peak = usage.ru_maxrss;
	if (status != 0) {
		fprintf(stderr, "measure: %s failed\n", argv[4]);
		exit(1);
	}
	return (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
	       (double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6;
}

int main(int argc, char **argv)
{
	double least = 1e9;
	long peak = 0;

	if (argc < 5)
		return 2;
	for (int i = 0; i < atoi(argv[1]); i++) {
		double seconds = run(argv, &peak);

		if (seconds < least)
			least = seconds;
	}
	printf("%.4f %ld\n", least, peak);
	return 0;
}
