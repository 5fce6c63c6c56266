/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * The daemon's end of the worker: starts the cprof-worker zygote, gives it jobs, and survives
 * whatever becomes of them. A job is one confined process that answers once and is gone. All
 * callbacks run in the event loop, never inside the call that caused them.
 */

#include <stdbool.h>
#include <stdint.h>
#include <systemd/sd-event.h>

#include "protocol.h"

struct pool;
struct job;

struct pool_options {
	const char *worker_path; /* the cprof-worker binary */
	unsigned max_parallel;   /* jobs that run at once; the rest wait */
	unsigned max_waiting;    /* further ones are refused: -EBUSY */
	uint64_t memory_bytes;   /* RLIMIT_DATA of one job */
	uint64_t timeout_ns;     /* wall time of one job */
	/* From a kill to the zygote's word of it; later it is replaced. 0: 20 s. */
	uint64_t kill_ns;
	/* What jobs run as. 0: a free uid of 61184 to 65519 where the daemon may change ids
	 * (docs/security.md 3), else the daemon's own. */
	uint32_t uid, gid;
};

struct job_result {
	/* 0; what the job said; or -EPIPE crashed, -ETIME hung, -ENOMEM over its budget,
	 * -EMSGSIZE answered too much, -EPROTO answered nonsense */
	int error;
	int signal;         /* that it died of, or 0 */
	const void *answer; /* until the callback returns */
	size_t answer_bytes;
	uint64_t cpu_ns; /* that it used */
};

typedef void (*job_done_t)(void *arg, const struct job_result *result);
/* The job wants a debug file. Answer with pool_opened(), now or later. Without this callback every
 * request is answered with -ENOENT. */
typedef void (*job_open_t)(void *arg, struct job *job, const struct job_open *request,
			   const char *id);

struct job_spec {
	enum job_kind kind;
	const int *fds; /* duplicated; the caller keeps its own */
	size_t n_fds;
	const void *input; /* copied unless input_take */
	size_t input_bytes;
	bool sensitive; /* input holds stack copies: kept in MADV_DONTDUMP memory, zeroed after use */
	size_t max_answer_bytes;
	job_done_t done;
	job_open_t open;
	void *arg;
};

/* Waits for the zygote to come up. -EPROTONOSUPPORT when the sandbox is not to be had: then nothing
 * foreign is parsed, and the caller says so; -ENOENT and others when the program cannot be started. To be
 * called in a thread that lives as long as the pool: the zygote dies with it. */
int pool_new(struct pool **ret, sd_event *event, const struct pool_options *options);
/* Ends all jobs; no further callback is called, and the job handles are void. Not to be called from
 * a callback. */
struct pool *pool_free(struct pool *p);

/* A job waits for its turn, and runs for timeout_ns at most. *ret (may be NULL) is valid until its
 * `done` returns. -EBUSY: max_waiting wait already; -EINVAL, -E2BIG, -ENOMEM, -EMFILE. */
int pool_submit(struct pool *p, const struct job_spec *spec, struct job **ret);
/* The callback will not be called. NULL is fine, and so is a job within its own `done`. */
struct job *job_cancel(struct job *job);
/* fd (or negative errno) for a request; fd is duplicated. */
void pool_opened(struct job *job, int fd_or_error);

struct pool_stats {
	uint64_t jobs; /* ended, however */
	uint64_t crashed, timed_out, out_of_memory;
	uint64_t nonsense; /* -EPROTO and -EMSGSIZE */
	uint64_t refused;  /* -EBUSY */
	uint64_t zygote_restarts;
	uint64_t cpu_ns;       /* of zygote and all jobs */
	uint64_t memory_bytes; /* resident, of the zygote and the running jobs */
	unsigned running, waiting;
	const char *sandbox; /* what confines: "seccomp,landlock,uid" */
};
void pool_stats(const struct pool *p, struct pool_stats *ret);
