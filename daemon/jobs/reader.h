/* SPDX-License-Identifier: Apache-2.0 */
#pragma once

/*
 * What a job says on its socket, taken in pieces of any size. The job may be in the hands of an
 * attacker: each size is checked before memory is made for it, memory grows with what has really
 * come, and order is as protocol.h has it.
 */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "buf.h"
#include "protocol.h"

struct reader {
	struct job_message message;
	size_t message_bytes; /* of `message` that are there */
	struct buf payload;   /* of the message; after READER_ANSWER the whole answer */
	size_t max_answer_bytes;
	uint32_t n_opens;
	bool opening; /* an OPEN is out: nothing may come until reader_opened() */
	bool finished;
};

enum reader_event {
	READER_MORE = 0, /* feed again */
	READER_OPEN,     /* a request: reader_open() */
	READER_ANSWER,   /* message.value and payload */
};

void reader_init(struct reader *r, size_t max_answer_bytes);
void reader_done(struct reader *r);

/* Where the next bytes go, and at most how many; *ret_size is 0 when nothing may come. NULL without
 * memory. */
void *reader_space(struct reader *r, size_t *ret_size);
/* Takes size bytes that were put there: an enum reader_event, or -EPROTO nonsense, -EMSGSIZE an
 * answer over the maximum. */
int reader_take(struct reader *r, size_t size);

/* After READER_OPEN: the request and its id, which is NUL-terminated and may hold further NULs. */
const struct job_open *reader_open(const struct reader *r, const char **ret_id);
void reader_opened(struct reader *r);
