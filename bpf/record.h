/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#pragma once

/* Makes a record in the CPU's scratch memory and puts it into the ring. */

#include "gostack.h"
#include "maps.h"
#include "tasks.h"
#include "unwind.h"

#define RECORD_COPY_PAGES (CPROF_MAX_STACK_BYTES / CPROF_PAGE_SIZE + 1)
/* Of a stack that is larger than a copy: so much of its first frames. */
#define RECORD_ROOT_BYTES (16 * 1024)
/* The reader is woken for the first sample of a program, but not more often than this. */
#define RECORD_WAKE_NS (4 * 1000 * 1000ULL)

static __always_inline struct cprof_sample *record_header(struct walk_env *env)
{
	return (struct cprof_sample *)env->words;
}

static __always_inline void record_task(struct walk_env *env, struct task_struct *task,
					struct task_struct *leader)
{
	struct cprof_sample *h = record_header(env);
	const struct cred *cred = task->cred;

	h->cgroup_id = bpf_get_current_cgroup_id();
	h->start_ns = leader->start_boottime;
	h->exec_id = leader->self_exec_id;
	h->pid = task_pid(leader);
	h->tid = task_pid(task);
	h->ns_pid = task_inner_pid(leader);
	h->ns_tid = task_inner_pid(task);
	h->uid = cred->uid.val;
	h->gid = cred->gid.val;
	bpf_probe_read_kernel(h->comm, sizeof(h->comm), leader->comm);
	bpf_probe_read_kernel(h->thread, sizeof(h->thread), task->comm);
	if (task_ownable(task))
		h->flags |= CPROF_SAMPLE_OWNABLE;
}

/* The kernel's part of the stack; ctx is in the kernel. */
static __always_inline void record_kernel(struct walk_env *env, struct bpf_perf_event_data *ctx)
{
	struct cprof_sample *h = record_header(env);
	long n = bpf_get_stack(ctx, env->words + SCRATCH_HEADER_WORDS, CPROF_MAX_KERNEL_FRAMES * 8,
			       0);

	if (n <= 0)
		return;
	h->n_kernel = n / 8;
	if (h->n_kernel >= CPROF_MAX_KERNEL_FRAMES)
		h->flags |= CPROF_SAMPLE_KERNEL_CUT;
}

static __always_inline void record_user_regs(struct walk_env *env)
{
	struct cprof_regs *r = &env->walk.regs;
	struct pt_regs *p = &env->regs;

	r->r[0] = p->ax;
	r->r[1] = p->dx;
	r->r[2] = p->cx;
	r->r[3] = p->bx;
	r->r[4] = p->si;
	r->r[5] = p->di;
	r->r[6] = p->bp;
	r->r[7] = p->sp;
	r->r[8] = p->r8;
	r->r[9] = p->r9;
	r->r[10] = p->r10;
	r->r[11] = p->r11;
	r->r[12] = p->r12;
	r->r[13] = p->r13;
	r->r[14] = p->r14;
	r->r[15] = p->r15;
	r->ip = p->ip;
	r->valid = WALK_ALL_VALID | CPROF_REGS_EXACT;
}

/* The space that this program image walks in, where user space has bound one. */
static __always_inline void record_space(struct walk_env *env)
{
	struct cprof_sample *h = record_header(env);
	struct cprof_process *p = bpf_map_lookup_elem(&processes, &h->pid);

	env->space = 0;
	env->generation = 0;
	env->space_hash = 0;
	if (!p || p->start_ns != h->start_ns || p->exec_id != h->exec_id)
		return;
	env->space = h->space = p->space;
	env->space_hash = (__u64)p->space * 0x9e5;
	env->generation = (__u64)(p->generation + control.rules_epoch) << 48;
}

/* No user side at all: why. CPROF_END_MAX: there is one. */
static __always_inline __u32 record_no_user(struct task_struct *task)
{
	if (task->flags & (PF_KTHREAD | PF_IO_WORKER))
		return CPROF_END_KTHREAD;
	if (!task->mm)
		return CPROF_END_EXIT;
	if (task_in_execve(task))
		return CPROF_END_EXEC;
	return CPROF_END_MAX;
}

/* The registers with which the task left user mode; CPROF_END_MAX: they are there. */
static __always_inline __u32 record_find_user(struct walk_env *env, struct bpf_perf_event_data *ctx,
					      struct task_struct *task, bool kernel)
{
	__u32 end;

	if (!kernel) {
		__builtin_memcpy(&env->regs, &ctx->regs, sizeof(env->regs));
	} else {
		end = record_no_user(task);
		if (end != CPROF_END_MAX)
			return end;
		if (bpf_probe_read_kernel(&env->regs, sizeof(env->regs),
					  (void *)bpf_task_pt_regs(task)))
			return CPROF_END_UNREADABLE;
		/* a worker of the kernel's that borrows a process's memory */
		if (!env->regs.ip)
			return CPROF_END_KTHREAD;
	}
	return (env->regs.cs & 0xffff) == USER_CS ? CPROF_END_MAX : CPROF_END_32BIT;
}

/* The user's part of the stack up to its first frame; true: a walk from there is due. */
static __always_inline bool record_user(struct walk_env *env, struct bpf_perf_event_data *ctx,
					struct task_struct *task, bool kernel)
{
	struct cprof_sample *h = record_header(env);
	__u32 end = record_find_user(env, ctx, task, kernel);

	env->walk.n = 0;
	env->first_word = SCRATCH_HEADER_WORDS + h->n_kernel;
	if (end != CPROF_END_MAX && end != CPROF_END_32BIT) {
		h->end = end;
		return false;
	}
	record_user_regs(env);
	/* the system call has taken rcx and r11, and the address behind it for a return address */
	if (kernel && (__s64)env->regs.orig_ax >= 0) {
		h->flags |= CPROF_SAMPLE_SYSCALL;
		env->walk.regs.valid &= ~(CPROF_REGS_EXACT | WALK_VALID(WALK_CX) | WALK_VALID(11));
	}
	walk_push(env, env->walk.regs.ip);
	if (end == CPROF_END_32BIT) {
		h->end = end;
		h->n_user = env->walk.n;
		return false;
	}
	record_space(env);
	unwind_begin(env);
	return true;
}

/* The walk has come to its end. */
static __always_inline void record_walked(struct walk_env *env)
{
	struct cprof_sample *h = record_header(env);

	h->end = env->walk.end;
	h->n_user = env->walk.n;
}

/* A stack copy costs ring space and microseconds: so many a second on a CPU. */
static __always_inline bool record_may_copy(struct walk_env *env, __u64 now_ns)
{
	__u64 due = env->copy_due_ns;

	if (due + control.copy_burst_ns < now_ns)
		due = now_ns - control.copy_burst_ns;
	if (due > now_ns)
		return false;
	env->copy_due_ns = due + control.copy_interval_ns;
	return true;
}

/* Where the stack began; 0: not known, the copy ends where memory does. argc lies there in the main
 * thread, libc's thread control block in others: nothing that unwinding could need is above. */
static __always_inline __u64 record_stack_top(struct walk_env *env, struct task_struct *task)
{
	struct mm_struct *mm = task->mm;
	__u64 main = mm ? mm->start_stack : 0, thread = BPF_CORE_READ(task, thread.fsbase);
	__u64 sp = env->walk.regs.r[WALK_SP];

	go_find(env, thread, sp);
	if (env->go.top)
		return env->go.top;
	if (main > sp && main - sp < STACK_FAR_BYTES)
		return main + 8;
	return thread > sp && thread - sp < STACK_FAR_BYTES ? thread : 0;
}

/* A page of the stack copy, or what of it is wanted; not 0: this was the last. */
static __noinline int record_copy_page(struct walk_env *env, __u64 i)
{
	__u64 from = env->copy.start + env->copy.bytes;
	__u64 word = env->copy.word + env->copy.bytes / 8;
	__u64 n = CPROF_PAGE_SIZE - (from & (CPROF_PAGE_SIZE - 1));

	if (n > env->copy.limit - env->copy.bytes)
		n = env->copy.limit - env->copy.bytes;
	/* older verifiers do not follow what the compiler knows of them */
	asm volatile("" : "+r"(n), "+r"(word));
	if (!n || n > CPROF_PAGE_SIZE || word >= SCRATCH_WORDS - CPROF_PAGE_SIZE / 8)
		return 1;
	/* what could not be read is zero: the red zone's page need not be there, nor that of a large
	 * frame which was never touched; where the end is not known, this is it */
	if (bpf_probe_read_user(env->words + word, n, (void *)from) && !env->copy.to_top &&
	    (i || n > CPROF_RED_ZONE_BYTES))
		return 1;
	env->copy.bytes += n;
	return 0;
}

/* Page by page, up to the first that cannot be read, from start; top: 0 not known. */
static __noinline int record_copy(struct walk_env *env, __u64 start, __u64 top, __u64 max)
{
	__u64 limit = top ? (top - start) & ~7ULL : CPROF_BLIND_STACK_BYTES;

	if (limit > max)
		limit = max;
	env->copy.start = start;
	env->copy.bytes = 0;
	env->copy.limit = limit;
	env->copy.to_top = top;
	for (__u64 i = 0; i < RECORD_COPY_PAGES; i++)
		if (record_copy_page(env, i))
			break;
	if (env->copy.bytes >= limit && (!top || limit == max))
		record_header(env)->flags |= CPROF_SAMPLE_STACK_CUT;
	env->copy.word += env->copy.bytes / 8;
	return 0;
}

/* Registers and stack behind the frames. Returns the words of the record. */
static __noinline int record_copy_stack(struct walk_env *env, __u64 top, __u64 at)
{
	struct cprof_sample *h = record_header(env);
	__u64 start = cprof_stack_start(env->walk.regs.r[WALK_SP]), max = CPROF_MAX_STACK_BYTES;
	__u64 own, other = env->go.other_start;
	struct cprof_stack *from;

	/* the register that is compared is the one that is used, as in walk_push() */
	asm volatile("" : "+r"(at));
	if (at > SCRATCH_HEADER_WORDS + SCRATCH_FRAME_WORDS)
		return 0;
	from = (struct cprof_stack *)(env->words + at);
	/* one large frame shall not cut its callers off */
	if (!other && top > start && top - start > CPROF_MAX_STACK_BYTES) {
		max = CPROF_MAX_STACK_BYTES - RECORD_ROOT_BYTES;
		other = top - RECORD_ROOT_BYTES;
		env->go.other_top = top;
	}
	env->copy.word = at + SCRATCH_FROM_WORDS;
	record_copy(env, start, top, max);
	own = env->copy.bytes;
	env->copy.bytes = 0;
	if (other && own < CPROF_MAX_STACK_BYTES)
		record_copy(env, other, env->go.other_top, CPROF_MAX_STACK_BYTES - own);

	from->regs = env->walk.regs;
	from->own_bytes = own;
	from->other_start = other;
	h->flags |= CPROF_SAMPLE_STACK;
	h->stack_bytes = own + env->copy.bytes;
	return env->copy.word;
}

/* Whether the reader shall come at once: the ring fills faster than its timer goes, or a program
 * without tables needs them before its next sample. */
static __always_inline bool record_wakes(struct walk_env *env, const struct cprof_sample *h)
{
	if (bpf_ringbuf_query(&ring, BPF_RB_AVAIL_DATA) >
	    bpf_ringbuf_query(&ring, BPF_RB_RING_SIZE) / 2)
		return true;
	if (!(h->flags & CPROF_SAMPLE_STACK) || h->time_ns < env->wake_due_ns)
		return false;
	env->wake_due_ns = h->time_ns + RECORD_WAKE_NS;
	return true;
}

static __always_inline void record_put(struct walk_env *env, struct cprof_clock_stats *st,
				       __u64 words)
{
	struct cprof_sample *h = record_header(env);
	__u64 bytes = words * 8, flags;
	__u64 end = h->end;

	if (bytes > SCRATCH_WORDS * 8)
		bytes = SCRATCH_WORDS * 8;
	h->record_bytes = bytes;
	flags = record_wakes(env, h) ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP;
	if (bpf_ringbuf_output(&ring, h, bytes, flags)) {
		st->ring_full++;
		return;
	}
	st->taken++;
	if (h->flags & CPROF_SAMPLE_STACK)
		st->stack_copies++;
	/* compared as it is used: the verifier follows one register */
	barrier_var(end);
	if (end < CPROF_END_MAX)
		st->truncated[end]++;
}

/* Finishes the record: what cannot be unwound here leaves with its registers and stack. */
static __always_inline void record_finish(struct walk_env *env, struct cprof_clock_stats *st,
					  struct task_struct *task)
{
	struct cprof_sample *h = record_header(env);
	__u64 words = SCRATCH_HEADER_WORDS + h->n_kernel + h->n_user;

	if (h->end == CPROF_END_NEED_TABLE) {
		if (record_may_copy(env, h->time_ns))
			words = record_copy_stack(env, record_stack_top(env, task), words);
		else
			h->end = CPROF_END_BUDGET;
	}
	record_put(env, st, words);
}
