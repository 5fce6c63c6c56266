/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The daemon's hold on one cprof-worker process, from its start to its end: the control socket, the
 * process and its exit. It is never restarted; the pool makes a new one.
 */

#include <stdint.h>
#include <systemd/sd-event.h>

#include "protocol.h"

struct zygote;

struct zygote_options {
	const char *path;
	uint32_t uid, gid; /* 0: the daemon's own */
	void (*report)(void *arg, const struct job_report *report);
	/* It is gone, after its last report. The callback may free the zygote. */
	void (*gone)(void *arg);
	/* The control socket takes messages again, after zygote_send() gave -EAGAIN. */
	void (*writable)(void *arg);
	void *arg;
};

/* The first report to come is JOB_REPORT_HELLO. Errors of posix_spawn(). */
int zygote_new(struct zygote **ret, sd_event *event, const struct zygote_options *options);
/* Ends the process if it still runs, and its jobs with it. */
struct zygote *zygote_free(struct zygote *z);

/* Waits for the first report and takes it; -ETIME, -EPIPE when it ended instead. */
int zygote_wait_hello(struct zygote *z, uint64_t timeout_ns, struct job_report *ret);

/* fd < 0: none. -EAGAIN: later, the callback says when; -EPIPE. */
int zygote_send(struct zygote *z, const struct job_header *header, int fd);
/* For one that no longer does what it is told; `gone` follows. */
void zygote_kill(struct zygote *z);
int zygote_pid(const struct zygote *z);
