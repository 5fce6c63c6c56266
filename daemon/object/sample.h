/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A normalized sample: what leaves tracking and enters sessions. Addresses have become (object,
 * address) pairs that stay valid when the process is gone; return addresses have had 1 subtracted.
 */

#include <stdint.h>

#include "cprof/record.h"
#include "object.h"

struct frame {
	struct object *object;
	/* FILE, VDSO: file offset. ANON, UNKNOWN: runtime address. KERNEL: link-time address (slide
	 * removed); modules: see kallsyms.h. SYNTHETIC: 0. */
	uint64_t address;
};

/*
 * What is known of a process at the time of the sample; immutable, shared, counted. A new one is
 * made when something changes (exec, comm, cgroup). Strings are raw bytes without NUL inside.
 */
struct process_info {
	unsigned refs;
	uint32_t pid;       /* daemon's namespace */
	uint32_t ns_pid;    /* innermost namespace */
	uint64_t start_ns;  /* CLOCK_BOOTTIME; with pid, one life of a pid */
	char *comm;         /* of the leader */
	char *cgroup;       /* path below the v2 or the v1 name=systemd root, "" unknown */
	char *unit;         /* "" none */
	char *container;    /* "" none */
	struct object *exe; /* NULL unknown or kernel thread */
};

struct process_info *process_info_ref(struct process_info *p);
struct process_info *process_info_unref(struct process_info *p);

/* Lives for the duration of the callback; who keeps a frame takes a reference on its object. */
struct sample {
	uint64_t time_ns; /* CLOCK_MONOTONIC */
	uint64_t period_ns;
	uint64_t sessions[CPROF_SESSION_WORDS];
	uint32_t clock;
	uint32_t cpu;
	uint32_t pid, tid; /* daemon's namespace */
	uint32_t uid, gid;
	uint16_t flags; /* enum cprof_sample_flags */
	uint8_t end;    /* enum cprof_end, never CPROF_END_NEED_TABLE */
	struct process_info *process;
	const char *thread; /* of the thread, NUL-terminated raw bytes */
	/* Leaf first: kernel, user, then the synthetic root that `end` asks for, if any. */
	const struct frame *frames;
	size_t n_frames;
	size_t n_kernel;
};
