/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What /proc says of a process now: for processes that ran before the side-band was opened, and to
 * repair what a LOST record left out.
 */

#include "buf.h"
#include "mapset.h"
#include "stat.h"

#define PROCFS_MAX_CGROUP_BYTES (64U * 1024)
#define PROCFS_MAX_MAPS_BYTES   (16U << 20)

/* Appends the whole of /proc/PID/NAME. -ESRCH when the process is gone. */
int procfs_read(uint32_t pid, const char *name, struct buf *out);

int procfs_stat(uint32_t pid, struct proc_stat *ret);
/* Its times, CLOCK_BOOTTIME, to nanoseconds. */
uint64_t procfs_ticks_to_ns(uint64_t ticks);

/* The executable mappings. exe is the source of /proc/PID/exe among them, a reference, or NULL. */
int procfs_maps(uint32_t pid, struct sources *sources, struct mapset **ret,
		struct source **ret_exe);

/* The source that a mapping's name and inode ask for, a reference: *ret NULL when it is of no
 * interest ([vsyscall]). The names are those of /proc/PID/maps and of perf. */
int procfs_source(struct sources *sources, const struct source_key *key, uint64_t generation,
		  const char *path, struct source **ret);

/* Calls for each process that there is. */
int procfs_each(int (*fn)(void *arg, uint32_t pid), void *arg);
