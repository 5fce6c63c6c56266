/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * /proc/PID/stat, as proc_pid_stat(5) documents it. The command name may hold anything, parentheses
 * and newlines included: it lies between the first '(' and the last ')'.
 */

#include <stddef.h>
#include <stdint.h>

#define STAT_COMM_BYTES 64 /* of kernel threads and io workers the kernel shows more than 15 */

struct proc_stat {
	uint32_t pid;
	char comm[STAT_COMM_BYTES]; /* raw bytes, NUL-terminated, cut to fit */
	char state;                 /* R S D Z T t X I ... */
	uint32_t ppid;
	uint64_t utime_ticks, stime_ticks; /* sysconf(_SC_CLK_TCK) a second */
	uint64_t n_threads;
	uint64_t start_ticks; /* since boot, CLOCK_BOOTTIME */
	uint64_t flags;       /* PF_*; 0x200000 is a kernel thread */
};

#define STAT_FLAG_KTHREAD 0x00200000ULL

/* -EBADMSG, *ret untouched, when the text is none. */
int stat_parse(const char *text, size_t size, struct proc_stat *ret);
