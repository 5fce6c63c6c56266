/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause OR Apache-2.0 */
#pragma once

/*
 * What the BPF program and its loader (daemon/sampling) share beside records and unwind tables:
 * clocks, targets, counters. Everything that user space writes often or reads often lies in
 * memory that both map, because the kernel skips perf_event programs on a CPU while that CPU is in
 * a bpf() map call.
 */

#include "cprof/record.h"

/* Named maxima of the maps. What does not fit is refused to the caller or counted. */
#define CPROF_MAX_PID_TARGETS    32768 /* inherited children included */
#define CPROF_MAX_COMM_TARGETS   1024
#define CPROF_MAX_CGROUP_TARGETS 4096
#define CPROF_MAX_PROCESSES      32768
#define CPROF_MAX_MAPPINGS       131072 /* of 64 KiB each, all spaces together */
/* cgroup v2 levels that are looked up towards the root */
#define CPROF_MAX_CGROUP_LEVELS 16
/* The fastest clock; the same as the API takes. */
#define CPROF_MAX_RATE_HZ 10000

#define CPROF_EVENTS_PER_CLOCK 2
/* The cookie of an event: clock index * CPROF_EVENTS_PER_CLOCK + event index */

struct cprof_event {
	__u64 period_ns; /* between two ticks */
	__u64 weight_ns; /* CPU time that a tick stands for; see daemon/sampling/clocks.c */
	/* Odd while periods are being changed. Ticks of different epochs are not compared. */
	__u64 epoch;
};

struct cprof_clock {
	__u64 sessions[CPROF_SESSION_WORDS]; /* that are bound to it */
	__u64 all[CPROF_SESSION_WORDS];      /* of these, the ones that take everything */
	struct cprof_event event[CPROF_EVENTS_PER_CLOCK];
};
_Static_assert(sizeof(struct cprof_clock) == 80, "shared layout");

/* Sessions that a key (tgid, comm, cgroup id) belongs to. */
struct cprof_mask {
	__u64 sessions[CPROF_SESSION_WORDS];
	__u32 exited; /* the process has; the entry goes when the kernel lets go of its pid */
	__u32 reserved;
};
_Static_assert(sizeof(struct cprof_mask) == 24, "shared layout");

struct cprof_comm {
	char comm[CPROF_COMM_LEN];
};

struct cprof_control {
	struct cprof_clock clocks[CPROF_MAX_CLOCKS];
	__u64 children[CPROF_SESSION_WORDS]; /* sessions whose targets' children are taken, too */
	/* How many targets of a kind there are: a lookup is only made where there is one. */
	__u32 n_pids, n_comms, n_cgroups;
	/* Part of the key of cached rules: changed when indices of global rules are given anew. */
	__u32 rules_epoch;
	__u64 copy_interval_ns; /* stack copies a CPU: one in this time, */
	__u64 copy_burst_ns;    /* and as many at once as fit into this */
};

/* Counters of one CPU. Only that CPU writes, user space reads. */
struct cprof_clock_stats {
	__u64 taken;
	__u64 ring_full;
	__u64 missed_tick;
	__u64 idle;
	__u64 filtered;
	__u64 stack_copies;
	__u64 truncated[CPROF_END_MAX];
};

struct cprof_cpu_stats {
	/* A program runs: the time it started, or 1 while it has not looked at the clock yet. */
	__u64 active;
	__u64 nested;
	__u64 internal; /* map lookups that cannot fail, did; a table of targets was full */
	__u64 bpf_ns;
	__u64 bpf_runs;
	__u64 cache_hits, cache_misses; /* of the rule cache */
	struct cprof_clock_stats clock[CPROF_MAX_CLOCKS];
};

/* Of a slot of unwind tables; n_pages 0: none loaded. */
struct cprof_slot_info {
	__u64 base; /* link-time address of page 0 */
	__u32 n_pages;
	__u32 page_blocks; /* values of the inner map that hold pages, before the row blocks */
	__u32 n_blocks;
	__u32 reserved;
};
_Static_assert(sizeof(struct cprof_slot_info) == 24, "shared layout");
