/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Opens foreign files outside the main thread, by the rule of openfile.h. A file whose server does
 * not answer costs one thread: after the deadline the request fails with -ETIME, the thread is left
 * to itself and replaced. When OPENER_MAX_STUCK threads are stuck, requests wait for one to come
 * back, and fail by their deadline like the rest.
 *
 * Results come in the event loop or in opener_reap(), never inside the call that asked.
 */

#include <stdint.h>
#include <systemd/sd-event.h>

#include "openfile.h"

#define OPENER_THREADS           4
#define OPENER_MAX_STUCK         32
#define OPENER_MAX_WAITING       16384
#define OPENER_DEADLINE_NS       (2 * 1000000000ULL)
#define OPENER_DEBUG_DEADLINE_NS (250 * 1000000ULL)

struct opener;

int opener_new(struct opener **ret, sd_event *event);
/* Requests that are not answered yet never will be. */
struct opener *opener_free(struct opener *o);

/* error is 0 and result->fd the callee's, or a negative errno (-ETIME after the deadline). */
typedef void (*opener_done_t)(void *arg, int error, const struct openfile_result *result);

/* m is copied. -EBUSY beyond OPENER_MAX_WAITING. */
int opener_mapping(struct opener *o, const struct openfile_mapping *m, opener_done_t done,
		   void *arg);

/*
 * A debug file for an object: path (absolute) beneath the root of the container that the object
 * came from, while a process of that root is known, or beneath the host's when it came from there.
 * Returns a descriptor; waits at most OPENER_DEBUG_DEADLINE_NS, then -ETIME.
 */
int opener_debug_file(struct opener *o, const struct object *object, const char *path);

/* openfile_jit_map() for a process; j is copied, its descriptor duplicated. Also with an error,
 * result->root_fd is the callee's where it is not -1. */
int opener_jit_map(struct opener *o, const struct openfile_jit *j, opener_done_t done, void *arg);
/* openfile_process(). The answer comes with another's, or with opener_reap(): it wakes nobody. */
int opener_process(struct opener *o, uint32_t pid, uint64_t by_ns, opener_done_t done, void *arg);
/* Gives the answers that are there. */
void opener_reap(struct opener *o);
/* The same as opener_jit_map() at once: waits at most OPENER_DEBUG_DEADLINE_NS, then -ETIME. *ret is always set. */
int opener_jit_map_now(struct opener *o, const struct openfile_jit *j, struct openfile_result *ret);

struct opener_stats {
	uint64_t opened, failed, timed_out, refused;
	unsigned waiting, stuck;
};
void opener_stats(struct opener *o, struct opener_stats *ret);
