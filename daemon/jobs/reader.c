/* SPDX-License-Identifier: Apache-2.0 */
#include "reader.h"

#include <string.h>

#define READER_CHUNK_BYTES 65536

void reader_init(struct reader *r, size_t max_answer_bytes)
{
	max_answer_bytes = MIN(max_answer_bytes, (size_t)JOB_MAX_ANSWER_BYTES);
	*r = (struct reader){ .max_answer_bytes = max_answer_bytes };
	r->payload = BUF_INIT(
		MAX(max_answer_bytes, sizeof(struct job_open) + (size_t)JOB_MAX_OPEN_ID_BYTES));
}

void reader_done(struct reader *r)
{
	buf_done(&r->payload);
}

void *reader_space(struct reader *r, size_t *ret_size)
{
	size_t left;

	*ret_size = 0;
	if (r->opening || r->finished)
		return &r->message;

	if (r->message_bytes < sizeof(r->message)) {
		*ret_size = sizeof(r->message) - r->message_bytes;
		return (char *)&r->message + r->message_bytes;
	}

	left = MIN(r->message.size_bytes - r->payload.size, (uint64_t)READER_CHUNK_BYTES);
	*ret_size = left;
	return buf_reserve(&r->payload, left);
}

static int reader_check_message(struct reader *r)
{
	const struct job_message *m = &r->message;

	switch (m->kind) {
	case JOB_MSG_ANSWER:
		if (m->value > 0 || m->value < -4095)
			return -EPROTO;
		return m->size_bytes > r->max_answer_bytes ? -EMSGSIZE : 0;
	case JOB_MSG_OPEN:
		if (m->value != 0 || ++r->n_opens > JOB_MAX_OPENS)
			return -EPROTO;
		if (m->size_bytes < sizeof(struct job_open) ||
		    m->size_bytes > sizeof(struct job_open) + JOB_MAX_OPEN_ID_BYTES)
			return -EPROTO;
		return 0;
	default:
		return -EPROTO;
	}
}

static int reader_check_open(const struct reader *r)
{
	const struct job_open *o = (const struct job_open *)r->payload.data;

	if (o->kind < JOB_OPEN_BUILD_ID || o->kind > JOB_OPEN_PROFILE)
		return -EPROTO;
	if (o->build_id_bytes > sizeof(o->build_id))
		return -EPROTO;
	if (o->id_bytes != r->payload.size - sizeof(*o))
		return -EPROTO;
	return 0;
}

static int reader_finish_message(struct reader *r)
{
	int error;

	if (r->message.kind == JOB_MSG_ANSWER) {
		r->finished = true;
		return READER_ANSWER;
	}

	error = reader_check_open(r);
	if (error < 0)
		return error;

	r->opening = true;
	return READER_OPEN;
}

int reader_take(struct reader *r, size_t size)
{
	int error;

	if (size == 0)
		return READER_MORE;
	if (r->opening || r->finished)
		return -EPROTO;

	if (r->message_bytes < sizeof(r->message)) {
		r->message_bytes += size;
		if (r->message_bytes < sizeof(r->message))
			return READER_MORE;
		error = reader_check_message(r);
		if (error < 0)
			return error;
	} else {
		r->payload.size += size;
		r->payload.data[r->payload.size] = '\0';
	}

	return r->payload.size < r->message.size_bytes ? READER_MORE : reader_finish_message(r);
}

const struct job_open *reader_open(const struct reader *r, const char **ret_id)
{
	const struct job_open *o = (const struct job_open *)r->payload.data;

	*ret_id = (const char *)(o + 1);
	return o;
}

void reader_opened(struct reader *r)
{
	r->opening = false;
	r->message_bytes = 0;
	buf_reset(&r->payload);
}
