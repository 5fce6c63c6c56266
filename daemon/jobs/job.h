/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * One job on the daemon's side: what it was given, its socket and what it has said so far. Private
 * to this room; pool.c decides when a job starts and what its end means.
 */

#include <stdbool.h>
#include <stdint.h>
#include <sys/queue.h>
#include <sys/types.h>
#include <systemd/sd-event.h>

#include "pool.h"
#include "reader.h"

enum job_state { JOB_WAITING, JOB_RUNNING, JOB_ENDED };

struct job {
	TAILQ_ENTRY(job) entry;
	struct pool *pool;
	enum job_state state;
	uint64_t id;
	enum job_kind kind;
	job_done_t done;
	job_open_t open;
	void *arg;

	int fds[JOB_MAX_FDS];
	size_t n_fds;
	void *input;
	size_t input_bytes;
	bool sensitive; /* `input` is a mapping of its own */
	size_t sent;    /* of the message and the input */

	int sock;
	sd_event_source *io, *timer;
	struct reader reader;
	int opened_fd;    /* the answer to an OPEN, to be sent, */
	int opened_value; /* and its errno */
	bool opened_due;

	pid_t pid; /* 0: not known */
	bool answered;
	bool cancelled; /* the handle is gone; only its process is left */
	bool exited;    /* its process is gone */
	bool kill_due, killed;
	bool ending; /* in its `done` */
	int error;   /* what the daemon's side found wrong */
	int signal;
	uint64_t cpu_ns;
};
TAILQ_HEAD(job_list, job);

/* Copies what the spec has; it is in no list yet. */
int job_new(struct job **ret, const struct job_spec *spec);
struct job *job_free(struct job *job);
/* Zeroes (where sensitive) and frees the input, closes the descriptors. */
void job_drop_input(struct job *job);

/* Makes the job's socket; the other end goes to the zygote. Nothing is sent yet. */
int job_connect(struct job *job, sd_event *event, int *ret_fd);
/* Sends what is due and fits. */
void job_flush(struct job *job);
/* Reads what there is, to the end of it: for a process that has exited. No callback is called. */
void job_drain(struct job *job);
/* Closes the socket: nothing that the job says counts any more. */
void job_disconnect(struct job *job);

/* pool.c: the job is to be killed, its `error` is set where it is the job's fault. */
void pool_job_kill(struct job *job);
