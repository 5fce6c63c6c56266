/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
/*
 * The profiler's job done with the kernel's own frame-pointer walk: who runs, bpf_get_stack() and the
 * record into a ring. Times the ticks that hit one program, one by one.
 */
#include "types.h"
#include <bpf/bpf_helpers.h>

#define MAX_FRAMES 1024
#define MAX_TICKS  16384

struct record {
	__u64 time_ns, pid_tgid, uid_gid, cgroup_id;
	char comm[16];
	__u64 n_frames;
	__u64 frames[MAX_FRAMES];
};

struct {
	__u64 n, frames;
	__u32 ns[MAX_TICKS];      /* of a tick, all of it */
	__u32 walk_ns[MAX_TICKS]; /* of it, in bpf_get_stack */
} ticks;

const volatile __u64 target_comm = 0; /* the first eight bytes of the program's name */
const volatile __u64 target_cpu = 0;

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct record);
} records SEC(".maps");

/* Nobody reads it: it holds all records of a run. */
struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, 64 << 20);
} ring SEC(".maps");

char LICENSE[] SEC("license") = "Dual BSD/GPL";

static __always_inline bool is_target(void)
{
	__u64 comm[2] = {};

	/* by name: a pid may be that of another namespace */
	bpf_get_current_comm(comm, sizeof(comm));
	return comm[0] == target_comm && bpf_get_smp_processor_id() == target_cpu;
}

SEC("perf_event")
int fpwalk(struct bpf_perf_event_data *ctx)
{
	__u64 start, walk, walked, at;
	__u32 zero = 0;
	struct record *r = bpf_map_lookup_elem(&records, &zero);
	__u64 bytes;
	long n;

	if (!r || !is_target() || !(ctx->regs.cs & 3))
		return 0;
	start = bpf_ktime_get_ns();
	r->time_ns = start;
	r->pid_tgid = bpf_get_current_pid_tgid();
	r->uid_gid = bpf_get_current_uid_gid();
	r->cgroup_id = bpf_get_current_cgroup_id();
	bpf_get_current_comm(r->comm, sizeof(r->comm));
	walk = bpf_ktime_get_ns();
	n = bpf_get_stack(ctx, r->frames, sizeof(r->frames), 1ULL << 8 /* BPF_F_USER_STACK */);
	walked = bpf_ktime_get_ns();
	if (n < 0 || n > (long)sizeof(r->frames))
		return 0;
	r->n_frames = (__u64)n / 8;
	bytes = sizeof(*r) - sizeof(r->frames) + n;
	bpf_ringbuf_output(&ring, r, bytes, BPF_RB_NO_WAKEUP);
	at = ticks.n;
	if (at >= MAX_TICKS)
		return 0;
	ticks.ns[at] = bpf_ktime_get_ns() - start;
	ticks.walk_ns[at] = walked - walk;
	ticks.frames += r->n_frames;
	ticks.n = at + 1;
	return 0;
}
