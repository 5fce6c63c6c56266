/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#pragma once

/* What a task is: its ids in two pid namespaces, its owner, its life and program image. */

#include "maps.h"
#include <bpf/bpf_core_read.h>

#define TASKS_MAX_PID_LEVELS 32
#define MMF_DUMPABLE_MASK    3
#define MMF_DUMPABLE_USER    1

/* Of a daemon in a container: the number that its namespace has for the task. */
static __noinline __u32 task_nested_pid(struct task_struct *task)
{
	struct pid *pid = BPF_CORE_READ(task, thread_pid);
	struct upid id;

	for (__u32 i = 0; i < TASKS_MAX_PID_LEVELS; i++) {
		if (i > BPF_CORE_READ(pid, level))
			break;
		if (bpf_core_read(&id, sizeof(id),
				  (void *)pid + bpf_core_field_offset(struct pid, numbers) +
					  i * bpf_core_type_size(struct upid)))
			break;
		if (BPF_CORE_READ(id.ns, ns.inum) == own_pid_ns)
			return id.nr;
	}
	return 0;
}

/* The pid of a task in the daemon's namespace; 0: it has none there. */
static __always_inline __u32 task_pid(struct task_struct *task)
{
	return own_pid_ns_is_initial ? task->pid : task_nested_pid(task);
}

/* The pid in the task's innermost namespace. */
static __always_inline __u32 task_inner_pid(struct task_struct *task)
{
	__u32 level = task->thread_pid->level;
	struct pid *pid;
	int nr = 0;

	if (!level)
		return task->pid;
	/* read, not followed: verifiers before 6.12 refuse sums with a pointer that they trust */
	pid = BPF_CORE_READ(task, thread_pid);
	if (level >= TASKS_MAX_PID_LEVELS)
		return 0;
	bpf_probe_read_kernel(&nr, sizeof(nr),
			      (void *)pid + bpf_core_field_offset(struct pid, numbers) +
				      level * bpf_core_type_size(struct upid) +
				      bpf_core_field_offset(struct upid, nr));
	return nr;
}

/* Whether the task may do what a peer of its ids may not: ptrace(2) asks for its capabilities, too.
 * In a user namespace the peer has all of them where it is the namespace's owner. */
static __always_inline bool task_is_more(const struct cred *cred)
{
	struct user_namespace *ns = BPF_CORE_READ(cred, user_ns);
	__u64 capabilities = 1;

	if (cred->uid.val == 0)
		return false;
	if (BPF_CORE_READ(ns, level) > 0 && BPF_CORE_READ(ns, owner.val) == cred->uid.val)
		return false;
	bpf_core_read(&capabilities, sizeof(capabilities), &cred->cap_permitted);
	return capabilities != 0;
}

/* PTRACE_MODE_READ for a peer of these ids: no set-id program, memory dumpable. */
static __always_inline bool task_ownable(struct task_struct *task)
{
	const struct cred *cred = task->cred;
	unsigned long flags = 0;
	struct mm_struct *mm = task->mm;

	if (cred->uid.val != cred->euid.val || cred->uid.val != cred->suid.val ||
	    cred->gid.val != cred->egid.val || cred->gid.val != cred->sgid.val || !mm ||
	    task_is_more(cred))
		return false;
	if (bpf_core_field_exists(struct mm_struct___bitmap, flags.__mm_flags))
		flags = BPF_CORE_READ((struct mm_struct___bitmap *)mm, flags.__mm_flags[0]);
	else
		flags = BPF_CORE_READ((struct mm_struct___word *)mm, flags);
	return (flags & MMF_DUMPABLE_MASK) == MMF_DUMPABLE_USER;
}

/* in_execve went away or may: a kernel without it has execs end as unreadable. */
static __always_inline bool task_in_execve(struct task_struct *task)
{
	if (!bpf_core_field_exists(task->in_execve))
		return false;
	return BPF_CORE_READ_BITFIELD_PROBED(task, in_execve);
}
