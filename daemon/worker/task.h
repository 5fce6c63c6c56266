/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * One job, seen from within its own confined process: input in, answer out. The process ends with
 * it, so that nothing here is tidied up for its own sake.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "protocol.h"

struct task {
	int sock;
	uint32_t kind; /* enum job_kind */
	int fds[JOB_MAX_FDS];
	size_t n_fds;
	uint8_t *input; /* page-aligned; NULL when empty */
	size_t input_bytes;
	bool sensitive;
	struct buf answer;
};

/* Takes the input from the socket. -EPROTO, -ENOMEM, -EPIPE. */
int task_receive(struct task *t, int sock, uint32_t kind);
/* The next input of a session, in place of the last. -EPIPE: there is none. */
int task_receive_next(struct task *t);
/* Does what the kind says; what it returns is the job's result. */
int task_run(struct task *t);
/* Sends the result and, where it is 0, the answer. */
int task_send_answer(struct task *t, int error);

/* For the socket, where short reads and writes are normal. 0, -EPIPE or another errno. ret_fd may be
 * NULL; -1 is none. */
int task_read(int sock, void *data, size_t size);
int task_read_with_fd(int sock, void *data, size_t size, int *ret_fd);
int task_write(int sock, const void *data, size_t size);

/* The kinds; each appends to t->answer. */
int job_symbolize(struct task *t);
/* Answers input after input; an error is of the last one. */
int job_symbolize_session(struct task *t);
int job_table(struct task *t);
int job_walk(struct task *t);
int job_build_id(struct task *t);
int job_jit(struct task *t);
int job_merge(struct task *t);
int job_selftest(struct task *t);
