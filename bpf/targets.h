/* SPDX-License-Identifier: GPL-2.0 OR BSD-2-Clause */
#pragma once

/* Which sessions want a task, and how children come to be wanted. */

#include "maps.h"
#include "tasks.h"

struct sessions {
	__u64 w[CPROF_SESSION_WORDS];
};

static __always_inline void sessions_add(struct sessions *s, const struct cprof_mask *mask)
{
	if (!mask)
		return;
	for (int i = 0; i < CPROF_SESSION_WORDS; i++)
		s->w[i] |= mask->sessions[i];
}

static __always_inline bool sessions_any(const struct sessions *s)
{
	return s->w[0] | s->w[1];
}

/* Of the current task. */
static __noinline int targets_cgroup(struct sessions *s)
{
	__u64 id;

	if (!s)
		return 0;
	for (int level = 0; level < CPROF_MAX_CGROUP_LEVELS; level++) {
		id = bpf_get_current_ancestor_cgroup_id(level);
		if (!id)
			break;
		sessions_add(s, bpf_map_lookup_elem(&cgroup_targets, &id));
	}
	return 0;
}

/* Sessions of any clock that chose the current task (of this tgid) by pid, name or cgroup. */
static __always_inline void targets_match(struct sessions *s, __u32 tgid,
					  struct task_struct *leader)
{
	struct cprof_comm key = {};

	if (control.n_pids)
		sessions_add(s, bpf_map_lookup_elem(&pid_targets, &tgid));
	if (control.n_comms) {
		BPF_CORE_READ_STR_INTO(&key.comm, leader, comm);
		sessions_add(s, bpf_map_lookup_elem(&comm_targets, &key));
	}
	if (control.n_cgroups)
		targets_cgroup(s);
}

_Static_assert(CPROF_SESSION_WORDS == 2, "sessions_any");
