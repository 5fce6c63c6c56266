/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#pragma once

/*
 * All maps of the program. Sizes of 1 are set by the loader. What user space reads or writes often
 * is BPF_F_MMAPABLE (include/cprof/control.h says why).
 */

#include "types.h"
#include <bpf/bpf_helpers.h>

#include "cprof/control.h"
#include "cprof/unwind.h"
#include "scratch.h"

/* Clocks, sessions, limits. Written by user space. */
struct cprof_control control;

/* The daemon's own pid namespace: the inode of /proc/self/ns/pid. */
const volatile __u32 own_pid_ns = 0;
/* It is the initial one: pids need no translation. */
const volatile bool own_pid_ns_is_initial = true;

/* 0 → cprof_walk_tails, which calls itself through it. Written once, by the loader; only there where
 * the kernel has no bpf_loop(). */
struct {
	__uint(type, BPF_MAP_TYPE_PROG_ARRAY);
	__uint(max_entries, 1);
	__uint(key_size, sizeof(__u32));
	__uint(value_size, sizeof(__u32));
} tails SEC(".maps");

/* Finished records. Written here, drained by user space on a timer. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 4096);
} ring SEC(".maps");

/* cpu → working memory. Only that CPU touches it. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct walk_env);
} scratch SEC(".maps");

/* cpu → counters. Written by that CPU, read by user space. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct cprof_cpu_stats);
} stats SEC(".maps");

/* tgid in the daemon's pid namespace → sessions. User space adds targets, the fork hook their
 * children. An entry goes when the process does; a full map refuses (counted as internal). */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, CPROF_MAX_PID_TARGETS);
	__type(key, __u32);
	__type(value, struct cprof_mask);
} pid_targets SEC(".maps");

/* command name of the leader → sessions. Written and emptied by user space. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, CPROF_MAX_COMM_TARGETS);
	__type(key, struct cprof_comm);
	__type(value, struct cprof_mask);
} comm_targets SEC(".maps");

/* cgroup v2 id → sessions; holds for everything below. Written and emptied by user space. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, CPROF_MAX_CGROUP_TARGETS);
	__type(key, __u64);
	__type(value, struct cprof_mask);
} cgroup_targets SEC(".maps");

/* tgid in the daemon's pid namespace → address space, valid for one program image. Written by user
 * space after the image's first sample, by the fork hook for children; gone with the process. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, CPROF_MAX_PROCESSES);
	__type(key, __u32);
	__type(value, struct cprof_process);
} processes SEC(".maps");

/* 64 KiB of a space → what is mapped there. Written by user space, read here. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__uint(max_entries, CPROF_MAX_MAPPINGS);
	__type(key, struct cprof_mapping_key);
	__type(value, struct cprof_mapping_value);
} mappings SEC(".maps");

struct table_block {
	__u8 bytes[CPROF_PAGE_SIZE];
};

/* slot → a file's unwind table (include/cprof/unwind.h). Written by user space through memory. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY_OF_MAPS);
	__uint(max_entries, CPROF_MAX_TABLES);
	__type(key, __u32);
	__array(
		values, struct {
			__uint(type, BPF_MAP_TYPE_ARRAY);
			__uint(map_flags, BPF_F_INNER_MAP | BPF_F_MMAPABLE);
			__uint(max_entries, 1);
			__uint(key_size, 4);
			__uint(value_size, CPROF_PAGE_SIZE);
		});
} tables SEC(".maps");

/* slot → shape of its table. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, CPROF_MAX_TABLES);
	__type(key, __u32);
	__type(value, struct cprof_slot_info);
} slots SEC(".maps");

/* index → a rule that does not fit into its row, for all files together. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(map_flags, BPF_F_MMAPABLE);
	__uint(max_entries, CPROF_MAX_RULES);
	__type(key, __u32);
	__type(value, struct cprof_rule);
} rules SEC(".maps");
