/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * A capture in the daemon, as the routes under /api/v1/captures show it. Its failures have been
 * said when a function returns.
 */

#include "daemon.h"
#include "options.h"

enum remote_state { REMOTE_RUNNING, REMOTE_NAMING, REMOTE_DONE };

struct remote_loss {
	char name[32]; /* in words */
	uint64_t count;
};

struct remote_progress {
	enum remote_state state;
	uint64_t elapsed_ns, duration_ns; /* the latter 0: until stopped */
	uint64_t samples;
	uint64_t cpu_ns;             /* that the samples stand for */
	uint64_t due;                /* 0 unknown */
	uint64_t target_cpu_ns;      /* by the kernel's own account, 0 unknown */
	struct remote_loss lost[16]; /* those that happened */
	size_t n_lost;
	uint64_t not_permitted;
	uint64_t truncated;
	uint64_t files, files_named; /* while names are looked up; 0 not told */
	bool target_ended;
	char waiting[128]; /* "" or the states of the threads of a target that mostly waits; raw */
};

struct remote {
	struct daemon *daemon;
	char id[64];
};

/* child: a pid to add to the targets, 0 none. */
int remote_start(struct remote *ret, struct daemon *d, const struct capture_options *o, int child);
/* -EREMOTEIO, said, when the capture has failed. */
int remote_poll(struct remote *c, struct remote_progress *ret);
int remote_stop(struct remote *c);
int remote_fetch(struct remote *c, struct buf *profile);
/* Gives it up; says nothing. */
void remote_drop(struct remote *c);
