/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The kernel side, seen from user space: the BPF program, its perf events, targets and ring.
 *
 * A clock is a sampling rate: two cpu-clock events per online CPU, at half the rate each, one a
 * little slow and one a little fast, the pair redrawn every few seconds (DESIGN.md section 3). A
 * session slot is a bit in cprof_sample.sessions: it is bound to one clock and has targets, which
 * BPF matches and inherits to children. Records leave through the callback, in ring order, whenever
 * sampler_drain() is called: by the owner, on its timer, and soon after it was woken.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "cprof/record.h"

struct sampler;

enum target_kind {
	TARGET_ALL,
	TARGET_PID,    /* thread group, in the daemon's pid namespace */
	TARGET_COMM,   /* command name of the leader, exact, 15 bytes */
	TARGET_CGROUP, /* v2 cgroup id; holds for everything below it */
};

struct target {
	enum target_kind kind;
	uint32_t pid;
	char comm[CPROF_COMM_LEN];
	uint64_t cgroup_id;
};

/* One raw record; points into the ring, valid during the call. */
typedef void (*sampler_record_t)(void *arg, const struct cprof_sample *record);

struct sampler_options {
	unsigned ring_bytes; /* power of two */
	/* Walk stacks as on kernels without bpf_loop() (before 5.17) also where there is one. */
	bool tail_calls;
	sampler_record_t record;
	/* There is something in the ring that should not wait. May be NULL. */
	void (*wake)(void *arg);
	void *arg;
};

/* The reasons for which no sampler can be had, for a message that says what to do. */
enum sampler_problem {
	SAMPLER_OK = 0,
	SAMPLER_NO_PERMISSION, /* lacks CAP_BPF or CAP_PERFMON */
	SAMPLER_NO_BTF,
	SAMPLER_NO_BPF,
	SAMPLER_LOCKDOWN,
	SAMPLER_PARANOID, /* perf_event_paranoid keeps perf_event_open out */
	SAMPLER_VERIFIER, /* the kernel refused the program; the log's end is in ret_detail */
	SAMPLER_OTHER,
};

int sampler_new(struct sampler **ret, sd_event *event, const struct sampler_options *options,
		enum sampler_problem *ret_problem, char **ret_detail);
struct sampler *sampler_free(struct sampler *s);
/* Stacks are walked by tail calls. */
bool sampler_tail_calls(const struct sampler *s);

/* 1..10,000 and within kernel.perf_event_max_sample_rate: else -ERANGE, -E2BIG; -EBUSY no slot. */
int sampler_session_open(struct sampler *s, unsigned hz, bool children, unsigned *ret_slot,
			 unsigned *ret_clock);
int sampler_session_close(struct sampler *s, unsigned slot);
/* Adds a target. A pid's descendants that live already are added by the sampler as well, when the
 * session has children. */
int sampler_session_target(struct sampler *s, unsigned slot, const struct target *target);
int sampler_session_untarget(struct sampler *s, unsigned slot, const struct target *target);

/* Hands every finished record to the callback. Everything that was sampled before
 * CLOCK_MONOTONIC *ret_until_ns has been handed over when it returns. */
int sampler_drain(struct sampler *s, uint64_t *ret_until_ns);

/* Losses, summed over CPUs. Names as in the status document. Per clock where clock >= 0. */
struct sampler_stats {
	uint64_t taken; /* records written */
	uint64_t lost_ring_full;
	uint64_t lost_missed_tick; /* the kernel skipped the program, by the gap of the counter */
	uint64_t lost_nested;      /* scratch record in use by an interrupted run */
	uint64_t lost_internal;    /* map lookups that cannot fail, did */
	uint64_t idle, filtered;   /* ticks that were nobody's: not losses */
	uint64_t truncated[CPROF_END_MAX];
	uint64_t stack_copies;     /* records with CPROF_SAMPLE_STACK */
	uint64_t bpf_ns, bpf_runs; /* time in the programs, measured there */
	uint64_t map_bytes;        /* memory of all BPF maps */
	uint64_t cpus;             /* that have events */
};
void sampler_stats(struct sampler *s, int clock, struct sampler_stats *ret);

/*
 * Unwind tables in the kernel: written by daemon/unwind and daemon/tracking. All are checked by
 * the caller; a wrong table yields wrong stacks, never a crash.
 */

/* Puts a blob (header included, checked) in a slot; rows that index file rules get global ones.
 * Loading is done in chunks so that no CPU's ticks are skipped for long. -ENOSPC: no rules left. */
int sampler_table_load(struct sampler *s, unsigned slot, const void *blob, size_t blob_bytes);
int sampler_table_unload(struct sampler *s, unsigned slot);
/* Kernel memory that a table of this many pages and blocks takes. */
uint64_t sampler_table_bytes(uint32_t n_pages, uint32_t n_blocks);

/* Binds a program image (pid, start_ns, exec_id) to a space; space 0 unbinds. */
int sampler_process_set(struct sampler *s, uint32_t pid, uint64_t start_ns, uint64_t exec_id,
			uint32_t space, uint32_t generation);
struct sampler_mapping {
	uint64_t start, limit;
	uint64_t bias;
	uint32_t slot;
};
/* Adds or replaces the entries of a range in a space; -ENOSPC when the space or the map is full
 * (max 16,384 entries a space). Ranges of one space added earlier that overlap are replaced. */
int sampler_mapping_add(struct sampler *s, uint32_t space, const struct sampler_mapping *mapping);
int sampler_space_delete(struct sampler *s, uint32_t space);
