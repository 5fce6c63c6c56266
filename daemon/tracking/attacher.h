/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * Asks Java programs for a perf-PID.map, each by a short-lived process of the worker's program
 * (cprof-worker --attach), which looks whether it is one and takes its ids on: docs/security.md 15.
 */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#define ATTACHER_MAX 4 /* at once; others ask again */

struct attacher;

int attacher_new(struct attacher **ret, sd_event *event, const char *worker_path);
/* What runs ends by itself; nobody is told. */
struct attacher *attacher_free(struct attacher *a);

/* start_ns: of the process, CLOCK_BOOTTIME. `done` is called from the event loop: whether the map was
 * written. -EBUSY, or why no process could be started. */
int attacher_ask(struct attacher *a, uint32_t pid, uint32_t ns_pid, uint64_t start_ns,
		 void (*done)(void *arg, bool written), void *arg);

struct attacher_stats {
	uint64_t asked; /* so often one was started */
	uint64_t written;
	uint64_t refused; /* not a Java program that may be asked */
	uint64_t failed;
};
/* a may be NULL. */
void attacher_stats(const struct attacher *a, struct attacher_stats *ret);
