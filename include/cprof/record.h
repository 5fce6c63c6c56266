/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause OR Apache-2.0 */
#pragma once

/*
 * The record that the BPF program writes into its ring for one sample, and the small maps that
 * the daemon uses to tell it what to sample. Everything here is shared by the kernel side (bpf/)
 * and user space; every struct has an asserted size and no padding.
 *
 * A record is variable-size:
 *
 *	struct cprof_sample				fixed header
 *	__u64 frames[n_kernel]				kernel instruction pointers, leaf first, raw
 *	__u64 frames[n_user]				user instruction pointers, leaf first, raw
 *	struct cprof_stack				only with CPROF_SAMPLE_STACK
 *	__u8 stack[stack_bytes]				only with CPROF_SAMPLE_STACK: memory, as it says
 *
 * frames[0] of each part is the sampled instruction or, for user frames below a system call, the
 * return address of the syscall instruction (flag CPROF_SAMPLE_SYSCALL); every further entry is a
 * return address. Nobody has subtracted anything yet.
 *
 * With CPROF_SAMPLE_STACK the walk stopped where a table was missing. cprof_stack.regs holds the
 * registers of the frame to continue from, whose instruction pointer is also the last of the user frames.
 */

#ifndef __VMLINUX_H__
#include <linux/types.h>
#endif

#define CPROF_COMM_LEN          16
#define CPROF_MAX_KERNEL_FRAMES 128
/* Of the user stack. A stack that is deeper ends as CPROF_END_DEPTH. */
#define CPROF_MAX_USER_FRAMES 1024
/* Of a stack copy: where its end is not known, and where it is. */
#define CPROF_BLIND_STACK_BYTES (32 * 1024)
#define CPROF_MAX_STACK_BYTES   (128 * 1024)
/* Sessions (captures and the continuous window) that run at once: bits of cprof_sample.sessions. */
#define CPROF_MAX_SESSIONS  128
#define CPROF_SESSION_WORDS (CPROF_MAX_SESSIONS / 64)
/* Sampling rates that run at once; a clock is a rate. */
#define CPROF_MAX_CLOCKS 16

/* How the user side of a stack ended. The order is part of the status document; append only. */
enum cprof_end {
	CPROF_END_COMPLETE = 0,       /* a known root was reached */
	CPROF_END_KTHREAD = 1,        /* no user side: kernel thread */
	CPROF_END_EXEC = 2,           /* no user side: inside execve */
	CPROF_END_EXIT = 3,           /* no user side: memory already dropped */
	CPROF_END_NO_UNWIND_INFO = 4, /* truncated, from here on */
	CPROF_END_UNREADABLE = 5,
	CPROF_END_DEPTH = 6,
	CPROF_END_BROKEN_CFI = 7,
	CPROF_END_JIT = 8,
	CPROF_END_32BIT = 9,
	CPROF_END_BUDGET = 10,     /* a stack copy was due, its rate limit or size cut it off */
	CPROF_END_NEED_TABLE = 11, /* not an end: to be finished in user space */
	CPROF_END_MAX
};

enum cprof_sample_flags {
	CPROF_SAMPLE_STACK = 1 << 0,   /* registers and a stack copy follow the frames */
	CPROF_SAMPLE_SYSCALL = 1 << 1, /* user frames[0] is a return address */
	CPROF_SAMPLE_OWNABLE =
		1 << 2, /* r/e/s uid are equal, r/e/s gid are equal, memory dumpable */
	CPROF_SAMPLE_KERNEL_CUT = 1 << 3, /* the kernel stack was deeper than the buffer */
	CPROF_SAMPLE_STACK_CUT = 1 << 4,  /* the stack copy does not reach the stack's end */
};

struct cprof_regs {
	__u64 r[16]; /* DWARF order: rax rdx rcx rbx rsi rdi rbp rsp r8..r15 */
	__u64 ip;
	__u64 valid; /* bit i: r[i] is known; and CPROF_REGS_EXACT */
};
/* In cprof_regs.valid: ip is the instruction itself (the sampled one, or one that a signal
 * interrupted), not a return address. */
#define CPROF_REGS_EXACT (1ULL << 16)
_Static_assert(sizeof(struct cprof_regs) == 144, "shared layout");

/* Where the stack copy begins: CFI goes on naming the slots of registers that an epilogue has popped
 * already, and leaf functions save some there. They lie in the red zone of 128 bytes below rsp. The
 * page below that of rsp may never have been touched: then there are zeros. */
#define CPROF_RED_ZONE_BYTES 128
static inline __u64 cprof_stack_start(__u64 sp)
{
	return (sp & ~7ULL) - CPROF_RED_ZONE_BYTES;
}

/* Before a stack copy: own_bytes of it are memory upward from cprof_stack_start(regs.sp). What is left is
 * of another stack, or of the beginning of this one, where the walk comes to from there: upward from
 * other_start. */
struct cprof_stack {
	struct cprof_regs regs;
	__u64 own_bytes;
	__u64 other_start;
};
_Static_assert(sizeof(struct cprof_stack) == 160, "shared layout");

struct cprof_sample {
	__u32 record_bytes; /* all of it */
	__u8 end;           /* enum cprof_end */
	__u8 clock;         /* index of the clock it came from */
	__u16 flags;        /* enum cprof_sample_flags */
	__u16 n_kernel;
	__u16 n_user;
	__u32 stack_bytes;
	__u64 time_ns;   /* CLOCK_MONOTONIC */
	__u64 period_ns; /* CPU time that this tick stands for: about 1e9 / hz */
	__u64 sessions[CPROF_SESSION_WORDS];
	__u64 cgroup_id; /* v2; the inode of its folder */
	__u64 start_ns; /* of the thread group leader, CLOCK_BOOTTIME: with pid, one life of a pid */
	__u64 exec_id;  /* task->self_exec_id: with the above, one program image */
	__u32 cpu;
	__u32 pid, tid;       /* in the daemon's pid namespace; 0 where the task has none there */
	__u32 ns_pid, ns_tid; /* in the task's innermost one */
	__u32 space;          /* address space the walk used, 0 none yet */
	__u32 uid, gid;       /* real, in the initial user namespace */
	char comm[CPROF_COMM_LEN];   /* of the leader */
	char thread[CPROF_COMM_LEN]; /* of the thread */
};
_Static_assert(sizeof(struct cprof_sample) == 136, "shared layout");
