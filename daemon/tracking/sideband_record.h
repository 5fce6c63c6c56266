/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * perf's side-band records, read from bytes (perf_event_open(2), "Reading results"): MMAP2, COMM,
 * FORK, EXIT, CGROUP and LOST, each followed by the sample_id that sample_id_all adds. The layout
 * is that of events opened with SIDEBAND_SAMPLE_TYPE.
 */

#include <linux/perf_event.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SIDEBAND_SAMPLE_TYPE (PERF_SAMPLE_TID | PERF_SAMPLE_TIME | PERF_SAMPLE_CPU)
#define SIDEBAND_COMM_BYTES  64
#define SIDEBAND_PATH_BYTES  4096

enum sideband_kind {
	SIDEBAND_MMAP,   /* executable memory was mapped, or made executable */
	SIDEBAND_COMM,   /* exec: the task became another program */
	SIDEBAND_FORK,   /* pid == ppid: a thread, else a process */
	SIDEBAND_EXIT,   /* of one thread */
	SIDEBAND_CGROUP, /* a cgroup was made */
	SIDEBAND_LOST,   /* the ring was full; of whom the records were is not known */
};

struct sideband_event {
	enum sideband_kind kind;
	uint64_t time_ns;              /* CLOCK_MONOTONIC */
	uint32_t pid, tid;             /* in the pid namespace of whoever opened the event */
	uint32_t ppid;                 /* FORK, EXIT */
	bool exec;                     /* COMM */
	uint64_t start, limit, offset; /* MMAP */
	uint32_t major, minor;         /* MMAP */
	uint64_t inode, generation;    /* MMAP; inode 0: no file */
	uint64_t cgroup_id;            /* CGROUP */
	uint64_t lost;                 /* LOST: how many records */
	const char *text; /* MMAP, CGROUP: path; COMM: name; NUL-terminated, inside the record */
};

/* record: one whole record of header.size bytes, 8-byte aligned. 1 when *ret is set, 0 for a kind
 * that is none of ours, -EBADMSG when it does not hold what its kind must. */
int sideband_parse(const void *record, size_t size, struct sideband_event *ret);
