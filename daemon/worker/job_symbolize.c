/* SPDX-License-Identifier: Apache-2.0 */
/* JOB_SYMBOLIZE: cprof/symbolize.h. Debug files come through the broker. */

#include <string.h>

#include "broker.h"
#include "cleanup.h"
#include "symbolize.h"
#include "task.h"

_Static_assert((int)SYMBOLIZE_OPEN_BUILD_ID == (int)JOB_OPEN_BUILD_ID &&
		       (int)SYMBOLIZE_OPEN_DEBUGLINK == (int)JOB_OPEN_DEBUGLINK &&
		       (int)SYMBOLIZE_OPEN_DWZ == (int)JOB_OPEN_DWZ &&
		       (int)SYMBOLIZE_OPEN_DWO == (int)JOB_OPEN_DWO &&
		       (int)SYMBOLIZE_OPEN_DWP == (int)JOB_OPEN_DWP,
	       "one numbering");

static int job_open(void *arg, const struct symbolize_open *s)
{
	struct job_open request = { .kind = (uint32_t)s->kind, .crc = s->crc };
	const char *id = s->name ? s->name : "";
	size_t id_bytes = strlen(id);

	if (s->build_id_bytes > sizeof(request.build_id))
		return -EINVAL;
	if (s->build_id_bytes > 0)
		memcpy(request.build_id, s->build_id, s->build_id_bytes);
	request.build_id_bytes = (uint32_t)s->build_id_bytes;

	/* the id of a build-id request is the build-id itself */
	if (s->kind == SYMBOLIZE_OPEN_BUILD_ID) {
		id = (const char *)request.build_id;
		id_bytes = s->build_id_bytes;
	}
	if (id_bytes > JOB_MAX_OPEN_ID_BYTES)
		return -ENAMETOOLONG;
	request.id_bytes = (uint32_t)id_bytes;
	return broker_open(arg, &request, id);
}

int job_symbolize(struct task *t)
{
	struct symbolize_request request = { .open = job_open, .arg = t };
	int r;

	if (t->n_fds != 1)
		return -EINVAL;

	r = symbolize_parse_input(t->input, t->input_bytes, &request);
	if (r < 0)
		return r;

	request.fd = t->fds[0];
	return symbolize_file(&request, &t->answer);
}

static int session_open(struct task *t, struct symbolize **ret, uint32_t *ret_flags)
{
	struct symbolize_request request = { .open = job_open, .arg = t };
	int r;

	if (t->n_fds != 1)
		return -EINVAL;
	r = symbolize_parse_input(t->input, t->input_bytes, &request);
	if (r < 0)
		return r;
	request.fd = t->fds[0];
	*ret_flags = request.flags;
	return symbolize_new(ret, &request);
}

static int session_answer(struct task *t, struct symbolize *s, uint32_t flags)
{
	struct symbolize_request request = { 0 };
	int r;

	r = symbolize_parse_input(t->input, t->input_bytes, &request);
	if (r < 0)
		return r;
	if (request.flags != flags)
		return -EINVAL;
	buf_reset(&t->answer);
	r = symbolize_ask(s, request.offsets, request.n_offsets, &t->answer);
	return r < 0 ? r : task_send_answer(t, 0);
}

int job_symbolize_session(struct task *t)
{
	struct symbolize *s;
	uint32_t flags;
	int r;

	r = session_open(t, &s, &flags);
	while (r == 0) {
		r = session_answer(t, s, flags);
		if (r == 0)
			r = task_receive_next(t);
	}
	/* nobody asks any more */
	if (r == -EPIPE)
		_exit(0);
	return r;
}
