/* SPDX-License-Identifier: Apache-2.0 */
/* JOB_JIT: cprof/symbolize.h. */

#include "cleanup.h"
#include "jit.h"
#include "task.h"

int job_jit(struct task *t)
{
	struct jit_request request = { .parent_map_fd = -1, .map_fd = -1, .dump_fd = -1 };
	const struct jit_input *head = (const struct jit_input *)t->input;
	size_t n = 0;
	int r;

	r = jit_parse_input(t->input, t->input_bytes, &request);
	if (r < 0)
		return r;

	if (head->files & JIT_INPUT_PARENT_MAP && n < t->n_fds)
		request.parent_map_fd = t->fds[n++];
	if (head->files & JIT_INPUT_MAP && n < t->n_fds)
		request.map_fd = t->fds[n++];
	if (head->files & JIT_INPUT_DUMP && n < t->n_fds)
		request.dump_fd = t->fds[n++];
	if (n != t->n_fds)
		return -EINVAL;
	return jit_names(&request, &t->answer);
}
