/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The processes as they are at one moment: the time up to which side-band records have been applied.
 * A life of a pid lasts from its fork to the next fork of the same number; samples that come in
 * after an exit (the task still runs a little) belong to the dead process, which is kept until
 * processes_prune() has passed its end by PROCESSES_GRACE_NS.
 *
 * The functions below apply one side-band record each, in the order of time.
 */

#include <stdbool.h>
#include <stdint.h>
#include <uthash.h>

#include "image.h"
#include "jits.h"
#include "mapset.h"

#define PROCESSES_GRACE_NS (2 * 1000000000ULL)
/* start times of /proc are in clock ticks */
#define PROCESSES_START_SLACK_NS (20 * 1000000ULL)

struct space;

struct process {
	unsigned refs;
	uint32_t pid, ppid;
	uint32_t uid;       /* of its last sample */
	uint64_t begin_ns;  /* CLOCK_MONOTONIC of its fork, 0: was there before */
	uint64_t exit_ns;   /* 0: lives */
	bool start_exact;   /* image->start_ns is a sample's, not that of /proc */
	bool maps_known;    /* maps holds all that it maps; else /proc has to be asked */
	bool wants_exe;     /* the next file that it maps is its executable */
	bool threads_known; /* threads is exact */
	bool kernel_thread;
	unsigned threads;
	uint64_t lost_seen; /* count of LOST records that its mappings are not older than */
	uint64_t exec_id;   /* of its last sample */
	uint64_t cgroup_id; /* v2, that image->cgroup was found by */
	bool cgroup_seen;   /* and that it was looked for since fork or exec */
	struct mapset *maps;
	struct image *image;
	/* spaces.h */
	struct space *space;
	uint64_t bound_ns; /* when the space was bound in the kernel, 0 not */
	struct jit *jit;   /* of the program that it runs; NULL: no JIT code was seen */
	/* of the process whose memory it began with, and did not exec since; NULL none, or not known */
	struct jit *jit_parent;
	/* of the table */
	struct process *previous; /* an earlier life of this pid, dead */
	struct process *lru_prev, *lru_next;
	bool listed;
	UT_hash_handle hh;
};

struct processes;

struct processes_options {
	unsigned max_processes, max_mappings;
	/* a process leaves the table or its program: what hangs on it must go */
	void (*left)(void *arg, struct process *p);
	/* a process that shares its parent's memory image came to be */
	void (*forked)(void *arg, struct process *parent, struct process *child, uint64_t time_ns);
	void *arg;
};

int processes_new(struct processes **ret, const struct processes_options *options);
struct processes *processes_free(struct processes *ps);

struct process *process_ref(struct process *p);
struct process *process_unref(struct process *p);

/* The living or last life of a pid, or NULL. */
struct process *processes_find(struct processes *ps, uint32_t pid);
/* The life that a sample belongs to: the last one that began by then and, where both are known, has
 * this start. */
struct process *processes_find_at(struct processes *ps, uint32_t pid, uint64_t time_ns,
				  uint64_t start_ns);
/* A new life; one that was there becomes its previous. NULL without memory or beyond
 * max_processes with none to forget. */
struct process *processes_add(struct processes *ps, uint32_t pid, uint32_t ppid, uint64_t begin_ns);

/* parent may be unknown (NULL). */
struct process *processes_fork(struct processes *ps, uint32_t pid, uint32_t ppid, uint64_t time_ns);
void processes_thread(struct processes *ps, struct process *p);
void processes_exec(struct processes *ps, struct process *p, const char *comm);
/* One thread's; leader: tid == pid. Returns true when that was the last. */
bool processes_exit(struct processes *ps, struct process *p, bool leader, uint64_t time_ns);
/* As mapset_add(); -ENOSPC also beyond max_mappings. */
int processes_map(struct processes *ps, struct process *p, const struct mapping *m);
/* Takes set. */
void processes_set_maps(struct processes *ps, struct process *p, struct mapset *set);
void processes_touch(struct processes *ps, struct process *p);

void processes_prune(struct processes *ps, uint64_t until_ns);
void processes_each(struct processes *ps, void (*fn)(void *arg, struct process *p), void *arg);

struct processes_stats {
	uint64_t processes, mappings;
	uint64_t forgotten;        /* living ones, beyond max_processes */
	uint64_t mappings_refused; /* beyond MAPSET_MAX or max_mappings */
	uint64_t bytes;
};
void processes_stats(const struct processes *ps, struct processes_stats *ret);
