/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */

/*
 * The kernel side of the profiler. A program on the cpu-clock events of every CPU makes one record
 * a tick for the sessions that want the running task; three hooks keep targets and address
 * spaces with processes as they fork, exec and exit. Every tick ends as a record or in a counter.
 */

#include "types.h"
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_tracing.h>

#include "maps.h"
#include "record.h"
#include "targets.h"
#include "tasks.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/*
 * Ticks that the kernel skipped since the event's last one: its counter has run on. `counter` is
 * where the grid of due times stands; a tick may be late on it, never early. The grid follows the
 * ticks slowly, for the counter's clock and the timer's differ by some parts in a million. Nothing
 * is said across a change of period, nor while one is under way. A sleeping CPU may let ticks pass,
 * where a hypervisor wakes it late: those were idle.
 */
static __always_inline void tick_count_missed(struct bpf_perf_event_data *ctx, struct walk_env *env,
					      struct cprof_clock_stats *st, __u32 cookie,
					      __u64 now_ns)
{
	__u32 index = cookie & (CPROF_MAX_CLOCKS * CPROF_EVENTS_PER_CLOCK - 1);
	struct cprof_event *e = &control.clocks[index / CPROF_EVENTS_PER_CLOCK]
					 .event[index % CPROF_EVENTS_PER_CLOCK];
	__u64 idle = env->idle_ns + (env->idle_since_ns ? now_ns - env->idle_since_ns : 0);
	struct bpf_perf_event_value v = {};
	__u64 epoch = e->epoch, period = e->period_ns;
	__u64 late, gap, slept, missed;

	if (bpf_perf_prog_read_value(ctx, (void *)&v, sizeof(v)))
		return;
	slept = idle - env->last[index].idle;
	env->last[index].idle = idle;
	if (epoch & 1 || env->last[index].epoch != epoch || !period) {
		env->last[index].epoch = epoch & 1 ? 0 : epoch;
		env->last[index].counter = v.counter;
		return;
	}
	late = v.counter - env->last[index].counter;
	gap = (late + period / 8) / period;
	if (gap > 1) {
		/* what the sleep leaves over, in whole periods, less the tick that came */
		missed = slept < (gap - 1) * period
				 ? ((gap - 1) * period - slept + period / 8) / period
				 : 0;
		missed = missed > gap - 1 ? gap - 1 : missed;
		st->missed_tick += missed;
		st->idle += gap - 1 - missed;
	}
	late -= gap * period;
	env->last[index].counter = v.counter - late + ((__s64)late >> 5);
}

static __always_inline bool tick_wanted(struct cprof_clock *clock, struct task_struct *leader,
					struct sessions *ret)
{
	struct sessions s = {};

	/* in a container: what has no pid there is the host's, and nobody here may ask for it */
	if (!own_pid_ns_is_initial && !task_pid(leader))
		return false;
	/* task_pid() costs a walk in a nested namespace: only where it decides something */
	if (control.n_pids | control.n_comms | control.n_cgroups)
		targets_match(&s, control.n_pids ? task_pid(leader) : 0, leader);
	for (int i = 0; i < CPROF_SESSION_WORDS; i++)
		ret->w[i] = (s.w[i] & clock->sessions[i]) | clock->all[i];
	return sessions_any(ret);
}

/* One run of a program on an event: what it works with. */
struct tick {
	struct cprof_cpu_stats *st;
	struct walk_env *env;
	__u64 now_ns;
	__u32 cookie;
};

/* How far the record is. */
enum tick_state { TICK_NOBODYS, TICK_WITHOUT_WALK, TICK_WALK };

static __always_inline bool tick_begin(struct bpf_perf_event_data *ctx, struct tick *t)
{
	__u32 cpu = bpf_get_smp_processor_id();

	t->st = bpf_map_lookup_elem(&stats, &cpu);
	t->env = bpf_map_lookup_elem(&scratch, &cpu);
	t->cookie = bpf_get_attach_cookie(ctx) & (CPROF_MAX_CLOCKS * CPROF_EVENTS_PER_CLOCK - 1);
	if (!t->st)
		return false; /* the map has an entry a possible CPU */
	if (!t->env) {
		t->st->internal++;
		return false;
	}
	if (t->env->busy) {
		t->st->nested++;
		return false;
	}
	t->env->busy = 1;
	/* the reader of the ring waits for who started before it looked: sampler_drain() */
	*(volatile __u64 *)&t->st->active = 1;
	t->now_ns = bpf_ktime_get_ns();
	*(volatile __u64 *)&t->st->active = t->now_ns;
	return true;
}

static __always_inline void tick_end(struct tick *t)
{
	t->st->cache_hits = t->env->hits;
	t->st->cache_misses = t->env->misses;
	t->st->bpf_runs++;
	t->st->bpf_ns += bpf_ktime_get_ns() - t->now_ns;
	*(volatile __u64 *)&t->st->active = 0;
	t->env->busy = 0;
}

static __always_inline enum tick_state tick_sample(struct bpf_perf_event_data *ctx, struct tick *t)
{
	__u32 index = t->cookie / CPROF_EVENTS_PER_CLOCK;
	struct cprof_clock_stats *st = &t->st->clock[index];
	struct cprof_clock *clock = &control.clocks[index];
	struct task_struct *task = bpf_get_current_task_btf();
	struct task_struct *leader = task->group_leader;
	struct cprof_sample *h = record_header(t->env);
	bool kernel = !(ctx->regs.cs & 3);
	struct sessions s;

	tick_count_missed(ctx, t->env, st, t->cookie, t->now_ns);
	if (!task->pid) {
		st->idle++;
		return TICK_NOBODYS;
	}
	if (!tick_wanted(clock, leader, &s)) {
		st->filtered++;
		return TICK_NOBODYS;
	}
	__builtin_memset(h, 0, sizeof(*h));
	h->clock = index;
	h->time_ns = t->now_ns;
	h->period_ns = clock->event[t->cookie % CPROF_EVENTS_PER_CLOCK].weight_ns;
	h->sessions[0] = s.w[0];
	h->sessions[1] = s.w[1];
	h->cpu = bpf_get_smp_processor_id();
	record_task(t->env, task, leader);
	if (kernel)
		record_kernel(t->env, ctx);
	return record_user(t->env, ctx, task, kernel) ? TICK_WALK : TICK_WITHOUT_WALK;
}

/* The record is whole but for what lies behind the frames. */
static __always_inline void tick_put(struct tick *t)
{
	__u32 index = t->cookie / CPROF_EVENTS_PER_CLOCK;

	record_finish(t->env, &t->st->clock[index], bpf_get_current_task_btf());
}

/* On kernels with bpf_loop(). */
SEC("perf_event")
int cprof_tick(struct bpf_perf_event_data *ctx)
{
	enum tick_state state;
	struct tick t;

	if (!tick_begin(ctx, &t))
		return 0;
	state = tick_sample(ctx, &t);
	if (state == TICK_WALK) {
		unwind_loop(t.env);
		record_walked(t.env);
	}
	if (state != TICK_NOBODYS)
		tick_put(&t);
	tick_end(&t);
	return 0;
}

/* On others: it ends in cprof_walk_tails where there is a stack to walk. */
SEC("perf_event")
int cprof_tick_tails(struct bpf_perf_event_data *ctx)
{
	enum tick_state state;
	struct tick t;

	if (!tick_begin(ctx, &t))
		return 0;
	state = tick_sample(ctx, &t);
	if (state == TICK_WALK) {
		bpf_tail_call_static(ctx, &tails, 0);
		/* back only where the loader has let go of the map */
		t.st->internal++;
	} else if (state == TICK_WITHOUT_WALK) {
		tick_put(&t);
	}
	tick_end(&t);
	return 0;
}

SEC("perf_event")
int cprof_walk_tails(struct bpf_perf_event_data *ctx)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct tick t = { .st = bpf_map_lookup_elem(&stats, &cpu),
			  .env = bpf_map_lookup_elem(&scratch, &cpu) };
	struct cprof_sample *h;

	if (!t.st || !t.env)
		return 0; /* they were there in cprof_tick_tails */
	h = record_header(t.env);
	t.now_ns = h->time_ns;
	t.cookie = h->clock * CPROF_EVENTS_PER_CLOCK &
		   (CPROF_MAX_CLOCKS * CPROF_EVENTS_PER_CLOCK - 1);
	if (unwind_tail(cpu) == WALK_MORE) {
		bpf_tail_call_static(ctx, &tails, 0);
		t.st->internal++; /* as above */
	} else {
		record_walked(t.env);
		tick_put(&t);
	}
	tick_end(&t);
	return 0;
}

/* Idle begins with a state and ends with PWR_EVENT_EXIT, see kernel/sched/idle.c. */
#define IDLE_EXIT 0xffffffffU

SEC("tp_btf/cpu_idle")
int BPF_PROG(cprof_idle, unsigned int state, unsigned int cpu_id)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct walk_env *env = bpf_map_lookup_elem(&scratch, &cpu);
	__u64 now_ns = bpf_ktime_get_ns();

	if (!env)
		return 0;
	if (env->idle_since_ns)
		env->idle_ns += now_ns - env->idle_since_ns;
	env->idle_since_ns = state == IDLE_EXIT ? 0 : now_ns;
	return 0;
}

static __always_inline void count_internal(void)
{
	__u32 cpu = bpf_get_smp_processor_id();
	struct cprof_cpu_stats *st = bpf_map_lookup_elem(&stats, &cpu);

	if (st)
		__sync_fetch_and_add(&st->internal, 1);
}

/* The child is wanted by whoever wants the parent and its children. An entry that an earlier owner
 * of the pid left behind goes in any case. */
static __always_inline void fork_targets(__u32 parent_pid, struct task_struct *parent,
					 __u32 child_pid)
{
	struct cprof_mask mask = {};
	struct sessions s = {};

	targets_match(&s, parent_pid, parent->group_leader);
	for (int i = 0; i < CPROF_SESSION_WORDS; i++)
		mask.sessions[i] = s.w[i] & control.children[i];
	if (!(mask.sessions[0] | mask.sessions[1]))
		bpf_map_delete_elem(&pid_targets, &child_pid);
	else if (bpf_map_update_elem(&pid_targets, &child_pid, &mask, BPF_ANY))
		count_internal();
}

/* The child's memory is a copy of its parent's: the same tables serve. */
static __always_inline void fork_space(__u32 parent_pid, struct task_struct *parent,
				       __u32 child_pid, struct task_struct *child)
{
	struct task_struct *leader = parent->group_leader;
	struct cprof_process *p = bpf_map_lookup_elem(&processes, &parent_pid);
	struct cprof_process mine;

	if (!p || p->start_ns != leader->start_boottime || p->exec_id != leader->self_exec_id) {
		bpf_map_delete_elem(&processes, &child_pid);
		return;
	}
	mine = *p;
	mine.start_ns = child->start_boottime;
	mine.exec_id = child->self_exec_id;
	if (bpf_map_update_elem(&processes, &child_pid, &mine, BPF_ANY))
		count_internal();
}

SEC("tp_btf/sched_process_fork")
int BPF_PROG(cprof_fork, struct task_struct *parent, struct task_struct *child)
{
	__u32 parent_pid, child_pid;

	if (child->pid != child->tgid)
		return 0;
	parent_pid = task_pid(parent->group_leader);
	child_pid = task_pid(child);
	if (!child_pid)
		return 0;
	if (control.n_pids | control.n_comms | control.n_cgroups)
		fork_targets(parent_pid, parent, child_pid);
	fork_space(parent_pid, parent, child_pid, child);
	return 0;
}

SEC("tp_btf/sched_process_exec")
int BPF_PROG(cprof_exec, struct task_struct *task)
{
	__u32 pid = task_pid(task->group_leader);

	bpf_map_delete_elem(&processes, &pid);
	return 0;
}

/* A process that is gone still takes its memory down, which may be most of what it costs: it stays
 * a target until its pid is free. */
SEC("tp_btf/sched_process_exit")
int BPF_PROG(cprof_exit, struct task_struct *task)
{
	struct cprof_mask *mask;
	__u32 pid;

	if (task->signal->live.counter)
		return 0;
	pid = task_pid(task->group_leader);
	mask = bpf_map_lookup_elem(&pid_targets, &pid);
	if (mask)
		mask->exited = 1;
	bpf_map_delete_elem(&processes, &pid);
	return 0;
}

/* The task has no pid structure any more; in a nested namespace user space sweeps what exited. */
SEC("tp_btf/sched_process_free")
int BPF_PROG(cprof_free, struct task_struct *task)
{
	struct cprof_mask *mask;
	__u32 pid = task->tgid;

	if (!own_pid_ns_is_initial || task->pid != task->tgid)
		return 0;
	mask = bpf_map_lookup_elem(&pid_targets, &pid);
	if (mask && mask->exited)
		bpf_map_delete_elem(&pid_targets, &pid);
	return 0;
}
